"""A recipe as a tree in which every value knows the line that it came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from medseg.recipe.problems import Place

Scalar: TypeAlias = bool | int | float | str | None


@dataclass(frozen=True)
class Node:
    """A value and its place.

    Attributes:
        value: a scalar, a mapping of nodes or a list of nodes.
        place: the line of its key; in a list, its own line.
        written: the text in the recipe where expanding ``${…}`` changed the value, else ``None``.
    """

    value: Scalar | dict[str, Node] | list[Node]
    place: Place
    written: str | None = None

    def plain(self, *, written: bool = False) -> Any:
        """Return plain containers; with `written`, as they stood before ``${…}`` was expanded."""
        if isinstance(self.value, dict):
            return {key: child.plain(written=written) for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain(written=written) for child in self.value]
        return self.written if written and self.written is not None else self.value

    @property
    def entries(self) -> dict[str, Node]:
        """The entries of a mapping; of anything else none."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The items of a list; of anything else none."""
        return self.value if isinstance(self.value, list) else []

    def get(self, *path: str | int) -> Node | None:
        """Return the node at `path`, or ``None``."""
        node: Node | None = self
        for part in path:
            node = node.child(part) if node is not None else None
        return node

    def child(self, part: str | int) -> Node | None:
        """Return one entry of a mapping or list, or ``None``."""
        if isinstance(self.value, dict):
            return self.value.get(str(part))
        if isinstance(self.value, list) and isinstance(part, int) and part < len(self.value):
            return self.value[part]
        return None

    def replace(self, value: Any) -> Node:
        """Return a node with another value at the same place."""
        return dataclasses.replace(self, value=value)

    def walk(
        self, path: tuple[str | int, ...] = ()
    ) -> Iterator[tuple[tuple[str | int, ...], Node]]:
        """Yield every node below and including this one, with its path."""
        yield path, self
        if isinstance(self.value, dict):
            for key, child in self.value.items():
                yield from child.walk((*path, key))
        elif isinstance(self.value, list):
            for index, child in enumerate(self.value):
                yield from child.walk((*path, index))


def dotted(path: Sequence[str | int]) -> str:
    """Return a path as people write it: ``augmentation.0.p``."""
    return ".".join(str(part) for part in path)
