"""Ranges and weights, as configurations give them, and the random draws that plans make from them."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Annotated, TypeVar

import numpy as np
from pydantic import AfterValidator, Field, NonNegativeFloat

T = TypeVar("T")


def _ordered(ends: tuple[T, T]) -> tuple[T, T]:
    if ends[0] > ends[1]:
        raise ValueError(f"[{ends[0]}, {ends[1]}] is the wrong way round; write the lower end first")
    return ends


def _apart(ends: tuple[T, T]) -> tuple[T, T]:
    if ends[0] == ends[1]:
        raise ValueError(f"[{ends[0]}, {ends[1]}] is a single value; leave room between the ends")
    return ends


def _some_weight(weights: dict[T, float]) -> dict[T, float]:
    if sum(weights.values()) <= 0:
        raise ValueError("it needs at least one positive weight")
    return weights


Fraction = Annotated[float, Field(ge=0, le=1)]
RangeOf = Annotated[tuple[T, T], AfterValidator(_ordered)]
"""[low, high]; whether the upper end is included is for the draw to say."""
Range = RangeOf[float]
LimitsOf = Annotated[RangeOf[T], AfterValidator(_apart)]
"""[least, largest] of what is measured: a single value would never be met."""
Coverage = LimitsOf[Annotated[float, Field(gt=0, le=1)]]
Weights = Annotated[dict[T, NonNegativeFloat], AfterValidator(_some_weight)]
"""Relative frequencies of named choices; they need not add up to 1."""


def weighted(draw: np.random.Generator, weights: Mapping[T, float]) -> T:
    """One of the keys, as often as its weight says. The mapping's order counts: keep it fixed."""
    return list(weights)[index_at(draw.random(), list(weights.values()))]


def index_at(position: float, weights: Sequence[float]) -> int:
    """Index of the weight that holds `position`, when the weights are laid end to end over [0, 1)."""
    # Without NumPy, which for the few weights of a config takes eleven times as long.
    ends = list(accumulate(weights))
    return min(bisect_right(ends, position * ends[-1]), len(ends) - 1)


def log_uniform(draw: np.random.Generator, ends: tuple[float, float]) -> float:
    """Uniform in the logarithm between two positive ends: as many in each octave."""
    return math.exp(draw.uniform(math.log(ends[0]), math.log(ends[1])))


def whole_number(draw: np.random.Generator, ends: tuple[int, int]) -> int:
    """Uniform; both ends are included."""
    return int(draw.integers(ends[0], ends[1] + 1))
