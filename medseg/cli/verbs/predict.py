"""``medseg predict``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli.output import print_json, reporter
from medseg.cli.trusted import trusted
from medseg.data.formats.files import count
from medseg.errors import InputError
from medseg.stages import new_cases


def act(arguments: Namespace) -> None:
    """Write masks for files that are in no data set."""
    say = reporter(arguments)
    cases = new_cases.group(arguments.run, arguments.inputs, format=arguments.format)
    if arguments.dry_run:
        rows = [(case.id, ", ".join(path.name for path in case.images)) for case in cases]
        say.table("How the files form cases", ("case", "files"), rows)
        print_json(arguments, {case.id: [str(p) for p in case.images] for case in cases})
        return
    if arguments.output is None:
        raise InputError("no output folder", remedy="say where the masks go: -o FOLDER")
    written = new_cases.predict(
        [arguments.run, *arguments.with_runs],
        cases,
        arguments.output,
        report=say,
        device=arguments.device,
        trust=trusted(arguments),
        overwrite=arguments.overwrite,
        postprocessing=arguments.postprocessing,
        first_stage=arguments.first,
        average=arguments.average,
    )
    say.say(f"wrote {count(len(written), 'mask')} into {arguments.output}")
    print_json(arguments, [str(path) for path in written])
