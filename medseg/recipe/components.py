"""Open slots of a recipe: a name and arguments that become an object later."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic_core import core_schema

from medseg.errors import InputError
from medseg.recipe import catalogue


@dataclass(frozen=True)
class Component:
    """What stands in a slot: a network, a loss, a transform, ….

    Attributes:
        name: as the recipe spells it: ``dice_ce``, ``monai.SegResNet``, ``package.module:Class``.
        arguments: what the recipe sets; values that equal the signature's default are left out, so
            that a resolved recipe and its source give the same component.
        home: ``medseg``, ``monai``, ``torchio``, ``torch`` or ``user``.
        path: where the callable lives, ``module:attribute``; ``None`` if nobody knows the name.
        defaults: the signature's defaults of the other arguments, as far as YAML can say them.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    home: str = "user"
    path: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the mapping that a recipe would hold, defaults included."""
        return {"name": self.name, **self.defaults, **self.arguments}

    def resolve(self, *, trust: Sequence[str] = ()) -> Any:
        """Import the callable.

        Raises:
            InputError: it is the user's own and its package is not trusted, or it is not there.
        """
        if self.path is None:
            raise InputError(f"there is no component {self.name!r}")
        module, _, attribute = self.path.partition(":")
        package = module.partition(".")[0]
        if self.home == "user" and package not in trust:
            raise InputError(
                f"{self.name} is code of the package {package}, which is not trusted",
                remedy=f"if you trust it, add --trust {package} to the command",
            )
        try:
            found: Any = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except Exception as error:
            # The user's module may fail in any way while it is imported; the message names it.
            raise InputError(
                f"{self.name} cannot be imported: {type(error).__name__}: {error}",
                remedy="is it installed, or its folder on PYTHONPATH?",
            ) from error
        return found


def read_component(slot: str, value: Any) -> Component:
    """Turn ``name`` or ``{name: …, argument: …}`` into a component.

    Raises:
        ValueError: it has another form. Whether name and arguments are known is checked elsewhere.
    """
    if isinstance(value, Component):
        return value
    mapping = {"name": value} if isinstance(value, str) else value
    if not isinstance(mapping, Mapping) or not isinstance(mapping.get("name"), str):
        raise ValueError(f"expected {FORM}")
    arguments = {key: item for key, item in mapping.items() if key != "name"}
    name = mapping["name"]
    record = catalogue.find(slot, name)
    if record is None:
        path = name if ":" in name else None
        return Component(name, arguments, "user", path)
    apart = catalogue.wired(slot, name, record.arguments) | catalogue.filled(slot)
    free = {key: item for key, item in record.arguments.items() if key not in apart}
    defaults = {key: item.literal for key, item in free.items()}
    defaults = {key: found.value for key, found in defaults.items() if found is not None}
    given = {
        key: item
        for key, item in arguments.items()
        if key not in defaults or not _same(item, defaults[key])
    }
    rest = {key: item for key, item in defaults.items() if key not in given}
    return Component(name, given, record.home, record.path, rest)


def _same(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and one == other


FORM = "a name, or a mapping with a name: {name: …, argument: …}"


@dataclass(frozen=True)
class Slot:
    """Marks a field of the skeleton that holds a component."""

    name: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: read_component(self.name, value),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda component: component.to_dict()
            ),
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"slot": self.name}


def default(name: str) -> Any:
    """Give the name of a slot's default component; the field's validation makes it one."""
    return name


Network = Annotated[Component, Slot("network")]
Loss = Annotated[Component, Slot("loss")]
Optimizer = Annotated[Component, Slot("optimizer")]
Schedule = Annotated[Component, Slot("schedule")]
Transform = Annotated[Component, Slot("augmentation")]
Logger = Annotated[Component, Slot("logger")]
