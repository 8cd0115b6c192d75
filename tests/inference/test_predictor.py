from __future__ import annotations

import itertools
import shutil

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medseg.data.case import Case
from medseg.data.prepare.preprocess import preprocess
from medseg.data.prepare.reading import read_image
from medseg.errors import InputError
from medseg.inference import Prediction, Predictor
from medseg.inference.postprocess import MaskStep, stale
from medseg.inference.postprocess.choosing import Trial
from medseg.inference.postprocess.text import to_text
from medseg.labels import LabelScheme
from medseg.planning.plan import Normalisation, PreprocessingPlan


@pytest.fixture
def above(threshold, labels, plan_of):
    """Make a predictor of value 3 wherever the image is above a level."""

    def make(level=0.5, *, spacing=(1.0, 1.0, 1.0), channels=1, **kwargs) -> Predictor:
        return Predictor(
            threshold(level),
            labels=labels,
            preprocessing=plan_of(spacing, channels=channels).preprocessing,
            patch_size=(12,) * len(spacing),
            device="cpu",
            **kwargs,
        )

    return make


def ball(grid_affine: np.ndarray, shape, centre, radius: float) -> np.ndarray:
    """A soft ball in world space, 0.5 at ``radius`` mm."""
    index = np.moveaxis(np.indices(shape), 0, -1)
    world = index @ grid_affine[:3, :3].T + grid_affine[:3, 3]
    distance = np.linalg.norm(world - centre, axis=-1)
    return (1 / (1 + np.exp((distance - radius) / 2))).astype(np.float32)


def tilted_affine(spacing) -> np.ndarray:
    c, s = np.cos(0.2), np.sin(0.2)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[-c, -s, 0], [0, 0, 1], [-s, c, 0]]) * spacing
    affine[:3, 3] = (31.0, -12.0, 44.0)
    return affine


@pytest.fixture
def scan(tmp_path):
    """An anisotropic, tilted image whose axes are not RAS: its path and the true mask."""
    shape, affine = (26, 20, 9), tilted_affine((1.0, 1.3, 3.5))
    centre = affine[:3, :3] @ (np.array(shape) / 2) + affine[:3, 3]
    data = ball(affine, shape, centre, 8.0)
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(data, affine), path)
    return path, data > 0.5


def dice(a, b) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_orientation_of_the_file_does_not_matter(above, tmp_path):
    shape, affine = (14, 11, 9), np.diag([1.0, 1.5, 2.0, 1.0])
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    plan = PreprocessingPlan("RAS", "nonzero", (1.3, 1.2, 1.7), (Normalisation("zscore"),))
    data[:2] = 0
    base = nib.Nifti1Image(data, affine)
    predictor = above(0.3)
    predictor.preprocessing = plan
    first = predictor(data, affine=affine)
    assert 0 < (first == 3).mean() < 1
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((1, -1), repeat=3):
            turned = base.as_reoriented(np.column_stack([axes, flips]))
            path = tmp_path / "turned.nii"
            nib.save(turned, path)
            mask = predictor(path)
            back = nib.as_closest_canonical(nib.Nifti1Image(mask.data, turned.affine))
            assert np.array_equal(np.asarray(back.dataobj), first)
            assert np.allclose(back.affine, affine)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.0, 3.5), (2.0, 1.5, 1.0)])
def test_the_round_trip_over_another_grid_keeps_the_object(above, scan, spacing):
    path, truth = scan
    prediction = above(spacing=spacing)(path)
    assert set(np.unique(prediction.data)) == {0, 3}
    assert dice(prediction.data == 3, truth) > 0.95


