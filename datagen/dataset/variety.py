"""How varied the samples of one recipe and split are: distinct objects, lightings and image sizes."""

import math
from dataclasses import dataclass
from typing import Any

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.shards.sample import params_of, png_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Variety:
    """Counts over the samples that were read.

    `lightings` counts lighting files, and lamps by their parameters. `budgets` are the sides of the squares
    of equal area (`nominal_side`). `aspects` is (least, greatest) width by height; None where no sample has
    an image.
    """

    objects: int
    lightings: int
    budgets: tuple[int, ...]
    aspects: tuple[float, float] | None


class VarietyCount:
    """Gathers what `Variety` counts, sample by sample, from names and headers alone."""

    def __init__(self) -> None:
        self._objects: set[str] = set()
        self._lightings: set[str] = set()
        self._sizes: set[tuple[int, int]] = set()

    def add(self, sample: dict[str, bytes], meta: dict[str, Any]) -> None:
        """One sample's files, and its decoded meta.json, whose shape was checked.

        Raises ShardError where the image is no PNG.
        """
        for asset in meta["assets"]:
            role, asset_id = str(asset.get("role")), str(asset.get("id"))
            if "object" in role:
                self._objects.add(asset_id)
            elif "lighting" in role:
                self._lightings.add(asset_id)
        for lamp in _lamps(meta):
            self._lightings.add(canonical_json(lamp).decode())
        # The target of depth and normals is an array; their image is the source.
        image = next((name for name in ("target.png", "source.png") if name in sample), None)
        if image is not None:
            size = png_size(image, sample[image])
            # A flipped bit can make a side zero; the shard's hash says so.
            self._sizes |= {size} if all(size) else set()

    def result(self) -> Variety:
        aspects = sorted(width / height for width, height in self._sizes)
        return Variety(
            objects=len(self._objects),
            lightings=len(self._lightings),
            budgets=tuple(sorted({nominal_side(width * height) for width, height in self._sizes})),
            aspects=(aspects[0], aspects[-1]) if aspects else None,
        )


def nominal_side(pixels: int) -> int:
    """The side of the square of as many pixels, to the nearest of 2^k (1, 1.25, 1.5, 1.75): images whose
    sides were rounded to a multiple of 8 fall together again.
    """
    side = math.sqrt(pixels)
    octave = 2.0 ** math.floor(math.log2(side))
    steps = (1.0, 1.25, 1.5, 1.75, 2.0)
    return round(octave * min(steps, key=lambda step: abs(math.log(side / (octave * step)))))


def _lamps(meta: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        lights = params_of(meta).get("lights", [])
    except ShardError:
        return []
    return [light for light in lights if isinstance(light, dict)] if isinstance(lights, list) else []
