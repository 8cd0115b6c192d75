"""Names of weights under the prefixes that wrappers put before them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from torch import Tensor

# DataParallel, LightningModules of all kinds, torch.compile.
PREFIXES = ("module.", "network.", "model.", "net.", "_orig_mod.")


def stripped(state: Mapping[str, Tensor], wanted: Collection[str]) -> tuple[str, dict[str, str]]:
    """Find the prefix under which most of the wanted names are.

    Args:
        state: a file's weights.
        wanted: the network's names, some of which may begin with such a word themselves.

    Returns:
        The prefix, and for each name without it the name in ``state``.
    """
    clean = {name.replace("_orig_mod.", ""): name for name in state}
    names = set(wanted)
    variants = list(_variants("", clean))
    return max(variants, key=lambda variant: len(names & variant[1].keys()))


def _variants(prefix: str, names: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    yield prefix, names
    for word in PREFIXES:
        inner = {k.removeprefix(word): full for k, full in names.items() if k.startswith(word)}
        if inner:
            yield from _variants(prefix + word, inner)
