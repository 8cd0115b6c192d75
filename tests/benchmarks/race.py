"""A race to a clock: medseg and nnU-Net on the same training cases, scored on the same unseen ones.

    python tests/benchmarks/race.py --train FOLDER --test FOLDER --budget 15m --peer nnunet
    python tests/benchmarks/race.py --fold 0 --folds 5 --budget 4m

Folders are in the Decathlon's layout. Without --train and --test a fold of --data is held out
(default: Task04_Hippocampus below MEDSEG_TEST_DATA), dealt out as medseg deals its folds. Every
tool trains on all training cases and keeps its last weights: no test case has a say in anything.
Test images are handed over without their labels, which are read once, at the end. The budget is the
time of training alone, from the first step on; preparing, start-up and prediction are reported
beside it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bench
import race_folders as folders

import medseg
from medseg.errors import InputError
from medseg.machine import usable_cores

HERE = Path(__file__).resolve().parent
QUICK = {"train": 24, "test": 4}


def main() -> int:
    """Race, score, print."""
    args = _parser().parse_args()
    if bool(args.train) != bool(args.test):
        sys.exit("give --train and --test, or neither")
    if not 0 <= args.fold < args.folds:
        sys.exit(f"--fold is 0 to {args.folds - 1}")
    budget = args.budget or (60.0 if args.quick else 900.0)
    python = None
    if args.peer == "nnunet":
        try:
            python = bench.peers_python(args.peers)
        except bench.PeerMissingError as error:
            sys.exit(f"{error}\nor race alone: --peer none")
    work = Path(args.work or tempfile.mkdtemp(prefix="race-")).resolve()
    work.mkdir(parents=True, exist_ok=True)
    if any(work.iterdir()):
        sys.exit(f"{work} is not empty: a race starts afresh")
    try:
        return race(args, work, budget, python)
    except (bench.PeerMissingError, InputError) as error:
        sys.exit(str(error))
    finally:
        if not args.work:
            shutil.rmtree(work, ignore_errors=True)


def race(args: argparse.Namespace, work: Path, budget: float, python: Path | None) -> int:
    """Run each tool in turn and compare them."""
    train, source, test = _folders(args, work)
    about = {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "medseg": medseg.__version__,
        "processor": _processor(),
        "threads": _threads(),
        "device": args.device,
        "budget": budget,
        "train_cases": len(folders.cases_of(train)),
        "test_cases": test,
        "seed": args.seed,
    }
    print(
        f"{about['date']}  medseg {about['medseg']}, {about['processor']}, {bench.machine()}, "
        f"{about['threads']} threads, {args.device}\n{about['train_cases']} cases to train on, "
        f"{len(test)} unseen, {budget:g} s each",
        flush=True,
    )
    results = {"medseg": run_medseg(args, work / "medseg", train, source, test, budget)}
    if python is not None:
        results["nnU-Net"] = run_nnunet(args, work / "nnunet", train, source, test, budget, python)
    _score(results, source, test)
    tables = [*_tables(results)]
    for table in tables:
        table.show()
    apart = max(result.pop("cross_check") for result in results.values())
    print(
        f"largest difference between these scores and NumPy's (Dice), MONAI's (HD95): {apart:.1e}"
    )
    if args.medseg_advice and (advice := results["medseg"].get("advice")):
        print(f"medseg: {advice}")
    bench.save(args.json, about=about, results=results, cross_check=apart)
    return 0 if apart < 1e-3 else 1


def run_medseg(
    args: argparse.Namespace,
    work: Path,
    train: Path,
    source: Path,
    test: Sequence[str],
    budget: float,
) -> dict[str, Any]:
    """Prepare, train and predict by the command line, each in a process of its own."""
    work.mkdir()
    images = folders.bare_images(source, test, work / "images")
    recipe, run, masks = work / "recipe.yaml", work / "run", work / "masks"
    if args.recipe is None:
        _medseg("init", train, "-o", recipe)
    fold = ["data.fold=all"]
    if args.hold_out:
        fold = [f"data.folds={args.hold_out}", "data.fold=0"]
    chosen = [
        args.recipe or recipe,
        f"data.root={train}",
        f"run_dir={run}",
        f"trainer.budget={budget:g}s",
        f"trainer.accelerator={args.device}",
        f"seed={args.seed}",
        *(["inference.mirror=false"] if args.single_view else []),
        "logger=none",
        *fold,
        *args.set,
    ]
    seconds = {"prepare": _medseg("preprocess", *chosen), "train": _medseg("fit", *chosen)}
    seconds["predict"] = _medseg("predict", run, images, "-o", masks, "--device", args.device)
    trained = json.loads(next(run.glob("fold_*/time.json")).read_text())
    return {
        "masks": str(masks),
        "seconds": seconds,
        "clock": trained["seconds"],
        "steps": trained["steps"],
        "phases": trained["phases"],
        "advice": trained["advice"],
    }


def run_nnunet(
    args: argparse.Namespace,
    work: Path,
    train: Path,
    source: Path,
    test: Sequence[str],
    budget: float,
    python: Path,
) -> dict[str, Any]:
    """Prepare, train and predict by `race_nnunet.py` in the peers' interpreter."""
    folders.nnunet_dataset(train, work / "raw" / "Dataset501_Race")
    channels = len(json.loads((source / "dataset.json").read_text())["modality"])
    cases = folders.cases_of(source)
    for case in test:
        folders.nnunet_channels(cases[case][0], case, work / "images", channels=channels)
    shared = [
        *("--work", work, "--device", args.device, "--cores", usable_cores()),
        *("--configuration", args.peer_configuration, "--planner", args.peer_planner),
    ]
    environment = {"nnUNet_compile": "t" if args.peer_compile else "f"}
    seconds: dict[str, float] = {}
    said: dict[str, Any] = {}
    stages = {
        "prepare": [],
        "train": ["--budget", budget, "--seed", args.seed],
        "predict": [
            *("--images", work / "images", "--output", work / "masks"),
            *([] if args.single_view else ["--mirror"]),
        ],
    }
    for stage, own in stages.items():
        print(f"nnU-Net: {stage}", flush=True)
        began = time.perf_counter()
        said |= bench.run_peer(
            HERE / "race_nnunet.py",
            [stage, *shared, *own],
            python=python,
            threads=1,
            environment=environment,
        )
        seconds[stage] = time.perf_counter() - began
    return {**said, "masks": str(work / "masks"), "seconds": seconds}


