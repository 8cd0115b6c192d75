"""DeepMedic: two paths of convolutions, one for detail and one for wide context."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medseg.errors import InputError
from medseg.networks.blocks.convolution import ConvNormAct, convolution
from medseg.networks.encoder_decoder import initialise
from medseg.networks.input_check import check_input
from medseg.networks.input_context import without_context
from medseg.networks.needs import needs, per_axis
from medseg.networks.topology import check_dims

_AVERAGE: dict[int, Callable[..., Tensor]] = {2: F.avg_pool2d, 3: F.avg_pool3d}


class DeepMedic(nn.Module):
    """Segments the middle of its input: one path sees it sharp, one sees all of it averaged.

    ``(B, in_channels, *S + 2 * input_context)`` -> logits ``(B, num_classes, *S)``, for any ``S``.
    Both paths are convolutions without padding. The first reads the middle of the input at full
    resolution (receptive field 17 by default), the second the whole input, averaged over blocks of
    ``factor`` voxels (receptive field 51). What the second finds is repeated over its blocks, so
    that both lie on the same voxels, and two layers of 1x1 convolutions judge them together.

    Kamnitsas et al., Efficient multi-scale 3D CNN with fully connected CRF, arXiv 1603.05959;
    residual connections: Kamnitsas et al., DeepMedic for Brain Tumor Segmentation, doi
    10.1007/978-3-319-55524-9_14. Unlike the paper's, but like our other networks, it has instance
    norm and leaky ReLU (batch norm and PReLU), and no dropout unless asked (0.5); both paths read
    one input, which the network averages itself, so that augmentation moves them together.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        num_classes: channels of the logits.
        features: channels per convolution of a path.
        kernel: of every convolution of both paths, one odd number or one per axis.
        factor: voxels that the second path averages, one number or one per axis; ``None``: 3. At 1
            an axis stays sharp.
        hidden: channels of the 1x1 convolutions that follow.
        residual: add the input of every pair of convolutions but the first to its output.
        dropout: part of the hidden features that a training leaves out.
        conv_bias: whether convolutions that a norm follows have a bias.

    Raises:
        InputError: an argument is out of its range; in ``forward``: the input does not fit.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        features: Sequence[int] = (30, 30, 40, 40, 40, 40, 50, 50),
        kernel: Sequence[int] | int = 3,
        factor: Sequence[int] | int | None = None,
        hidden: Sequence[int] = (150, 150),
        residual: bool = False,
        dropout: float = 0.0,
        conv_bias: bool = True,
    ) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.num_classes = num_classes
        check_dims(spatial_dims)
        kernel = per_axis("kernel", kernel, spatial_dims)
        self.factor = per_axis("factor", 3 if factor is None else factor, spatial_dims)
        if any(n % 2 == 0 for n in kernel):
            raise InputError("kernel must be odd", expected="1, 3, 5 …", found=str(kernel))
        if not features or min((*features, *hidden)) < 1:
            raise InputError(
                "features and hidden must give positive numbers of channels",
                expected="for instance (30, 30, 40, 40) and (150, 150)",
                found=f"{tuple(features)} and {tuple(hidden)}",
            )
        shape = {"features": features, "kernel": kernel, "factor": self.factor}
        self.input_context = needs("deepmedic", shape, spatial_dims=spatial_dims).context
        self.fine, self.coarse = (
            ValidPath(in_channels, features, kernel=kernel, residual=residual, bias=conv_bias)
            for _ in range(2)
        )
        widths, one = (2 * features[-1], *hidden), (1,) * spatial_dims
        layers: list[nn.Module] = []
        for before, width in zip(widths, hidden, strict=False):
            layers.append(ConvNormAct(before, width, kernel=one, bias=conv_bias))
            if dropout:
                layers.append(nn.Dropout(dropout))
        self.hidden = nn.Sequential(*layers)
        self.head = convolution(widths[-1], num_classes, kernel=one)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the input's middle.

        Raises:
            InputError: the shape of ``x`` does not fit, or nothing of it is left.
        """
        size = self._output_size(x)
        beyond = [n - own for n, own in zip(self.input_context, self.fine.margin, strict=True)]
        fine = self.fine(without_context(x, beyond))
        # In ceil mode a last block that the input does not fill is the mean of what there is.
        blocks = _AVERAGE[self.spatial_dims](x, self.factor, self.factor, ceil_mode=True)
        coarse = _repeated(self.coarse(blocks), self.factor, size)
        return self.head(self.hidden(torch.cat([fine, coarse], dim=1)))

    def _output_size(self, x: Tensor) -> tuple[int, ...]:
        check_input(x, in_channels=self.in_channels, divisor=(1,) * self.spatial_dims)
        size = tuple(n - 2 * c for n, c in zip(x.shape[2:], self.input_context, strict=True))
        if min(size) < 1 or all(n <= block for n, block in zip(size, self.factor, strict=True)):
            raise InputError(
                "too little of the input is left: two blocks must be, for one cannot be normalised",
                expected=f"more than {tuple(2 * n for n in self.input_context)} voxels, along one "
                f"axis by more than a block of {self.factor}",
                found=str(tuple(x.shape[2:])),
                remedy="give a larger patch, with the network's context around it "
                "(medseg.networks.input_context.with_context)",
            )
        return size


class ValidPath(nn.ModuleList):
    """Convolutions without padding, one after the other.

    ``(B, in_channels, *S + 2 * margin)`` -> ``(B, features[-1], *S)``.

    Attributes:
        margin: voxels per axis that all of them together take off each side.
    """

    def __init__(
        self,
        in_channels: int,
        features: Sequence[int],
        *,
        kernel: Sequence[int],
        residual: bool,
        bias: bool,
    ) -> None:
        channels = (in_channels, *features)
        super().__init__(
            ConvNormAct(before, after, kernel=kernel, bias=bias, padded=False)
            for before, after in zip(channels, features, strict=False)
        )
        self.residual = residual
        self.features = tuple(features)
        self.lost = tuple(n // 2 for n in kernel)
        self.margin = tuple(len(features) * n for n in self.lost)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of the input's middle."""
        before = x
        for number, layer in enumerate(self):
            if number % 2 == 0:
                before = x
            x = layer(x)
            # As published: layers 4, 6 and 8 give what they find and what 3, 5 and 7 were given.
            if self.residual and number % 2 and number > 1:
                shortcut = without_context(before, [2 * n for n in self.lost])
                missing = self.features[number] - shortcut.shape[1]
                x = x + F.pad(shortcut, [*[0, 0] * len(self.lost), 0, missing])
        return x


def _repeated(x: Tensor, factor: Sequence[int], size: Sequence[int]) -> Tensor:
    """Repeat every voxel over its block, and cut what the last blocks have too much."""
    for axis, (times, n) in enumerate(zip(factor, size, strict=True), start=2):
        x = x.repeat_interleave(times, dim=axis).narrow(axis, 0, n)
    return x
