"""Arguments of a callable: their names, types and defaults, base classes' included."""

from __future__ import annotations

import ast
import enum
import inspect
import textwrap
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
    hidden: set[str] = set()
    steps = _constructors(function)
    for index, step in enumerate(steps):
        parameters = list(inspect.signature(step).parameters.values())
        for parameter in parameters:
            named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if named and parameter.name not in {"self", *hidden}:
                arguments.setdefault(parameter.name, _argument(parameter))
        rest = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
        if rest is None:
            return Signature(arguments)
        above = steps[index + 1] if index + 1 < len(steps) else None
        passed = _passed_on(step, rest, above)
        if passed is None:
            return Signature(arguments, is_open=True)
        hidden |= passed
    return Signature(arguments)


def _constructors(function: Callable) -> list[Callable]:
    if not inspect.isclass(function):
        return [function]
    own = [vars(cls)["__init__"] for cls in function.__mro__ if "__init__" in vars(cls)]
    return [init for init in own if init is not object.__init__ and inspect.isfunction(init)]


def _passed_on(init: Callable, rest: str, above: Callable | None) -> set[str] | None:
    """Return which arguments of the base class a constructor gives beside ``**rest``.

    ``None`` if ``**rest`` goes elsewhere (MONAI's ``**pad_kwargs``). Read from the source, since
    nothing else knows; without a source it counts as passed on.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(init))))
    except (OSError, TypeError, SyntaxError):
        return set()
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        starred = [k.value for k in call.keywords if k.arg is None]
        to_base = call.func.attr == "__init__" and any(
            isinstance(value, ast.Name) and value.id == rest for value in starred
        )
        if to_base:
            positional = (
                [p for p in inspect.signature(above).parameters if p != "self"] if above else []
            )
            bare = isinstance(
                call.func.value, ast.Call
            )  # super().__init__, not Base.__init__(self)
            count = len(call.args) - (0 if bare else 1)
            return {k.arg for k in call.keywords if k.arg} | set(positional[:count])
    return None


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
