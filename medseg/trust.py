"""The only place that imports a user's own class: by name, and only from a trusted package."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from inspect import isclass
from typing import Any

from medseg.errors import InputError


def trusted_class(
    name: str, base: type | tuple[type, ...], *, base_name: str, trust: Collection[str], what: str
) -> type:
    """Import ``package.module:Class``, if its top-level package is trusted.

    Args:
        name: of the class.
        base: what it must be a subclass of.
        base_name: the same as users import it: ``torch.nn.Module``.
        trust: top-level packages; only a command line or a direct call may fill it, never a recipe
            or a checkpoint.
        what: the class's part in the work, for messages: ``network``, ``loss``.

    Raises:
        InputError: the package is not trusted (nothing is imported then), is not there, or holds no
            such class.
    """
    module_name, _, class_name = name.partition(":")
    package = module_name.partition(".")[0]
    if package not in trust:
        raise InputError(
            f"the {what} {name!r} would run code of the package {package!r}, which is not trusted",
            found=f"trusted: {', '.join(sorted(trust)) or 'none'}",
            remedy=f"if you know that code, add --trust {package} (in Python: trust=[{package!r}])",
        )
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise InputError(
                f"the module {module_name!r} of the {what} {name!r} imports what is not there",
                found=str(error),
                remedy=f"pip install {error.name}",
            ) from error
        raise InputError(
            f"the module {module_name!r} of the {what} {name!r} is not there",
            remedy="install it, or run where Python finds it (PYTHONPATH)",
        ) from error
    except Exception as error:  # the user's module may fail in any way
        raise InputError(
            f"the module {module_name!r} of the {what} {name!r} fails when it is imported",
            found=f"{type(error).__name__}: {error}",
        ) from error
    cls: Any = module
    for part in class_name.split("."):
        cls = getattr(cls, part, None)
    if not (isclass(cls) and issubclass(cls, base)):
        raise InputError(
            f"{name!r} is not a {what}",
            expected=f"a subclass of {base_name}",
            found="nothing of that name" if cls is None else repr(cls),
        )
    return cls
