from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medseg.errors import InputError
from medseg.inference.images import Frame, receive

ONE = Frame(channels=1, spacing=(1.0, 1.0, 2.0), orientation="RAS")
TWO = Frame(channels=2, spacing=(1.0, 1.0, 2.0), orientation="RAS", names=("FLAIR", "T1w"))
FLAT = Frame(channels=1, spacing=(1.0, 1.0))
RGB = Frame(channels=3, spacing=(1.0, 1.0))


def ramp(*shape) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_an_array_without_geometry_lies_on_the_plans_grid():
    volume, back = receive(ramp(3, 4, 5), ONE)
    assert volume.data.shape == (1, 3, 4, 5)
    assert volume.grid.spacing == (1.0, 1.0, 2.0)
    mask = np.zeros((3, 4, 5), np.uint8)
    assert back(mask) is mask


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PIR", "SAL"])
def test_an_arrays_axes_are_taken_in_the_plans_orientation(orientation):
    import nibabel as nib

    frame = Frame(1, (1.0, 2.0, 3.0), orientation)
    volume, _ = receive(ramp(3, 4, 5), frame)
    assert nib.aff2axcodes(volume.grid.affine) == tuple(orientation)
    assert volume.grid.spacing == (1.0, 2.0, 3.0)


def test_spacing_and_affine_are_taken_as_given():
    assert receive(ramp(3, 4, 5), ONE, spacing=(3, 2, 1))[0].grid.spacing == (3.0, 2.0, 1.0)
    assert receive(ramp(3, 4, 5), ONE, spacing=2)[0].grid.spacing == (2.0, 2.0, 2.0)
    affine = np.array([[0, 2, 0, 5], [1, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1.0]])
    assert np.array_equal(receive(ramp(3, 4, 5), ONE, affine=affine)[0].grid.affine, affine)


@pytest.mark.parametrize(
    ("image", "options", "words"),
    [
        (ramp(3, 4), {}, "takes 3D images"),
        (ramp(1, 1, 3, 4, 5), {}, "takes 3D images"),
        (ramp(0, 4, 5), {}, "takes 3D images"),
        (ramp(2, 3, 4, 5), {}, "another number of channels"),
        (ramp(3, 4, 5).astype(complex), {}, "real numbers"),
        (ramp(3, 4, 5).astype(str), {}, "real numbers"),
        (np.where(ramp(3, 4, 5) == 7, np.nan, 1.0), {}, "1 NaN or infinite"),
        (ramp(3, 4, 5), {"spacing": (1, 1)}, "3 positive numbers"),
        (ramp(3, 4, 5), {"spacing": (1, 0, 1)}, "3 positive numbers"),
        (ramp(3, 4, 5), {"affine": np.eye(3)}, "4x4"),
        (ramp(3, 4, 5), {"affine": np.zeros((4, 4))}, "invertible"),
        (ramp(3, 4, 5), {"affine": np.eye(4), "spacing": 1}, "exclude each other"),
        ([[1.0]], {}, "not an image"),
        (None, {}, "not an image"),
    ],
)
def test_what_does_not_fit_is_refused(image, options, words):
    with pytest.raises(InputError) as caught:
        receive(image, ONE, **options)
    assert words in str(caught.value)


def test_missing_channels_are_counted():
    with pytest.raises(InputError) as caught:
        receive(ramp(3, 4, 5), TWO)
    assert "expected: 2 (FLAIR, T1w)" in str(caught.value)
    assert "found: 1 in shape (3, 4, 5)" in str(caught.value)


def test_channels_last_are_recognised():
    with pytest.raises(InputError, match=r"np\.moveaxis"):
        receive(ramp(7, 8, 3), RGB)


def test_a_tensor_gives_a_tensor():
    volume, back = receive(torch.ones(1, 3, 4, 5, requires_grad=True), ONE)
    assert volume.data.shape == (1, 3, 4, 5)
    assert isinstance(back(np.zeros((3, 4, 5), np.uint8)), torch.Tensor)


