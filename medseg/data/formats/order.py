"""Channels in another order in one case than in the others, as far as file names tell."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from medseg.data.formats import files
from medseg.data.formats.sequences import SEQUENCES
from medseg.errors import InputError

_WORD = re.compile(r"[a-z0-9]+")
# Of a path that much can say what an image is: t1/p3.nii.gz, p3/t1/scan.nii.gz.
_PARTS = 3


def require_one_order(
    images: Mapping[str, Sequence[Path]], channels: Sequence[str], *, source: Path
) -> None:
    """Refuse cases whose file names say that their channels are swapped.

    A word that tells a case's files apart (``t1`` in ``p3_t1.nii.gz``, or the folder ``t1``)
    belongs to the channel where most cases have it, or to the channel that is named so, or means so
    (``t2f`` is FLAIR). Words that other cases do not share, such as a case's own number, say
    nothing.

    Args:
        images: case -> its files, one per channel, in order.
        channels: names of the channels.
        source: the file that lists them, for messages.

    Raises:
        InputError: naming the cases, and what stands where.
    """
    told = {case: _telling_words([_end(p) for p in paths]) for case, paths in images.items()}
    home = _homes(told.values(), channels)
    swapped = []
    for case, words in told.items():
        strange = [
            (place, word)
            for place, own in enumerate(words)
            for word in sorted(own)
            if home.get(word, place) != place
        ]
        # It takes two files to change places; one strange word may be a date, or a name.
        if len({place for place, _ in strange}) > 1:
            place, word = strange[0]
            swapped.append(
                f"{case}: {_shown(images[case], place)} stands for {channels[place]}, but {word!r} "
                f"belongs to {channels[home[word]]}"
            )
    if swapped:
        raise InputError(
            f"{files.count(len(swapped), 'case')} with channels in another order",
            file=source,
            expected=f"the order {', '.join(channels)} in every case, as the file names have it",
            found=files.first_ten(swapped),
            remedy="list the files of these cases in this order",
        )


def _end(path: Path) -> str:
    """Return the last parts of a path without the image's suffix."""
    return "/".join([*path.parts[-_PARTS:-1], files.stem_of(path)])


def _shown(paths: Sequence[Path], place: int) -> str:
    """Name a file, with its folders where the case's files have one name."""
    path = paths[place]
    alike = len({p.name for p in paths}) < len(paths)
    return "/".join(path.parts[-_PARTS:]) if alike else path.name


def _telling_words(names: Sequence[str]) -> list[set[str]]:
    """Return per file the words that none of the case's other files has."""
    words = [set(_WORD.findall(name.lower())) for name in names]
    seen = Counter(word for own in words for word in own)
    return [{word for word in own if seen[word] == 1} for own in words]


def _homes(told: Collection[Sequence[set[str]]], channels: Sequence[str]) -> dict[str, int]:
    """Map each word that most cases have to the channel on which two thirds of them agree."""
    places: dict[str, Counter[int]] = defaultdict(Counter)
    for words in told:
        for place, own in enumerate(words):
            for word in own:
                places[word][place] += 1
    home = {}
    for word, counts in places.items():
        ((place, most),) = counts.most_common(1)
        cases = sum(counts.values())
        if most > 1 and 2 * cases > len(told) and 3 * most >= 2 * cases:
            home[word] = place
    named = _telling_words(channels)
    for place, own in enumerate(named):
        others = {word for at, words in enumerate(named) if at != place for word in words}
        meant = {w for words in SEQUENCES if words & own and not words & others for w in words}
        # The numbers of channels that nobody named are no names.
        home |= {w: place for w in own | meant if w in places and not w.isdigit()}
    return home
