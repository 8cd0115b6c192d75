from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg.data import formats
from medseg.errors import InputError


def picture(path: Path, values=(0, 255), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.resize(np.array(values, dtype=np.uint8), (4, 4))
    image = Image.fromarray(array)
    (image.convert(mode) if mode != "L" else image).save(path)


def make(root: Path, ids=("a", "b"), images="images", labels="labels", mask=(0, 255)) -> Path:
    for name in ids:
        picture(root / images / f"{name}.png", range(16))
        picture(root / labels / f"{name}.png", mask)
    return root


def read(root: Path, **options):
    return formats.read(root, format="folders", options=options)


@pytest.mark.parametrize(("images", "labels"), [("images", "labels"), ("image", "mask")])
def test_pairs_are_found_by_name_in_the_usual_folders(tmp_path, images, labels):
    found = formats.read(make(tmp_path, images=images, labels=labels))
    assert found.format == "folders"
    assert [c.id for c in found.cases] == ["a", "b"]
    assert found.cases[0].label == tmp_path / labels / "a.png"
    assert found.channels == ("image",)


def test_a_mask_of_0_and_255_needs_no_map_and_the_guess_is_noted(tmp_path):
    found = formats.read(make(tmp_path))
    assert dict(found.labels.values) == {"background": 0, "foreground": 1}
    assert found.value_map == {255: 1}
    assert "255" in found.notes[0]


def test_undeclared_labels_are_taken_from_the_masks_through_the_value_map(tmp_path):
    make(tmp_path, mask=(0, 100, 200))
    found = read(tmp_path, value_map={100: 1, 200: 2})
    assert dict(found.labels.values) == {"background": 0, "label_1": 1, "label_2": 2}


def test_declared_labels_leave_the_masks_unread(tmp_path):
    make(tmp_path)
    (tmp_path / "labels/a.png").write_bytes(b"")
    found = formats.read(tmp_path, labels={"cell": 1}, options={"value_map": {"255": 1}})
    assert dict(found.labels.values) == {"background": 0, "cell": 1}
    assert found.value_map == {255: 1}


def test_masks_of_background_alone_ask_for_labels(tmp_path):
    with pytest.raises(InputError, match="nothing but background"):
        formats.read(make(tmp_path, mask=(0,)))


def test_folder_names_and_patterns_can_be_given(tmp_path):
    for name in ("p1", "p2"):
        picture(tmp_path / "raw" / f"{name}_img.png")
        picture(tmp_path / "raw" / f"{name}_thumb.png")
        picture(tmp_path / "gt" / f"seg-{name}.png")
    found = read(
        tmp_path,
        images_folder="raw",
        labels_folder="gt",
        image_pattern="{case}_img.png",
        label_pattern="seg-{case}",
    )
    assert [c.id for c in found.cases] == ["p1", "p2"]


def test_images_and_labels_may_share_a_folder(tmp_path):
    for name in ("p1", "p2"):
        picture(tmp_path / f"{name}.png")
        picture(tmp_path / f"{name}_mask.png")
    found = read(tmp_path, images_folder=".", labels_folder=".", label_pattern="{case}_mask")
    assert [c.id for c in found.cases] == ["p1", "p2"]
    assert not found.unlabelled


def test_channels_are_files_of_their_own(tmp_path):
    for name in ("p_1", "p_2"):
        for channel in ("T2", "T1"):
            picture(tmp_path / "images" / f"{name}_{channel}.png")
        picture(tmp_path / "labels" / f"{name}.png")
    found = read(tmp_path, image_pattern="{case}_{channel}")
    assert found.channels == ("T1", "T2")
    assert [p.name for p in found.cases[0].images] == ["p_1_T1.png", "p_1_T2.png"]
    chosen = formats.read(
        tmp_path,
        format="folders",
        channels=["T2"],
        options={"image_pattern": "{case}_{channel}"},
    )
    assert [p.name for p in chosen.cases[0].images] == ["p_1_T2.png"]


def test_declared_channel_names_may_hold_underscores(tmp_path):
    for channel in ("t1_pre", "t1_post"):
        picture(tmp_path / "images" / f"p_{channel}.png")
    picture(tmp_path / "labels" / "p.png")
    found = formats.read(
        tmp_path,
        format="folders",
        channels=["t1_pre", "t1_post"],
        options={"image_pattern": "{case}_{channel}"},
    )
    assert [c.id for c in found.cases] == ["p"]


def test_missing_channels_are_named(tmp_path):
    for name in ("p_T1", "p_T2", "q_T1"):
        picture(tmp_path / "images" / f"{name}.png")
    picture(tmp_path / "labels" / "p.png")
    with pytest.raises(InputError, match="q lacks T2"):
        read(tmp_path, image_pattern="{case}_{channel}")


def test_one_folder_per_case(tmp_path):
    for name in ("p", "q"):
        picture(tmp_path / name / f"{name}_T1.png")
        picture(tmp_path / name / "seg.png")
    found = read(
        tmp_path,
        images_folder=".",
        labels_folder=".",
        image_pattern="{case}/{case}_T1",
        label_pattern="{case}/seg.png",
    )
    assert [c.id for c in found.cases] == ["p", "q"]
    assert found.cases[0].images == (tmp_path / "p/p_T1.png",)


def test_a_label_without_an_image_is_refused_and_shows_a_name(tmp_path):
    make(tmp_path)
    picture(tmp_path / "labels/z.png")
    with pytest.raises(InputError, match="1 label without an image") as error:
        formats.read(tmp_path)
    assert "z.png" in error.value.found
    assert "a.png" in error.value.expected


def test_an_image_without_a_label_is_noted(tmp_path):
    make(tmp_path)
    picture(tmp_path / "images/c.png")
    found = formats.read(tmp_path)
    assert [c.id for c in found.unlabelled] == ["c"]
    assert "c" in found.notes[0]


def test_two_files_for_one_case_are_refused(tmp_path):
    make(tmp_path)
    (tmp_path / "images/a.nii.gz").touch()
    with pytest.raises(InputError, match="two files claim case a"):
        formats.read(tmp_path)


def test_a_pattern_that_fits_nothing_shows_what_is_there(tmp_path):
    make(tmp_path)
    with pytest.raises(InputError, match="no image fits") as error:
        read(tmp_path, image_pattern="{case}_img")
    assert "a.png" in error.value.found


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("image.png", "must hold {case}"), ("{cse}", "not a field"), ("{case", "not a field")],
)
def test_a_senseless_pattern_is_refused(tmp_path, pattern, message):
    with pytest.raises(InputError, match=message):
        read(make(tmp_path), image_pattern=pattern)