def test_the_round_trip_is_simpleitks(above, scan):
    path, _ = scan
    plan = PreprocessingPlan("RAS", "none", (1.5, 1.5, 1.5), (Normalisation("none"),))
    predictor = above()
    predictor.preprocessing = plan
    volume = read_image(path)
    prepared = preprocess(volume, plan)
    flip = np.diag([-1.0, -1.0, 1.0])
    field = sitk.GetImageFromArray(np.ascontiguousarray(prepared.image[0].T) - 0.5)
    field.SetSpacing(prepared.grid.spacing)
    direction = flip @ prepared.grid.affine[:3, :3] / prepared.grid.spacing
    field.SetDirection(direction.ravel().tolist())
    field.SetOrigin((flip @ prepared.grid.affine[:3, 3]).tolist())
    # The network is linear, so its logits are the image's values; the oracle needs no network.
    prepared_record = prepared.record[-1]
    if prepared_record.coarse_axis is not None:
        slices = list(field.GetSize())
        slices[prepared_record.coarse_axis] = prepared_record.source.shape[
            prepared_record.coarse_axis
        ]
        grid = prepared.grid.resample(slices)
        like = sitk.Image(slices, sitk.sitkFloat32)
        like.SetSpacing(grid.spacing)
        like.SetDirection(direction.ravel().tolist())
        like.SetOrigin((flip @ grid.affine[:3, 3]).tolist())
        field = sitk.Resample(field, like, sitk.Transform(), sitk.sitkNearestNeighbor)
    restored = sitk.Resample(field, sitk.ReadImage(str(path)), sitk.Transform(), sitk.sitkLinear)
    expected = sitk.GetArrayFromImage(restored).T
    clear = np.abs(expected) > 1e-4
    assert clear.mean() > 0.99
    mask = predictor(path).data
    assert np.array_equal(mask[clear] == 3, expected[clear] > 0)


def test_every_kind_of_image_gives_the_same_mask_in_its_own_kind(above, scan):
    from monai.data import MetaTensor

    path, _ = scan
    predictor = above(spacing=(1.5, 1.5, 3.0))
    reference = predictor(path)
    assert isinstance(reference, Prediction)
    nifti = nib.load(path)
    array = np.asarray(nifti.dataobj)

    from_array = predictor(array, affine=nifti.affine)
    assert isinstance(from_array, np.ndarray)
    assert from_array.dtype == np.uint8
    assert np.array_equal(from_array, reference.data)
    assert np.array_equal(predictor(array[None], affine=nifti.affine), reference.data)
    assert np.array_equal(predictor(str(path)).data, reference.data)
    assert np.array_equal(predictor([path]).data, reference.data)

    tensor = predictor(torch.from_numpy(array), affine=nifti.affine)
    assert np.array_equal(tensor.numpy(), reference.data)

    meta = MetaTensor(torch.from_numpy(array)[None], affine=torch.from_numpy(nifti.affine))
    from_meta = predictor(meta)
    assert isinstance(from_meta, MetaTensor)
    assert from_meta.shape == (1, *array.shape)
    assert torch.equal(from_meta.affine, meta.affine)
    assert np.array_equal(from_meta[0].numpy(), reference.data)

    image = sitk.ReadImage(str(path))
    from_sitk = predictor(image)
    assert np.array_equal(sitk.GetArrayFromImage(from_sitk).T, reference.data)
    assert from_sitk.GetDirection() == image.GetDirection()
    assert from_sitk.GetOrigin() == image.GetOrigin()
    assert from_sitk.GetSpacing() == image.GetSpacing()


def test_an_array_alone_is_not_resampled(above):
    array = np.random.default_rng(0).random((13, 17, 8))
    mask = above(spacing=(0.7, 2.0, 3.0))(array)
    assert np.array_equal(mask == 3, array.astype(np.float32) > 0.5)


def test_two_dimensions(above):
    array = np.random.default_rng(0).random((30, 17))
    predictor = above(spacing=(1.0, 1.0))
    assert np.array_equal(predictor(array) == 3, array > 0.5)
    assert predictor(array[None], spacing=0.5).shape == (30, 17)


def test_channels_come_from_one_file_each(above, scan, tmp_path):
    path, truth = scan
    image = nib.load(path)
    other = tmp_path / "other.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros(image.shape, np.float32), image.affine), other)
    predictor = above(channels=2)
    assert dice(predictor([path, other]).data == 3, truth) > 0.95
    assert predictor([other, path]).data.max() == 0
    with pytest.raises(InputError) as caught:
        predictor(path)
    assert "expected: 2 channels" in str(caught.value)
    assert "found: 1" in str(caught.value)


