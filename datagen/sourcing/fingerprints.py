"""What a picture looks like, in a few bytes: finds one photograph or environment map under several names."""

import base64
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

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
    # Late, here and below: fingerprints that are written down are compared without it.
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:_LOW, :_LOW].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def photo_fingerprint(image: np.ndarray) -> str:
    """The hashes of a photograph and of its mirror image, as hex digits."""
    return f"{perceptual_hash(image):016x}{perceptual_hash(np.ascontiguousarray(image[:, ::-1])):016x}"


def hash_of(fingerprint: str) -> int:
    """The photograph's own hash in its fingerprint."""
    return int(fingerprint[:16], 16)


def near_photos(fingerprints: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Indices of photographs that show the same picture, one of them mirrored or neither."""
    count = len(fingerprints)
    hashes = [hash_of(one) for one in fingerprints] + [int(one[16:], 16) for one in fingerprints]
    for first, second in near_pairs(hashes, DEFAULT_DISTANCE):
        if first < count:
            yield first, second % count


def near_pairs(hashes: Sequence[int], distance: int) -> Iterator[tuple[int, int]]:
    """Indices (first < second) of hashes within `distance` bits; of equal ones each is paired with the first
    alone, which stands for it.

    Exact for any distance below 64, and far from quadratic for small ones: two hashes that differ in d bits
    agree on at least one of d + 1 bands, so only entries that share a band are compared.
    """
    if not 0 <= distance < HASH_BITS:
        raise ValueError(f"distance is {distance}; it counts bits of {HASH_BITS}")
    borders = np.linspace(0, HASH_BITS, distance + 2).round().astype(int).tolist()
    bands = [(low, (1 << (high - low)) - 1) for low, high in pairwise(borders)]
    first_of: dict[int, int] = {}
    sharing: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for index, value in enumerate(hashes):
        if value in first_of:
            yield first_of[value], index
            continue
        first_of[value] = index
        names = [(low, value >> low & ones) for low, ones in bands]
        for other in sorted({other for name in names for other in sharing[name]}):
            if (hashes[other] ^ value).bit_count() <= distance:
                yield other, index
        for name in names:
            sharing[name].append(index)


def near_duplicates(hashes: Sequence[int], distance: int = DEFAULT_DISTANCE) -> dict[int, int]:
    """{index: index of the earlier entry it repeats}, for entries within `distance` bits of a kept one.

    The order of `hashes` is the order of preference: the first of several copies is kept.
    """
    near: defaultdict[int, list[int]] = defaultdict(list)
    for first, second in near_pairs(hashes, distance):
        near[second].append(first)
    repeats: dict[int, int] = {}
    for index in sorted(near):
        # An equal one that was itself dropped stands for the one it repeats.
        kept = [first for first in near[index] if first not in repeats]
        kept += [repeats[i] for i in near[index] if i in repeats and hashes[i] == hashes[index]]
        if kept:
            repeats[index] = min(kept)
    return repeats


# Environment maps: log luminance at 32x16, less its median, so that exposure and resolution play no part.


_MAP_WH = (32, 16)
# Steps of a sixteenth of a stop fill a signed byte with plus and minus eight stops.
_STEPS_PER_STOP = 16.0
_MOST_STOPS = 127 / _STEPS_PER_STOP
# Root mean square over the sphere, in stops, with differences above one stop cut to one: a sun that one file
# clips is a few texels. Copies of other sizes and encodings stay below 0.03; embedded maps are 0.58 apart.
# Even maps are near each other in stops: what counts there is how much of their contrast they share.
_MAP_DISTANCES = (0.04, 0.25)
_SHARE_OF_CONTRAST = 0.3
# Without that cut: what is further apart need not be looked at texel by texel.
_ROUGH_DISTANCE = 1.0
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


def map_fingerprint(pixels: np.ndarray) -> str:
    """512 signed bytes, in base64, of linear RGB (H, W, 3) that is equirectangular and somewhere above 0."""
    import cv2

    small = cv2.resize(pixels @ _LUMINANCE, _MAP_WH, interpolation=cv2.INTER_AREA).astype(np.float64)
    light = small[small > 0]
    stops = np.log2(np.maximum(small, light.min() if light.size else 1.0))
    stops -= np.median(stops)
    steps = np.round(np.clip(stops, -_MOST_STOPS, _MOST_STOPS) * _STEPS_PER_STOP)
    return base64.b64encode(steps.astype(np.int8).tobytes()).decode()


def near_maps(fingerprints: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Indices (first < second) of environment maps of one scene, at whatever size and exposure."""
    if len(fingerprints) < 2:
        return
    width, height = _MAP_WH
    rows = np.sin((np.arange(height) + 0.5) * (np.pi / height))
    weight = np.repeat(rows / (rows.sum() * width), width).astype(np.float32)
    steps = np.stack([np.frombuffer(base64.b64decode(one), np.int8) for one in fingerprints])
    stops = steps.astype(np.float32) / _STEPS_PER_STOP
    scaled = stops * np.sqrt(weight)
    squares = (scaled * scaled).sum(axis=1)
    contrast = np.sqrt(np.maximum(squares - (stops @ weight) ** 2, 0))
    for first in range(len(stops) - 1):
        rough = squares[first] + squares[first + 1 :] - 2 * (scaled[first + 1 :] @ scaled[first])
        for second in np.flatnonzero(rough <= _ROUGH_DISTANCE**2) + first + 1:
            apart = np.minimum(np.abs(stops[first] - stops[second]), 1)
            limit = np.clip(_SHARE_OF_CONTRAST * min(contrast[first], contrast[second]), *_MAP_DISTANCES)
            if float((apart * apart * weight).sum()) <= limit**2:
                yield first, int(second)
