"""The scripts of `tests/benchmarks` can be started: what they import is there."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from medseg.data.feed.batch import Batch
from medseg.detection.anchors import AnchorGenerator
from medseg.detection.decoding import boxes_of
from medseg.geometry.boxes import Boxes
from medseg.losses import DetectionLoss
from medseg.networks.detection import RetinaNet

FOLDER = Path(__file__).parent / "benchmarks"
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if path.name != "conftest.py")
# They run in an environment of nnU-Net's own.
OF_NNUNET = ("nnunet_planner",)


@pytest.fixture
def script(monkeypatch):
    """Import a script as the interpreter does that runs it; none stays imported."""
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield import_module
    for name in {path.stem for path in SCRIPTS} - before:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_benchmark_imports_what_there_is(path, script):
    if path.stem not in OF_NNUNET:
        script(path.stem)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medseg"):
            module = import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    import_module(f"{node.module}.{alias.name}")


def test_a_timed_step_holds_all_batches_that_it_accumulates(script):
    clock = script("step").Clock("cpu", by="cpu")
    batch = 0
    clock.now = lambda: batch

    def fit():
        nonlocal batch
        for batch in range(20):
            clock.on_train_batch_end(SimpleNamespace(global_step=batch // 2))

    assert clock.of_fit(fit, 2) == 2


def test_who_has_trained_for_less_time_goes_next(script):
    order = []

    def contestant(name, seconds):
        one = SimpleNamespace(steps=0, fraction=0.0, times={"step": []})

        def step(batch):
            order.append((name, batch))
            one.steps += 1
            one.times["step"].append(seconds)

        one.step, one.reach = step, lambda fraction: setattr(one, "fraction", fraction)
        return one

    train = script("in_turn").train
    train([contestant("fast", 1), contestant("slow", 3)], str, seconds=6)
    assert order[:6] == [
        *zip(("fast", "slow", "fast", "fast", "fast", "slow"), "001231", strict=True)
    ]
    assert len(order) == 8
    order.clear()
    train([contestant("fast", 1), contestant("slow", 3)], str, seconds=6, steps=2)
    assert [name for name, _ in order] == ["fast", "slow"] * 2


@pytest.fixture(params=[2, 3])
def side_by_side(request, script):
    """A network of ours with its anchors, MONAI's detector beside it, and two patches."""
    dims = request.param
    torch.manual_seed(dims)
    network = RetinaNet(
        spatial_dims=dims,
        in_channels=1,
        num_classes=2,
        num_anchors=2,
        features=(4, 6, 8, 8),
        channels=8,
        head_convs=4,
    )
    sizes = [[(6.5,) * dims, (9.0,) * dims], [(12.0,) * dims, (18.3,) * dims]]
    anchors = AnchorGenerator(sizes, network.strides)
    for parameter in network.heads.parameters():  # so that anchors differ in what is said of them
        torch.nn.init.normal_(parameter, std=0.2)
    detector = script("monai_detector").beside(network, anchors)
    image = torch.randn(2, 1, *(32, 32, 16)[:dims])
    lower = [[3.2, 5.1, 4.0], [15.6, 12.3, 1.7], [2.5, 18.9, 3.3]]
    boxes = [
        Boxes([[*low[:dims], *(a + 9.0 for a in low[:dims])] for low in some], classes)
        for some, classes in ((lower, [0, 1, 0]), (lower[:1], [1]))
    ]
    batch = Batch(image, None, torch.zeros(2, dtype=torch.int64), ["a", "b"], boxes=boxes)
    return network, anchors, detector, batch


