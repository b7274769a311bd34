"""A look at every photograph of a folder, before a dataset draws from it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from ruamel.yaml import YAML

from pairbridge.datagen.assets.catalogue import Asset, AssetsConfig
from pairbridge.datagen.assets.photographs import PhotoRules, read_photograph
from pairbridge.datagen.assets.sources import user_assets
from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import AssetError

_PIN_FILE = "catalogue.yaml"


@dataclass(frozen=True, slots=True)
class PhotoAudit:
    """`usable`: how many are fit for use; `problems`: {asset id: why another is not}."""

    usable: int
    problems: dict[str, str]


def audit_photographs(folder: Path, rules: PhotoRules, *, distance: int) -> PhotoAudit:
    """Decode every photograph below `folder` that its catalogue.yaml does not exclude already.

    Of several that show the same picture (within `distance` bits) the one with the most pixels is fit for
    use, the first by id of equals.
    """
    problems: dict[str, str] = {}
    seen: list[tuple[int, str, int]] = []
    for asset in _photographs(folder):
        try:
            image = read_photograph(asset.path, rules).pixels
        except AssetError as error:
            problems[asset.id] = error.cause
            continue
        seen.append((-image.shape[0] * image.shape[1], asset.id, perceptual_hash(image)))
    seen.sort()
    repeats = near_duplicates([value for _, _, value in seen], distance)
    for index, first in repeats.items():
        problems[seen[index][1]] = f"near-duplicate of {seen[first][1]}"
    return PhotoAudit(usable=len(seen) - len(repeats), problems=problems)


def write_exclusions(folder: Path, audit: PhotoAudit) -> Path:
    """Add `exclude: <why>` to the folder's catalogue.yaml for every problem; what it says otherwise stays."""
    path = folder / _PIN_FILE
    # The round trip keeps comments, and builds no objects either.
    round_trip = YAML(typ="rt")
    entries = (round_trip.load(path.read_text(encoding="utf-8")) if path.is_file() else None) or {}
    for asset_id, problem in sorted(audit.problems.items()):
        entries.setdefault(asset_id, {})["exclude"] = problem
    text = io.BytesIO()
    round_trip.dump(entries, text)
    write_atomically(path, [text.getvalue()])
    return path


def _photographs(folder: Path) -> list[Asset]:
    return user_assets(AssetsConfig(embedded=False, photos=(folder,)), set())


# Photographs that show the same picture: resized, recompressed or retouched copies of one another.


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
