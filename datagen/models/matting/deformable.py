"""Modulated deformable convolution (v2), in plain torch or by torchvision's kernel where that is importable.

Zhu et al., "Deformable ConvNets v2: More Deformable, Better Results" (arXiv 1811.11168).
"""

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeformableConv2d(nn.Module):
    """A square convolution of odd size, stride 1, that keeps the size and learns where it samples.

    Offsets and the weight of each sample (0..2) are convolutions of the input. No bias.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int) -> None:
        super().__init__()
        padding = size // 2
        self.offset_conv = nn.Conv2d(in_channels, 2 * size * size, size, padding=padding)
        self.modulator_conv = nn.Conv2d(in_channels, size * size, size, padding=padding)
        self.regular_conv = nn.Conv2d(in_channels, out_channels, size, padding=padding, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        offset = self.offset_conv(x)
        modulation = 2 * self.modulator_conv(x).sigmoid()
        convolve = torchvision_kernel() or deform_conv2d
        # Half precision cannot tell apart places in a map of more than a few hundred pixels.
        full = (tensor.float() for tensor in (x, offset, modulation, self.regular_conv.weight))
        return convolve(*full).to(x.dtype)


def deform_conv2d(x: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
    """(B, out, H, W): bilinear samples of x, zero outside of it, modulated and weighted; stride 1.

    x: (B, in, H, W); weight: (out, in, k, k) with odd k, padded by k // 2; offset: (B, 2 k k, H, W) in
    pixels, for each kernel place in row-major order first down, then right; modulation: (B, k k, H, W).
    One row of the kernel at a time: all 49 samples of a 7x7 kernel at once take 0.8 GB at 256x256.
    """
    batch, channels, height, width = x.shape
    size = weight.shape[-1]
    offset = offset.view(batch, size, size, 2, height, width)
    modulation = modulation.view(batch, size, 1, size, height, width)
    down = torch.arange(height, device=x.device)[:, None] - size // 2
    across = torch.arange(width, device=x.device) - size // 2
    columns = torch.arange(size, device=x.device)[:, None, None]
    total = x.new_zeros(batch, weight.shape[0], height, width)
    for row in range(size):
        place_y = offset[:, row, :, 0] + down + row
        place_x = offset[:, row, :, 1] + across + columns
        # In grid_sample's units -1 and 1 are the outer edges of the map, not the centres of its last pixels.
        grid = torch.stack(((2 * place_x + 1) / width - 1, (2 * place_y + 1) / height - 1), dim=-1)
        samples = F.grid_sample(
            x, grid.flatten(1, 2), mode="bilinear", padding_mode="zeros", align_corners=False
        )
        samples = samples.view(batch, channels, size, height, width) * modulation[:, row]
        total += torch.einsum("bckhw,ock->bohw", samples, weight[:, :, row])
    return total


@cache
def torchvision_kernel() -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] | None:
    """`deform_conv2d` by torchvision's kernel, or None where torchvision is absent or broken."""
    try:
        from torchvision.ops import deform_conv2d as kernel
    except (ImportError, RuntimeError, OSError):
        # One built for another torch raises RuntimeError for an operator it misses, or OSError for a symbol.
        return None

    def convolve(x: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
        return kernel(x, offset, weight, padding=weight.shape[-1] // 2, mask=modulation)

    return convolve
