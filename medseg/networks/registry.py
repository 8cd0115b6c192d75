"""From a network's name and plain numbers to the network."""

from __future__ import annotations

import difflib
import inspect
import json
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from typing import Any

from torch import nn

from medseg.errors import InputError
from medseg.networks import wiring
from medseg.networks.foreign import monai_network
from medseg.networks.needs import NetworkNeeds, needs
from medseg.networks.topology import PerStage
from medseg.trust import trusted_class

__all__ = ["NetworkNeeds", "create", "needs", "plan_arguments", "record", "resolve"]

_STRUCTURE = {"patch_size", *wiring.STRUCTURE}

OURS = {
    "unet": "medseg.networks.unet:UNet",
    "residual_unet": "medseg.networks.residual_unet:ResidualUNet",
    "dilated_unet": "medseg.networks.dilated_unet:DilatedUNet",
    "attention_unet": "medseg.networks.attention_unet:AttentionUNet",
    "unet_plus_plus": "medseg.networks.unet_plus_plus:UNetPlusPlus",
    "segresnet": "medseg.networks.segresnet:SegResNet",
    "swin_unetr": "medseg.networks.swin_unetr:SwinUNETR",
    "unetr": "medseg.networks.unetr:UNETR",
    "mednext": "medseg.networks.mednext:MedNeXt",
    "highres_net": "medseg.networks.highres_net:HighResNet",
    "deepmedic": "medseg.networks.deepmedic:DeepMedic",
}
DETECTORS = {
    "retina_net": "medseg.networks.detection.retina_net:RetinaNet",
    "retina_unet": "medseg.networks.detection.retina_unet:RetinaUNet",
    "centre_net": "medseg.networks.detection.centre_net:CentreNet",
}
KNOWN = {**OURS, **DETECTORS}


def resolve(name: str, *, trust: Collection[str] = ()) -> type[nn.Module]:
    """Find the class of a network.

    Args:
        name: one of `OURS` or `DETECTORS`, such as ``unet``; ``monai.X`` for a class of
            ``monai.networks.nets``; ``pkg.mod:Class`` for the user's own.
        trust: top-level packages whose code may be imported; only the command line or a direct call
            may fill this, never a recipe or a checkpoint.

    Raises:
        InputError: no such network, not a network, or a package that is not trusted.
    """
    if name in KNOWN:
        module, _, attribute = KNOWN[name].partition(":")
        return getattr(import_module(module), attribute)
    if name.startswith("monai."):
        return monai_network(name.removeprefix("monai."))
    if ":" in name:
        return trusted_class(
            name, nn.Module, base_name="torch.nn.Module", trust=trust, what="network"
        )
    close = difflib.get_close_matches(name, KNOWN, n=1)
    raise InputError(
        f"there is no network named {name!r}",
        expected=f"{', '.join(KNOWN)}, monai.<Class> or package.module:Class",
        found=name,
        remedy=f"did you mean {close[0]!r}?" if close else None,
    )


def plan_arguments(
    name: str,
    cls: type[nn.Module],
    *,
    spatial_dims: int,
    in_channels: int,
    num_classes: int,
    patch_size: Sequence[int],
    strides: PerStage,
    kernels: PerStage,
    features: Sequence[int],
    levels: Sequence[int] = (),
    num_anchors: int = 0,
    arguments: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Wire a network's constructor arguments from the plan's numbers.

    Args:
        name: as for `resolve`.
        cls: what `resolve` returned.
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        num_classes: channels of the logits.
        patch_size: voxels per axis.
        strides: per stage of the encoder; the first is all ones.
        kernels: per stage.
        features: channels per stage.
        levels: of a detector: the stages whose resolutions have anchors.
        num_anchors: of a detector: at each place.
        arguments: the user's own; they win over the plan's strides, kernels and features (fewer
            stages than planned cut the network short), but not over what the data decide.

    Returns:
        Arguments for `create` and `record`, in plain JSON containers.

    Raises:
        InputError: an unknown or a missing argument, one that the data decide otherwise, or a patch
            that the network cannot take.
    """
    numbers = wiring.PlanNumbers(
        spatial_dims,
        in_channels,
        num_classes,
        tuple(patch_size),
        _per_axis(strides, spatial_dims),
        _per_axis(kernels, spatial_dims),
        tuple(features),
        tuple(levels),
        num_anchors,
    )
    chosen = dict(arguments or {})
    wired = _wire(name, cls, numbers, chosen)
    for key in sorted(wiring.DECIDED_BY_DATA & chosen.keys() & wired.keys()):
        if _plain(chosen[key]) != _plain(wired[key]):
            raise InputError(
                f"{key} of {name} is decided by the data",
                expected=str(_plain(wired[key])),
                found=str(chosen[key]),
                remedy=f"leave {key} out",
            )
    merged = _plain({**wired, **chosen})
    _check_signature(name, cls, merged)
    wanted = needs(name, merged, spatial_dims=spatial_dims)
    problem = wanted.problem(patch_size)
    if problem:
        raise InputError(
            f"{name} cannot take this patch: {problem}",
            found=f"patch_size {tuple(patch_size)}",
            remedy=f"for instance plan.patch_size: {list(wanted.enlarged(patch_size))}",
        )
    return merged


def create(name: str, arguments: Mapping[str, Any], *, trust: Collection[str] = ()) -> nn.Module:
    """Build a network; the inverse of `record`.

    Args:
        name: as for `resolve`.
        arguments: of the constructor; lists are handed over as tuples, for JSON knows no tuples.
        trust: as for `resolve`.

    Raises:
        InputError: as `resolve`, or the network refuses its arguments.
    """
    if name == _NEIGHBOURS:
        from medseg.networks.neighbouring_slices import NeighbouringSlices

        inner = create(**arguments["network"], trust=trust)
        return NeighbouringSlices(inner, **{k: v for k, v in arguments.items() if k != "network"})
    cls = resolve(name, trust=trust)
    _check_signature(name, cls, arguments)
    try:
        network = cls(**{key: _tuples(value) for key, value in arguments.items()})
    except InputError:
        raise
    except (AssertionError, ImportError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{name} refuses its arguments: {error}", found=str(dict(arguments))
        ) from error
    for base in cls.__mro__:
        if base.__module__.startswith("monai.") and base.__name__ in _MAIN_HEAD_FIRST:
            network.register_forward_hook(_MAIN_HEAD_FIRST[base.__name__])
    return network


def record(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint needs to rebuild a network: ``create(**record(name, arguments))``.

    Raises:
        InputError: an argument is no plain number, text, list or mapping.
    """
    plain = _plain(arguments)
    try:
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the arguments of {name} cannot be stored in a checkpoint: {error}",
            expected="numbers, texts, lists and mappings",
            found=str(plain),
        ) from error
    return {"name": name, "arguments": plain}