def test_a_named_folder_that_is_missing_is_said(tmp_path):
    with pytest.raises(InputError, match="no folder scans") as error:
        read(make(tmp_path), images_folder="scans")
    assert "images" in error.value.found


def test_colour_pictures_have_three_channels(tmp_path):
    make(tmp_path)
    for name in ("a", "b"):
        picture(tmp_path / f"images/{name}.png", range(16), mode="RGB")
    assert formats.read(tmp_path).channels == ("red", "green", "blue")
    assert formats.read(tmp_path, channels=["R", "G", "B"]).channels == ("R", "G", "B")


def test_photographs_and_lossy_masks_are_refused_as_masks(tmp_path):
    make(tmp_path)
    colours = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "labels/a.png")
    with pytest.raises(InputError, match="is a colour picture, no mask"):
        formats.read(tmp_path)
    (tmp_path / "labels/a.png").unlink()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "labels/a.jpg")
    with pytest.raises(InputError, match="JPEG"):
        formats.read(tmp_path)


RED, GREEN = (255, 0, 0), (0, 255, 0)


def paint(path: Path, *spots, size=(4, 4)) -> None:
    """Draw a black colour mask with one pixel of each colour, from the first on."""
    mask = np.zeros((*size, 3), dtype=np.uint8)
    mask.reshape(-1, 3)[: len(spots)] = spots
    Image.fromarray(mask).save(path)


def test_each_colour_of_a_drawn_mask_becomes_a_label(tmp_path):
    make(tmp_path)
    for name in ("a", "b"):
        paint(tmp_path / f"labels/{name}.png", RED, GREEN)
    found = formats.read(tmp_path)
    assert found.labels.values == {"background": 0, "colour_00ff00": 1, "colour_ff0000": 2}
    assert found.value_map == {0x00FF00: 1, 0xFF0000: 2}
    assert "2 colours beside black" in " ".join(found.notes)


def test_a_colour_that_the_value_map_does_not_know_is_named(tmp_path):
    make(tmp_path)
    for name in ("a", "b"):
        paint(tmp_path / f"labels/{name}.png", RED, GREEN)
    with pytest.raises(InputError, match="1 colour that data") as error:
        read(tmp_path, value_map={0xFF0000: 1})
    assert error.value.found == "0x00ff00"
    found = read(tmp_path, value_map={0xFF0000: 3, 0x00FF00: 3})
    assert found.labels.values == {"background": 0, "label_3": 3}


def test_palette_masks_count_by_index_or_by_declared_colour(tmp_path):
    make(tmp_path)
    for name in ("a", "b"):
        picture = Image.new("P", (4, 4))
        picture.putpalette([0, 0, 0, *GREEN, *RED])
        picture.putpixel((0, 0), 2)
        picture.save(tmp_path / f"labels/{name}.png")
    assert formats.read(tmp_path).labels.values == {"background": 0, "label_2": 2}
    assert read(tmp_path, value_map={0xFF0000: 1}).labels.values == {"background": 0, "label_1": 1}


