"""Videos and stacks of pages, frame by frame, into stacks of masks."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from medseg.data.case import Case
from medseg.data.prepare.video import grey_frames
from medseg.errors import InputError
from medseg.inference import Ensemble, Predictor
from medseg.inference.postprocess import MaskStep, Postprocessor
from medseg.planning.guidance import Guidance
from medseg.planning.plan import Normalisation, PreprocessingPlan


@pytest.fixture
def predictor(threshold, labels):
    def make(*, level=0.0, channels=1, crop="none", scheme="zscore", batch_size=1) -> Predictor:
        return Predictor(
            threshold(level),
            labels=labels,
            preprocessing=PreprocessingPlan(
                None, crop, (1.0, 1.0), (Normalisation(scheme),) * channels
            ),
            patch_size=(16, 20),
            batch_size=batch_size,
            device="cpu",
        )

    return make


def blobs(count: int, shape=(16, 20)) -> np.ndarray:
    """Frames of a bright box that wanders: ``(N, I, J, 3)``."""
    frames = np.zeros((count, *shape, 3), dtype=np.uint8)
    for number, frame in enumerate(frames):
        top, left = number % 7, (2 * number) % 9
        frame[top : top + 6, left : left + 8] = 120 + number % 100
    return frames


def pages_of(path) -> np.ndarray:
    with Image.open(path) as picture:
        found = []
        for number in range(picture.n_frames):
            picture.seek(number)
            found.append(np.asarray(picture))
    return np.stack(found)


def test_a_table_beside_the_masks_has_the_area_per_frame(predictor, video, tmp_path):
    path = predictor().predict_to(Case("v1.2", (video(blobs(9)),)), tmp_path / "out")
    table = (tmp_path / "out" / "v1.2.csv").read_text().splitlines()
    assert table[0] == "frame,tumour"
    areas = (pages_of(path) == 3).sum(axis=(1, 2))
    assert table[1:] == [f"{number},{area}" for number, area in enumerate(areas)]
    # The boxes have 6 x 8 pixels, their edges blurred by the codec.
    assert all(40 < area < 130 for area in areas)


def test_a_foreign_table_is_not_replaced_unasked(predictor, video, tmp_path):
    (tmp_path / "a.csv").write_text("mine")
    case = Case("a", (video(blobs(2)),))
    with pytest.raises(InputError, match="exists already"):
        predictor().predict_to(case, tmp_path)
    assert (tmp_path / "a.csv").read_text() == "mine" and not (tmp_path / "a.tif").exists()
    predictor().predict_to(case, tmp_path, overwrite=True)
    assert (tmp_path / "a.csv").read_text().startswith("frame,tumour")


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("crop", ["none", "nonzero"])
def test_a_video_gives_each_frames_own_mask(predictor, video, tmp_path, batch_size, crop):
    source = video(blobs(11), "beat.avi")
    one = predictor(crop=crop, batch_size=batch_size)
    path = one.predict_to(Case("beat", (source,)), tmp_path / "out")
    assert path == tmp_path / "out" / "beat.tif"
    masks = pages_of(path)
    assert masks.dtype == np.uint8 and set(np.unique(masks)) == {0, 3}
    frames = grey_frames(source, range(11))
    assert np.array_equal(masks, np.stack([one(frames[number]) for number in range(11)]))


def test_frames_larger_than_the_patch_are_stitched_in_batches(predictor, video):
    source = video(blobs(5, (40, 48)))
    single = list(predictor(batch_size=1).predict_frames(source))
    several = list(predictor(batch_size=3).predict_frames(source))
    assert np.array_equal(single, several) and single[0].shape == (40, 48)


def test_colours_reach_the_network_in_order(predictor, video):
    frames = np.zeros((2, 16, 20, 3), dtype=np.uint8)
    frames[0, ..., 0] = 200  # red, the channel that this network looks at
    frames[1, ..., 2] = 200
    source = video(frames, codec="rawvideo", pix_fmt="bgr24")
    masks = list(predictor(channels=3, level=100, scheme="none").predict_frames(source))
    assert [int(mask.max()) for mask in masks] == [3, 0]


def test_a_stack_is_segmented_page_by_page(predictor, tmp_path):
    pages = [Image.fromarray(frame[..., 0]) for frame in blobs(4)]
    source = tmp_path / "a.tif"
    pages[0].save(source, save_all=True, append_images=pages[1:])
    one = predictor()
    masks = pages_of(one.predict_to(Case("a", (source,)), tmp_path / "out"))
    assert np.array_equal(masks, np.stack([one(np.asarray(page)) for page in pages]))
    with pytest.raises(InputError, match="takes 2D images") as error:
        one(source)
    assert "predict_frames" in error.value.remedy


@pytest.mark.parametrize("batch_size", [1, 4])
def test_frames_are_postprocessed_as_pictures_are(predictor, labels, tmp_path, batch_size):
    frames = blobs(4)[..., 0]
    frames[:, 14:, 18:] = 130
    source = tmp_path / "a.tif"
    pages = [Image.fromarray(frame) for frame in frames]
    pages[0].save(source, save_all=True, append_images=pages[1:])
    one = predictor(batch_size=batch_size)
    before = np.stack(list(one.predict_frames(source)))
    one.postprocess = Postprocessor([MaskStep("largest_component", "tumour")], labels)
    after = np.stack(list(one.predict_frames(source)))
    assert before[:, 14:, 18:].all() and not after[:, 14:, 18:].any()
    assert np.array_equal(after[:, :14], before[:, :14]) and after.any(axis=(1, 2)).all()


@pytest.mark.parametrize("use", ["channels", "both", "crop"])
def test_a_first_stage_guides_every_frame(threshold, labels, tmp_path, use):
    class Guided(torch.nn.Module):
        """Class 1 where the image is bright and, if it is shown, the guide has class 1."""

        def forward(self, image):
            first = image[:, :1]
            if use != "crop":
                assert image.shape[1] == 2
                first = torch.minimum(first, image[:, 1:] - 0.5)
            return torch.cat([torch.zeros_like(first), first], dim=1)

    options = {
        "labels": labels,
        "preprocessing": PreprocessingPlan(None, "none", (1.0, 1.0), (Normalisation("zscore"),)),
        "patch_size": (16, 20),
        "batch_size": 3,
        "device": "cpu",
    }
    one = Predictor(
        Guided(),
        guidance=Guidance(use, 1, 2.0),
        first_stage=Predictor(threshold(0.5), **options),
        **options,
    )
    frames = blobs(5)[..., 0]
    source = tmp_path / "a.tif"
    pages = [Image.fromarray(frame) for frame in frames]
    pages[0].save(source, save_all=True, append_images=pages[1:])
    assert np.array_equal(list(one.predict_frames(source)), [one(frame) for frame in frames])


def test_an_ensemble_segments_videos_too(predictor, video, tmp_path):
    source = video(blobs(3))
    path = Ensemble([predictor(), predictor()]).predict_to(Case("a", (source,)), tmp_path / "out")
    assert np.array_equal(pages_of(path), list(predictor().predict_frames(source)))


def test_memory_does_not_grow_with_the_video(predictor, video, tmp_path):
    one = predictor(batch_size=2)

    def peak(count: int) -> int:
        source = video(np.tile(blobs(1, (96, 96)), (count, 1, 1, 1)), f"{count}.avi")
        tracemalloc.start()
        one.predict_to(Case(str(count), (source,)), tmp_path / "out")
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(3)  # what is imported at first use
    # 120 masks alone would take a megabyte more.
    assert peak(140) - peak(20) < 300_000


def test_a_network_of_volumes_takes_no_video(threshold, labels, plan_of, video, tmp_path):
    one = Predictor(
        threshold(),
        labels=labels,
        preprocessing=plan_of().preprocessing,
        patch_size=(8, 8, 8),
        device="cpu",
    )
    with pytest.raises(InputError, match="takes 3D images, and a frame is a picture"):
        one.predict_to(Case("a", (video(blobs(2)),)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_read_to_its_end_leaves_no_mask(predictor, video, tmp_path):
    source = video(blobs(30))
    source.write_bytes(source.read_bytes()[:-4000])
    with pytest.raises(InputError) as error:
        predictor().predict_to(Case("a", (source,)), tmp_path / "out")
    assert error.value.file == source
    assert not list((tmp_path / "out").glob("*"))
