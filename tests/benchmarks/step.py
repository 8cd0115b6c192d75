"""A training step against its limit, the bare network's forward and backward pass.

    python tests/benchmarks/step.py --recipe my_recipe.yaml trainer.precision=32

Each row adds something: the loss, the optimiser (with clipping and averaging), Lightning with
all callbacks on one fixed batch, and the whole feed with its augmentation. All is built as
`medseg fit` builds it. Rounds are interleaved and a figure is the median of its rounds. Without
``--recipe`` an artificial data set is made.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import bench
import pytorch_lightning as pl
import torch
from torch import nn

from medseg import build
from medseg.build.device import training_precision
from medseg.networks.outputs import as_heads
from medseg.recipe import load
from medseg.stages import preprocess
from medseg.stages.job import Job
from medseg.stages.reporter import Reporter
from medseg.stages.run_folder import RunFolder
from medseg.stages.splits import cases_of_fold
from medseg.stages.training import quiet_libraries
from medseg.training.rng import capture, restore

ROWS = {
    "bare": "forward and backward pass",
    "loss": "+ loss",
    "optimiser": "+ optimiser, clipping, averaging",
    "lightning": "+ Lightning and callbacks, one fixed batch",
    "feed": "+ feed and augmentation",
}


class Setting:
    """A recipe with its data, prepared once."""

    def __init__(self, recipe: Any, device: str) -> None:
        self.recipe = recipe
        self.device = torch.device(device)
        job = Job(recipe=recipe, folder=RunFolder(recipe), report=Reporter(quiet=True))
        train, _ = cases_of_fold(recipe, job.dataset, job.folder.path)
        self.dataset = job.dataset
        self.plan, index = preprocess.run(job)
        self.cases = [index.load(case.id, mmap=False) for case in train]

    def task(self) -> pl.LightningModule:
        build.seed_everything(self.recipe)
        return build.build_task(self.recipe, self.plan, self.dataset)

    def data(self) -> Any:
        return build.build_data(self.recipe, self.plan, self.dataset, self.cases, [])

    def trainer(self, folder: Path, data: Any) -> pl.Trainer:
        return build.build_trainer(
            self.recipe, folder, steps_per_epoch=data.steps_per_epoch or 1, quiet=True
        )

    def batch(self) -> Any:
        data = self.data()
        from medseg.data.feed.batch import collate

        batch = collate([data.train_set[i] for i in range(self.plan.batch_size)])
        return batch._replace(
            image=batch.image.to(self.device), label=batch.label.to(self.device), wide=None
        )


def bare(setting: Setting, *, what: str, clock: Clock, steps: int) -> float:
    """Time a loop of our own; ``what`` says how much of a step it makes."""
    task: Any = setting.task().to(setting.device).train()
    batch = setting.batch()
    context = _autocast(setting)
    optimizer = task.configure_optimizers()["optimizer"]
    clip = setting.recipe.trainer.gradient_clip

    def step() -> None:
        if what == "optimiser":
            optimizer.zero_grad(set_to_none=True)
        else:
            task.network.zero_grad(set_to_none=True)
        with context():
            if what == "bare":
                heads = as_heads(task.network(batch.image), spatial_dims=batch.image.ndim - 2)
                loss = sum(head.float().mean() for head in heads)
            else:
                loss = task.batch_loss(batch)
        loss.backward()
        if what == "optimiser":
            if clip is not None:
                nn.utils.clip_grad_norm_(task.network.parameters(), clip)
            optimizer.step()
            if task.averaged is not None:
                task.averaged.update_parameters(task.network)

    for _ in range(3):
        step()
    return clock.per_step(step, steps)


class Clock(pl.Callback):
    """Times steps, by the wall or by the processor's time of this process."""

    def __init__(self, device: str, *, by: str) -> None:
        self.device = device
        self.now: Callable[[], float] = time.process_time if by == "cpu" else time.perf_counter
        self.warm_up = 0
        self.times: list[float] = []

    def per_step(self, step: Callable[[], None], steps: int) -> float:
        self.wait()
        started = self.now()
        for _ in range(steps):
            step()
        self.wait()
        return (self.now() - started) / steps

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        # Waits twice only: where timing begins and where it ends. Where gradients are accumulated,
        # several batches end within a step.
        marks = (self.warm_up, self.warm_up + self.steps)
        if len(self.times) < 2 and trainer.global_step == marks[len(self.times)]:
            self.wait()
            self.times.append(self.now())

    def of_fit(self, fit: Callable[[], None], steps: int) -> float:
        self.warm_up, self.steps, self.times = 3, steps, []
        fit()
        return (self.times[1] - self.times[0]) / steps


class Repeated(pl.LightningDataModule):
    """The same batch again and again: a training without a feed."""

    def __init__(self, batch: Any, steps: int) -> None:
        super().__init__()
        self.fixed, self.steps = batch, steps
        self.steps_per_epoch = steps

    def train_dataloader(self) -> Any:
        return _Loader(self.fixed, self.steps)

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        return batch


