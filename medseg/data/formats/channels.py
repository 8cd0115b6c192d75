"""Which channels a recipe wants, out of those that a folder has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from medseg.errors import InputError, did_you_mean


def select(
    available: Sequence[str],
    wanted: Sequence[str] | None,
    *,
    source: Path,
    aliases: Mapping[str, str] | None = None,
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Choose among channels that are files of their own.

    Args:
        available: the folder's channel names.
        wanted: names in the order wanted, a part of them or all; ``None``: all.
        source: the file or folder, for messages.
        aliases: other spellings in lower case -> a name in ``available``.

    Returns:
        Positions in ``available`` and the names as wanted. Names that are all unknown but of the
        right number rename the channels in the folder's order.

    Raises:
        InputError: some are known and others are not, or the number differs.
    """
    available = tuple(available)
    names = _checked(wanted)
    if names is None:
        return tuple(range(len(available))), available
    spelling = {**(aliases or {}), **{name.lower(): name for name in available}}
    found = [spelling.get(name.lower()) for name in names]
    if all(found):
        positions = tuple(available.index(name) for name in found if name)
        if len(set(positions)) != len(positions):
            raise InputError("data.channels names one channel twice", found=str(list(names)))
        return positions, names
    unknown = [name for name, match in zip(names, found, strict=True) if match is None]
    if len(unknown) == len(names) == len(available):
        return tuple(range(len(available))), names
    hint = did_you_mean(unknown[0], [*spelling, *available])
    raise InputError(
        f"data.channels: no channel {unknown[0]!r}" + (f"; {hint}" if hint else ""),
        file=source,
        expected=f"some of {list(available)}",
        found=str(list(names)),
    )


def rename(
    available: Sequence[str] | None, wanted: Sequence[str] | None, *, source: Path
) -> tuple[str, ...]:
    """Name the channels that one file holds; their order is the file's own.

    Args:
        available: the names that the data set declares, or ``None`` if it is silent.
        wanted: the user's names, or ``None``.
        source: the file or folder, for messages.

    Raises:
        InputError: the number differs, or the declared names come in another order.
    """
    names = _checked(wanted)
    if names is None:
        return tuple(available) if available else ("image",)
    if available is None:
        return names
    declared = [name.lower() for name in available]
    chosen = [name.lower() for name in names]
    if len(declared) != len(chosen):
        raise InputError(
            "data.channels must name every channel of the files",
            file=source,
            expected=f"{len(declared)} names, declared as {list(available)}",
            found=str(list(names)),
        )
    if declared != chosen and sorted(declared) == sorted(chosen):
        raise InputError(
            "data.channels gives the channels in another order than the files hold them",
            file=source,
            expected=str(list(available)),
            found=str(list(names)),
        )
    return names


def _checked(wanted: Sequence[str] | None) -> tuple[str, ...] | None:
    if wanted is None:
        return None
    if isinstance(wanted, str):
        wanted = [wanted]
    names = tuple(str(name) for name in wanted)
    if not names:
        raise InputError("data.channels is empty", expected="at least one name")
    if len(set(names)) != len(names):
        raise InputError("data.channels names one channel twice", found=str(list(names)))
    return names
