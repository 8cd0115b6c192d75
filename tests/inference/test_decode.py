from __future__ import annotations

import numpy as np
import pytest
import torch

from medseg.inference.decode import activate, activate_in_place, decode
from medseg.labels import LabelScheme

CLASSES = LabelScheme({"background": 0, "a": 1, "b": 5})
BRATS = LabelScheme(
    {"background": 0, "NCR": 1, "ED": 2, "ET": 4},
    {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)},
)


def test_exclusive_classes_are_the_argmax():
    logits = torch.randn(3, 4, 5, 6)
    index = decode(logits, CLASSES)
    assert index.dtype == torch.uint8
    assert np.array_equal(index.numpy(), logits.numpy().argmax(0))


def test_a_batch_is_decoded_sample_by_sample():
    logits = torch.randn(2, 3, 4, 5)
    index = decode(logits, CLASSES, axis=1)
    assert index.shape == (2, 4, 5)
    for sample, one in zip(index, logits, strict=True):
        assert torch.equal(sample, decode(one, CLASSES))


def test_a_tie_goes_to_the_lower_class():
    assert decode(torch.zeros(3, 2, 2), CLASSES).sum() == 0


def test_arrays_give_arrays():
    logits = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float32)[:, ::-1]
    index = decode(logits, CLASSES)
    assert isinstance(index, np.ndarray)
    assert np.array_equal(index, logits.argmax(0))


def test_regions_are_written_in_order_and_index_the_values():
    # Outputs: WT, TC, ET. One voxel for each way they nest, and one for ET alone.
    logits = torch.tensor([[-1, 1, 1, 1, -1], [-1, -1, 1, 1, -1], [-1, -1, -1, 1, 1]]).float()
    index = decode(logits[:, :, None], BRATS)[:, 0]
    assert BRATS.to_value(index.numpy()).tolist() == [0, 2, 1, 4, 4]


def test_a_region_begins_above_one_half():
    logits = torch.tensor([[0.0], [-1.0], [-1.0]])
    assert activate(logits, BRATS)[0].item() == 0.5
    assert decode(logits, BRATS).item() == 0


def test_decoding_regions_equals_thresholding_their_probabilities():
    logits = torch.randn(3, 6, 6, 6)
    probabilities = activate(logits, BRATS).numpy()
    expected = np.zeros((6, 6, 6), dtype=int)
    for probability, value in zip(probabilities, (2, 1, 4), strict=True):
        expected[probability > 0.5] = value
    assert np.array_equal(BRATS.to_value(decode(logits, BRATS).numpy()), expected)


def test_probabilities_of_classes_sum_to_one():
    total = activate(torch.randn(2, 3, 4, 4), CLASSES, axis=1).sum(1)
    assert torch.allclose(total, torch.ones_like(total))


def test_outputs_on_another_axis_are_refused():
    with pytest.raises(ValueError, match="axis=1 for a batch"):
        decode(torch.zeros(2, 3, 4, 4), CLASSES)


@pytest.mark.parametrize("scheme", [CLASSES, BRATS], ids=["classes", "regions"])
def test_probabilities_in_place_are_the_same(scheme):
    logits = (20 * torch.randn(3, 4, 5, 6)).numpy()
    expected = activate(torch.from_numpy(logits.copy()), scheme).numpy()
    activate_in_place(logits, scheme)
    assert np.allclose(logits, expected, atol=1e-6)