class _Loader:
    def __init__(self, batch: Any, steps: int) -> None:
        self.batch, self.steps = batch, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Any]:
        return iter([self.batch] * self.steps)


def whole(setting: Setting, *, feed: bool, clock: Clock, steps: int) -> float:
    """Time `trainer.fit`, with the feed or on one fixed batch."""
    data = setting.data() if feed else Repeated(setting.batch(), setting.recipe.trainer.steps)
    task = setting.task()
    with tempfile.TemporaryDirectory() as folder, quiet_libraries():
        trainer = setting.trainer(Path(folder), data)
        trainer.callbacks.insert(0, clock)
        return clock.of_fit(lambda: trainer.fit(task, datamodule=data), steps)


def _autocast(setting: Setting) -> Callable[[], AbstractContextManager]:
    precision = str(training_precision(setting.recipe))
    if not precision.endswith("mixed"):
        return nullcontext
    dtype = torch.bfloat16 if precision.startswith("bf16") else torch.float16
    return lambda: torch.autocast(setting.device.type, dtype=dtype, cache_enabled=False)


def main() -> None:
    """Measure and print the table."""
    made = bench.parser(__doc__)
    made.add_argument("--recipe", default=None, help="a recipe's file or name")
    made.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    made.add_argument("--steps", type=bench.count, default=20, help="steps of a round")
    made.add_argument("--rounds", type=bench.count, default=3)
    made.add_argument("--threads", type=bench.count, default=None, help="cores; default: all")
    made.add_argument(
        "--clock",
        default="wall",
        choices=["wall", "cpu"],
        help="cpu: processor time of this process, for a machine that others use",
    )
    args = made.parse_args()
    if args.clock == "cpu" and args.device != "cpu":
        made.error("--clock cpu does not see a GPU's work")
    if args.threads:
        torch.set_num_threads(args.threads)
    steps, rounds = (4, 1) if args.quick else (args.steps, args.rounds)
    with tempfile.TemporaryDirectory() as folder:
        overrides = [f"run_dir={folder}/run", "logger=none", f"trainer.accelerator={args.device}"]
        if args.recipe is None:
            recipe = Path(folder) / "step.yaml"
            recipe.write_text(_DEFAULT)
        if args.quick:
            overrides += ["plan.patch_size=16", "plan.features=[4, 8]"]
        # Warm-up and timed steps, and a few more: no checkpoint is written in what is timed.
        length = steps + 5
        overrides += [f"trainer.steps={length}", f"trainer.validate_every={length}"]
        overrides += args.overrides
        setting = Setting(load(str(args.recipe or recipe), overrides), args.device)
        figures, peaks = measure(setting, rounds=rounds, steps=steps, by=args.clock)
    patch = " x ".join(map(str, setting.plan.patch_size))
    print(
        f"{bench.machine()}; {torch.get_num_threads()} threads, {args.clock} time; "
        f"patch {patch}, batch {setting.plan.batch_size}"
    )
    table = bench.Table("milliseconds a step", ["ms", "of bare", "of the row above", "peak GiB"])
    above = None
    for row, title in ROWS.items():
        ms = 1000 * statistics.median(figures[row])
        start = 1000 * statistics.median(figures["bare"])
        values = {"ms": ms, "of bare": ms / start, "of the row above": above and ms / above}
        table.row(title, {**values, "peak GiB": peaks.get(row)})
        above = ms
    show(table)
    bench.save(args.json, table=table.to_dict(), rounds=figures, device=args.device)


def measure(
    setting: Setting, *, rounds: int, steps: int, by: str
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Time every row, round by round; on CUDA also give the peak of memory in GiB."""
    figures: dict[str, list[float]] = {row: [] for row in ROWS}
    peaks: dict[str, float] = {}
    states = capture()
    for _ in range(rounds):
        for row in ROWS:
            restore(states)
            clock = Clock(setting.device.type, by=by)
            if setting.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            if row in ("lightning", "feed"):
                taken = whole(setting, feed=row == "feed", clock=clock, steps=steps)
            else:
                taken = bare(setting, what=row, clock=clock, steps=steps)
            figures[row].append(taken)
            if setting.device.type == "cuda":
                peaks[row] = torch.cuda.max_memory_allocated() / 2**30
    return figures, peaks


def show(table: bench.Table) -> None:
    """Print the table; its columns are different things, so none is compared with another."""
    lines = [["", *table.columns]]
    for name, values, _ in table.rows:
        cells = []
        for column in table.columns:
            value = values[column]
            cells.append("–" if value is None else f"{value:.{1 if column == 'ms' else 3}f}")
        lines.append([name, *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(table.title)
    for line in lines:
        print("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip())


_DEFAULT = """\
# Steps of the fast plan on an artificial data set.
extends: base/mr
data: {format: phantom, phantom: {kind: mr, cases: 10}}
network: {name: residual_unet, blocks_per_stage: 1}
plan: {patch_size: [40, 56, 40], features: [16, 32, 64, 128], batch_size: 2}
"""


if __name__ == "__main__":
    main()
