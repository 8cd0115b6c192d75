from __future__ import annotations

import numpy as np
import pytest
import torch

from medseg.detection.decoding import Found
from medseg.geometry.objects_in_masks import of_instances
from medseg.inference.detection.looks import BoxWindow, seen_by, trust


def see(windows: torch.Tensor) -> list[Found]:
    """Find in each window the box of every value that is seen there, surer the more of it is."""
    found = []
    for window in windows:
        objects = of_instances(window[0].numpy().round().astype(int))
        found.append(
            Found(
                torch.from_numpy(objects.corners).float(),
                torch.from_numpy(np.minimum(objects.sizes / SIZES[objects.values - 1], 1)).float(),
                torch.from_numpy(objects.values % 2),
            )
        )
    return found


CORNERS = {
    2: np.array([[3, 4, 13, 12], [30, 28, 42, 44], [50, 5, 58, 17], [14, 52, 24, 64]]),
    3: np.array([[3, 4, 2, 11, 12, 9], [18, 20, 10, 28, 29, 18], [28, 2, 14, 36, 12, 24]]),
}
SIZES = np.array([1])
SHAPES = {2: (64, 70), 3: (40, 36, 28)}


def image(ndim: int) -> torch.Tensor:
    global SIZES
    out = np.zeros(SHAPES[ndim], dtype=np.float32)
    for number, corners in enumerate(CORNERS[ndim]):
        out[tuple(slice(a, b) for a, b in zip(corners[:ndim], corners[ndim:], strict=True))] = (
            number + 1
        )
    SIZES = (CORNERS[ndim][:, ndim:] - CORNERS[ndim][:, :ndim]).prod(axis=1)
    return torch.from_numpy(out)[None]


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_every_object_is_found_once_however_many_windows_see_it(ndim, mirrored):
    window = BoxWindow((24,) * ndim, mirror_axes=range(ndim) if mirrored else ())
    found = window([see], image(ndim))
    assert len(found.corners) == len(CORNERS[ndim])
    for number, corners in enumerate(CORNERS[ndim]):
        mine = (found.corners - torch.from_numpy(corners)).abs().amax(dim=1)
        assert mine.min() < 0.5
        assert found.classes[mine.argmin()] == (number + 1) % 2


def test_an_object_across_the_border_of_windows_has_its_whole_box():
    picture = torch.zeros(1, 40, 40)
    picture[0, 14:26, 14:26] = 1
    global SIZES
    SIZES = np.array([144])
    found = BoxWindow((20, 20), overlap=0.5, threshold=0.1)([see], picture)
    best = found.corners[0]
    assert torch.allclose(best, torch.tensor([14.0, 14, 26, 26]), atol=1.0)


def test_what_one_of_several_networks_finds_counts_less():
    def blind(windows):
        none = torch.zeros(0)
        return [Found(torch.zeros(0, 4), none, none.long()) for _ in windows]

    both = BoxWindow((64, 70))([see, see], image(2))
    half = BoxWindow((64, 70))([see, blind], image(2))
    assert torch.allclose(both.corners, half.corners)
    assert torch.allclose(both.scores, torch.ones(4))
    assert torch.allclose(half.scores, torch.full((4,), 0.5))


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_batch_changes_nothing(batch_size):
    once = BoxWindow((24, 24))([see], image(2))
    again = BoxWindow((24, 24), batch_size=batch_size)([see], image(2))
    assert torch.equal(once.corners, again.corners) and torch.equal(once.scores, again.scores)


def test_an_image_smaller_than_the_patch_keeps_its_own_coordinates():
    found = BoxWindow((96, 128))([see], image(2))
    ordered = found.corners[found.corners[:, 0].argsort()]
    expected = CORNERS[2][CORNERS[2][:, 0].argsort()]
    assert torch.allclose(ordered, torch.from_numpy(expected).float())


def test_boxes_end_with_the_image():
    def beyond(windows):
        box = torch.tensor([[-5.0, 2, 90, 10], [-9.0, -9, -1, -1]])
        return [Found(box, torch.tensor([0.9, 0.8]), torch.tensor([0, 0])) for _ in windows]

    found = BoxWindow((64, 70))([beyond], image(2))
    assert found.corners.tolist() == [[0, 2, 64, 10]]


def test_an_empty_image_has_no_boxes():
    found = BoxWindow((24, 24, 24))([see], torch.zeros(1, *SHAPES[3]))
    assert found.corners.shape == (0, 6) and len(found.scores) == len(found.classes) == 0


def test_windows_count_as_seeing_what_they_hold_at_least_half_of():
    windows = torch.tensor([[0.0, 0, 10, 10], [10.0, 0, 20, 10]])
    boxes = torch.tensor([[2.0, 2, 4, 4], [8.0, 2, 12, 4], [7.0, 2, 12, 4]])
    assert seen_by(boxes, windows, least=0.5).tolist() == [1, 2, 1]
    assert seen_by(boxes[:0], windows, least=0.5).shape == (0,)


def test_boxes_in_the_middle_are_trusted_most():
    patch = (20, 20)
    middle, edge = torch.tensor([[8.0, 8, 12, 12]]), torch.tensor([[0.0, 0, 4, 4]])
    assert trust(middle, patch).item() == pytest.approx(1)
    assert trust(edge, patch).item() == pytest.approx(np.exp(-0.5 * (8 / 8) ** 2))


def test_a_window_is_stretched_to_see_all_of_an_image_and_finds_the_same():
    seen = []

    def noting(windows: torch.Tensor) -> list[Found]:
        seen.append(tuple(windows.shape))
        return see(windows)

    options = {"divisor": (8, 8), "batch_size": 4}
    found = BoxWindow((48, 48), most_voxels=64 * 72, **options)([noting], image(2))
    assert seen == [(1, 1, 64, 72)]
    ordered = found.corners[found.corners[:, 0].argsort()]
    expected = CORNERS[2][CORNERS[2][:, 0].argsort()]
    assert torch.allclose(ordered, torch.from_numpy(expected).float())
    seen.clear()
    # Not both fit: the axis along which least is missing is seen whole.
    BoxWindow((48, 48), most_voxels=64 * 72 - 1, **options)([noting], image(2))
    assert {shape[2:] for shape in seen} == {(64, 48)}
    # Patches of four were asked for at a time, and these have as many voxels as three.
    assert max(shape[0] for shape in seen) <= 4 * 48 * 48 // (64 * 48)


def test_the_best_boxes_are_kept_up_to_a_limit():
    every = BoxWindow((64, 70))([see], image(2))
    kept = BoxWindow((64, 70), limit=2)([see], image(2))
    assert torch.equal(kept.corners, every.corners[:2])
