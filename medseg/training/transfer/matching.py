"""Which weight of a file becomes which of a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn

from medseg.errors import InputError
from medseg.networks.stages import Stages
from medseg.training.transfer.inputs import Channels, adapted
from medseg.training.transfer.outputs import adapt_outputs, output_mapping
from medseg.training.transfer.prefixes import stripped
from medseg.training.transfer.report import Entry, Fate, Report
from medseg.training.transfer.source import Source


@dataclass(frozen=True)
class Meaning:
    """What a network's channels and outputs are.

    Attributes:
        inputs: the input channels.
        classes: names of the outputs, the background included; ``None``: unknown.
        regions: whether the outputs are overlapping regions; ``None``: unknown.
    """

    inputs: Channels = field(default_factory=Channels)
    classes: Sequence[str] | None = None
    regions: bool | None = None


def match(
    network: nn.Module, source: Source, *, stages: Stages, meaning: Meaning
) -> tuple[dict[str, Tensor], Report]:
    """Pair the weights of a file with those of a network, by name and shape; nothing is changed.

    Args:
        network: the network; it may lie on the meta device.
        source: the file.
        stages: of the network.
        meaning: of the network's channels and outputs.

    Returns:
        New values by name, and the report.

    Raises:
        InputError: nothing matches, or a layer that is neither the first nor the last has another
            shape.
    """
    own = network.state_dict(keep_vars=True)
    first = _canonical(own)
    prefix, names = stripped(source.state, own)
    there: dict[str, Tensor] = {}
    for name, full in names.items():
        if name in first:
            there.setdefault(first[name], source.state[full])
    fitting = _Fitting(network, source, stages, meaning)
    values, entries, misfits = {}, [], []
    for name in dict.fromkeys(first.values()):
        shape = tuple(own[name].shape)
        if name not in there:
            entries.append(Entry(name, "new", shape))
            continue
        fit = fitting.fit(name, own[name], there[name])
        if fit.value is None:
            misfits.append(name)
            continue
        theirs = tuple(there[name].shape) if fit.how else None
        if fit.value is own[name]:
            entries.append(Entry(name, "new", shape, theirs, fit.how))
            continue
        values[name] = fit.value
        fate: Fate = "adapted" if fit.how else "matched"
        entries.append(Entry(name, fate, shape, theirs, fit.how, fit.zero))
    if misfits:
        raise _misfit(misfits, own, there, source)
    _require_some(values, stages, own, source)
    used = {full for name, full in names.items() if name in first}
    entries += [
        Entry(full, "unused", tuple(value.shape))
        for full, value in source.state.items()
        if full not in used
    ]
    kind, file = source.kind, str(source.path)
    return values, Report(file, kind, prefix, tuple(entries), source.notes)


def _canonical(state: Mapping[str, Any]) -> dict[str, str]:
    """Map every name to the first one of the same tensor: modules may be registered twice."""
    seen: dict[int, str] = {}
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    return {name: seen.setdefault(id(value), name) for name, value in tensors.items()}


class _Fit(NamedTuple):
    """A new value.

    Attributes:
        value: the network's own where nothing of the file's is carried over, ``None`` where that
            does not fit.
        how: in words what was adapted.
        zero: input channels that begin with zeros.
    """

    value: Tensor | None
    how: str = ""
    zero: tuple[str, ...] = ()


class _Fitting:
    """Brings values to the shape and the meaning that the network has for them."""

    def __init__(
        self, network: nn.Module, source: Source, stages: Stages, meaning: Meaning
    ) -> None:
        self.source, self.meaning = source, meaning
        self.first = {f"{path}.weight" for path in stages.first}
        self.class_axes = dict(_class_axes(network, stages))

    def fit(self, name: str, own: Tensor, value: Tensor) -> _Fit:
        """Return the new value."""
        if name in self.first and own.ndim > 2 and _differ_at_most(own, value, (1,)):
            theirs = self.source.inputs
            return _Fit(*adapted(value, own.shape[1], ours=self.meaning.inputs, theirs=theirs))
        if name in self.class_axes and _differ_at_most(own, value, self.class_axes[name]):
            return self._output(own, value, self.class_axes[name])
        return _Fit(value if own.shape == value.shape else None)

    def _output(self, own: Tensor, value: Tensor, axes: tuple[int, ...]) -> _Fit:
        count, theirs = own.shape[axes[0]], value.shape[axes[0]]
        ours, source = self.meaning, self.source
        mapping: list[int | None]
        if None not in (ours.regions, source.regions) and ours.regions != source.regions:
            mapping = [None] * count  # a sigmoid's logit is no softmax's
        else:
            mapping = output_mapping(ours.classes, source.classes, count=count, their_count=theirs)
        if mapping == list(range(theirs)):
            return _Fit(value)
        names = ours.classes
        shown = names if names is not None and len(names) == count else list(map(str, range(count)))
        kept = [shown[i] for i, place in enumerate(mapping) if place is not None]
        fresh = [shown[i] for i, place in enumerate(mapping) if place is None]
        if not kept:
            return _Fit(own, "none of its classes is in the file")
        words = f"kept {', '.join(kept)}" + (f"; new {', '.join(fresh)}" if fresh else "")
        return _Fit(adapt_outputs(value, own.detach(), axes=axes, mapping=mapping), words)


def _class_axes(network: nn.Module, stages: Stages) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the weights of the head that have an entry per class, and along which axes."""
    count = 0
    for path in stages.logits:
        layer: Any = network.get_submodule(path)
        axis = 1 if getattr(layer, "transposed", False) else 0
        count = layer.weight.shape[axis]
        yield f"{path}.weight", (axis,)
        yield f"{path}.bias", (0,)
    for path in stages.after:
        for name, value in network.get_submodule(path).state_dict().items():
            if value.ndim >= 2:
                yield f"{path}.{name}", (0, 1)
            elif value.shape == (count,):
                yield f"{path}.{name}", (0,)


