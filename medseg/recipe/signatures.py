"""Arguments of a callable: their names, types and defaults, base classes' included."""

from __future__ import annotations

import ast
import enum
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Literal:
    """A default that YAML can say."""

    value: Any


@dataclass(frozen=True)
class Argument:
    """One argument of a component.

    Attributes:
        type: the annotation's text, or empty.
        default: the default's text (`repr`); ``None``: it must be given.
    """

    type: str = ""
    default: str | None = None

    @property
    def literal(self) -> Literal | None:
        """The default as a value, where it is a plain one."""
        if self.default is None:
            return None
        try:
            return Literal(_listed(ast.literal_eval(self.default)))
        except (ValueError, SyntaxError):
            return None


@dataclass(frozen=True)
class Signature:
    """Arguments of a callable; `is_open` if it takes any others, too."""

    arguments: dict[str, Argument]
    is_open: bool = False


def describe(function: Callable) -> Signature:
    """Read a callable's arguments, following ``**kwargs`` to the base classes that take them.

    TorchIO hides ``p`` that way. What still goes to ``**kwargs`` of nobody's makes it open.
    """
    arguments: dict[str, Argument] = {}
    is_open = False
    for step in _constructors(function):
        is_open = False
        for parameter in inspect.signature(step).parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                is_open = True
            elif parameter.kind not in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                arguments.setdefault(parameter.name, _argument(parameter))
        if not is_open:
            break
    arguments.pop("self", None)
    return Signature(arguments, is_open)


def _constructors(function: Callable) -> list[Callable]:
    if not inspect.isclass(function):
        return [function]
    own = [vars(cls)["__init__"] for cls in function.__mro__ if "__init__" in vars(cls)]
    return [init for init in own if init is not object.__init__ and inspect.isfunction(init)]


def _argument(parameter: inspect.Parameter) -> Argument:
    kind = parameter.annotation
    text = "" if kind is parameter.empty else kind
    if not isinstance(text, str):
        text = inspect.formatannotation(kind)
    default = None if parameter.default is parameter.empty else _text(parameter.default)
    return Argument(text.replace("typing.", "").replace("collections.abc.", ""), default)


def _text(default: Any) -> str:
    if isinstance(default, enum.Enum):
        return repr(default.value)
    if inspect.isroutine(default) or inspect.isclass(default):
        return f"{default.__module__}.{default.__qualname__}"
    text = repr(default)
    # An address in the text would make every generated table another one.
    return type(default).__qualname__ if " at 0x" in text else text


def _listed(value: Any) -> Any:
    """YAML knows lists, not tuples."""
    if isinstance(value, tuple | list):
        return [_listed(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _listed(item) for key, item in value.items()}
    if isinstance(value, set | frozenset | bytes | complex) or value is Ellipsis:
        raise ValueError(value)
    return value
