"""Foregrounds of photographs, each cut out once: it takes seconds, and one photograph serves many groups."""

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from datagen.errors import Rejected
from datagen.matting import Masker, MaskerConfig, cut_out

# Alphas are 8 bit, so this holds about ten photographs of 24 megapixels or a thousand small ones.
CACHE_BYTES = 256 * 2**20


class Cutouts:
    """Alphas by photograph and masker, least recently used dropped first. A cache of pure results."""

    def __init__(self, photo: Callable[[str], np.ndarray], masker: Callable[[MaskerConfig], Masker]) -> None:
        self._photo = photo
        self._masker = masker
        self._held: OrderedDict[tuple[str, MaskerConfig], np.ndarray | Rejected] = OrderedDict()

    def alpha(self, asset_id: str, config: MaskerConfig) -> np.ndarray:
        """Foreground alpha of a photograph, uint8 (H, W) of its full size.

        Raises Rejected if it has no foreground (also remembered), AssetError if its file is broken.
        """
        key = (asset_id, config)
        if key not in self._held:
            self._held[key] = self._cut(asset_id, config)
            while len(self._held) > 1 and sum(map(_num_bytes, self._held.values())) > CACHE_BYTES:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        found = self._held[key]
        if isinstance(found, Rejected):
            raise found
        return found

    def _cut(self, asset_id: str, config: MaskerConfig) -> np.ndarray | Rejected:
        try:
            return cut_out(self._masker(config), self._photo(asset_id))
        except Rejected as refused:
            return Rejected(
                f"photograph {asset_id}: {refused.cause}",
                consequence=refused.consequence,
                remedy=refused.remedy,
                gate=refused.gate,
            )


def _num_bytes(found: np.ndarray | Rejected) -> int:
    return found.nbytes if isinstance(found, np.ndarray) else 0
