"""The parts of a network from input to output: what transfer learning freezes, adapts and paces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from medseg.networks.neighbouring_slices import NeighbouringSlices
from medseg.networks.stage_rules import RULES


@dataclass(frozen=True)
class Stages:
    """Where in a network what happens, as paths of modules (``encoder.0``).

    Attributes:
        body: the modules of each stage, from the one that reads the image to the last before the
            head; empty where nobody knows them.
        head: the modules that turn features into logits, those of deep supervision too.
        first: the layers whose input channels are the image's.
        logits: the layers whose output channels are the classes.
        after: modules of the head behind ``logits``, with classes on both sides.
    """

    body: tuple[tuple[str, ...], ...] = ()
    head: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    logits: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def below(self, prefix: str) -> Stages:
        """Return the same parts of a network that lies under ``prefix`` in another."""

        def moved(paths: Iterable[str]) -> tuple[str, ...]:
            return tuple(prefix + path for path in paths)

        return Stages(
            body=tuple(moved(stage) for stage in self.body),
            head=moved(self.head),
            first=moved(self.first),
            logits=moved(self.logits),
            after=moved(self.after),
        )


def stages_of(network: nn.Module) -> Stages:
    """Find the parts of a network.

    They are known of every network of medseg and of MONAI's most used ones. A network of your own
    says them itself, with a method ``transfer_stages()`` that returns `Stages`. Of any other only a
    guess at its first and last layers is returned, by the order in which they were registered.
    """
    if isinstance(network, NeighbouringSlices):
        return stages_of(network.network).below("network.")
    own = getattr(network, "transfer_stages", None)
    if callable(own):
        found = own()
        if not isinstance(found, Stages):
            raise TypeError("transfer_stages() must return medseg.networks.stages.Stages")
        return found
    modules = dict(network.named_modules(remove_duplicate=False))
    for base in type(network).__mro__:
        rule = RULES.get(f"{base.__module__.partition('.')[0]}.{base.__name__}")
        known = _there(rule(network), modules) if rule is not None else Stages()
        if known.body and all(known.body) and known.head:
            return known
    layers = [name for name, module in modules.items() if _is_layer(module)]
    return Stages(first=tuple(layers[:1]), logits=tuple(layers[-1:]))


def _there(parts: Mapping[str, Any], modules: Mapping[str, nn.Module]) -> Stages:
    """Leave out what a rule names and the network has not."""

    def found(paths: Iterable[str]) -> tuple[str, ...]:
        return tuple(path for path in paths if path in modules)

    def layers(paths: Iterable[str]) -> tuple[str, ...]:
        return tuple(path for path in paths if _is_layer(modules.get(path)))

    return Stages(
        body=tuple(found(stage) for stage in parts["body"]),
        head=found(parts["head"]),
        first=layers(parts["first"]),
        logits=layers(parts["logits"]),
        after=found(parts.get("after", ())),
    )


def parameters_under(
    network: nn.Module, paths: Iterable[str]
) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield name and parameter of everything under some modules, each once."""
    seen: set[int] = set()
    for path in paths:
        for name, parameter in network.get_submodule(path).named_parameters():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield f"{path}.{name}", parameter


def _is_layer(module: Any) -> bool:
    """Tell a convolution or linear layer, that is one whose weight has channels on two axes."""
    weight = getattr(module, "weight", None)
    return isinstance(weight, nn.Parameter) and weight.ndim >= 2
