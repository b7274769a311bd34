"""How large a group's images are: one size for all, or a pixel budget and an aspect ratio for each group.

The LBM paper (arXiv 2503.07535, appendix A) trains on budgets of 256², 512², 768² and 1024² pixels with the
probabilities .1, .2, .2 and .5 and on aspect ratios from 0.25 to 4.
"""

import math

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.random_draws import RangeOf, log_uniform, weighted


class SizeMix(FrozenModel):
    """Sizes drawn per group: a budget of side² pixels, and an aspect ratio (width by height), log-uniform."""

    budgets: dict[PositiveInt, PositiveFloat] = Field(
        default_factory=lambda: {256: 0.1, 512: 0.2, 768: 0.2, 1024: 0.5}, min_length=1
    )
    """Pixel budgets: the side of the square with as many pixels, and the relative weight of each."""
    aspect: RangeOf[PositiveFloat] = (0.25, 4.0)
    """Least and largest aspect ratio, width by height; drawn log-uniform."""
    multiple: PositiveInt = 8
    """Number that both sides are rounded to a multiple of; 8 is the downscaling of an SDXL autoencoder."""

    def draw(self, rng: np.random.Generator) -> tuple[int, int]:
        """(width, height) of one group."""
        side = weighted(rng, dict(sorted(self.budgets.items())))
        # The square root of the aspect ratio stretches one side and shrinks the other.
        stretch = math.sqrt(log_uniform(rng, self.aspect))
        return self._rounded(side * stretch), self._rounded(side / stretch)

    @property
    def mean_pixels(self) -> float:
        total = sum(self.budgets.values())
        return sum(side**2 * share / total for side, share in self.budgets.items())

    def _rounded(self, length: float) -> int:
        return max(self.multiple, round(length / self.multiple) * self.multiple)
