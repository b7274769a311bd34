"""What a relighter is: something that shows a foreground as another background would light it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.models.provenance import Tool


class Relighter(Tool, Protocol):
    """Relights foregrounds. `name` and `revision` go into every sample it had a part in."""

    def relight(self, image: np.ndarray, alpha: np.ndarray, background: np.ndarray, seed: int) -> np.ndarray:
        """The image with its foreground lit for `background`, uint8 sRGB of the image's own size.

        image: uint8 sRGB (H, W, 3). alpha: float32 (H, W) in 0..1. background: uint8 sRGB (H', W', 3), of any
        size. What comes back outside the foreground is not used, so a relighter may paint its own background
        there; it must not move the foreground. A function of its arguments alone.
        """


@dataclass(frozen=True, slots=True, eq=False)
class ToRelight:
    """The arguments of one `Relighter.relight`."""

    image: np.ndarray
    alpha: np.ndarray
    background: np.ndarray
    seed: int


@runtime_checkable
class BatchRelighter(Protocol):
    """A `Relighter` that is faster on several images of one size at a time."""

    batch: int  # images at most

    def relight_batch(self, requests: Sequence[ToRelight]) -> list[np.ndarray | Rejected]:
        """What `relight` gives for each request, in their order; a refused image is its Rejected."""


def relit_image(
    relighter: Relighter, image: np.ndarray, alpha: np.ndarray, background: np.ndarray, seed: int
) -> np.ndarray:
    """`relighter.relight(...)` for a uint8 alpha, after checking what comes back.

    Raises Rejected for another size or type: pasting it would need a resampling that nobody asked for.
    """
    (relit,) = relit_images(relighter, [ToRelight(image, alpha, background, seed)])
    if isinstance(relit, Rejected):
        raise relit
    return relit


def relit_images(relighter: Relighter, requests: Sequence[ToRelight]) -> list[np.ndarray | Rejected]:
    """`relit_image` for several images of one size, each with a uint8 alpha, together where that is faster.

    A refused image is its Rejected; the others are made.
    """
    asked = [
        ToRelight(request.image, request.alpha.astype(np.float32) / 255, request.background, request.seed)
        for request in requests
    ]
    if isinstance(relighter, BatchRelighter):
        size = relighter.batch
        made = [
            relit
            for start in range(0, len(asked), size)
            for relit in relighter.relight_batch(asked[start : start + size])
        ]
    else:
        made = [_alone(relighter, request) for request in asked]
    return [_checked(relighter, request, relit) for request, relit in zip(requests, made, strict=True)]


def _alone(relighter: Relighter, request: ToRelight) -> np.ndarray | Rejected:
    try:
        return relighter.relight(request.image, request.alpha, request.background, request.seed)
    except Rejected as refused:
        return refused


def _checked(relighter: Relighter, request: ToRelight, relit: np.ndarray | Rejected) -> np.ndarray | Rejected:
    if isinstance(relit, Rejected) or (relit.shape == request.image.shape and relit.dtype == np.uint8):
        return relit
    return Rejected(
        f"{relighter.name} gave {relit.dtype} {relit.shape} for an image of uint8 {request.image.shape}",
        remedy="check the relighter's settings and weights",
        gate="relighter_failed",
    )
