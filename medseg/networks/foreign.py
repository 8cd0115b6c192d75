"""Network classes from elsewhere: MONAI's by name, the user's own if trusted."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Collection
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


def monai_network(name: str) -> type[nn.Module]:
    """Find a class of ``monai.networks.nets``; MONAI is imported here, which takes seconds.

    Raises:
        InputError: no such class, no network, or one that is no plain image-to-logits network.
    """
    show = warnings.showwarning
    nets = import_module("monai.networks.nets")
    warnings.showwarning = show  # MONAI replaces it for the whole process
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


def trusted_class(name: str, trust: Collection[str]) -> type[nn.Module]:
    """Import ``pkg.mod:Class``, if its top-level package is trusted.

    Raises:
        InputError: the package is not trusted, does not import, or holds no such network.
    """
    module_name, _, class_name = name.partition(":")
    package = module_name.partition(".")[0]
    if package not in trust:
        raise InputError(
            f"the network {name!r} would run code of the package {package!r}, which is not trusted",
            found=f"trusted: {', '.join(sorted(trust)) or 'none'}",
            remedy=f"if you know that code, add --trust {package} (in Python: trust=[{package!r}])",
        )
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the user's module is there; what it imports is not
        raise InputError(
            f"the module {module_name!r} of the network {name!r} is not there",
            remedy="install it, or run where Python finds it (PYTHONPATH)",
        ) from error
    cls = getattr(module, class_name, None)
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise InputError(
            f"{name!r} is not a network",
            expected="a subclass of torch.nn.Module",
            found="nothing of that name" if cls is None else repr(cls),
        )
    return cls