def test_a_saved_prediction_has_the_sources_geometry(above, scan, tmp_path):
    path, _ = scan
    prediction = above()(path)
    saved = prediction.save(tmp_path / "out" / "mask.nii.gz")
    source, mask = nib.load(path), nib.load(saved)
    assert mask.shape == source.shape
    assert np.array_equal(mask.affine, source.affine)
    assert mask.header["qform_code"] == source.header["qform_code"]
    assert mask.header["sform_code"] == source.header["sform_code"]
    assert np.array_equal(np.asarray(mask.dataobj), prediction.data)
    with pytest.raises(InputError, match="exists already") as error:
        prediction.save(saved)
    assert "save(path, overwrite=True)" in str(error.value) and "--" not in str(error.value)
    prediction.save(saved, overwrite=True)
    with pytest.raises(InputError, match="replace the image"):
        prediction.save(path, overwrite=True)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".nrrd"])
def test_a_case_is_written_in_its_own_format(above, scan, tmp_path, suffix):
    path = tmp_path / f"source{suffix}"
    sitk.WriteImage(sitk.ReadImage(str(scan[0])), str(path))
    case = Case("patient_1", (path,))
    predictor = above()
    out = predictor.predict_to(case, tmp_path / "out")
    assert out == tmp_path / "out" / f"patient_1{suffix}"
    source, mask = sitk.ReadImage(str(path)), sitk.ReadImage(str(out))
    assert mask.GetSize() == source.GetSize()
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert np.allclose(getattr(mask, name)(), getattr(source, name)(), atol=1e-6)
    assert dice(sitk.GetArrayFromImage(mask).T == 3, scan[1]) > 0.95
    with pytest.raises(InputError, match="exists already"):
        predictor.predict_to(case, tmp_path / "out")
    assert predictor.predict_to(case, tmp_path / "out", overwrite=True) == out


def test_a_case_gives_indices_on_its_grid(above, scan):
    volume = above().predict_case(Case("a", (scan[0],)))
    assert volume.data.max() == 1
    assert volume.grid.mismatch(read_image(scan[0]).grid) is None


def test_a_picture_gives_a_png(above, tmp_path):
    from PIL import Image

    array = np.zeros((20, 30), np.uint8)
    array[3:9, 4:20] = 200
    Image.fromarray(array).save(tmp_path / "a.jpg", quality=95)
    out = above(100, spacing=(1.0, 1.0)).predict_to(
        Case("a", (tmp_path / "a.jpg",)), tmp_path / "out"
    )
    assert out.name == "a.png"
    assert np.array_equal(np.asarray(Image.open(out)) == 3, array > 100)


