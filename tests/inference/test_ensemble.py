from __future__ import annotations

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch

from medseg.data.case import Case, Volume
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.inference import Ensemble, Predictor, ensemble, predictor
from medseg.inference.postprocess import MaskStep, Postprocessor
from medseg.inference.postprocess.choosing import Trial
from medseg.inference.postprocess.text import to_text
from medseg.labels import LabelScheme
from medseg.planning.plan import Normalisation, PreprocessingPlan

REGIONS = LabelScheme(
    {"oedema": 1, "core": 2, "enhancing": 3},
    {"whole": (1, 2, 3), "tumour": (2, 3), "active": (3,)},
)


class Fixed(torch.nn.Module):
    """Logits that are linear in the image: ``weight * image + bias`` per output."""

    def __init__(self, weight, bias) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight, dtype=torch.float32))
        self.bias = torch.nn.Parameter(torch.tensor(bias, dtype=torch.float32))

    def forward(self, image):
        shape = (1, -1, *([1] * (image.ndim - 2)))
        return image[:, :1] * self.weight.view(shape) + self.bias.view(shape)


def member(labels, weight, bias, *, spacing=(1.0, 1.0, 1.0), crop="none", channels=()):
    return Predictor(
        Fixed(weight, bias),
        labels=labels,
        preprocessing=PreprocessingPlan("RAS", crop, spacing, (Normalisation("none"),)),
        patch_size=(12,) * len(spacing),
        channels=channels,
        device="cpu",
    )


@pytest.fixture
def volume():
    data = np.random.default_rng(0).random((1, 13, 9, 11)).astype(np.float32)
    data[:, :2] = 0
    return Volume(data, Grid((13, 9, 11), np.diag([-1.0, 1.2, 2.0, 1.0])))


def softmax(stack):
    e = np.exp(stack - stack.max(0))
    return e / e.sum(0)


def test_probabilities_are_averaged_unless_logits_are_asked_for(labels):
    # One member is weakly for the class, the other strongly against it, in logits.
    array = np.ones((5, 6, 7), np.float32)
    weak, strong = ([0.0, 0.0], [0.0, 0.4]), ([0.0, 0.0], [0.0, -0.3])
    both = Ensemble([member(labels, *weak), member(labels, *strong)])
    expected = np.mean([softmax(np.array(bias)) for _, bias in (weak, strong)], axis=0)
    likely = both(array, probabilities=True)
    assert np.allclose(likely, expected[:, None, None, None], atol=1e-6)
    assert (both(array) == 3).all()


def test_the_surer_member_decides_where_logits_are_averaged(labels):
    array = np.ones((5, 6, 7), np.float32)
    # Both lean to one side in probability; in logits one is a little for it, the other far against.
    close, far = ([0.0, 0.0], [0.0, 4.0]), ([0.0, 0.0], [0.0, -6.0])
    third = ([0.0, 0.0], [0.0, 0.5])
    members = [member(labels, *each) for each in (close, far, third)]
    assert (Ensemble(members)(array) == 3).all()
    both = Ensemble(members, average="logits")
    assert (both(array) == 0).all()
    expected = softmax(np.mean([np.array(bias) for _, bias in (close, far, third)], axis=0))
    likely = both(array, probabilities=True)
    assert np.allclose(likely, expected[:, None, None, None], atol=1e-6)


