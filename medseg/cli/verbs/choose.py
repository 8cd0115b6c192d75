"""``medseg choose``."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from medseg.cli.output import print_json, reporter
from medseg.cli.trusted import trusted
from medseg.errors import InputError
from medseg.stages import choose, ranking


def act(arguments: Namespace) -> None:
    """Rank cross-validated runs and pairs of them."""
    output = arguments.output
    _check_output(output, overwrite=arguments.overwrite)
    say = reporter(arguments)
    choice = choose.run(
        arguments.runs, output, report=say, device=arguments.device, trust=trusted(arguments)
    )
    ranking.show(say, choice)
    print_json(arguments, choice)


def _check_output(output: Path, *, overwrite: bool) -> None:
    """Refuse what is no folder, a run (whose own postprocessing would go), and what is not ours."""
    if output.exists() and not output.is_dir():
        raise InputError("the output is a file", file=output, remedy="choose a folder with -o")
    if (output / "recipe.yaml").exists():
        raise InputError(
            "the output folder is a run",
            file=output,
            expected="a folder of its own for choice.json and the masks of the pairs",
            remedy="choose another folder with -o",
        )
    if output.exists() and any(output.iterdir()) and not overwrite:
        raise InputError(
            "the output folder is not empty",
            file=output,
            remedy="choose another folder with -o, or replace what it holds with --overwrite",
        )