def test_an_id_cannot_leave_the_output_folder(above, scan, tmp_path):
    with pytest.raises(InputError, match="leaves the output folder"):
        above().predict_to(Case("../a", (scan[0],)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_flat_network_refuses_a_volume_by_name(above, scan):
    with pytest.raises(InputError) as caught:
        above(spacing=(1.0, 1.0))(scan[0])
    assert str(scan[0]) in str(caught.value)
    assert "2D images" in str(caught.value)


def test_an_absent_file_is_named(above, tmp_path):
    with pytest.raises(InputError, match=r"absent\.nii"):
        above()(tmp_path / "absent.nii")


def test_probabilities_come_on_the_images_grid(above, scan):
    path, _ = scan
    predictor = above()
    prediction = predictor(path, probabilities=True)
    assert prediction.probabilities.shape == (2, *prediction.data.shape)
    assert np.array_equal(prediction.probabilities[1] > 0.5, prediction.data == 3)
    likely = predictor(np.full((5, 6, 7), 1.5), probabilities=True)
    assert np.allclose(likely[1], 1 / (1 + np.exp(-1.0)), atol=1e-6)
    image = predictor(sitk.ReadImage(str(path)), probabilities=True)
    assert image.GetNumberOfComponentsPerPixel() == 2


def test_several_networks_average_their_logits(threshold, labels, plan_of):
    array = np.random.default_rng(0).random((15, 9, 8))
    predictor = Predictor(
        [threshold(0.2), threshold(0.8), threshold(0.5)],
        labels=labels,
        preprocessing=plan_of().preprocessing,
        patch_size=(8, 8, 8),
        device="cpu",
    )
    clear = np.abs(array - 0.5) > 1e-4
    assert np.array_equal((predictor(array) == 3)[clear], (array > 0.5)[clear])


def test_mirroring_and_batches_change_nothing_for_a_pointwise_network(above):
    array = np.random.default_rng(0).random((15, 20, 14))
    mask = above(mirror=True, batch_size=4)(array)
    clear = np.abs(array - 0.5) > 1e-4
    assert np.array_equal((mask == 3)[clear], (array > 0.5)[clear])


def test_a_run_is_loaded_and_its_folds_averaged(content, save, plan_of, record_of, tmp_path):
    first = save(content, "run/fold_0/checkpoints/best.ckpt")
    other = record_of(plan_of())
    for key, value in other["state_dict"].items():
        if value.is_floating_point():
            other["state_dict"][key] = value + 0.01
    second = save(other, "run/fold_1/checkpoints/best.ckpt")
    image = np.random.default_rng(0).normal(size=(1, 16, 20, 16)).astype(np.float32)
    folds = [Predictor.load(path, device="cpu").logits(image) for path in (first, second)]
    run = Predictor.load(tmp_path / "run", device="cpu")
    assert run.channels == ("channel0",)
    assert run.window.patch_size == (16, 16, 16)
    assert torch.allclose(run.logits(image), (folds[0] + folds[1]) / 2, atol=1e-5)
    assert not torch.allclose(folds[0], folds[1], atol=1e-3)
    assert run(image).shape == (16, 20, 16)


def test_folds_that_do_not_fit_together_are_refused(content, save, plan_of, record_of, tmp_path):
    save(content, "run/fold_0/checkpoints/best.ckpt")
    save(record_of(plan_of((1.0, 1.0, 2.0))), "run/fold_1/checkpoints/best.ckpt")
    with pytest.raises(InputError, match="differ in their preprocessing"):
        Predictor.load(tmp_path / "run")


def test_inference_settings_come_from_the_checkpoint_unless_given(content, save):
    content["medseg"]["inference"] = {"overlap": 0.25, "mirror": True}
    path = save(content)
    kept = Predictor.load(path, device="cpu").window
    assert (kept.overlap, kept.mirror_axes) == (0.25, (0, 1, 2))
    given = Predictor.load(path, device="cpu", overlap=0.75, mirror=[1]).window
    assert (given.overlap, given.mirror_axes) == (0.75, (1,))
    assert Predictor.load(path, device="cpu", mirror=False).window.mirror_axes == ()


@pytest.mark.parametrize(("asked", "axes"), [("auto", (0,)), (True, (0, 2)), (None, (0,))])
def test_predictions_are_mirrored_as_training_was(content, save, asked, axes):
    content["medseg"]["inference"] = {"overlap": 0.5, "mirror": "auto", "mirrored": [0, 2]}
    window = Predictor.load(save(content), device="cpu", mirror=asked).window
    assert window.mirror_axes == axes


@pytest.mark.parametrize(
    ("trained", "asked", "expected"),
    [
        ("bf16-mixed", "auto", "bf16-mixed"),
        ("32-true", "auto", "32-true"),
        ("bf16-mixed", "32", "32"),
        (None, "auto", "32"),  # a checkpoint that does not say, on a CPU
    ],
)
def test_the_precision_is_that_of_the_training_unless_given(
    content, save, trained, asked, expected
):
    if trained:
        content["medseg"]["precision"] = trained
    predictor = Predictor.load(save(content), device="cpu", precision=asked)
    assert predictor.precision == expected


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "meta2"])
def test_a_device_that_is_not_there_is_named(above, threshold, labels, plan_of, device):
    with pytest.raises(InputError, match=device):
        Predictor(
            threshold(),
            labels=labels,
            preprocessing=plan_of().preprocessing,
            patch_size=(8, 8, 8),
            device=device,
        )


def test_when_memory_runs_out_smaller_steps_are_taken_and_it_says_so(above, caplog):
    predictor = above(batch_size=4)
    network = predictor.networks[0]
    inner = network.forward

    def starved(image):
        if len(image) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(image)

    network.forward = starved
    array = np.random.default_rng(0).random((20, 20, 20))
    assert np.array_equal(predictor(array) == 3, array.astype(np.float32) > 0.5)
    assert "one window at a time" in caplog.text


