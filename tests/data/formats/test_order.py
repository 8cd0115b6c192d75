import json
from pathlib import Path

import pytest

from medseg.data import formats
from medseg.data.formats.order import require_one_order
from medseg.errors import InputError

CSV = Path("study.csv")


def files(*names: str) -> dict[str, list[Path]]:
    return {f"case {i}": [Path(n) for n in row.split()] for i, row in enumerate(names)}


def test_a_case_with_swapped_channels_is_named():
    images = files("a_t1.nii a_flair.nii", "b_t1.nii b_flair.nii", "c_flair.nii c_t1.nii")
    with pytest.raises(InputError, match="1 case with channels in another order") as error:
        require_one_order(images, ["first", "second"], source=CSV)
    assert "case 2: c_flair.nii stands for first, but 'flair' belongs to second" in str(error.value)


def test_a_header_that_contradicts_every_file_name_is_refused():
    images = files("a_t1.nii a_flair.nii", "b_t1.nii b_flair.nii")
    with pytest.raises(InputError, match="2 cases"):
        require_one_order(images, ["FLAIR", "T1"], source=CSV)
    require_one_order(images, ["T1", "FLAIR"], source=CSV)


@pytest.mark.parametrize(
    "names",
    [
        ("a_2019.nii a_2020.nii", "b_2020.nii b_2021.nii", "c_2020.nii c_2019.nii"),
        ("x1.nii x2.nii", "y3.nii y4.nii", "z5.nii z6.nii"),
        ("a_1.nii a_2.nii", "b_1.nii b_2.nii"),
        ("scan.nii scan.nii", "scan.nii scan.nii"),
        ("a_t1.nii a_t1ce.nii", "b_t1.nii b_t1ce.nii", "t1_c_t1.nii c_t1ce.nii"),
    ],
)
def test_words_that_say_nothing_of_the_channel_are_no_swap(names):
    require_one_order(files(*names), ["channel_0", "channel_1"], source=CSV)


def test_a_datalist_is_held_against_its_file_names(tmp_path):
    rows = ["image_T1,image_T2,label"]
    for name, order in (("a", "T1 T2"), ("b", "T1 T2"), ("c", "T2 T1")):
        for kind in ("T1", "T2", "seg"):
            (tmp_path / f"{name}_{kind}.nii.gz").touch()
        rows.append(",".join(f"{name}_{kind}.nii.gz" for kind in (*order.split(), "seg")))
    (tmp_path / "study.csv").write_text("\n".join(rows))
    with pytest.raises(InputError, match="another order"):
        formats.read(tmp_path, format="datalist", labels={"lesion": 1})


def test_folders_tell_channels_apart_too():
    images = files("t1/a.nii flair/a.nii", "t1/b.nii flair/b.nii", "flair/c.nii t1/c.nii")
    with pytest.raises(InputError, match="1 case with channels") as error:
        require_one_order(images, ["first", "second"], source=CSV)
    assert "case 2: flair/c.nii stands for first, but 'flair' belongs" in str(error.value)


def test_words_that_mean_a_channel_count_as_its_name():
    images = files("a-t1n.nii a-t2f.nii a-t1c.nii", "b-t1n.nii b-t2f.nii b-t1c.nii")
    require_one_order(images, ["T1", "FLAIR", "T1ce"], source=CSV)
    with pytest.raises(InputError, match="2 cases") as error:
        require_one_order(images, ["FLAIR", "T1", "T1gd"], source=CSV)
    assert "'t1n' belongs to T1" in str(error.value)


@pytest.mark.parametrize(
    ("names", "channels"),
    [
        # A word that would mean one channel is the name of another.
        (("a_t1.nii a_mprage.nii", "b_t1.nii b_mprage.nii"), ["T1", "MPRAGE"]),
        # FLAIR is weighted by T2, and often called so.
        (("a_t2.nii a_t2w_flair.nii", "b_t2.nii b_t2w_flair.nii"), ["T2", "FLAIR"]),
    ],
)
def test_words_that_may_mean_either_are_left_alone(names, channels):
    require_one_order(files(*names), channels, source=CSV)


@pytest.mark.parametrize("layout", ["decathlon", "nnunet"])
def test_lists_of_images_in_a_dataset_json_are_held_against_their_names(tmp_path, layout):
    order = {"a": "t1 flair", "b": "t1 flair", "c": "flair t1"}
    for case in order:
        for kind in ("t1", "flair", "seg"):
            (tmp_path / f"{case}_{kind}.nii.gz").touch()
    images = {case: [f"{case}_{k}.nii.gz" for k in kinds.split()] for case, kinds in order.items()}
    state = {
        "decathlon": {
            "modality": {"0": "first", "1": "second"},
            "labels": {"0": "background", "1": "lesion"},
            "training": [
                {"image": paths, "label": f"{case}_seg.nii.gz"} for case, paths in images.items()
            ],
        },
        "nnunet": {
            "channel_names": {"0": "first", "1": "second"},
            "labels": {"background": 0, "lesion": 1},
            "file_ending": ".nii.gz",
            "dataset": {
                case: {"images": paths, "label": f"{case}_seg.nii.gz"}
                for case, paths in images.items()
            },
        },
    }[layout]
    (tmp_path / "dataset.json").write_text(json.dumps(state))
    with pytest.raises(InputError, match="1 case with channels in another order") as error:
        formats.read(tmp_path, format=layout)
    assert "c_flair.nii.gz stands for first" in str(error.value)
