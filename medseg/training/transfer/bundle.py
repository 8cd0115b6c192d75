"""The weights of a MONAI bundle; its configurations are read as data and never evaluated."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medseg.errors import InputError
from medseg.training.transfer.bundle_network import Described, described
from medseg.training.transfer.source import Source, load, tensors_in

_WEIGHTS = "models/model.pt"
_PROGRAM = "models/model.ts"
# Where bundles define their network.
_CONFIGS = ("inference", "train")
_FORMATS = (".json", ".yaml", ".yml")
_NAMES = ("network_def", "net_def", "network", "net")


def read(folder: Path, *, weights: Path | None = None) -> Source:
    """Read a bundle's weights, the names of its channels and classes, and its network.

    Args:
        folder: of the bundle.
        weights: another file than ``models/model.pt``.

    Raises:
        InputError: there are no weights, or only a TorchScript program.
    """
    path = weights or folder / _WEIGHTS
    if not path.is_file():
        raise _no_weights(folder)
    state = tensors_in(load(path), path)
    formats = _content(folder / "configs" / "metadata.json").get("network_data_format", {})
    image, classes = _first(formats, "inputs"), _names(_first(formats, "outputs"))
    shape = image.get("spatial_shape")
    network = _network(folder, path.name, dims=len(shape) if isinstance(shape, list) else 3)
    return Source(
        path=path,
        kind="MONAI bundle",
        state=state,
        channels=_names(image),
        classes=classes,
        # Classes with a background exclude each other; of others nobody knows.
        regions=False if "background" in map(str.casefold, classes or ()) else None,
        network=network.network,
        structure=network.structure,
        notes=network.notes,
    )


def _no_weights(folder: Path) -> InputError:
    path, program = folder / _WEIGHTS, folder / _PROGRAM
    others = sorted(folder.glob("models/*.pt"))
    if others:
        return InputError(
            "the bundle holds weights under other names",
            file=folder,
            expected=_WEIGHTS,
            found=", ".join(other.name for other in others),
            remedy=f"name the file: {others[0]}",
        )
    if program.is_file():
        return InputError(
            "the bundle's TorchScript file is a program, and reading its weights would run it",
            file=program,
            expected=_WEIGHTS,
            remedy="if you trust it, write its weights yourself: "
            f"torch.save(torch.jit.load('{program}').state_dict(), '{path}')",
        )
    return InputError(
        "the bundle holds no weights",
        file=folder,
        expected=_WEIGHTS,
        remedy="download them as the bundle's documentation says",
    )


def _network(folder: Path, weights: str, *, dims: int) -> Described:
    """Return what the configurations say about the network that the weights are of."""
    for file in _configs(folder, weights):
        config = _content(file)
        for key in _NAMES:
            found = config.get(key)
            if isinstance(found, dict) and isinstance(found.get("_target_"), str):
                return described(found, f"configs/{file.name}: {key}", dims=dims)
    return Described()


def _configs(folder: Path, weights: str) -> Iterator[Path]:
    """Yield configurations, first those that name the weights: a bundle may have several."""
    files = [file for file in sorted(folder.glob("configs/*")) if file.suffix in _FORMATS]
    usual = [file for stem in _CONFIGS for file in files if file.stem == stem]
    for file in (*usual, *files):
        if weights in file.read_text(encoding="utf-8", errors="replace"):
            yield file
    yield from usual


def _content(path: Path) -> dict[str, Any]:
    """Return a file's mapping; an empty one if it is none."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(encoding="utf-8")
        json_ = path.suffix == ".json"
        content = json.loads(text) if json_ else YAML(typ="safe", pure=True).load(text)
    except (OSError, ValueError, YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _first(formats: Any, side: str) -> Mapping[str, Any]:
    """Return what is said about the first input or output."""
    found = formats.get(side) if isinstance(formats, Mapping) else None
    first = next(iter(found.values()), None) if isinstance(found, Mapping) else None
    return first if isinstance(first, Mapping) else {}


def _names(image: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return its ``channel_def``, if that names every channel."""
    names = image.get("channel_def")
    if not isinstance(names, Mapping) or set(names) != {str(i) for i in range(len(names))}:
        return None
    return tuple(str(names[str(i)]) for i in range(len(names)))
