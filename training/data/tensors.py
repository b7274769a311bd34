"""From decoded pairs, or from their latents, to the tensors of one batch, and to what networks see of them.

Pictures travel as they were stored, in whole numbers: in memory, and to a GPU, they are a quarter of the
bytes of their floats. Where they are to be computed with they become floats, by `network_images`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pairbridge.training.data.buckets import Bucket
from pairbridge.training.data.pairs import Pair

Batch = dict[str, Any]

# Fields in [0, 1]; every other image is in [-1, 1].
MASKS = ("mask", "valid")


@dataclass(frozen=True, slots=True)
class Row:
    """One sample of a batch: its `pair`, or its `latents` and, where the loss wants pixels, its `target`.

    latents, by name: source, target and conditions, float32 (C, h, w). target: as in a Pair; valid likewise.
    substitutes: see `MixedLoader.batches`.
    """

    key: str
    source_name: str
    substitutes: list[dict[str, str]]
    pair: Pair | None = None
    latents: dict[str, np.ndarray] | None = None
    target: np.ndarray | None = None
    valid: np.ndarray | None = None


def collate(rows: Sequence[Row], number: int, bucket: Bucket) -> Batch:
    """One batch from rows of the same size; see `MixedLoader.batches`."""
    tensors = _cached(rows) if rows[0].pair is None else pixels_of([row.pair for row in rows])
    return {
        **tensors,
        "keys": [f"{row.source_name}/{row.key}" for row in rows],
        "source_names": [row.source_name for row in rows],
        "substitutes": [entry for row in rows for entry in row.substitutes],
        "number": number,
        "batch_size": bucket.batch_size,
        "size_WH": bucket.size_WH,
    }


def with_tensors(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """The batch with `change` of each of its tensors, those of cached latents among them."""
    changed = {name: change(value) for name, value in batch.items() if isinstance(value, Tensor)}
    latents = {"latents": with_tensors(batch["latents"], change)} if "latents" in batch else {}
    return {**batch, **changed, **latents}


def stacked(images: Sequence[np.ndarray]) -> Tensor:
    """B images of one size, (H, W, 3) or (H, W), of their type as one: (B, H, W, 3) or (B, H, W, 1)."""
    batch = _batched(images)
    return batch[..., None] if batch.ndim == 3 else batch


def pixels_of(pairs: Sequence[Pair]) -> dict[str, Tensor]:
    """`source`, `target`, `mask`, `valid` where the target has it, and one image per condition, as they are
    in a Pair: images (B, H, W, C), masks (B, H, W).
    """
    masks = {"mask": [pair.mask for pair in pairs]}
    if pairs[0].valid is not None:
        masks["valid"] = [pair.valid for pair in pairs]
    return {
        "source": stacked([pair.source for pair in pairs]),
        "target": stacked([pair.target for pair in pairs]),
        **{name: _batched(images) for name, images in masks.items()},
        **{name: stacked([pair.conditions[name] for pair in pairs]) for name in pairs[0].conditions},
    }


def network_images(pixels: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`pixels_of` as float32 (B, C, H, W), channels last in memory: masks in [0, 1], all others in [-1, 1].

    Made where the pixels are, of the same bits on every device.
    """
    return {name: (_unit_mask if name in MASKS else _unit_image)(own) for name, own in pixels.items()}


def image_tensor(images: Sequence[np.ndarray]) -> Tensor:
    """B of one size, (H, W, 3) or (H, W), whole numbers or float32 in [-1, 1] -> float32 (B, C, H, W) in
    [-1, 1].

    The way back is `pairbridge.training.data.targets.to_picture`.
    """
    return _unit_image(stacked(images))


def mask_tensor(masks_BHW: np.ndarray) -> Tensor:
    """uint8 (B, H, W) -> float32 (B, 1, H, W) in [0, 1]."""
    return _unit_mask(torch.from_numpy(masks_BHW))


def _unit_image(pixels_BHWC: Tensor) -> Tensor:
    image = pixels_BHWC.permute(0, 3, 1, 2)
    return (
        image if image.is_floating_point() else _in_parts_of(image, torch.iinfo(image.dtype).max / 2).sub_(1)
    )


def _unit_mask(mask_BHW: Tensor) -> Tensor:
    return _in_parts_of(mask_BHW[:, None], torch.iinfo(mask_BHW.dtype).max)


def _in_parts_of(pixels: Tensor, whole: float) -> Tensor:
    # Of a number a GPU takes the reciprocal, whose products are a last bit off: a mask's 1 has to be 1.
    return pixels.float().div_(torch.full((), whole, device=pixels.device))


def _cached(rows: Sequence[Row]) -> Batch:
    names = rows[0].latents
    batch: Batch = {"latents": {name: _batched([row.latents[name] for row in rows]) for name in names}}
    if rows[0].target is not None:
        batch["target"] = stacked([row.target for row in rows])
    if rows[0].valid is not None:
        batch["valid"] = _batched([row.valid for row in rows])
    return batch


def _batched(arrays: Sequence[np.ndarray]) -> Tensor:
    """One tensor of arrays of one shape."""
    # Not torch.stack, which would start threads of torch's in each of the loader's.
    return torch.from_numpy(np.stack(arrays))


def keep_outside(outputs: np.ndarray, sources: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Outputs where the mask is 255, sources byte for byte where it is 0, mixed in sRGB between."""
    weight = masks[..., None].astype(np.float32) / 255
    return np.rint(sources + weight * (outputs.astype(np.float32) - sources)).astype(np.uint8)
