"""``medseg predict``."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter

from medseg.cli.output import print_json, reporter
from medseg.cli.trusted import trusted
from medseg.data.formats.files import count
from medseg.errors import InputError
from medseg.stages import new_cases, new_objects

# Options that only one task has, and why the other has none.
_IDLE = {
    "segmentation": {
        "score": "masks have no scores",
        "instances": "a network that segments finds no boxes to tell objects apart by",
    },
    "detection": {
        "average": "boxes are not averaged as masks are: those of several runs are joined",
        "first": "a detection has no first stage",
    },
}


def act(arguments: Namespace) -> None:
    """Write masks, or boxes, for files that are in no data set."""
    say = reporter(arguments)
    first = new_cases.first_of(arguments.run)
    finds = first.task == "detection"
    _refuse_idle(arguments, first.task)
    cases = new_cases.group(first, arguments.inputs, format=arguments.format)
    if arguments.dry_run:
        rows = [(case.id, ", ".join(path.name for path in case.images)) for case in cases]
        say.table("How the files form cases", ("case", "files"), rows)
        print_json(arguments, {case.id: [str(p) for p in case.images] for case in cases})
        return
    if arguments.output is None:
        what = "boxes" if finds else "masks"
        raise InputError("no output folder", remedy=f"say where the {what} go: -o FOLDER")
    shared = {
        "report": say,
        "device": arguments.device,
        "trust": trusted(arguments),
        "overwrite": arguments.overwrite,
        "postprocessing": arguments.postprocessing,
    }
    runs = [arguments.run, *arguments.with_runs]
    if finds:
        found = new_objects.predict(
            runs,
            cases,
            arguments.output,
            score=arguments.score,
            instances=arguments.instances,
            **shared,
        )
        total = sum((Counter(one.found) for one in found), Counter())
        objects = ", ".join(f"{total[name]} {name}" for name in first.labels.foreground)
        say.say(f"found {objects}; wrote {count(len(found), 'case')} into {arguments.output}")
        print_json(arguments, {one.case: [str(path) for path in one.files] for one in found})
        return
    written = new_cases.predict(
        runs,
        cases,
        arguments.output,
        first_stage=arguments.first,
        average=arguments.average,
        **shared,
    )
    say.say(f"wrote {count(len(written), 'mask')} into {arguments.output}")
    print_json(arguments, [str(path) for path in written])


def _refuse_idle(arguments: Namespace, task: str) -> None:
    for option, reason in _IDLE[task].items():
        given = getattr(arguments, option)
        if given is not None and given is not False:
            raise InputError(
                f"--{option} has no meaning for this run: {reason}",
                file=arguments.run,
                found=f"a {task}",
                remedy="leave it out",
            )
