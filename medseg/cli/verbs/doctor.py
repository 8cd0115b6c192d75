"""``medseg doctor``."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from medseg.cli.output import print_json, reporter
from medseg.stages import doctor


def act(arguments: Namespace) -> None:
    """Print what was found and how to mend what is missing."""
    if arguments.recipe is not None:
        _preflight(arguments)
        return
    checks = doctor.run()
    say = reporter(arguments)
    say.table("", ("what", "found"), [(c.name, c.found) for c in checks])
    for check in checks:
        if check.remedy:
            say.say(f"{check.name}: {check.remedy}")
    print_json(arguments, doctor.to_json(checks))


def _preflight(arguments: Namespace) -> None:
    """Print what the recipe's training needs.

    Raises:
        InputErrors: something does not fit.
    """
    from medseg import build
    from medseg.cli.first_stage import nothing_to_gain
    from medseg.cli.trusted import trusted
    from medseg.errors import InputErrors
    from medseg.planning.configurations import NoLowResolution
    from medseg.recipe import check_trusted, load
    from medseg.stages import inherited, need, preflight
    from medseg.stages.run_folder import RunFolder

    trust = trusted(arguments)
    recipe = load(arguments.recipe, arguments.overrides, trust=trust)
    if trust:
        check_trusted(recipe, trust=trust)
    recipe = build.with_inherited(recipe, inherited.of(recipe, Path(recipe.run_dir)))
    speak = reporter(arguments)
    folder, first = RunFolder(recipe).path, None
    if build.trains_first(recipe):
        words = [*arguments.overrides, *build.first_overrides(recipe)]
        RunFolder(first := load(arguments.recipe, words, trust=trust))
    try:
        needs = preflight.run(recipe, folder, first=first, trust=trust, say=speak.say)
    except NoLowResolution as error:
        if first is None:
            raise
        raise nothing_to_gain(error, recipe) from error
    rows = [(n.name, n.need, n.there, n.verdict) for n in needs]
    speak.table("", ("what", "needed", "there is", "verdict"), rows)
    print_json(arguments, need.to_json(needs))
    found = need.problems(needs)
    if found:
        raise InputErrors(found)
