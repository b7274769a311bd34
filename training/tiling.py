"""Decoding of latents too large for the memory: in overlapping tiles, which fade into each other."""

from collections.abc import Callable

import torch
from torch import Tensor

# In latent cells. At 8 pixels a cell a tile is 1024 pixels: an SDXL decoder takes about 8 GB for it.
TILE_CELLS = 128
OVERLAP_CELLS = 16


def decode_tiled(
    decode: Callable[[Tensor], Tensor],
    latents: Tensor,
    factor: int,
    *,
    tile: int = TILE_CELLS,
    overlap: int = OVERLAP_CELLS,
) -> Tensor:
    """decode(latents), (B, C, h, w) -> (B, 3, h factor, w factor); whole where no side exceeds `tile` cells.

    Tiles overlap by at least `overlap` cells and are averaged there with weights that fall linearly to their
    edges. Exact for a decoder whose pixels depend on their own cell alone; others see no further than a tile.
    """
    height, width = latents.shape[-2:]
    if max(height, width) <= tile:
        return decode(latents)
    images: Tensor | None = None
    weights = latents.new_zeros(1, 1, height * factor, width * factor)
    for top, bottom in _spans(height, tile, overlap):
        for left, right in _spans(width, tile, overlap):
            decoded = decode(latents[..., top:bottom, left:right])
            if images is None:
                images = decoded.new_zeros(*decoded.shape[:2], height * factor, width * factor)
            rows = _ramp(bottom - top, top > 0, bottom < height, overlap, factor, decoded)
            columns = _ramp(right - left, left > 0, right < width, overlap, factor, decoded)
            weight = rows[:, None] * columns
            place = (..., slice(top * factor, bottom * factor), slice(left * factor, right * factor))
            images[place] += decoded * weight
            weights[place] += weight
    return images / weights


def _spans(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Tiles of equal size that cover [0, length), evenly spread."""
    if length <= tile:
        return [(0, length)]
    count = -(-(length - overlap) // (tile - overlap))
    starts = [round(k * (length - tile) / (count - 1)) for k in range(count)]
    return [(start, start + tile) for start in starts]


def _ramp(cells: int, fades_in: bool, fades_out: bool, overlap: int, factor: int, like: Tensor) -> Tensor:
    """Weights along one side of a tile: 1 inside, falling towards an edge that another tile covers too."""
    place = torch.arange(cells * factor, dtype=like.dtype, device=like.device) + 0.5
    weight = torch.ones_like(place)
    if fades_in:
        weight = torch.minimum(weight, place / (overlap * factor))
    if fades_out:
        weight = torch.minimum(weight, (cells * factor - place) / (overlap * factor))
    return weight