@pytest.mark.parametrize("regions", [False, True], ids=["classes", "regions"])
def test_averaged_logits_are_the_geometric_mean_of_probabilities(regions, volume):
    labels = REGIONS if regions else LabelScheme({"a": 1, "b": 2})
    members = [
        member(labels, [1.0, 3.0, -2.0], [0.2 * i, -1.5, 1.0], spacing=spacing)
        for i, spacing in enumerate([(1.0, 1.0, 1.0), (2.0, 1.5, 2.5), (0.8, 2.4, 2.0)])
    ]
    index, likely = Ensemble(members, average="logits").segment(volume, probabilities=True)
    each = np.stack([one.predict_probabilities(volume).astype(np.float64) for one in members])
    yes = np.exp(np.log(each).mean(0))
    no = np.exp(np.log1p(-each).mean(0)) if regions else yes.sum(0) - yes
    expected = yes / (yes + no)
    assert np.allclose(likely, expected, atol=1e-5)
    if regions:
        decoded = np.zeros(volume.grid.shape, np.uint8)
        for channel, value in zip(expected, REGIONS.order, strict=True):
            decoded[channel > 0.5] = value
        clear = (np.abs(expected - 0.5) > 1e-5).all(0)
    else:
        decoded = expected.argmax(0)
        clear = np.ptp(np.sort(expected, axis=0)[-2:], axis=0) > 1e-5
    assert np.array_equal(index[clear], decoded[clear]) and len(np.unique(index)) > 1


def test_what_a_member_cropped_away_is_background_unless_the_others_are_as_sure(volume):
    labels = LabelScheme({"a": 1})
    crops = member(labels, [0.0, 0.0], [0.0, 1.0], crop="nonzero")
    sure = [member(labels, [0.0, 0.0], [0.0, 20.0]) for _ in range(2)]
    unsure = [member(labels, [0.0, 0.0], [0.0, 2.0]) for _ in range(2)]
    outside = (0, 4, 5)
    assert volume.data[(0, *outside)] == 0
    for others, expected in ((sure, 1), (unsure, 0)):
        both = Ensemble([crops, *others], average="logits")
        index, likely = both.segment(volume, probabilities=True)
        assert index[outside] == expected and np.isfinite(likely).all()
        assert index[5, 4, 5] == 1


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_a_softmax_is_never_averaged_with_sigmoids(average):
    plain = LabelScheme(REGIONS.values)
    members = [member(REGIONS, [0] * 3, [0] * 3), member(plain, [0] * 4, [0] * 4)]
    with pytest.raises(InputError, match="same labels") as error:
        Ensemble(members, average=average)
    assert "regions that it lacks" in error.value.found and error.value.remedy


def test_only_logits_and_probabilities_can_be_averaged(labels):
    with pytest.raises(ValueError, match="'votes'"):
        Ensemble([member(labels, [0, 1], [0, 0])], average="votes")


def test_an_ensemble_of_one_is_that_one(labels, volume):
    one = member(labels, [0.0, 2.0], [0.0, -1.0], spacing=(1.3, 1.3, 1.3), crop="nonzero")
    both = Ensemble([one])
    assert np.array_equal(both.predict_volume(volume).data, one.predict_volume(volume).data)
    likely = one.predict_probabilities(volume)
    assert np.allclose(both.predict_probabilities(volume), likely, atol=1e-6)


@pytest.mark.parametrize("regions", [False, True], ids=["classes", "regions"])
def test_members_on_other_grids_meet_on_the_images(regions, volume):
    labels = REGIONS if regions else LabelScheme({"a": 1, "b": 2})
    options = [
        {"spacing": (1.0, 1.0, 1.0)},
        {"spacing": (2.0, 1.5, 2.5), "crop": "nonzero"},
        {"spacing": (0.8, 2.4, 2.0)},
    ]
    members = [
        member(labels, [1.0, 3.0, -2.0], [0.2 * i, -1.5, 1.0], **chosen)
        for i, chosen in enumerate(options)
    ]
    both = Ensemble(members)
    index, likely = both.segment(volume, probabilities=True)
    expected = np.mean([each.predict_probabilities(volume) for each in members], axis=0)
    assert np.allclose(likely, expected, atol=1e-6)
    if regions:
        decoded = np.zeros(volume.grid.shape, np.uint8)
        for channel, value in zip(expected, REGIONS.order, strict=True):
            decoded[channel > 0.5] = value
        clear = (np.abs(expected - 0.5) > 1e-5).all(0)
    else:
        decoded = expected.argmax(0)
        clear = np.ptp(np.sort(expected, axis=0)[-2:], axis=0) > 1e-5
    assert np.array_equal(index[clear], decoded[clear])
    assert len(np.unique(index)) > 1