def test_cases_are_held_out_by_name(tmp_path):
    make(tmp_path)
    assert read(tmp_path, held_out=["b*"]).splits == ({"train": ["a"], "val": ["b"]},)
    for names, words in ((["c"], "no case is called 'c'"), (["?"], "all cases")):
        with pytest.raises(InputError, match=words):
            read(tmp_path, held_out=names)


def test_the_gifs_of_drive_are_masks(tmp_path):
    for part, name in (("training", "21_training"), ("test", "01_test")):
        for folder in ("images", "1st_manual"):
            (tmp_path / part / folder).mkdir(parents=True)
        picture(tmp_path / part / f"images/{name}.tif", range(16), mode="RGB")
        picture(tmp_path / part / f"1st_manual/{name[:2]}_manual1.gif")
    found = read(
        tmp_path,
        images_folder=".",
        labels_folder=".",
        image_pattern="*/images/{case}_*.tif",
        label_pattern="*/1st_manual/{case}_manual1.gif",
        held_out=["0?"],
    )
    assert found.splits == ({"train": ["21"], "val": ["01"]},)
    assert [case.label.suffix for case in found.cases] == [".gif", ".gif"]
    assert found.labels.num_outputs == 2


def test_files_are_grouped_by_the_image_pattern(tmp_path):
    for name in ("p_T1", "p_T2", "q_T1", "q_T2"):
        picture(tmp_path / "images" / f"{name}.png")
    rule = {"format": "folders", "options": {"image_pattern": "{case}_{channel}"}}
    cases = formats.group([tmp_path], channels=["T2", "T1"], **rule)
    assert [c.id for c in cases] == ["p", "q"]
    assert [p.name for p in cases[0].images] == ["p_T2.png", "p_T1.png"]
    with pytest.raises(InputError, match="p lacks T2"):
        formats.group([tmp_path / "images/p_T1.png"], channels=["T1", "T2"], **rule)
    with pytest.raises(InputError, match="does not fit the image pattern"):
        formats.group([tmp_path / "images/p_T1.png"], channels=["T3"], **rule)


def test_the_real_membranes_are_read(real_data):
    found = formats.read(real_data("images2d/isbi_em"))
    assert found.format == "folders"
    assert len(found.cases) == 30
    assert found.value_map == {255: 1}


def test_the_real_vessels_are_described_by_patterns(real_data):
    found = read(
        real_data("images2d/chase_db1"),
        images_folder=".",
        labels_folder=".",
        image_pattern="Image_{case}.jpg",
        label_pattern="Image_{case}_1stHO.png",
        group_pattern="{group}?",
    )
    assert len(found.cases) == 28
    assert len({c.group for c in found.cases}) == 14
    assert found.channels == ("red", "green", "blue")
    assert found.cases[0].label.name == "Image_01L_1stHO.png"


def test_a_folder_can_be_part_of_a_case_and_lie_anywhere(tmp_path):
    for place in ("Training/site1/p1", "Training/site2/p1", "site3/p2"):
        for name in ("t1", "t2", "seg"):
            picture(tmp_path / place / f"{name}.png", (0, 1))
    options = {
        "images_folder": ".",
        "labels_folder": ".",
        "image_pattern": "**/{folder}/{case}/{channel}",
        "label_pattern": "**/{folder}/{case}/seg",
    }
    found = formats.read(tmp_path, format="folders", channels=["t1", "t2"], options=options)
    assert [c.id for c in found.cases] == ["site1_p1", "site2_p1", "site3_p2"]


def test_files_anywhere_may_lie_in_the_folder_itself(tmp_path):
    for place in (".", "batch 1", "a/b/c"):
        number = len(place)
        picture(tmp_path / place / f"volume-{number}.png", (0, 1))
        picture(tmp_path / place / f"segmentation-{number}.png", (0, 1))
    patterns = {"image_pattern": "**/volume-{case}", "label_pattern": "**/segmentation-{case}"}
    found = read(tmp_path, images_folder=".", labels_folder=".", **patterns)
    assert [c.id for c in found.cases] == ["1", "5", "7"]
    assert [
        c.id
        for c in formats.group([tmp_path], format="folders", channels=["image"], options=patterns)
    ] == ["1", "5", "7"]


def test_one_case_in_two_folders_is_refused_with_both(tmp_path):
    for place in ("a", "b"):
        picture(tmp_path / place / "volume-1.png", (0, 1))
        picture(tmp_path / place / "mask-1.png", (0, 1))
    with pytest.raises(InputError, match="two files claim case 1"):
        read(
            tmp_path,
            images_folder=".",
            labels_folder=".",
            image_pattern="**/volume-{case}",
            label_pattern="**/mask-{case}",
        )
