"""Diffusions from the data outwards, as two functions of time: how much of the data is left, how much noise.

    x_s given data x1 ~ N(alpha_s x1, sigma_s^2 I),   s in [0, 1], s = 0 the data
    dx = -decay x ds + sqrt(noise_rate) dW

In the papers the data are at s = 0; elsewhere in this package t = 1 - s. All of it follows from alpha and
sigma (`pairbridge.training.bridge.diffusion_equations`). Tensors are of any shape, and of the shape of s.
"""

import math
from typing import Annotated, Literal, Protocol, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from pairbridge.datagen.core.frozen import FrozenModel


class NoiseSchedule(Protocol):
    def alpha(self, s: Tensor) -> Tensor:
        """The factor of the data, in (0, 1]; 1 at s = 0."""

    def variance(self, s: Tensor) -> Tensor:
        """sigma_s^2 >= 0; 0 at s = 0, and rising."""

    def decay(self, s: Tensor) -> Tensor:
        """-d log alpha / ds >= 0."""

    def noise_rate(self, s: Tensor) -> Tensor:
        """Variance that is added in a unit of time: d sigma^2 / ds + 2 decay sigma^2."""


class VpSchedule(FrozenModel):
    """Variance preserving, alpha^2 + sigma^2 = 1, with a rate that rises linearly (Song et al., arXiv
    2011.13456). Bridges of DDBM (arXiv 2309.16948) go from 0.1 to 2.1, diffusions from noise to 20.
    """

    kind: Literal["vp"] = "vp"
    """Selects this variant."""
    beta_min: float = Field(default=0.1, gt=0)
    """Rate at the data."""
    beta_max: float = Field(default=20.0, gt=0)
    """Rate at the other end; no less than `beta_min`. 2.1 for a bridge from a source, as in DDBM."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.beta_max < self.beta_min:
            raise ValueError(f"beta_max {self.beta_max} is below beta_min {self.beta_min}")
        return self

    def alpha(self, s: Tensor) -> Tensor:
        return torch.exp(-self._integral(s) / 2)

    def variance(self, s: Tensor) -> Tensor:
        return -torch.expm1(-self._integral(s))

    def decay(self, s: Tensor) -> Tensor:
        return self.noise_rate(s) / 2

    def noise_rate(self, s: Tensor) -> Tensor:
        return self.beta_min + (self.beta_max - self.beta_min) * s

    def _integral(self, s: Tensor) -> Tensor:
        return self.beta_min * s + (self.beta_max - self.beta_min) * s**2 / 2


class I2sbSchedule(FrozenModel):
    """Variance exploding, with a rate that is low at both ends (I2SB, arXiv 2302.05872): its square root
    rises linearly to the middle, and falls as it rose. A Brownian bridge by another clock.
    """

    kind: Literal["i2sb"] = "i2sb"
    """Selects this variant."""
    beta_min: float = Field(default=0.1, gt=0)
    """Rate at both ends."""
    beta_max: float = Field(default=0.3, gt=0)
    """What the rate would rise to by the other end if it did not turn in the middle; more than `beta_min`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.beta_max <= self.beta_min:
            raise ValueError(f"beta_max {self.beta_max} is not above beta_min {self.beta_min}")
        return self

    def alpha(self, s: Tensor) -> Tensor:
        return torch.ones_like(s)

    def variance(self, s: Tensor) -> Tensor:
        half = self._rising(torch.full_like(s, 0.5))
        return torch.where(s <= 0.5, self._rising(s), 2 * half - self._rising(1 - s))

    def decay(self, s: Tensor) -> Tensor:
        return torch.zeros_like(s)

    def noise_rate(self, s: Tensor) -> Tensor:
        low, slope = self._root
        return (low + slope * torch.minimum(s, 1 - s)) ** 2

    @property
    def _root(self) -> tuple[float, float]:
        low = math.sqrt(self.beta_min)
        return low, math.sqrt(self.beta_max) - low

    def _rising(self, s: Tensor) -> Tensor:
        """The integral of the rate up to s <= 1/2."""
        low, slope = self._root
        return ((low + slope * s) ** 3 - low**3) / (3 * slope)


AnySchedule = Annotated[VpSchedule | I2sbSchedule, Field(discriminator="kind")]
