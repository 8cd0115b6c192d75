"""Do time and memory per case stay flat: 100, 1,000 and 10,000 small phantoms.

    python tests/benchmarks/scale.py

Prepare: fingerprint, plan and preprocess into an empty cache. Warm start: a training of one step
whose cache is filled, from the start of the interpreter to its end; four cases are held out
whatever the number, so that validation costs the same. Cases are streamed from the cache
(data.cache=disk), as those do that do not fit into memory; with --cache auto small ones are read
into memory, which then holds what they take. Memory: see process_tree.py.
"""

from __future__ import annotations

import gzip
import json
import statistics
import sys
import tempfile
from pathlib import Path

import bench
import nibabel as nib
import numpy as np
from process_tree import Usage, measure

SIZE = 14
HELD_OUT = 4

RECIPE = """\
extends: base/mr
data: {{root: "{data}", format: decathlon, splits: "{splits}", workers: {workers}, cache: {cache}}}
plan: {{patch_size: [16, 16, 16], features: [4, 8], batch_size: 2}}
trainer: {{steps: 1, accelerator: {device}}}
logger: []
run_dir: "{run}"
"""


def main() -> None:
    """Measure and print the tables."""
    made = bench.parser(__doc__)
    made.add_argument("--cases", type=bench.count, nargs="+", default=[100, 1000, 10_000])
    made.add_argument("--processes", type=int, default=0, help="that prepare; 0: none but one")
    made.add_argument(
        "--rounds", type=bench.count, default=3, help="of warm starts; their median counts"
    )
    made.add_argument("--cache", default="disk", choices=["disk", "ram", "auto"])
    args = made.parse_args()
    counts = [50, 200] if args.quick else sorted(args.cases)
    rounds = 1 if args.quick else args.rounds
    prepared: dict[int, Usage] = {}
    started: dict[int, Usage] = {}
    with tempfile.TemporaryDirectory(prefix="medseg-scale-") as name:
        recipes = {
            count: _data_set(
                Path(name) / str(count), count, args.processes, args.cache, args.device
            )
            for count in counts
        }
        for count, recipe in recipes.items():
            print(f"{count} cases: preparing", file=sys.stderr)
            prepared[count] = _medseg("preprocess", recipe)
            _medseg("fit", recipe)  # the first one fills the page cache and measures the device
        found: dict[int, list[Usage]] = {count: [] for count in counts}
        for _ in range(rounds):
            for count, recipe in recipes.items():
                found[count].append(_medseg("fit", recipe, "--overwrite"))
    for count, usages in found.items():
        middle = (
            statistics.median(values) for values in zip(*(u[:4] for u in usages), strict=True)
        )
        started[count] = Usage(*middle, "")
    tables = [
        _table("prepare", prepared, counts, each=True),
        _table(f"warm start, median of {rounds}", started, counts, each=False),
    ]
    for table in tables:
        table.show()
    few, many = started[counts[0]], started[counts[-1]]
    print(
        f"warm start of {counts[-1]} cases: {many.seconds - few.seconds:+.2f} s "
        f"({many.cpu - few.cpu:+.2f} s of processor time) and {many.pss - few.pss:+.0f} MB "
        f"against {counts[0]}"
    )
    bench.save(args.json, prepare=tables[0].to_dict(), start=tables[1].to_dict())


def _table(title: str, usages: dict[int, Usage], counts: list[int], *, each: bool) -> bench.Table:
    """Make a table with a column for each number of cases; ratios say how many times the first."""
    columns = [f"{count} cases" for count in counts]
    table = bench.Table(title, columns, higher_is_better=False, digits=2)

    def row(name: str, field: str, *, scale: dict[int, float]) -> None:
        values = {
            f"{count} cases": getattr(usages[count], field) * scale[count] for count in counts
        }
        table.row(name, values)

    once = dict.fromkeys(counts, 1.0)
    if each:
        row("wall time, ms a case", "seconds", scale={count: 1e3 / count for count in counts})
        row("processor time, ms a case", "cpu", scale={count: 1e3 / count for count in counts})
    row("wall time, s", "seconds", scale=once)
    row("processor time, s", "cpu", scale=once)
    row("peak memory, MB", "pss", scale=once)
    return table


def _medseg(verb: str, recipe: Path, *more: str) -> Usage:
    return measure([sys.executable, "-m", "medseg", verb, recipe, "--quiet", *more])


def _data_set(folder: Path, count: int, workers: int, cache: str, device: str) -> Path:
    """Write phantoms, their splits and a recipe."""
    data = folder / "data"
    for part in ("imagesTr", "labelsTr"):
        (data / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    label = np.zeros((SIZE,) * 3, np.uint8)
    label[4:8, 4:9, 4:9], label[8:11, 4:9, 4:9] = 1, 2
    head = nib.Nifti1Image(label, np.eye(4)).to_bytes()[: -label.size]
    marks = gzip.compress(head + label.tobytes("F"), 1)
    names = [f"case_{number:05d}" for number in range(count)]
    for name in names:
        image = (rng.integers(1, 100, label.shape) + 60 * (label > 0)).astype(np.uint8)
        voxels = gzip.compress(head + image.tobytes("F"), 1)
        (data / "imagesTr" / f"{name}.nii.gz").write_bytes(voxels)
        (data / "labelsTr" / f"{name}.nii.gz").write_bytes(marks)
    described = {
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "head", "2": "tail"},
        "training": [
            {"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in names
        ],
    }
    (data / "dataset.json").write_text(json.dumps(described))
    splits = folder / "splits.json"
    splits.write_text(json.dumps([{"train": names[HELD_OUT:], "val": names[:HELD_OUT]}]))
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        RECIPE.format(
            data=data,
            splits=splits,
            workers=workers,
            cache=cache,
            device=device,
            run=folder / "run",
        )
    )
    return recipe


if __name__ == "__main__":
    main()