def test_a_metatensor_keeps_its_affine_and_metadata():
    from monai.data import MetaTensor

    affine = torch.tensor([[0, -2.0, 0, 5], [1, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
    affine = affine.double()
    image = MetaTensor(torch.rand(2, 3, 4, 5), affine=affine, meta={"filename_or_obj": "a.nii"})
    volume, back = receive(image, TWO)
    assert np.array_equal(volume.grid.affine, affine.numpy())
    mask = back(np.ones((3, 4, 5), np.uint8))
    assert isinstance(mask, MetaTensor)
    assert mask.shape == (1, 3, 4, 5)
    assert torch.equal(mask.affine, image.affine)
    assert mask.meta["filename_or_obj"] == "a.nii"
    assert back(np.ones((2, 3, 4, 5), np.float32)).shape == (2, 3, 4, 5)


def test_a_metatensor_in_lps_is_turned_to_ras():
    from monai.data import MetaTensor

    image = MetaTensor(torch.rand(1, 3, 4, 5), affine=torch.eye(4), meta={"space": "LPS"})
    volume, _ = receive(image, ONE)
    assert np.array_equal(volume.grid.affine, np.diag([-1.0, -1.0, 1.0, 1.0]))


def test_a_flat_metatensor_drops_the_third_axis_of_its_affine():
    from monai.data import MetaTensor

    image = MetaTensor(torch.rand(1, 3, 4), affine=torch.diag(torch.tensor([0.5, 2.0, 1.0, 1.0])))
    volume, back = receive(image, FLAT)
    assert volume.grid.spacing == (0.5, 2.0)
    assert torch.equal(back(np.zeros((3, 4), np.uint8)).affine, image.affine)


def tilted(array: np.ndarray, **kwargs) -> sitk.Image:
    image = sitk.GetImageFromArray(array, **kwargs)
    image.SetSpacing((0.5, 1.0, 2.0))
    image.SetOrigin((10.0, -20.0, 30.0))
    c, s = np.cos(0.3), np.sin(0.3)
    image.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
    return image


def same_geometry(a: sitk.Image, b: sitk.Image) -> bool:
    return all(
        getattr(a, name)() == getattr(b, name)()
        for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection")
    )


def test_a_sitk_image_lies_where_sitk_says():
    image = tilted(ramp(5, 4, 3))
    volume, back = receive(image, ONE)
    assert volume.data.shape == (1, 3, 4, 5)
    at = (2, 1, 3)
    assert volume.data[(0, *at)] == image[at]
    x, y, z = image.TransformIndexToPhysicalPoint(at)
    assert np.allclose((volume.grid.affine @ [*at, 1])[:3], (-x, -y, z))
    mask = back((volume.data[0] > 30).astype(np.uint8))
    assert same_geometry(mask, image)
    assert np.array_equal(sitk.GetArrayFromImage(mask), sitk.GetArrayFromImage(image) > 30)


def test_vector_components_are_channels():
    image = tilted(np.stack([ramp(5, 4, 3), -ramp(5, 4, 3)], axis=-1), isVector=True)
    volume, back = receive(image, TWO)
    assert volume.data.shape == (2, 3, 4, 5)
    assert volume.data[:, 2, 1, 3].tolist() == list(image[2, 1, 3])
    assert same_geometry(back(np.zeros((3, 4, 5), np.uint8)), image)
    likely = back(volume.data)
    assert np.array_equal(sitk.GetArrayFromImage(likely), sitk.GetArrayFromImage(image))


def test_a_fourth_axis_holds_the_channels():
    parts = [tilted(ramp(5, 4, 3)), tilted(-ramp(5, 4, 3))]
    image = sitk.JoinSeries(parts)
    volume, back = receive(image, TWO)
    assert volume.data[:, 2, 1, 3].tolist() == [part[2, 1, 3] for part in parts]
    assert same_geometry(back(np.zeros((3, 4, 5), np.uint8)), parts[0])


def test_rows_of_a_flat_sitk_image_come_first(tmp_path):
    from medseg.data.prepare.reading import read_image

    image = sitk.GetImageFromArray(ramp(4, 6).astype(np.uint8))
    sitk.WriteImage(image, str(tmp_path / "a.png"))
    volume, back = receive(image, FLAT)
    assert np.array_equal(volume.data, read_image(tmp_path / "a.png").data)
    mask = back((volume.data[0] > 7).astype(np.uint8))
    assert np.array_equal(sitk.GetArrayFromImage(mask), ramp(4, 6) > 7)
    colours = sitk.GetImageFromArray(ramp(4, 6, 3), isVector=True)
    assert receive(colours, RGB)[0].data.shape == (3, 4, 6)


def test_images_with_geometry_refuse_another_one():
    with pytest.raises(InputError, match="its own spacing"):
        receive(tilted(ramp(5, 4, 3)), ONE, spacing=1)
