import pytest
import torch

from medseg.data.feed.batch import Batch
from medseg.errors import InputError
from medseg.tasks.batches import as_batch

IMAGE = torch.zeros(2, 1, 4, 4)


def test_our_own_batches_pass_through():
    batch = Batch(IMAGE, torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2), ["a", "b"])
    assert as_batch(batch) is batch


@pytest.mark.parametrize(
    "make", [lambda i, t: (i, t), lambda i, t: [i, t], lambda i, t: {"image": i, "label": t}]
)
@pytest.mark.parametrize("label", [torch.ones(2, 4, 4), torch.ones(2, 1, 4, 4, dtype=torch.int64)])
def test_pairs_and_mappings_become_batches_with_a_channel_axis(make, label):
    batch = as_batch(make(IMAGE, label))
    assert batch.label.shape == (2, 1, 4, 4)
    assert not batch.label.is_floating_point() and bool((batch.label == 1).all())


def test_an_image_alone_has_no_label():
    assert as_batch({"image": IMAGE}).label is None


@pytest.mark.parametrize("batch", [IMAGE, {"img": IMAGE}, (1, 2), "text", (IMAGE, IMAGE, IMAGE)])
def test_anything_else_is_refused_with_what_is_expected(batch):
    with pytest.raises(InputError, match="expected: Batch"):
        as_batch(batch)


def test_a_label_of_another_shape_is_refused():
    with pytest.raises(InputError, match="do not belong together"):
        as_batch((IMAGE, torch.zeros(2, 1, 4, 5)))
