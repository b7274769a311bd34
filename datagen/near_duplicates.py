"""Photographs that show the same picture: resized, recompressed or retouched copies of one another.

A copy in another split would leak, and one in the same split counts twice. Each image gets a 64-bit hash of
its coarse structure (signs of the low frequencies of a cosine transform); copies differ in few bits.
"""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

HASH_BITS = 64
# Recompression, resizing and small tonal changes stay within 4 bits of 64; unrelated photographs are rarely
# within 10 (docs/import.md has the figures of the embedded photographs).
DEFAULT_DISTANCE = 4

_GRID = 32
_LOW = 8


def perceptual_hash(image: np.ndarray) -> int:
    """64 bits of uint8 (H, W, 3) RGB: which of its 8x8 lowest frequencies are above their median.

    The DC term, which is brightness alone, takes no part in the median (after the usual "pHash").
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:_LOW, :_LOW].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_duplicates(hashes: Sequence[int], distance: int = DEFAULT_DISTANCE) -> dict[int, int]:
    """{index: index of the earlier entry it repeats}, for entries within `distance` bits of a kept one.

    The order of `hashes` is the order of preference: the first of several copies is kept. Exact for any
    distance below 64, and far from quadratic for small ones: two hashes that differ in d bits agree on at
    least one of d + 1 bands, so only entries that share a band are compared.
    """
    if not 0 <= distance < HASH_BITS:
        raise ValueError(f"distance is {distance}; it counts bits of {HASH_BITS}")
    borders = np.linspace(0, HASH_BITS, distance + 2).round().astype(int).tolist()
    bands = [(low, (1 << (high - low)) - 1) for low, high in pairwise(borders)]
    kept: dict[tuple[int, int], list[int]] = {}
    repeats: dict[int, int] = {}
    for index, value in enumerate(hashes):
        names = [(low, value >> low & ones) for low, ones in bands]
        candidates = sorted({other for name in names for other in kept.get(name, ())})
        first = next((o for o in candidates if (hashes[o] ^ value).bit_count() <= distance), None)
        if first is not None:
            repeats[index] = first
            continue
        for name in names:
            kept.setdefault(name, []).append(index)
    return repeats