def test_the_sum_lies_in_a_file_where_memory_is_short(labels, volume, monkeypatch):
    members = [member(labels, [0.0, w], [0.0, -1.0]) for w in (1.0, 4.0)]
    roomy = Ensemble(members).segment(volume, probabilities=True)
    monkeypatch.setattr(ensemble, "memory_available", lambda: 1000)
    index, likely = Ensemble(members).segment(volume, probabilities=True)
    assert isinstance(likely, np.memmap)
    assert np.array_equal(index, roomy[0]) and np.array_equal(likely, roomy[1])


def test_memory_holds_the_sum_and_a_few_channels(volume):
    import tracemalloc

    outputs, shape = 40, (40, 40, 40)
    labels = LabelScheme({f"class{i}": i for i in range(outputs)})
    both = Ensemble([member(labels, [float(i) for i in range(outputs)], [0.0] * outputs)] * 3)
    image = Volume(
        np.random.default_rng(0).random((1, *shape)).astype(np.float32), Grid(shape, np.eye(4))
    )
    both.segment(image)
    tracemalloc.start()
    both.segment(image)
    # NumPy's memory: the sum, and channels of one member at a time; torch holds the logits.
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (outputs + 8) * 4 * np.prod(shape)


def test_a_gpu_that_fills_up_between_two_outputs_repeats_none(labels, volume, monkeypatch):
    one = member(labels, [0.0, 2.0], [0.0, -1.0])
    expected = list(one.each_probability(volume))
    logits, record = one._run(volume)
    on_gpu = SimpleNamespace(device=torch.device("cuda"), cpu=lambda: logits)
    whole = predictor.probability_channels

    def starved(given, *rest):
        if given is not on_gpu:
            yield from whole(given, *rest)
            return
        yield next(whole(logits, *rest))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(one, "_run", lambda _: (on_gpu, record))
    monkeypatch.setattr(predictor, "probability_channels", starved)
    found = list(one.each_probability(volume))
    assert len(found) == 2 and np.array_equal(found, expected)


def test_files_are_segmented_like_arrays(labels, volume, tmp_path):
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(volume.data[0], volume.grid.affine), path)
    both = Ensemble([member(labels, [0.0, 2.0], [0.0, -1.0]), member(labels, [0.0, 1.0], [0, -1])])
    out = both.predict_to(Case("scan", (path,)), tmp_path / "out")
    expected = labels.to_value(both.predict_volume(volume).data)
    assert np.array_equal(np.asarray(nib.load(out).dataobj), expected)
    assert np.array_equal(both(path).data, expected)


def test_members_with_other_labels_are_refused_with_what_differs(labels):
    other = LabelScheme({"background": 0, "tumour": 3, "cyst": 4})
    with pytest.raises(InputError, match="same labels") as error:
        Ensemble(
            [member(labels, [0, 1], [0, 0]), member(other, [0, 1, 1], [0, 0, 0])],
            names=["runs/a", "runs/b"],
        )
    assert error.value.file == "runs/b"
    assert "as in runs/a" in error.value.expected
    assert "only it has: cyst 4" in error.value.found
    moved = LabelScheme({"background": 0, "tumour": 2})
    with pytest.raises(InputError) as error:
        Ensemble([member(labels, [0, 1], [0, 0]), member(moved, [0, 1], [0, 0])])
    assert "lacks: tumour 3; that only it has: tumour 2" in error.value.found


def test_members_with_other_regions_or_another_order_are_refused():
    plain = LabelScheme(REGIONS.values)
    first = member(REGIONS, [0, 1, 1], [0, 0, 0])
    with pytest.raises(InputError) as error:
        Ensemble([first, member(plain, [0, 1, 1, 1], [0, 0, 0, 0])])
    assert "regions that it lacks: whole (1, 2, 3)" in error.value.found
    # Cyst and tissue are in the same regions, so that either may be written for both.
    values, regions = {"cyst": 1, "tissue": 2, "tumour": 3}, {"kidney": (1, 2, 3), "mass": (3,)}
    kidneys = [LabelScheme(values, regions, order) for order in ((1, 3), (2, 3))]
    with pytest.raises(InputError) as error:
        Ensemble([member(scheme, [0, 1], [0, 0]) for scheme in kidneys])
    assert "decoded in another order" in error.value.found


