"""``describe``: the layers of a network, what they cost and what of the image they see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from medseg import build
from medseg.errors import InputError, did_you_mean
from medseg.labels import LabelScheme
from medseg.networks import registry, wiring
from medseg.networks.anatomy.dissect import dissect
from medseg.networks.anatomy.layers import Anatomy, Layer
from medseg.networks.input_context import context_of
from medseg.planning.plan import Plan
from medseg.recipe.shipped import find, shipped
from medseg.stages import inspect, plan, plan_file
from medseg.stages.job import Job
from medseg.stages.numbers import short
from medseg.stages.reporter import Reporter

Kind = Literal["network", "recipe", "checkpoint"]

# What a network is described with where nobody says otherwise.
_PATCH = {2: 128, 3: 64}
_FEATURES = (32, 64, 128, 256)


@dataclass(frozen=True)
class Choices:
    """What a name of a network leaves open.

    Attributes:
        spatial_dims: 2 or 3; ``None``: as many as ``patch`` has, else 3.
        channels: of the input.
        classes: channels of the logits.
        patch: voxels per axis; ``None``: what the network takes from 64 (2D: 128) on.
        features: channels per stage, for networks that follow the plan; strides are 2.
        arguments: more of the network's own.
    """

    spatial_dims: int | None = None
    channels: int = 1
    classes: int = 2
    patch: tuple[int, ...] | None = None
    features: tuple[int, ...] = _FEATURES
    arguments: Mapping[str, Any] = field(default_factory=dict)


def kind_of(subject: str) -> Kind:
    """Say what the user means: a network's name, a checkpoint or run folder, or a recipe.

    Raises:
        InputError: nothing is called so.
    """
    path = Path(subject)
    if subject in registry.KNOWN:  # a run folder of that name is ./unet
        return "network"
    if path.is_dir() or path.suffix in (".ckpt", ".pt", ".pth"):
        return "checkpoint"
    if path.is_file() or find(subject) or path.suffix in (".yaml", ".yml"):
        return "recipe"
    if subject.startswith("monai.") or ":" in subject:
        return "network"
    raise InputError(
        f"there is no network, recipe or checkpoint named {subject!r}",
        expected=f"{', '.join(registry.KNOWN)}, monai.<Class>, package.module:Class; a recipe; "
        "a checkpoint or run folder",
        remedy=did_you_mean(subject, [*registry.KNOWN, *shipped()]) or None,
    )


def of_name(name: str, choices: Choices, *, trust: Sequence[str] = ()) -> Anatomy:
    """Describe a network by its name, built as a plan of 3s and 2s would build it.

    Raises:
        InputError: no such network, or it does not take these numbers.
    """
    patch, dims = choices.patch, choices.spatial_dims
    dims = dims or (len(patch) if patch else 3)
    if dims not in (2, 3) or (patch and len(patch) != dims):
        raise InputError(
            "patch and dimensions do not fit together",
            expected="two numbers for 2D, three for 3D",
            found=f"{dims}D, patch {patch}",
        )
    stages = len(choices.features)
    numbers = wiring.PlanNumbers(
        spatial_dims=dims,
        in_channels=choices.channels,
        num_classes=choices.classes,
        patch_size=patch or (_PATCH[dims],) * dims,
        strides=((1,) * dims, *[(2,) * dims] * (stages - 1)),
        kernels=((3,) * dims,) * stages,
        features=choices.features,
        num_anchors=1,
    )
    if patch is None:
        wanted = registry.needs(name, _before_wiring(name, numbers, choices), spatial_dims=dims)
        enlarged = wanted.enlarged(numbers.patch_size)
        numbers = wiring.PlanNumbers(**{**vars(numbers), "patch_size": enlarged})
    return _built(name, numbers, choices.arguments, trust=trust)


def of_recipe(job: Job) -> Anatomy:
    """Describe the network that a recipe trains; its data are planned for if they are not yet.

    Raises:
        InputError: there is no plan and none can be made, or the network does not take it.
    """
    found = _stored(job)
    if found is None:
        found = plan.run(job)
    known = inspect.read(job.folder / "fingerprint.json")
    assert known is not None  # a plan was made of it
    labels = LabelScheme.from_dict(known.labels)
    network = job.recipe.network
    return _built(
        network.name,
        build.plan_numbers(job.recipe, found, labels),
        build.network_arguments(job.recipe, labels),
        spacing=found.preprocessing.spacing,
        trust=job.trust,
    )


def of_checkpoint(path: Path, *, trust: Sequence[str] = ()) -> Anatomy:
    """Describe the network of a checkpoint, or of the first fold of a run, by its own record.

    Raises:
        InputError: no checkpoint of medseg is there, or its network cannot be rebuilt.
    """
    from medseg.inference import checkpoint
    from medseg.inference.cascade import guidance_of

    found = checkpoint.read(checkpoint.find(path)[0], task=None)
    network, guidance = checkpoint.build_network(found, trust=trust), guidance_of(found)
    return dissect(
        network,
        in_channels=len(found.channels) + (guidance.channels if guidance else 0),
        size=_input_size(network, found.plan.patch_size),
        name=str(found.network["name"]),
        spacing=found.plan.preprocessing.spacing,
    )


def show(report: Reporter, anatomy: Anatomy) -> None:
    """Print the layers as a table, and what they come to."""
    header = ["layer", "kind", "output", "kernel", "stride", "dilation", "parameters", "FLOPs"]
    header += ["field (voxels)", *(["field (mm)"] if anatomy.spacing else [])]
    report.table("", header, [_row(anatomy, layer) for layer in anatomy.layers])
    for line in summary(anatomy):
        report.say(line)


def summary(anatomy: Anatomy) -> Iterator[str]:
    """Say in sentences what the layers come to, and what was counted."""
    yield (
        f"{anatomy.name}: {anatomy.parameters:,} parameters, {short(anatomy.flops)}FLOPs for an "
        f"input of {_times(anatomy.input)}, which gives {_times(anatomy.output)}"
    )
    if anatomy.name in registry.DETECTORS:
        yield "  output and receptive field are those of the class logits at the finest level"
    if anatomy.field is None:
        yield f"receptive field: the whole patch, by {anatomy.whole}"
    else:
        mm = anatomy.millimetres(anatomy.field)
        yield f"receptive field: {_times(anatomy.field)} voxels" + (
            f", {_times(mm)} mm" if mm else ""
        )
        if any(n > size for n, size in zip(anatomy.field, anatomy.input[1:], strict=True)):
            yield "  wider than the input: what lies beyond it is padding"
    if anatomy.unused:
        yield f"  {anatomy.unused:,} of the parameters are for training only, or for nothing"
    yield (
        "Norms are left out of the receptive field: an instance norm shows every voxel the mean of "
        "the patch. FLOPs are those of convolutions and matrix products, multiplication and "
        "addition counted as two."
    )


def _built(
    name: str,
    numbers: wiring.PlanNumbers,
    arguments: Mapping[str, Any],
    *,
    spacing: Sequence[float] | None = None,
    trust: Sequence[str] = (),
) -> Anatomy:
    cls = registry.resolve(name, trust=trust)
    wired = registry.plan_arguments(name, cls, **vars(numbers), arguments=arguments)
    network = registry.create(name, wired, trust=trust)
    return dissect(
        network,
        in_channels=numbers.in_channels,
        size=_input_size(network, numbers.patch_size),
        name=name,
        spacing=spacing,
    )


def _before_wiring(name: str, numbers: wiring.PlanNumbers, choices: Choices) -> dict[str, Any]:
    """Give the arguments that decide which patch fits, before there is one to wire the rest."""
    if name not in registry.KNOWN:
        return {"strides": numbers.strides, **choices.arguments}
    wire = wiring.OURS.get(name, wiring.ours)
    return {**wire(numbers, choices.arguments), **choices.arguments}


def _stored(job: Job) -> Plan | None:
    """Return the run's own plan, for which the data need not be there; ``None``: it has none.

    That of another recipe, which gives way to this one, is none.
    """
    if job.folder.other or inspect.read(job.folder / "fingerprint.json") is None:
        return None
    values = plan_file.read(job.folder / "plan.yaml").values
    try:
        return Plan.from_dict(values)
    except (KeyError, TypeError, ValueError):  # lines that a person deleted are planned anew
        return None


def _input_size(network: Any, patch: Sequence[int]) -> tuple[int, ...]:
    around = context_of(network, spatial_dims=len(patch))
    return tuple(n + 2 * beyond for n, beyond in zip(patch, around, strict=True))


def _row(anatomy: Anatomy, layer: Layer) -> tuple[str, ...]:
    seen = "" if layer.shape is None else "whole patch" if layer.whole else "-"
    cells = (
        layer.name,
        layer.kind,
        _times(layer.shape) if layer.shape else "not run",
        _short(layer.kernel),
        _short(layer.stride),
        _short(layer.dilation),
        f"{layer.parameters:,}" if layer.parameters else "",
        short(layer.flops) if layer.flops else "",
        _times(layer.field) if layer.field else seen,
    )
    mm = anatomy.millimetres(layer.field)
    return (*cells, _times(mm) if mm else "") if anatomy.spacing else cells


def _times(numbers: Sequence[float]) -> str:
    return " x ".join(f"{n:.4g}" if isinstance(n, float) else str(n) for n in numbers)


def _short(numbers: Sequence[int] | None) -> str:
    if not numbers:
        return ""
    return str(numbers[0]) if len(set(numbers)) == 1 else "x".join(map(str, numbers))
