"""Network classes of MONAI, by name."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from torch import nn

from medseg.errors import InputError

_UNFIT = {
    "DAF3D": "trains with nine weighted outputs of its own",
    "HoVerNet": "returns three branches for nuclei",
    "SegResNetDS2": "returns two branches, one for points and one for labels",
    "SegResNetVAE": "adds a reconstruction loss of its own",
    "VISTA3D": "answers to prompts",
}


@contextmanager
def showwarning_kept() -> Iterator[None]:
    """Import MONAI in here: it replaces ``warnings.showwarning`` for the whole process."""
    show = warnings.showwarning
    try:
        yield
    finally:
        warnings.showwarning = show


def monai_network(name: str) -> type[nn.Module]:
    """Find a class of ``monai.networks.nets``; MONAI is imported here, which takes seconds.

    Raises:
        InputError: no such class, no network, or one that is no plain image-to-logits network.
    """
    with showwarning_kept():
        nets = import_module("monai.networks.nets")
    cls = getattr(nets, name, None)
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        names = [n for n in dir(nets) if isinstance(getattr(nets, n), type)]
        close = difflib.get_close_matches(name, names, n=1)
        raise InputError(
            f"monai.networks.nets has no network named {name!r}",
            expected="a class, for instance monai.SegResNet",
            found=f"monai.{name}",
            remedy=f"did you mean 'monai.{close[0]}'?" if close else None,
        )
    if cls.__name__ in _UNFIT:
        raise InputError(
            f"monai.{name} cannot be trained like the other networks: it {_UNFIT[cls.__name__]}",
            expected="a network that maps an image to logits",
            remedy="choose another, for instance monai.SegResNet",
        )
    return cls
