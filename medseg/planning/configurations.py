"""The configurations of a data set: volumes at full and at low resolution, and slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from medseg.errors import InputError
from medseg.networks.needs import NetworkNeeds
from medseg.planning import lowres, overrides, slices
from medseg.planning.axes import coarsest_first
from medseg.planning.batching import Configuration
from medseg.planning.lowres import LowResolution
from medseg.planning.network import NetworkPlan, network_plan
from medseg.planning.preset import Name, Preset
from medseg.planning.spacing import median_shape


class NoLowResolution(InputError):
    """A low-resolution stage is asked for where there is none, as it would say nothing new."""


@dataclass(frozen=True)
class Chosen:
    """One configuration, planned.

    Attributes:
        name: which one.
        spacing: mm per axis.
        why_spacing: in words where the configuration decides it, not the data set alone.
        network: patch, batch and stages.
        lowres: the low-resolution stage of the data set; ``None`` if it has none.
    """

    name: Configuration
    spacing: tuple[float, ...]
    why_spacing: str | None
    network: NetworkPlan
    lowres: LowResolution | None = None


@dataclass(frozen=True)
class Configurations:
    """What every configuration of a data set is planned from.

    Attributes:
        spacings: per case, mm per axis.
        shapes: per case, voxels per axis.
        num_classes: outputs of the network.
        needs: what the network wants of its input.
        preset: see `medseg.planning.planner.plan`.
    """

    spacings: Sequence[Sequence[float]]
    shapes: Sequence[Sequence[int]]
    num_classes: int
    needs: NetworkNeeds | None = None
    preset: Name | Preset = "standard"

    def choose(
        self,
        name: Literal["auto"] | Configuration,
        target: tuple[float, ...],
        *,
        given_spacing: tuple[float, ...] | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> Chosen:
        """Plan one configuration.

        Args:
            name: which one; ``auto``: 3d_fullres, and 2d for pictures and single slices.
            target: mm per axis at full resolution, as the data have it.
            given_spacing: mm per axis that the user wants for the chosen configuration.
            given: what the user fixed of patch and network, not yet read.

        Raises:
            InputError: the data have no such configuration, or what is given does not fit.
        """
        given, dims = given or {}, len(target)
        full = given_spacing if given_spacing and name != "3d_lowres" else target
        if dims == 2:
            if name in ("3d_fullres", "3d_lowres"):
                kind = NoLowResolution if name == "3d_lowres" else InputError
                raise kind(
                    f"plan.configuration: {name} is for volumes, these are pictures",
                    expected="volumes",
                    found="pictures",
                    remedy="take 2d, or auto",
                )
            read = overrides.network(given, spatial_dims=2)
            return Chosen("2d", full, None, self.volumes(full, given=read))
        if name == "auto":
            flat = self.shape_at(full)[coarsest_first(full)[0]] == 1
            name = "2d" if flat else "3d_fullres"
        low = self.low_resolution(full)
        if name == "2d":
            return Chosen(name, full, None, self.slices(full, given=given), low)
        read = overrides.network(given, spatial_dims=3)
        if name == "3d_fullres":
            return Chosen(name, full, None, self.volumes(full, given=read), low)
        if given_spacing is not None:
            return Chosen(name, given_spacing, None, self.volumes(given_spacing, given=read), low)
        if low is None:
            raise self._none(full)
        ratio = prod(self.shape_at(full)) / low.case_voxels
        why = f"{ratio:.2g} times fewer voxels than 3d_fullres: a patch shows {low.covered:.0%}"
        network = self.volumes(
            low.spacing, given=read, shape=low.median_shape, voxels=low.case_voxels
        )
        # Six decimals, as of every spacing: 3 % a step leaves long tails.
        return Chosen(name, tuple(round(s, 6) for s in low.spacing), why, network, low)

    def shape_at(self, spacing: tuple[float, ...]) -> tuple[float, ...]:
        """Return the median image's voxels per axis at a spacing."""
        return median_shape(self.spacings, self.shapes, spacing)

    def volumes(
        self,
        spacing: tuple[float, ...],
        *,
        given: Mapping[str, Any] | None = None,
        shape: Sequence[float] | None = None,
        voxels: float | None = None,
    ) -> NetworkPlan:
        """Plan a network that sees all axes; of pictures that are two."""
        return network_plan(
            spacing,
            self.shape_at(spacing) if shape is None else shape,
            num_cases=len(self.shapes),
            num_classes=self.num_classes,
            needs=self.needs,
            given=given,
            preset=self.preset,
            case_voxels=voxels,
            order=coarsest_first(spacing),
        )

    def slices(
        self, spacing: tuple[float, ...], *, given: Mapping[str, Any] | None = None
    ) -> NetworkPlan:
        """Plan a network that sees volumes slice by slice, across the coarsest axis."""
        flat, *order = coarsest_first(spacing)
        shape = self.shape_at(spacing)
        read = overrides.network(given or {}, spatial_dims=3, flat=flat)
        network = network_plan(
            slices.without(spacing, flat),
            slices.without(shape, flat),
            num_cases=len(self.shapes),
            num_classes=self.num_classes,
            needs=slices.needs_of_slice(self.needs, flat),
            given=slices.of_slice(read, flat),
            preset=self.preset,
            case_voxels=prod(shape),
            order=[axis - (axis > flat) for axis in order],
            show=lambda size: list(slices.with_one(size, flat)),
        )
        return slices.of_volume(network, flat)

    def low_resolution(self, full: tuple[float, ...]) -> LowResolution | None:
        """Find the low-resolution stage, whatever the user fixed of patch and network."""
        return lowres.low_resolution(
            self.volumes(full).patch_size,
            full,
            self.shape_at(full),
            lambda spacing, shape, voxels: self.volumes(spacing, shape=shape, voxels=voxels),
        )

    def _none(self, full: tuple[float, ...]) -> NoLowResolution:
        covered = prod(self.volumes(full).patch_size) / prod(self.shape_at(full))
        return NoLowResolution(
            "plan.configuration: these data have no low-resolution stage",
            expected=f"patches that cover less than {lowres.COVERED:.0%} of the median image, and "
            f"a stage with {lowres.FEWER:g} times fewer voxels",
            found=f"patches at full resolution cover {covered:.0%}",
            remedy="take plan.configuration: 3d_fullres, or set plan.spacing as well",
        )
