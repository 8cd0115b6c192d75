"""What a preset is: which network is sized, and for what it must be small enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from medseg.networks.topology import published_blocks
from medseg.planning.memory import plain_activations, residual_activations

Name = Literal["standard", "fast", "resenc_s", "resenc_m", "resenc_l", "resenc_xl"]


class Limit(Protocol):
    """What decides whether a patch is small enough, and how many make a batch."""

    def fits(self, patch_size: Sequence[int], activations: int) -> bool:
        """Tell whether the patch is small enough."""
        ...

    def room(self, patch_size: Sequence[int], activations: int) -> float:
        """Return how many patches may be in a batch."""
        ...

    def why(self, dims: int) -> tuple[str, str]:
        """Say both in words, for the reasons of patch and batch."""
        ...


@dataclass(frozen=True)
class Preset:
    """The numbers that tell one preset from another.

    Attributes:
        name: as in a recipe.
        limit: what patch and batch must fit.
        residual: sizes the U-Net with a residual encoder instead of the plain one.
        features: channels of the first stage; they double from stage to stage.
        most_features: where the doubling ends; by dimensions.
        max_pools: the most stages after the first.
        covered: the share of the data set's voxels that a batch may cover.
        batch_dice: fixes what `batching.batch_dice` would decide.
        transposed_ties: among equally long axes a patch shortens the one that nnU-Net would
            (`axes.coarsest_first`), not simply the last.
    """

    name: Name
    limit: Limit
    residual: bool = False
    features: int = 32
    most_features: Mapping[int, int] = field(default_factory=lambda: {2: 512, 3: 320})
    max_pools: int | None = None
    covered: float = 0.05
    batch_dice: bool | None = None
    transposed_ties: bool = True

    @property
    def network(self) -> Literal["unet", "residual_unet"]:
        """The network that the numbers are made for."""
        return "residual_unet" if self.residual else "unet"

    def features_of(self, stages: int, dims: int) -> tuple[int, ...]:
        """Return the channels per stage."""
        most = self.most_features[dims]
        return tuple(min(self.features * 2**stage, most) for stage in range(stages))

    def activations(
        self,
        patch_size: Sequence[int],
        strides: Sequence[Sequence[int]],
        features: Sequence[int],
        *,
        num_classes: int,
    ) -> int:
        """Count what the preset's network remembers of one patch."""
        if not self.residual:
            return plain_activations(patch_size, strides, features, num_classes=num_classes)
        blocks = published_blocks(len(strides))
        return residual_activations(
            patch_size, strides, features, blocks=blocks, num_classes=num_classes
        )
