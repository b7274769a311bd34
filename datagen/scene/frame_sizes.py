"""How large a group's images are: one size for all, or a pixel budget and an aspect ratio for each group.

The LBM paper (arXiv 2503.07535, appendix A) trains on budgets of 256², 512², 768² and 1024² pixels with the
probabilities .1, .2, .2 and .5 and on aspect ratios from 0.25 to 4.
"""

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from pairbridge.datagen.core.bucket_sizes import bucket_size_WH
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.random_draws import RangeOf, log_uniform, weighted


class SizeMix(FrozenModel):
    """Sizes drawn per group: a budget of side² pixels, and an aspect ratio (width by height), log-uniform."""

    budgets: dict[PositiveInt, PositiveFloat] = Field(
        default_factory=lambda: {256: 0.1, 512: 0.2, 768: 0.2, 1024: 0.5}, min_length=1
    )
    """Pixel budgets: the side of the square with as many pixels, and the relative weight of each."""
    aspects: dict[PositiveFloat, PositiveFloat] = Field(default_factory=dict)
    """Aspect ratios, width by height, and the relative weight of each: those of a training's
    `buckets.aspects` make pictures that lose nothing in it. Empty: any in the range of `aspect`."""
    aspect: RangeOf[PositiveFloat] = (0.25, 4.0)
    """Least and largest aspect ratio where `aspects` is empty; drawn log-uniform."""
    multiple: PositiveInt = 8
    """Number that both sides are rounded to a multiple of. 8: the downscaling of an SDXL autoencoder. 32:
    what a training of SDXL's UNet rounds its buckets to."""

    def draw(self, rng: np.random.Generator) -> tuple[int, int]:
        """(width, height) of one group."""
        side = weighted(rng, dict(sorted(self.budgets.items())))
        ratio = (
            weighted(rng, dict(sorted(self.aspects.items())))
            if self.aspects
            else log_uniform(rng, self.aspect)
        )
        return bucket_size_WH(side, ratio, self.multiple)

    @property
    def mean_pixels(self) -> float:
        total = sum(self.budgets.values())
        return sum(side**2 * share / total for side, share in self.budgets.items())