def test_with_our_loss_monais_detector_teaches_our_pyramid_the_same(side_by_side, script):
    network, anchors, detector, batch = side_by_side
    peer = script("monai_detector")
    peer.learn_as_ours(detector)
    detector.fg_bg_sampler = None  # all anchors count, so that nothing is left to chance
    every = {"per_image": 10**6, "positives": 0.5, "at_least": 10**6, "pool": 1}
    corners = [torch.from_numpy(one.corners).float() for one in batch.boxes]
    classes = [torch.from_numpy(one.classes) for one in batch.boxes]
    terms = DetectionLoss(anchors, **every)(network(batch.image), corners, classes)
    theirs = peer.loss_of(detector, batch)
    assert terms.boxes > 0.1
    assert torch.allclose(theirs, terms.total, rtol=1e-4)
    terms.total.backward()
    theirs.backward()
    others = detector.network.feature_extractor.pyramid.parameters()
    for mine, other in zip(network.pyramid.parameters(), others, strict=True):
        assert torch.allclose(mine.grad, other.grad, rtol=1e-3, atol=1e-6)


def test_monais_detector_learns_without_torchvision_and_passes_over_what_is_ignored(
    side_by_side, script
):
    *_, detector, batch = side_by_side
    peer = script("monai_detector")
    peer.learn_as_published(detector)
    classes = ([0, -1, -1], [-1])
    ignored = [Boxes(one.corners, kinds) for one, kinds in zip(batch.boxes, classes, strict=True)]
    absent = [one[one.classes >= 0] for one in ignored]
    losses = []
    for boxes in (ignored, absent):
        torch.manual_seed(0)  # anchors are drawn
        losses.append(peer.loss_of(detector, batch._replace(boxes=boxes)))
    assert losses[0] == losses[1]
    losses[0].backward()
    assert all(parameter.grad is not None for parameter in detector.network.parameters())


def test_with_our_coding_monais_detector_finds_the_same_boxes(side_by_side, script):
    network, anchors, detector, batch = side_by_side
    peer = script("monai_detector")
    peer.learn_as_ours(detector)
    options = {"score": 0.1, "top": 50, "nms": 0.2, "limit": 20}
    detector.set_box_selector_parameters(
        score_thresh=0.1, topk_candidates_per_level=50, nms_thresh=0.2, detections_per_img=20
    )
    size = batch.image.shape[2:]
    with torch.no_grad():
        output = network(batch.image[:1])
    expected = boxes_of(output, anchors(output.shapes), size=size, **options)
    found = peer.find(detector, batch.image[0], size, overlap=0.5, at_once=1)
    assert len(expected.scores) > 5
    assert torch.equal(found.classes, expected.classes)
    assert torch.allclose(found.scores, expected.scores, atol=1e-5)
    assert torch.allclose(found.corners, expected.corners, atol=1e-3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["feed", "--threads", "-1"], "above 0"),
        (["feed", "--rounds", "0"], "above 0"),
        (["feed", "--sizes", "0"], "above 0"),
        (["feed", "--json", "nowhere/x.json"], "there is no folder"),
        (["feed", "--peers", "/nonexistent"], "no interpreter"),
        (["feed", "--tools", "nnunet"], "not measured"),
        (["scale", "--cases", "0"], "above 0"),
        (["race", "--budget", "abc"], "--budget"),
        (["race", "--peer", "none", "--data", "/nonexistent"], "/nonexistent"),
        (["detector", "--minutes", "0"], "above 0"),
        (["detector", "--recipe", "quickstart"], "detection"),
        (["detector", "trainer.precision=16-mixed"], "float16"),
    ],
    ids=" ".join,
)
def test_a_benchmark_refuses_what_it_cannot_measure(words, said, script, monkeypatch, capsys):
    monkeypatch.delenv("MEDSEG_PEERS", raising=False)
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stop:
        script(words[0]).main()
    assert stop.value.code not in (0, None)
    assert said in capsys.readouterr().err + str(stop.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has such a device")
def test_a_benchmark_refuses_a_device_that_is_not_there(script, capsys):
    with pytest.raises(SystemExit):
        script("bench").parser(None).parse_args(["--device", "cuda"])
    assert "no such device" in capsys.readouterr().err
