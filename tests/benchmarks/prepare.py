"""Fingerprint, plan and preprocess a data set: medseg and nnU-Net, wall time and peak memory.

    python tests/benchmarks/prepare.py --data Task04_Hippocampus --peers DIR

Wall time is that of the whole command: interpreter, imports, work. Each run starts with nothing
prepared; nnU-Net's own layout of the data (links) is made before its clock starts. Both take the
same number of processes; nnU-Net prepares its 3D full resolution only. They take turns, and a
figure is the median of the rounds. Both plan for as long a training as it takes; with --budget
medseg plans for a clock, for which it imports torch and measures the device. Memory: see
process_tree.py.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import bench
import race_folders
from process_tree import Usage, measure

RECIPE = """\
extends: base/mr
data: {{root: "{data}", format: decathlon, workers: {processes}}}
trainer: {{{length}}}
logger: []
run_dir: "{run}"
"""
# nnU-Net's: 1000 epochs of 250 iterations.
LONG = "steps: 250000"


def main() -> None:
    """Measure and print the table."""
    made = bench.parser(__doc__)
    made.add_argument("--data", type=Path, help="Decathlon folder; default: phantoms")
    made.add_argument("--processes", type=bench.count, default=2, help="of either program")
    made.add_argument("--rounds", type=bench.count, default=3)
    made.add_argument(
        "--budget", type=bench.duration, help="let medseg plan for so long a training: 15m"
    )
    args = made.parse_args()
    rounds = 1 if args.quick else args.rounds
    with tempfile.TemporaryDirectory(prefix="medseg-prepare-") as name:
        work = Path(name)
        data = (args.data or _phantoms(work, cases=4 if args.quick else 40)).resolve()
        try:
            peers = bench.peers_python(args.peers)
        except bench.PeerMissingError as error:
            print(error, file=sys.stderr)
            peers = None
        runs: dict[str, list[Usage]] = {"medseg": [], "nnU-Net": []}
        for number in range(rounds):
            runs["medseg"].append(
                _medseg(work / f"medseg{number}", data, args.processes, args.budget)
            )
            if peers is not None:
                runs["nnU-Net"].append(
                    _nnunet(work / f"nnunet{number}", data, args.processes, peers)
                )
    table = bench.Table(
        f"{data.name}, {args.processes} processes, median of {rounds}",
        list(runs),
        higher_is_better=False,
        digits=2,
    )
    figures = {
        "wall time, s": "seconds",
        "processor time, s": "cpu",
        "peak memory, shared pages once, MB": "pss",
        "peak memory, sum of processes, MB": "rss",
    }
    for label, field in figures.items():
        table.row(
            label,
            {
                tool: statistics.median(getattr(usage, field) for usage in usages)
                for tool, usages in runs.items()
                if usages
            },
        )
    table.show()
    bench.save(args.json, prepare=table.to_dict())


def _medseg(work: Path, data: Path, processes: int, budget: float | None) -> Usage:
    work.mkdir()
    recipe = work / "recipe.yaml"
    length = LONG if budget is None else f"budget: {budget:g}s"
    recipe.write_text(
        RECIPE.format(data=data, processes=processes, run=work / "run", length=length)
    )
    return measure([sys.executable, "-m", "medseg", "preprocess", recipe, "--quiet"])


def _nnunet(work: Path, data: Path, processes: int, python: Path) -> Usage:
    names = ("raw", "preprocessed", "results")
    for name in names:
        (work / name).mkdir(parents=True)
    race_folders.nnunet_dataset(data, work / "raw" / "Dataset501_Prepare")
    command = [python.parent / "nnUNetv2_plan_and_preprocess", "-d", 501, "-c", "3d_fullres"]
    command += ["-np", processes, "-npfp", processes, "--no_pbar"]
    return measure(command, environment={f"nnUNet_{name}": str(work / name) for name in names})


def _phantoms(work: Path, *, cases: int) -> Path:
    from medseg.data import phantoms

    return phantoms.write("mr", work / "phantoms", cases=cases)


if __name__ == "__main__":
    main()