def _differ_at_most(own: Tensor, value: Tensor, axes: Sequence[int]) -> bool:
    return own.ndim == value.ndim and all(
        a == b or axis in axes
        for axis, (a, b) in enumerate(zip(own.shape, value.shape, strict=True))
    )


def _misfit(
    names: list[str], own: Mapping[str, Any], there: Mapping[str, Tensor], source: Source
) -> InputError:
    name = names[0]
    ours, theirs = tuple(own[name].shape), tuple(there[name].shape)
    more = f", and {len(names) - 1} more" if len(names) > 1 else ""
    if len(ours) != len(theirs) and min(len(ours), len(theirs)) > 2:
        remedy = (
            "2D weights are not inflated to 3D, nor flattened: train in as many dimensions as the "
            "file's network has"
        )
    elif "position" in name:
        patch = list(source.plan.patch_size) if source.plan else "that of the file's training"
        remedy = f"learnt positions are those of one patch: set plan.patch_size to {patch}"
    else:
        wanted = [f"network {source.network['name']}"] if source.network else []
        wanted += [f"plan.{key}={value}" for key, value in source.structure.items()]
        remedy = "build the network as the file's is: " + (
            ", ".join(wanted) or "the same features, strides, kernels and blocks"
        )
    return InputError(
        f"the layer {name} has another shape in the file{more}",
        file=source.path,
        expected=f"{ours}, as in the network",
        found=f"{theirs}",
        remedy=remedy,
    )


def _require_some(
    values: Mapping[str, Tensor], stages: Stages, own: Mapping[str, Any], source: Source
) -> None:
    """Refuse a file of which nothing, or nothing but a head, is in the network."""
    ends = (*stages.head, *stages.logits)
    body = [n for n in values if not any(n.startswith(f"{path}.") for path in ends)]
    if any(values[name].numel() > 1 for name in body):
        return
    raise InputError(
        "nothing in the file belongs to this network",
        file=source.path,
        expected=f"names such as {_few(own)}",
        found=_few(source.state),
        remedy="name the network that the file is of"
        + (f": {source.network['name']}" if source.network else "")
        + "".join(f"; {note}" for note in source.notes),
    )


def _few(names: Mapping[str, Any]) -> str:
    listed = list(names)
    return ", ".join([*listed[:3], *(["…"] if len(listed) > 3 else [])])
