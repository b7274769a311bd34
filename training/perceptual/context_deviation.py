"""Does what fills a hole look like what surrounds it? A figure of removal that needs no target.

    d = 1 - cos(f(hole), f(surroundings)),    f(region) the mean of DINOv2's patch features of unit length

over the patches of a region: the term of context of OmniPaint's CFD score (Yu et al., arXiv 2503.08677),
from 0 to 2, less is better. Surroundings are the box around the hole, a third of its size and at least a
patch wider on every side, without the hole; each connected part of a mask is a hole of its own, and d is
their mean. CFD's other term, for objects that were invented in the hole, rests on Segment Anything's
automatic masks and is not here. The network is DINOv2 (Oquab et al., arXiv 2304.07193) of transformers from
a local folder in its published layout.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.models.weights.pretrained import load_pretrained

# Side of what the network sees, in pixels, and its patches' as published: 16 x 16 of them.
_SIDE = 224
# ImageNet's mean and deviation of channels in [0, 1], which DINOv2 was trained with.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Of the hole's width and height: how much wider the box around it is, on every side.
_WIDER = 1 / 3


class ContextDeviation:
    def __init__(self, network: nn.Module) -> None:
        """`network`: a Dinov2Model of transformers."""
        self._network = network
        self._grid = _SIDE // network.config.patch_size

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> Self:
        """Raises ConfigError for a folder that does not hold the network."""
        # Here: takes a second, for whoever names a folder alone.
        from transformers import Dinov2Model

        return cls(load_pretrained(Dinov2Model, folder, _unusable).float().to(device))

    @torch.no_grad()
    def __call__(self, images: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> list[float]:
        """Of each image, uint8 sRGB (H, W, 3), with its mask, uint8 (H, W), marked where it is at least half
        of its largest value. Raises ValueError for a mask that marks nothing.
        """
        features = self._features(images)
        return [
            float(np.mean([_deviation(of_image, *regions) for regions in self._regions(mask)]))
            for of_image, mask in zip(features, masks, strict=True)
        ]

    def _features(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """float64 (B, P, D), of unit length; patches row by row, without the class token."""
        small = np.stack([_fitted(image) for image in images]).astype(np.float32) / 255
        pixels = torch.from_numpy((small - np.float32(_MEAN)) / np.float32(_STD)).permute(0, 3, 1, 2)
        device = next(self._network.parameters()).device
        found: Tensor = self._network(pixel_values=pixels.contiguous().to(device)).last_hidden_state[:, 1:]
        return nn.functional.normalize(found, dim=2).double().cpu().numpy()

    def _regions(self, mask: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Of every hole, bool (P,): its patches, and those around it."""
        # What is small at full size is faint after resizing.
        marked = (mask >= max(mask.max() / 2, 1)).astype(np.uint8)
        holes, parts = cv2.connectedComponents(marked)
        if holes < 2:
            raise ValueError("a mask that marks nothing has no hole to look at")
        covered = self._shares(marked)
        height, width = mask.shape
        rows, columns = ((np.arange(self._grid) + 0.5) * size / self._grid for size in (height, width))
        for number in range(1, holes):
            part = (parts == number).astype(np.uint8)
            shares = self._shares(part)
            left, top, wide, high = cv2.boundingRect(part)
            inside = (
                _between(rows, top, high, height / self._grid)[:, None]
                & _between(columns, left, wide, width / self._grid)[None]
            )
            around = inside & (covered == 0)
            # Where nothing in the box is free, of all patches those that are freest.
            around = around if around.any() else covered == covered.min()
            # A hole may be smaller than a patch.
            yield (shares >= min(0.5, shares.max())).ravel(), around.ravel()

    def _shares(self, marked: np.ndarray) -> np.ndarray:
        """(G, G): how much of each patch is marked, 0 to 1."""
        size = (self._grid, self._grid)
        return cv2.resize(marked.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def _between(places: np.ndarray, first: int, length: int, least: float) -> np.ndarray:
    wider = max(_WIDER * length, least)
    return (places >= first - wider) & (places <= first + length + wider)


def _deviation(features: np.ndarray, hole: np.ndarray, around: np.ndarray) -> float:
    means = [features[region].mean(axis=0) for region in (hole, around)]
    lengths = np.linalg.norm(means[0]) * np.linalg.norm(means[1])
    return 1 - float(means[0] @ means[1]) / max(float(lengths), 1e-12)


def _fitted(image: np.ndarray) -> np.ndarray:
    """All of the image at the network's size, whatever its shape."""
    way = cv2.INTER_AREA if min(image.shape[:2]) > _SIDE else cv2.INTER_LINEAR
    return cv2.resize(image, (_SIDE, _SIDE), interpolation=way)


def _unusable(folder: Path, why: str) -> ConfigError:
    return ConfigError(
        f"DINOv2 folder {folder}: {why}",
        consequence="context deviation cannot be computed; nothing is fetched from the network",
        remedy="name a folder with config.json and model.safetensors, as `hf download facebook/dinov2-base`"
        " leaves it",
    )
