"""A command that torchrun or srun started several times: one process leads, the others follow."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from medseg import ranks
from medseg.cli.job import open_fold
from medseg.stages.crew import Gathered


@contextmanager
def together(arguments: Namespace) -> Iterator[bool]:
    """Give whether this process does the command; one that follows has done its part by then.

    Args:
        arguments: of a verb that trains; ``crew`` is added to them.
    """
    rank = ranks.of_environment()
    arguments.crew = None if rank is None else Gathered(rank)
    if arguments.crew is None:
        yield True
    elif arguments.crew.leads:
        try:
            yield True
        finally:
            arguments.crew.dismiss()
    else:
        _follow(arguments, arguments.crew)
        yield False


def _follow(arguments: Namespace, crew: Gathered) -> None:
    from medseg.build.device import training_device
    from medseg.stages import training

    quiet = Namespace(**{**vars(arguments), "quiet": True, "overwrite": False})
    for number, orders in crew.orders():
        with open_fold(quiet, orders.fold) as job:
            cuda = training_device(job.recipe).type == "cuda"
            crew.follow(number, partial(training.obey, job, orders), cuda=cuda)
