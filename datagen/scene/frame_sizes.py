"""How large a group's images are: one size for all, or a pixel budget and an aspect ratio for each group.

The LBM paper (arXiv 2503.07535, appendix A) trains on budgets of 256², 512², 768² and 1024² pixels with the
probabilities .1, .2, .2 and .5 and on aspect ratios from 0.25 to 4.
"""

import math

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from pairbridge.datagen.core.frozen import FrozenModel


class SizeMix(FrozenModel):
    """Sizes drawn per group: a budget of side² pixels, and an aspect ratio (width by height), log-uniform."""

    budgets: dict[PositiveInt, PositiveFloat] = Field(
        default_factory=lambda: {256: 0.1, 512: 0.2, 768: 0.2, 1024: 0.5}
    )
    """Side of the square -> relative share."""
    aspect: tuple[PositiveFloat, PositiveFloat] = (0.25, 4.0)
    multiple: PositiveInt = 8
    """Both sides are rounded to one: the step of an SDXL autoencoder's latent."""

    @model_validator(mode="after")
    def _consistent(self) -> "SizeMix":
        if not self.budgets or self.aspect[0] > self.aspect[1]:
            raise ValueError(f"name a budget, and write the lower end of aspect {self.aspect} first")
        return self

    def draw(self, rng: np.random.Generator) -> tuple[int, int]:
        """(width, height) of one group."""
        sides = sorted(self.budgets)
        shares = np.cumsum([self.budgets[side] for side in sides])
        at = int(np.searchsorted(shares, rng.random() * shares[-1], "right"))
        side = sides[min(at, len(sides) - 1)]
        low, high = (math.log(end) for end in self.aspect)
        # The square root of the aspect ratio stretches one side and shrinks the other.
        stretch = math.exp(rng.uniform(low, high) / 2)
        return self._rounded(side * stretch), self._rounded(side / stretch)

    @property
    def mean_pixels(self) -> float:
        total = sum(self.budgets.values())
        return sum(side**2 * share / total for side, share in self.budgets.items())

    def _rounded(self, length: float) -> int:
        return max(self.multiple, round(length / self.multiple) * self.multiple)
