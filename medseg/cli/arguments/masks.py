"""Arguments of the verbs that make masks, score them and clean them."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from medseg.cli.arguments.common import Verb, trust_and_overwrite


def add(verb: Verb) -> None:
    """Add ``predict``, and what is done with masks and scores afterwards."""
    _predict(verb("predict", "Write masks, or boxes, of the input files."))
    _evaluate(verb("evaluate", "Compare masks, or boxes, with references, case by case."))
    _compare(verb("compare", "Compare the scores of two runs, case by case."))
    _choose(verb("choose", "Find the cross-validated run, or pair of runs, that is best."))
    _postprocess(
        verb(
            "postprocess",
            "Choose by held-out cases how masks are cleaned, or which boxes are kept.",
        )
    )


def _predict(predict: ArgumentParser) -> None:
    predict.add_argument("run", type=Path, metavar="RUN", help="run folder or checkpoint")
    predict.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="files or folders")
    predict.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="folder for what is found"
    )
    predict.add_argument(
        "--with",
        dest="with_runs",
        type=Path,
        action="append",
        default=[],
        metavar="RUN",
        help="average with another run or checkpoint, join its boxes; may be repeated",
    )
    predict.add_argument(
        "--average",
        choices=("probabilities", "logits"),
        help="(masks) what of several runs is averaged; default: probabilities",
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
        help="a postprocessing.yaml (boxes: a detection.yaml), auto (the run's own) or none; "
        "default: as the recipe says",
    )
    predict.add_argument(
        "--score",
        type=float,
        metavar="S",
        help="(boxes) from which score one counts as found; default: as detection.yaml says",
    )
    predict.add_argument(
        "--instances",
        action="store_true",
        help="(boxes) write outlines too, of a network that segments as well",
    )
    predict.add_argument(
        "--dry-run", action="store_true", help="show how files form cases, and stop"
    )
    trust_and_overwrite(predict)


def _evaluate(evaluate: ArgumentParser) -> None:
    evaluate.add_argument(
        "predictions", type=Path, metavar="PRED", help="folder of masks, or boxes"
    )
    evaluate.add_argument(
        "references",
        type=Path,
        metavar="REF",
        help="folder of masks; of boxes their data set, a run, or a recipe",
    )
    evaluate.add_argument("-o", "--output", type=Path, metavar="FILE", help="metrics.json to write")
    evaluate.add_argument(
        "--labels",
        metavar="LABELS",
        help="preset or labels.json (default: PRED/labels.json)",
    )
    evaluate.add_argument(
        "--empty",
        choices=("skip", "one"),
        help="both masks empty: leave the case out of the mean (default), or count Dice 1 as "
        "BraTS does",
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
        help="a postprocessing.yaml, of boxes a detection.yaml: score also what it makes of them",
    )
    evaluate.add_argument(
        "--hit",
        choices=("centre", "iou"),
        help="(boxes) an object is found if the box's centre lies in it, or by an IoU of 0.1; "
        "default: as the recipe says, else centre",
    )
    evaluate.add_argument("--overwrite", action="store_true", help="replace an existing output")


def _compare(compare: ArgumentParser) -> None:
    compare.add_argument("run_a", type=Path, metavar="RUN_A", help="run folder or metrics.json")
    compare.add_argument("run_b", type=Path, metavar="RUN_B", help="run folder or metrics.json")
    compare.add_argument(
        "--metric",
        metavar="METRIC",
        help="dice (default), iou or hd95; of detections map (default), cpm, or ap_0.5",
    )


def _choose(choose: ArgumentParser) -> None:
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
    trust_and_overwrite(choose)


def _postprocess(postprocess: ArgumentParser) -> None:
    postprocess.add_argument("run", type=Path, metavar="RUN", help="run folder")
    trust_and_overwrite(postprocess)