def test_voxels_that_one_training_ignored_do_not_matter(labels):
    ignoring = LabelScheme(labels.values, ignore=255)
    members = [member(scheme, [0, 1], [0, 0]) for scheme in (labels, ignoring)]
    assert Ensemble(members)(np.ones((4, 4, 4), np.float32)).max() == 3


def test_members_with_other_channels_or_axes_are_refused(labels):
    first = member(labels, [0, 1], [0, 0], channels=("T1", "T2"))
    with pytest.raises(InputError, match="same channels") as error:
        Ensemble([first, member(labels, [0, 1], [0, 0], channels=("T2", "T1"))])
    assert "T1, T2" in error.value.expected and error.value.found == "T2, T1"
    flat = Predictor(
        Fixed([0, 1], [0, 0]),
        labels=labels,
        preprocessing=PreprocessingPlan(None, "none", (1.0, 1.0), (Normalisation("none"),)),
        patch_size=(12, 12),
        device="cpu",
    )
    with pytest.raises(InputError, match="same kind of image"):
        Ensemble([first, flat])


def test_runs_with_other_spacings_are_loaded_together(content, save, plan_of, record_of, tmp_path):
    save(content, "a/fold_0/checkpoints/best.ckpt")
    save(record_of(plan_of((1.0, 1.0, 2.0))), "b/fold_0/checkpoints/best.ckpt")
    both = Ensemble.load([tmp_path / "a", tmp_path / "b"], device="cpu")
    image = np.random.default_rng(0).normal(size=(1, 16, 20, 16)).astype(np.float32)
    image = Volume(image, Grid((16, 20, 16), np.eye(4)))
    expected = np.mean(
        [
            Predictor.load(tmp_path / name, device="cpu").predict_probabilities(image)
            for name in ("a", "b")
        ],
        axis=0,
    )
    assert np.allclose(both.predict_probabilities(image), expected, atol=1e-5)


def test_members_that_agree_on_postprocessing_share_it(labels, caplog):
    largest, fill = MaskStep("largest_component", "tumour"), MaskStep("fill_holes", "tumour")
    first, second, other = (member(labels, [0.0, 2.0], [0.0, -1.0]) for _ in range(3))
    first.postprocess = second.postprocess = Postprocessor([largest], labels)
    other.postprocess = Postprocessor([fill], labels)
    assert Ensemble([first, second]).postprocess.steps == (largest,)
    assert not caplog.text
    assert Ensemble([first, other]).postprocess.steps == ()
    assert "none is applied" in caplog.text
    assert Ensemble([first, other], postprocessing=[fill]).postprocess.steps == (fill,)
    array = np.zeros((12, 12, 12), np.float32)
    array[1:5, 1:5, 1:5] = array[8, 8, 8] = 1
    assert (Ensemble([first, other])(array) == 3).sum() == 65
    assert (Ensemble([first, second])(array) == 3).sum() == 64


def test_an_ensemble_is_loaded_with_its_own_postprocessing(content, save, labels, tmp_path):
    for name in ("a", "b"):
        save(content, f"{name}/fold_0/checkpoints/best.ckpt")
    runs = [tmp_path / "a", tmp_path / "b"]
    step = MaskStep("largest_component", "tumour")
    trial = Trial(step, {"tumour": 0.5}, {"tumour": 0.6}, True)
    file = tmp_path / "together.yaml"
    file.write_text(to_text([trial], labels, cases="a case"))

    def steps(postprocessing=None):
        both = Ensemble.load(runs, device="cpu", postprocessing=postprocessing)
        return both.postprocess.steps

    assert steps() == steps("none") == steps([]) == ()
    assert steps(file) == (step,)
    for run in runs:
        (run / "postprocessing.yaml").write_text(file.read_text())
    assert steps() == steps("auto") == (step,) and steps("none") == ()
