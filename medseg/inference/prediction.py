"""A mask and the file whose geometry it shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg.data.prepare.writing import write_label
from medseg.errors import InputError
from medseg.geometry import Grid


@dataclass(frozen=True, eq=False)
class Prediction:
    """A mask that was predicted from files.

    Attributes:
        data: file values ``(*S)`` on the source's grid.
        grid: the source's grid.
        sources: the images; `save` takes over the geometry of the first.
        probabilities: float32 ``(K, *S)``, if they were asked for.
    """

    data: np.ndarray
    grid: Grid
    sources: tuple[Path, ...]
    probabilities: np.ndarray | None = None

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the mask with the source's exact shape, affine and header.

        Raises:
            InputError: the file exists and ``overwrite`` is not set, is one of the sources, or
                cannot be written.
        """
        check_target(
            Path(path),
            self.sources,
            overwrite=overwrite,
            remedy="choose another file, or save(path, overwrite=True)",
        )
        return write_label(path, self.data, self.sources[0], overwrite=overwrite)


def check_target(
    path: Path,
    sources: tuple[Path, ...],
    *,
    overwrite: bool = False,
    remedy: str = "choose another output folder, or pass --overwrite",
) -> None:
    """Refuse to replace a file unless that is wanted, and an image in any case.

    Args:
        path: the mask to write.
        sources: images.
        overwrite: replace a mask that is there.
        remedy: told where it is there and must not be replaced.

    Raises:
        InputError: ``path`` exists and ``overwrite`` is not set, or it is one of ``sources``.
    """
    if any(path.resolve() == source.resolve() for source in sources):
        raise InputError(
            "the mask would replace the image it is for",
            file=path,
            remedy="choose another output folder",
        )
    if path.exists() and not overwrite:
        raise InputError(
            "the mask exists already",
            file=path,
            remedy=remedy,
        )
