"""RetinaNet and DetectionTask of ours beside MONAI's RetinaNet and RetinaNetDetector, in one run.

    python tests/benchmarks/detector.py --minutes 10

Both train for so long on the same patches in the same order, not augmented, with the same anchors,
optimiser, schedule, averaging and precision, and find objects in the same unseen scans through the
same windows. Both networks stand on our pyramid and begin with the same weights (`monai_detector`
says what of MONAI is replaced). Their own are: matching, mining, losses, decoding, what becomes of
several windows. Training steps take turns, whoever has used less of its time next, and so do scans:
what else the machine does hits both. Time to cut patches is nobody's.

Without ``--recipe`` phantoms of nodules are made, a third of them unseen.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import bench
import monai_detector
import torch
from in_turn import Contestant, train
from torch import Tensor

from medseg import build
from medseg.build.device import training_precision
from medseg.data.feed.batch import Batch, to_device
from medseg.data.feed.boxes import visible_boxes
from medseg.detection.decoding import Found
from medseg.errors import InputError
from medseg.inference.device import autocast
from medseg.metrics.compare_detections import compare_detections
from medseg.metrics.detection_case import DetectionCase
from medseg.metrics.evaluate_detections import evaluate_detections
from medseg.recipe import load
from medseg.stages import preprocess
from medseg.stages.job import Job
from medseg.stages.reporter import Reporter
from medseg.stages.run_folder import RunFolder
from medseg.stages.splits import cases_of_fold
from medseg.training.averaging import averaged_copy

SCORES = {"mAP": "map", "AP at IoU 0.5": "ap_0.5", "CPM": "cpm"}


class Setting:
    """A recipe with its data, prepared once, and what follows from it for both."""

    def __init__(self, recipe: Any, device: str) -> None:
        self.recipe, self.device = recipe, torch.device(device)
        job = Job(recipe=recipe, folder=RunFolder(recipe), report=Reporter(quiet=True))
        folds = cases_of_fold(recipe, job.dataset, job.folder.path)
        self.plan, index = preprocess.run(job)
        self.train, self.test = (
            index.load_all([case.id for case in part], mmap=False) for part in folds
        )
        build.seed_everything(recipe)
        self.task: Any = build.build_task(recipe, self.plan, job.dataset)
        self.data = build.build_data(recipe, self.plan, job.dataset, self.train, [])
        self.classes = job.dataset.labels.foreground
        self.precision = str(training_precision(recipe))
        self.autocast = partial(autocast, self.device, self.precision)

    @property
    def training(self) -> dict[str, Any]:
        """How both are trained, by the names of `Contestant`'s arguments."""
        return {
            "optimizer": self.task.make_optimizer,
            "schedule": self.task.schedule,
            "clip": self.recipe.trainer.gradient_clip,
            "device": self.device.type,
        }

    def batch(self, number: int) -> Batch:
        """Cut the patches of a step; the same whenever it is asked for."""
        size, data = self.plan.batch_size, self.data
        batch = data.train_set.batch(range(number * size, (number + 1) * size))
        shape = batch.image.shape[2:]
        seen = [visible_boxes(one, shape, least=data.min_visible) for one in batch.boxes or ()]
        return to_device(batch._replace(boxes=seen), self.device)


def ours(setting: Setting) -> Contestant:
    """Make `DetectionTask` a contestant."""
    task = setting.task.to(setting.device).train()

    def loss(batch: Batch) -> Tensor:
        with setting.autocast():
            return task.batch_loss(batch)

    def find(image: Tensor) -> Found:
        with setting.autocast():
            return task.find(image[None])[0]

    return Contestant(task.network, task.averaged, loss=loss, find=find, **setting.training)


def theirs(setting: Setting, *, same_loss: bool) -> Contestant:
    """Make MONAI's detector a contestant, which keeps as many boxes as ours, and as good ones."""
    task, finder = setting.task, setting.task.finder
    detector = monai_detector.beside(task.network, finder.anchors, precision=setting.autocast)
    learn = monai_detector.learn_as_ours if same_loss else monai_detector.learn_as_published
    learn(detector)
    detector.set_box_selector_parameters(
        score_thresh=finder.score,
        topk_candidates_per_level=finder.top,
        nms_thresh=finder.nms,
        detections_per_img=finder.limit,
    )
    detector.to(setting.device).train()
    network, decay = detector.network, setting.recipe.trainer.ema
    averaged = None if decay is None else averaged_copy(network, decay)

    def find(image: Tensor) -> Found:
        detector.network = network if averaged is None else averaged
        window = task.window._window(image.shape[1:])  # the one that ours looks through
        options = {"overlap": task.window.overlap, "at_once": task.window.batch_size}
        return monai_detector.find(detector, image, window, **options)

    loss = partial(monai_detector.loss_of, detector)
    return Contestant(network, averaged, loss=loss, find=find, **setting.training)


def scores(setting: Setting, contestants: Mapping[str, Contestant]) -> dict[str, dict[str, Any]]:
    """Look at all unseen scans, in turn, and score what was found on the grid of the plan."""
    found: dict[str, dict[str, DetectionCase]] = {name: {} for name in contestants}
    turns = list(contestants.items())
    options = {"classes": len(setting.classes), "spacing": setting.plan.preprocessing.spacing}
    for case in setting.test:
        image = torch.from_numpy(case.image[:].copy()).float().to(setting.device)
        for name, one in turns:
            if not one.times["scan"]:
                one.find(image)  # warms up
            found[name][case.id] = DetectionCase.against(one.look(image), case.boxes, **options)
        turns.reverse()
    return {name: evaluate_detections(cases, setting.classes) for name, cases in found.items()}