def with_neighbours(record: Mapping[str, Any], *, axis: int, neighbours: int) -> dict[str, Any]:
    """Return the record of a `NeighbouringSlices` around a network's record.

    Args:
        record: of a network whose input has ``2 * neighbours + 1`` times the image's channels.
        axis: along which slices are stacked.
        neighbours: slices on either side.
    """
    arguments = {"network": dict(record), "axis": axis, "neighbours": neighbours}
    return {"name": _NEIGHBOURS, "arguments": arguments}


def _wire(
    name: str, cls: type[nn.Module], numbers: wiring.PlanNumbers, chosen: Mapping[str, Any]
) -> dict[str, Any]:
    if name in KNOWN:
        return wiring.OURS.get(name, wiring.ours)(numbers, chosen)
    parameters, _ = _parameters(cls)
    if not name.startswith("monai."):
        return wiring.by_signature(numbers, chosen, parameters)
    for base in cls.__mro__:  # HyenaNDUNETR hides SwinUNETR's parameters in **kwargs
        if base.__name__ in wiring.MONAI:
            return wiring.MONAI[base.__name__](numbers, chosen)
    # MONAI's strides and channels follow several conventions: those must be known, or the user's.
    foreign = {key: needed for key, needed in parameters.items() if key not in _STRUCTURE}
    return wiring.by_signature(numbers, chosen, foreign)


def _parameters(cls: type) -> tuple[dict[str, bool], bool]:
    """Give name -> required? of a constructor's parameters, and whether it takes any other name."""
    kinds = inspect.Parameter
    signature = inspect.signature(cls).parameters.values()
    named = {
        p.name: p.default is kinds.empty
        for p in signature
        if p.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
    }
    return named, any(p.kind is kinds.VAR_KEYWORD for p in signature)


def _check_signature(name: str, cls: type, arguments: Mapping[str, Any]) -> None:
    parameters, open_ended = _parameters(cls)
    unknown = [] if open_ended else [key for key in arguments if key not in parameters]
    if unknown:
        close = difflib.get_close_matches(unknown[0], parameters, n=1)
        raise InputError(
            f"{name} has no argument {unknown[0]!r}",
            expected=", ".join(parameters),
            found=", ".join(unknown),
            remedy=f"did you mean {close[0]!r}?" if close else None,
        )
    missing = [key for key, required in parameters.items() if required and key not in arguments]
    if missing:
        raise InputError(
            f"{name} needs arguments that the data do not decide: {', '.join(missing)}",
            remedy=f"give them under network, beside name: {name}",
        )


def _stacked_heads(module: nn.Module, inputs: Any, output: Any) -> Any:
    """Unstack DynUNet's heads, which in 2D look like 3D logits."""
    return list(output.unbind(1)) if module.training and module.deep_supervision else output


def _nested_heads(module: nn.Module, inputs: Any, output: Any) -> Any:
    """Reverse BasicUNetPlusPlus's heads: all are of full size, and the last is the deepest."""
    return output[::-1]


# No network of a recipe, but what `create` puts around one.
_NEIGHBOURS = "neighbouring_slices"

_MAIN_HEAD_FIRST = {"DynUNet": _stacked_heads, "BasicUNetPlusPlus": _nested_heads}


def _per_axis(values: PerStage, spatial_dims: int) -> tuple[tuple[int, ...], ...]:
    return tuple((v,) * spatial_dims if isinstance(v, int) else tuple(v) for v in values)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