def test_when_one_patch_does_not_fit_it_is_said(above):
    predictor = above()

    def starved(image):
        raise torch.OutOfMemoryError("CUDA out of memory")

    predictor.networks[0].forward = starved
    with pytest.raises(InputError, match="not enough for one patch"):
        predictor(np.zeros((5, 5, 5)))


def test_an_image_smaller_than_the_patch_keeps_its_shape(content, save):
    mask = Predictor.load(save(content), device="cpu")(np.ones((3, 5, 4), np.int16))
    assert mask.shape == (3, 5, 4)


def test_a_real_scan_comes_back_on_its_own_grid(content, save, real_data, tmp_path):
    folder = real_data("Task04_Hippocampus")
    path = sorted((folder / "imagesTr").glob("[!.]*.nii.gz"))[0]
    predictor = Predictor.load(save(content), device="cpu")
    out = predictor.predict_to(Case("case", (path,)), tmp_path / "out")
    source, mask = nib.load(path), nib.load(out)
    assert mask.shape == source.shape
    assert np.array_equal(mask.affine, source.affine)


class Counted(torch.nn.Module):
    """Class 1 where the image is positive; counts how often it looks."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.looks = 0

    def forward(self, image):
        self.looks += len(image)
        return torch.cat([torch.zeros_like(image[:, :1]), image[:, :1] * self.weight], dim=1)


@pytest.mark.parametrize(("mirror", "folds", "looks"), [((), 1, 5), ((0,), 1, 10), ((0, 2), 2, 20)])
def test_views_multiply_the_looks_and_average_logits(labels, plan_of, mirror, folds, looks):
    networks = [Counted() for _ in range(folds)]
    options = {"labels": labels, "preprocessing": plan_of().preprocessing, "patch_size": (16,) * 3}
    predictor = Predictor(networks, mirror=mirror, affine="small", device="cpu", **options)
    image = np.random.default_rng(0).normal(size=(1, 16, 14, 12)).astype(np.float32)
    viewed = predictor.logits(image)
    assert [network.looks for network in networks] == [looks] * folds
    once = Predictor(Counted(), device="cpu", **options).logits(image)
    assert viewed.shape == once.shape
    # A network that looks at single voxels sees what interpolation leaves of noise: less of it.
    assert viewed[1].std() < once[1].std()
    assert np.corrcoef(viewed[1].numpy().ravel(), once[1].numpy().ravel())[0, 1] > 0.5


def test_views_come_from_the_checkpoint_unless_given(content, save):
    assert Predictor.load(save(content), device="cpu").maps == ()
    content["medseg"]["inference"] |= {"affine": "small"}
    path = save(content)
    assert len(Predictor.load(path, device="cpu").maps) == 4
    assert Predictor.load(path, device="cpu", affine="none").maps == ()
    with pytest.raises(ValueError, match="affine"):
        Predictor.load(path, device="cpu", affine="large")


LARGEST = MaskStep("largest_component", "tumour")


def two_parts() -> np.ndarray:
    array = np.zeros((12, 13, 14), np.float32)
    array[1:6, 1:6, 1:6] = array[9:11, 9:11, 9:11] = 1
    return array


def test_masks_are_postprocessed_however_the_image_comes(above, tmp_path):
    array = two_parts()
    path = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    raw, clean = above(), above(postprocessing=[LARGEST])
    assert (raw(array) == 3).sum() == 125 + 8
    for mask in (clean(array), clean(path).data, clean.predict_case(Case("a", (path,))).data):
        assert (mask > 0).sum() == 125
    out = clean.predict_to(Case("a", (path,)), tmp_path / "out")
    assert (np.asarray(nib.load(out).dataobj) == 3).sum() == 125
    both = clean(path, probabilities=True)
    assert np.array_equal(both.probabilities, raw(array, probabilities=True))
    assert (both.data == 3).sum() == 125


def test_sizes_are_measured_on_the_images_own_grid(above):
    small = MaskStep("remove_small", "tumour", 20.0)
    predictor = above(spacing=(2.0, 2.0, 2.0), postprocessing=[small])
    for spacing, voxels in ((1.0, 125), (2.0, 133)):  # 8 voxels of 1 or 8 mm³
        predictor.preprocessing = above(spacing=(spacing,) * 3).preprocessing
        assert (predictor(two_parts(), spacing=spacing) == 3).sum() == voxels


def test_a_run_brings_its_postprocessing(content, save, tmp_path, labels):
    path = save(content, "run/fold_0/checkpoints/best.ckpt")
    assert Predictor.load(path, device="cpu").postprocess.steps == ()
    trial = Trial(LARGEST, {"tumour": 0.5}, {"tumour": 0.6}, True)
    file = tmp_path / "run" / "postprocessing.yaml"
    file.write_text(to_text([trial], labels, cases="a case"))
    for given in (tmp_path / "run", tmp_path / "run" / "fold_0", path):
        assert Predictor.load(given, device="cpu").postprocess.steps == (LARGEST,)
    assert Predictor.load(path, device="cpu", postprocessing="none").postprocess.steps == ()
    fill = MaskStep("fill_holes", "tumour")
    assert Predictor.load(path, device="cpu", postprocessing=[fill]).postprocess.steps == (fill,)
    content["medseg"]["inference"]["postprocessing"] = "none"
    other = save(content, "run/fold_0/checkpoints/best.ckpt")
    assert Predictor.load(other, device="cpu").postprocess.steps == ()
    assert Predictor.load(other, device="cpu", postprocessing="auto").postprocess.steps
    content["medseg"]["inference"]["postprocessing"] = [{"name": "fill_holes", "of": "tumour"}]
    listed = save(content, "run/fold_0/checkpoints/best.ckpt")
    assert Predictor.load(listed, device="cpu").postprocess.steps == (fill,)


def test_what_a_runs_recipe_says_now_goes_before_its_checkpoints(content, save, tmp_path):
    path = save(content, "run/fold_0/checkpoints/best.ckpt")
    recipe = tmp_path / "run" / "recipe.yaml"
    recipe.write_text("inference: {postprocessing: [{name: largest_component, of: tumour}]}")
    assert Predictor.load(path, device="cpu").postprocess.steps == (LARGEST,)
    assert Predictor.load(path, device="cpu", postprocessing="none").postprocess.steps == ()


def test_a_choice_by_other_weights_is_noticed(content, save, tmp_path, labels, caplog):
    for fold in (0, 1):
        save(content, f"run/fold_{fold}/checkpoints/best.ckpt")
    run = tmp_path / "run"
    known = stale.networks(stale.of_folds(run, ["fold_0", "fold_7"]))
    assert set(known) == {"fold_0"}
    trial = Trial(LARGEST, {"tumour": 0.5}, {"tumour": 0.6}, True)
    text = to_text([trial], labels, cases="a case", networks=known)
    (run / "postprocessing.yaml").write_text(text)
    shutil.copytree(run, tmp_path / "copy")
    assert Predictor.load(tmp_path / "copy", device="cpu").postprocess.steps == (LARGEST,)
    assert "other weights" not in caplog.text
    content["state_dict"] = {key: value + 1 for key, value in content["state_dict"].items()}
    save(content, "run/fold_0/checkpoints/best.ckpt")
    assert Predictor.load(run, device="cpu").postprocess.steps == (LARGEST,)
    assert "other weights than fold_0 has" in caplog.text
    caplog.clear()
    Predictor.load(run / "fold_1", device="cpu")  # had no part in the choice
    Predictor.load(run, device="cpu", postprocessing=run / "postprocessing.yaml")
    (run / "postprocessing.yaml").write_text(text.replace("largest_component", "fill_holes", 1))
    Predictor.load(run, device="cpu")  # a person's steps are for any weights
    assert "other weights" not in caplog.text


def test_postprocessing_for_other_labels_is_refused(above, content, save, tmp_path):
    with pytest.raises(InputError, match="no class 'organ'"):
        above(postprocessing=[MaskStep("fill_holes", "organ")])
    path = save(content, "run/fold_0/checkpoints/best.ckpt")
    other = LabelScheme({"background": 0, "tumour": 1})
    trial = Trial(LARGEST, {"tumour": 0.5}, {"tumour": 0.6}, True)
    (tmp_path / "run" / "postprocessing.yaml").write_text(to_text([trial], other, cases="a case"))
    with pytest.raises(InputError, match="other labels"):
        Predictor.load(path, device="cpu")