def _score(results: dict[str, dict[str, Any]], source: Path, test: Sequence[str]) -> None:
    """Read the test labels, for the first and only time."""
    import race_scores

    from medseg.data import formats

    scheme = formats.read(source, format="decathlon").labels
    cases = folders.cases_of(source)
    references = {case: cases[case][1] for case in test}
    for result in results.values():
        found, result["cross_check"] = race_scores.scores(Path(result["masks"]), references, scheme)
        result["scores"] = {name: found[name] for name in ("mean", "per_class", "cases")}


def _tables(results: dict[str, dict[str, Any]]) -> list[bench.Table]:
    names = list(results)
    scores = {name: result["scores"] for name, result in results.items()}
    dice = bench.Table("Dice on unseen cases", names, digits=4)
    hd95 = bench.Table(
        "HD95, mm",
        names,
        higher_is_better=False,
        digits=2,
    )
    for table, metric in ((dice, "dice"), (hd95, "hd95")):
        rows = {"mean": {n: s["mean"].get(metric) for n, s in scores.items()}}
        for label in scores["medseg"]["per_class"]:
            rows[label] = {n: s["per_class"][label][metric]["mean"] for n, s in scores.items()}
        for row, figures in rows.items():
            note = _difference(figures, names)
            if metric == "hd95" and row != "mean":
                lost = [s["per_class"][row][metric]["n_infinite"] for s in scores.values()]
                if any(lost):  # nothing was predicted, so there is no distance to average
                    note += f"; cases without: {' / '.join(map(str, lost))}"
            table.row(row, figures, note)
    spent = bench.Table("seconds, whole processes", names, higher_is_better=False)
    for stage in ("prepare", "train", "predict"):
        spent.row(stage, {n: r["seconds"][stage] for n, r in results.items()})
    spent.row("on the clock", {n: r["clock"] for n, r in results.items()})
    steps = bench.Table("steps", names, digits=0)
    steps.row("steps", {n: float(r["steps"]) for n, r in results.items()})
    return [dice, hd95, spent, steps]