def tables(
    contestants: Mapping[str, Contestant], scored: Mapping[str, dict[str, Any]]
) -> list[bench.Table]:
    """Lay out seconds, steps and scores, ours first."""
    names = list(contestants)
    seconds = bench.Table("seconds, medians", names, higher_is_better=False, digits=4)
    for key, row in (("step", "training step"), ("scan", "whole volume")):
        seconds.row(row, {n: statistics.median(one.times[key]) for n, one in contestants.items()})
    steps = bench.Table("steps", names, digits=0)
    steps.row("in all", {n: float(one.steps) for n, one in contestants.items()})
    first = scored[names[0]]
    objects = sum(one["n_references"] for one in first["per_class"].values())
    quality = bench.Table(f"{first['n_cases']} unseen scans, {objects} objects", names, digits=3)
    for row, metric in SCORES.items():
        held = compare_detections(scored[names[1]], first, metric=metric)["overall"]
        values = {names[0]: held["score_b"], names[1]: held["score_a"]}
        quality.row(row, values, _difference(held))
    return [seconds, steps, quality]


def _difference(held: Mapping[str, Any]) -> str:
    if held["difference"] is None:
        return ""
    low, high = held["interval"]
    return f"{held['difference']:+.3f} ({low:+.3f} … {high:+.3f})"


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected minutes above 0, got {text!r}")
    return value


def main() -> None:
    """Train, find, print the tables."""
    made = bench.parser(__doc__)
    made.add_argument("--recipe", default=None, help="a recipe's file or name, of a detection")
    made.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    made.add_argument("--minutes", type=_minutes, default=2.0, help="of training, each; default: 2")
    made.add_argument("--steps", type=bench.count, help="train for so many steps each instead")
    made.add_argument("--cases", type=bench.count, default=90, help="phantoms; default: 90")
    made.add_argument(
        "--same-loss",
        action="store_true",
        help="MONAI draws anchors and regresses boxes by our numbers, GIoU; default: as its "
        "published detector of lung nodules does",
    )
    args = made.parse_args()
    try:
        compare(args)
    except InputError as error:
        made.error(str(error))


def compare(args: argparse.Namespace) -> None:
    """Prepare, train, find, print the tables.

    Raises:
        InputError: the recipe is none of a detection that can be compared.
    """
    steps = args.steps or (3 if args.quick else None)
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(_recipe(args, Path(folder), steps), args.device)
        contestants = {"medseg": ours(setting), "MONAI": theirs(setting, same_loss=args.same_loss)}
        _describe(setting, contestants)
        for one in contestants.values():
            one.warm_up(setting.batch(0))
        train(list(contestants.values()), setting.batch, seconds=60 * args.minutes, steps=steps)
        scored = scores(setting, contestants)
    shown = tables(contestants, scored)
    for table in shown:
        table.show()
    bench.save(
        args.json,
        tables=[table.to_dict() for table in shown],
        seconds={name: one.times for name, one in contestants.items()},
        same_loss=args.same_loss,
        device=args.device,
    )


def _recipe(args: argparse.Namespace, folder: Path, steps: int | None) -> Any:
    if args.recipe is None:
        own = folder / "detector.yaml"
        own.write_text(_DEFAULT.format(cases=6 if args.quick else args.cases))
    limit = f"steps={steps}" if steps else f"budget={args.minutes:f}m"
    overrides = [
        f"run_dir={folder}/run",
        "logger=none",
        f"trainer.accelerator={args.device}",
        f"trainer.{limit}",
        "augmentation=none",
        # MONAI's heads have four convolutions, and nobody can say otherwise.
        "network={name: retina_net, head_convs: 4}",
        *(["plan.patch_size=[32, 32, 16]", "plan.features=[8, 8, 16]"] if args.quick else []),
        *args.overrides,
    ]
    recipe = load(str(args.recipe or own), overrides)
    if recipe.trainer.precision == "16-mixed":
        raise InputError("float16 needs losses to be scaled, which is not done here")
    return recipe


def _describe(setting: Setting, contestants: Mapping[str, Contestant]) -> None:
    patch = " x ".join(map(str, setting.plan.patch_size))
    parameters = ", ".join(
        f"{name} {sum(p.numel() for p in one.network.parameters()):,} parameters"
        for name, one in contestants.items()
    )
    print(
        f"{bench.machine()}; {torch.get_num_threads()} threads, "
        f"{setting.precision}\npatch {patch}, batch {setting.plan.batch_size}; "
        f"{parameters}; {len(setting.train)} scans to train on",
        flush=True,
    )


_DEFAULT = """\
# Nodules in artificial CT, as in the quickstart of detection.
extends: base/ct
task: detection
plan: {{levels: [1, 2]}}  # MONAI's windows fail where full resolution is one of several levels
data: {{format: phantom, phantom: {{kind: nodules, cases: {cases}, seed: 0}}, folds: 3}}
"""


if __name__ == "__main__":
    main()
