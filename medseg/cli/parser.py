"""Every verb and its arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from rich_argparse import RichHelpFormatter

from medseg import __version__

Verb = Callable[[str, str], argparse.ArgumentParser]


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; ``act`` of the result is the function to call with it."""
    parser = build_parser()
    arguments, rest = parser.parse_known_args(argv)
    # Overrides may stand behind options: `medseg run r.yaml --overwrite trainer.budget=4m`.
    overrides = [a for a in rest if "=" in a and not a.startswith("-")]
    if "=" in (getattr(arguments, "ray", None) or ""):
        # `--ray` without an address, and an override behind it.
        overrides.append(arguments.ray)
        arguments.ray = _THIS_MACHINE
    unknown = [a for a in rest if a not in overrides]
    if unknown or (overrides and not hasattr(arguments, "overrides")):
        parser.error(f"unknown arguments: {' '.join(unknown or overrides)}")
    if overrides:
        arguments.overrides = [*arguments.overrides, *overrides]
    for word in getattr(arguments, "overrides", ()):
        if "=" not in word:
            parser.error(f"an override is key=value, got {word!r}")
    return arguments


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of ``medseg``."""
    parser = argparse.ArgumentParser(
        prog="medseg",
        description="Train, predict and evaluate medical image segmentation from recipes.",
        epilog="First steps: medseg recipes; medseg run quickstart; medseg init DATA_FOLDER.",
        formatter_class=RichHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"medseg {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text, formatter_class=RichHelpFormatter)
        sub.set_defaults(act=_dispatch(name))
        sub.add_argument("-q", "--quiet", action="store_true", help="print errors only")
        sub.add_argument("--json", action="store_true", help="print the result as JSON")
        return sub

    _verbs_of_a_run(verb)
    _predict(verb("predict", "Write masks on the grid of the input files."))
    _evaluate(verb("evaluate", "Compare masks with references, case by case."))
    _compare(verb("compare", "Compare the scores of two runs, case by case."))
    _choose(verb("choose", "Find the cross-validated run, or pair of runs, that segments best."))
    _postprocess(verb("postprocess", "Choose by held-out cases how masks are cleaned."))
    _describe(verb("describe", "Say what a network is made of: layers, cost, receptive field."))
    _verbs_of_recipes(verb)
    _verbs_of_data(verb)
    return parser


def _verbs_of_a_run(verb: Verb) -> None:
    run = verb("run", "All stages of a recipe; done ones are skipped.")
    _recipe(run)
    _extend(run)
    run.add_argument(
        "--each-fold",
        action="store_true",
        help="train every fold, on several GPUs side by side, and score them together",
    )
    _ray(run, "fold")
    _sweep(verb("sweep", "Try values of a recipe's keys in many short trainings."))
    inspect = verb("inspect", "Say what the data are, and what is odd in them.")
    _recipe(inspect, what="recipe or data folder")
    _recipe(verb("plan", "Write plan.yaml: what follows from the data."))
    _recipe(verb("preprocess", "Fill the cache of preprocessed cases."))
    fit = verb("fit", "Train.")
    _recipe(fit)
    fit.add_argument("--resume", action="store_true", help="go on from last.ckpt")
    _extend(fit)


def _sweep(sweep: argparse.ArgumentParser) -> None:
    sweep.add_argument(
        "recipe", metavar="RECIPE", help="a file, or the name of a shipped one: what is swept"
    )
    sweep.add_argument(
        "space", type=Path, metavar="SPACE", help="YAML: which keys to try, with which values"
    )
    sweep.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="override a value in all trials"
    )
    sweep.add_argument(
        "--trials",
        type=_positive,
        default=20,
        metavar="N",
        help="how many in all, earlier sessions included; default: 20",
    )
    sweep.add_argument(
        "--each",
        type=_amount,
        metavar="AMOUNT",
        help="how long each trains: 10m, or 500 steps; default: as the recipe says",
    )
    sweep.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="folder; default: RUN_DIR_sweep"
    )
    _ray(sweep, "trial")
    _shared(sweep)


_THIS_MACHINE = "local"


def _ray(sub: argparse.ArgumentParser, what: str) -> None:
    sub.add_argument(
        "--ray",
        nargs="?",
        const=_THIS_MACHINE,
        metavar="ADDRESS",
        help=f"run each {what} where a Ray cluster has room; without ADDRESS on this machine",
    )
    for name, kind in (("cpus", "cores"), ("gpus", "GPUs")):
        sub.add_argument(
            f"--{name}", type=_number, metavar="N", help=f"(--ray) {kind} for each {what}"
        )


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e6:
        raise argparse.ArgumentTypeError(f"expected a number, 0 or above, got {text!r}")
    return number


def _predict(predict: argparse.ArgumentParser) -> None:
    predict.add_argument("run", type=Path, metavar="RUN", help="run folder or checkpoint")
    predict.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="files or folders")
    predict.add_argument("-o", "--output", type=Path, metavar="OUT", help="folder for the masks")
    predict.add_argument(
        "--with",
        dest="with_runs",
        type=Path,
        action="append",
        default=[],
        metavar="RUN",
        help="average with another run or checkpoint; may be repeated",
    )
    predict.add_argument(
        "--first",
        type=Path,
        metavar="RUN",
        help="run folder of a cascade's first stage, where that was moved",
    )
    predict.add_argument(
        "--format", default=None, help="data format that groups the files (default: the run's)"
    )
    predict.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    predict.add_argument(
        "--postprocessing",
        metavar="FILE",
        help="a postprocessing.yaml, auto (the run's own) or none; default: as the recipe says",
    )
    predict.add_argument(
        "--dry-run", action="store_true", help="show how files form cases, and stop"
    )
    _shared(predict)


def _evaluate(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument("predictions", type=Path, metavar="PRED", help="folder of masks")
    evaluate.add_argument("references", type=Path, metavar="REF", help="folder of masks")
    evaluate.add_argument("-o", "--output", type=Path, metavar="FILE", help="metrics.json to write")
    evaluate.add_argument(
        "--labels",
        metavar="LABELS",
        help="preset or labels.json (default: PRED/labels.json)",
    )
    evaluate.add_argument(
        "--empty",
        choices=("skip", "one"),
        default="skip",
        help="both masks empty: leave the case out of the mean, or count Dice 1 as BraTS does",
    )
    evaluate.add_argument(
        "--value-map",
        action="append",
        default=[],
        metavar="FILE=LABEL",
        help="read a value of the files as another label: 255=1",
    )
    evaluate.add_argument(
        "--postprocessing",
        type=Path,
        metavar="FILE",
        help="a postprocessing.yaml: score the masks also as it would change them",
    )
    evaluate.add_argument("--overwrite", action="store_true", help="replace an existing output")


def _compare(compare: argparse.ArgumentParser) -> None:
    compare.add_argument("run_a", type=Path, metavar="RUN_A", help="run folder or metrics.json")
    compare.add_argument("run_b", type=Path, metavar="RUN_B", help="run folder or metrics.json")
    compare.add_argument(
        "--metric", choices=("dice", "iou", "hd95"), default="dice", help="what to compare"
    )


def _postprocess(postprocess: argparse.ArgumentParser) -> None:
    postprocess.add_argument("run", type=Path, metavar="RUN", help="run folder")
    _shared(postprocess)


def _describe(describe: argparse.ArgumentParser) -> None:
    describe.add_argument(
        "subject", metavar="NAME|RECIPE|CKPT", help="a network, a recipe, a checkpoint or a run"
    )
    describe.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="override a value of the recipe"
    )
    named = describe.add_argument_group("of a network by its name")
    named.add_argument("--spatial-dims", type=int, choices=(2, 3), help="default: 3")
    named.add_argument("--channels", type=_positive, metavar="N", help="of the input; default: 1")
    named.add_argument("--classes", type=_positive, metavar="N", help="default: 2")
    named.add_argument(
        "--patch", type=_positive, nargs="+", metavar="N", help="voxels per axis of the input"
    )
    named.add_argument(
        "--features", type=_positive, nargs="+", metavar="N", help="channels per stage"
    )
    named.add_argument(
        "--set", action="append", metavar="KEY=VALUE", help="another argument of the network"
    )
    describe.add_argument("--picture", type=Path, metavar="FILE", help="draw it: .png or .svg")
    describe.add_argument("--overwrite", action="store_true", help="replace an existing picture")
    _trust(describe)


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a positive whole number, got {text!r}")
    return int(text)


def _choose(choose: argparse.ArgumentParser) -> None:
    choose.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="run folders, two or more"
    )
    choose.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="folder for choice.json, and for masks and scores of the pairs",
    )
    choose.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    _shared(choose)


def _verbs_of_recipes(verb: Verb) -> None:
    validate = verb("validate", "Check recipes without running anything.")
    validate.add_argument(
        "recipe", nargs="*", metavar="RECIPE", help="recipes, and KEY=VALUE overrides"
    )
    _trust(validate)
    validate.set_defaults(overrides=[])

    init = verb("init", "Recognise a data folder and write a commented recipe for it.")
    init.add_argument("folder", type=Path, metavar="DATA_FOLDER")
    init.add_argument(
        "overrides", nargs="*", metavar="data.KEY=VALUE", help="describe what is not recognised"
    )
    init.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: NAME.yaml here")
    init.add_argument("--overwrite", action="store_true", help="replace an existing recipe")

    recipes = verb("recipes", "List the recipes that ship, or print one.")
    recipes.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="print this one: medseg recipes template > mine.yaml",
    )
    doctor = verb("doctor", "Check the machine, or whether a recipe's training fits it.")
    doctor.add_argument(
        "recipe",
        nargs="?",
        metavar="RECIPE",
        help="a file, or the name of a shipped one; without it: versions, devices, memory, disk",
    )
    doctor.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="override a value of the recipe"
    )
    _trust(doctor)


def _verbs_of_data(verb: Verb) -> None:
    phantom = verb("phantom", "Write an artificial data set.")
    phantom.add_argument("kind", metavar="KIND", help="mr, brats or cells")
    phantom.add_argument("output", type=Path, metavar="OUT")
    phantom.add_argument("--cases", type=int, default=None, help="number of cases")
    phantom.add_argument("--seed", type=int, default=0)
    phantom.add_argument("--overwrite", action="store_true", help="replace an existing folder")

    download = verb("download", "Fetch a Medical Segmentation Decathlon task.")
    download.add_argument("task", metavar="TASK", help="for example Task04_Hippocampus")
    download.add_argument("-o", "--output", type=Path, default=Path("data"), metavar="FOLDER")


def _recipe(sub: argparse.ArgumentParser, *, what: str = "recipe") -> None:
    sub.add_argument(
        "recipe", metavar="RECIPE", help=f"{what}: a file, or the name of a shipped one"
    )
    sub.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="override a value of the recipe"
    )
    _shared(sub)


def _extend(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--extend",
        type=_amount,
        metavar="AMOUNT",
        help="train a finished or interrupted training for this much longer: 30m, or 500 steps",
    )


def _amount(text: str) -> int | float:
    from medseg.recipe.durations import parse_interval

    number = text.removesuffix("steps").strip()
    try:
        return parse_interval(int(number) if number.isdigit() else text)
    except ValueError:
        message = f"expected a length of time such as 30m, or a number of steps, got {text!r}"
        raise argparse.ArgumentTypeError(message) from None


def _shared(sub: argparse.ArgumentParser) -> None:
    _trust(sub)
    sub.add_argument("--overwrite", action="store_true", help="replace existing results")


def _trust(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="allow components of this package to be imported and run",
    )


def _dispatch(stage: str) -> Callable[[argparse.Namespace], int | None]:
    """Import the stage only when its verb is used: ``--help`` must not wait for torch."""

    def act(arguments: argparse.Namespace) -> int | None:
        try:
            module = import_module(f"medseg.cli.verbs.{stage}")
        except ModuleNotFoundError as error:
            if error.name and error.name.startswith("medseg"):
                raise
            print(
                f"error: the package {error.name!r} is missing\n  remedy: pip install {error.name}",
                file=sys.stderr,
            )
            return 2
        return module.act(arguments)

    return act