def _difference(figures: dict[str, float | None], names: Sequence[str]) -> str:
    own, other = figures[names[0]], figures[names[-1]]
    if len(names) < 2 or own is None or other is None:
        return ""
    return f"{own - other:+.4f}"


def _folders(args: argparse.Namespace, work: Path) -> tuple[Path, Path, list[str]]:
    """Return the training folder, the folder that holds the test cases, and their ids."""
    limit = {"train": None, "test": None}
    if args.quick:
        limit = {name: QUICK[name] for name in ("train", "test")}  # type: ignore[misc]
    if args.train:
        train, source = args.train.resolve(), args.test.resolve()
        ids, test = list(folders.cases_of(train)), list(folders.cases_of(source))
        both = set(ids) & set(test)
        if both:
            sys.exit(f"{len(both)} cases are in both folders, such as {min(both)}")
    else:
        source = (args.data or _default_data()).resolve()
        ids, test = folders.fold_of(source, args.fold, args.folds)
        train = source
    ids = folders.some_of(ids, limit["train"])
    made = folders.decathlon_folder(train, ids, work / "train")
    return made, source, folders.some_of(test, limit["test"])


def _default_data() -> Path:
    root = Path(os.environ.get("MEDSEG_TEST_DATA", bench.ROOT.parent / "shared" / "data"))
    found = root / "Task04_Hippocampus"
    if not found.is_dir():
        sys.exit(
            f"there is no {found}: set MEDSEG_TEST_DATA, or give --data, or --train and --test"
        )
    return found


def _medseg(*words: object) -> float:
    """Run the command line and return its seconds."""
    print("medseg", *(str(word) for word in words), flush=True)
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "medseg", *map(str, words)], check=False)
    if done.returncode:
        sys.exit(f"medseg {words[0]} failed")
    return time.perf_counter() - began


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _parser() -> argparse.ArgumentParser:
    parser = bench.parser(__doc__)
    parser.add_argument("--train", type=Path, metavar="FOLDER", help="Decathlon folder to train on")
    parser.add_argument("--test", type=Path, metavar="FOLDER", help="Decathlon folder to score on")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="one folder, split into folds")
    parser.add_argument("--fold", type=int, default=0, help="the fold of --data to hold out")
    parser.add_argument("--folds", type=bench.count, default=5)
    parser.add_argument(
        "--budget", type=bench.duration, help="time to train: 15m, 90s (default 15m; quick: 1m)"
    )
    parser.add_argument("--peer", choices=["nnunet", "none"], default="nnunet")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", metavar="DIR", help="keep all files there; default: removed")
    parser.add_argument(
        "--single-view",
        action="store_true",
        help="neither averages over mirrored images; default: each as it does by itself",
    )
    medseg_only = parser.add_argument_group("medseg")
    medseg_only.add_argument("--recipe", help="its recipe; default: what `medseg init` writes")
    medseg_only.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override of the recipe"
    )
    medseg_only.add_argument(
        "--hold-out",
        type=int,
        metavar="N",
        help="hold an Nth of the training cases out to choose the best checkpoint by; default: "
        "train on all, keep the last averaged weights",
    )
    medseg_only.add_argument("--no-advice", dest="medseg_advice", action="store_false")
    peer_only = parser.add_argument_group("nnU-Net")
    peer_only.add_argument("--peer-configuration", default="3d_fullres")
    peer_only.add_argument("--peer-planner", default="ExperimentPlanner")
    peer_only.add_argument("--peer-compile", action="store_true", help="with torch.compile")
    return parser


if __name__ == "__main__":
    sys.exit(main())
