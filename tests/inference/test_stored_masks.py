import nibabel as nib
import numpy as np
import pytest

from medseg.data.case import Volume
from medseg.data.prepare.reading import read_image
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.inference.images import Frame
from medseg.inference.stored_masks import StoredMasks
from medseg.labels import LabelScheme

FRAME = Frame(1, (1.0, 1.0, 1.0), "RAS", ())


@pytest.fixture
def said(tmp_path):
    """An image, the stored mask of a stage, and that mask's label indices."""
    rng = np.random.default_rng(0)
    values = rng.choice([0, 2, 5], size=(4, 5, 6)).astype(np.uint8)
    image, mask = tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(rng.random((4, 5, 6)).astype(np.float32), np.eye(4)), image)
    nib.save(nib.Nifti1Image(values, np.eye(4)), mask)
    labels = LabelScheme({"background": 0, "head": 2, "tail": 5})
    return (
        image,
        StoredMasks({image: mask}, labels=labels, frame=FRAME),
        np.searchsorted([0, 2, 5], values),
    )


def test_a_stored_mask_is_given_again(said):
    image, stage, indices = said
    found, likely = stage.segment(read_image(image))
    assert likely is None and np.array_equal(found, indices)


def test_of_another_image_it_has_nothing_to_say(said, tmp_path):
    image, stage, _ = said
    other = image.rename(tmp_path / "other.nii.gz")
    with pytest.raises(InputError, match="no mask of this image") as error:
        stage.segment(read_image(other))
    assert error.value.file == other
    with pytest.raises(InputError, match="no mask of this image"):
        stage.segment(Volume(np.zeros((1, 2, 2, 2), np.float32), Grid((2, 2, 2), np.eye(4))))
    with pytest.raises(ValueError, match="no probabilities"):
        stage.segment(read_image(other), probabilities=True)
