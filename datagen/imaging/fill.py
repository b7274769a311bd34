"""Noise that fills the hole of a removal pair: what the source shows in place of the object."""

from typing import Any

import numpy as np

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.shards.sample import params_of


def fill_noise(image: np.ndarray, mask: np.ndarray, seed: int) -> np.ndarray:
    """`image` with every pixel of `mask` > 0 replaced by uniform noise 0..255, each channel on its own.

    image: uint8 (H, W, 3); mask: uint8 (H, W), 255 = remove. Any non-zero mask value counts as hole: the
    half-covered rim of a soft mask still shows the object, and must not leak it. Pixels of mask 0 are
    byte-identical. The noise of a pixel depends on seed, place and image shape, not on the mask.
    Raises ValueError where the two sizes differ. (arXiv 2503.07535, appendix A: uniform random pixels.)
    """
    if mask.shape != image.shape[:2]:
        raise ValueError(
            f"mask {mask.shape} and image {image.shape[:2]} differ; fill before or after resizing both"
        )
    noise = rng(seed, "fill").integers(0, 256, size=image.shape, dtype=np.uint8)
    return np.where(mask[..., None] > 0, noise, image)


def fill_seed(meta: dict[str, Any]) -> int:
    """The seed of the noise in a removal pair's hole, from its meta.json. Raises ShardError without one."""
    seed = params_of(meta).get("fill_seed")
    if not isinstance(seed, int):
        raise ShardError(
            "meta.json states no fill_seed, a whole number, among its params",
            consequence="the noise in the hole of its source is not known",
            remedy="run `pairbridge verify` on the dataset; it names what is damaged",
        )
    return seed
