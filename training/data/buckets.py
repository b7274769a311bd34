"""Resolutions, aspects and batch sizes that take turns: which of them the n-th batch has.

Budgets follow a chairman's schedule, like the sources of a mix: at every batch each is within one batch of
its share. The aspects of a budget are those of the pictures, see
`pairbridge.training.data.picture_buckets`; they come in a new order every cycle, each with exactly its share
of it: an order that repeated would tie aspects to sources, whose schedule repeats too. What a batch is, and
how many samples came before it, follow from its number alone.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import Annotated, NamedTuple, Self

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from pairbridge.datagen.core.bucket_sizes import bucket_size_WH
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.seeds import rng
from pairbridge.training.data.schedule import Schedule

# Shares of aspects are those of the pictures, rounded to thousandths of a budget's batches where they have no
# smaller denominator; what there is comes once in a thousand at least.
_LONGEST_CYCLE = 1000


class Budget(FrozenModel):
    """How many pixels an image of a batch has, and how many images the batch."""

    side: Annotated[int, Field(ge=8)]
    """Side of the square image in pixels; other aspects have about as many pixels."""
    batch_size: PositiveInt
    """Samples per optimiser step over all ranks."""
    weight: PositiveFloat = 1.0
    """Relative share of the batches (not of the samples) that have this budget, above 0."""


class BucketsConfig(FrozenModel):
    """Every budget comes in every aspect that pictures have."""

    budgets: Annotated[tuple[Budget, ...], Field(min_length=1)]
    """Resolutions with their batch sizes, at least one. A picture is in one of them, and never enlarged."""
    aspects: Annotated[tuple[Annotated[float, Field(ge=0.25, le=4)], ...], Field(min_length=1)] = (1.0,)
    """Aspect ratios, width divided by height, in [0.25, 4], at least one. A picture goes to the nearest, so
    their shares are those of the pictures."""


class Bucket(NamedTuple):
    """What one batch is like: `size_WH` in pixels, `batch_size` samples over all ranks."""

    size_WH: tuple[int, int]
    batch_size: int


class BucketSequence:
    """The bucket of every global batch. Immutable. `buckets` are those of all budgets, aspects innermost."""

    def __init__(
        self,
        batch_sizes: Sequence[int],
        budgets: Schedule,
        sizes_WH: Sequence[Sequence[tuple[int, int]]],
        *,
        seed: int,
        shares: Sequence[Sequence[Fraction]] | None = None,
    ) -> None:
        """batch_sizes: per budget; sizes_WH: per budget and aspect; seed: of the order of aspects; shares: of
        the aspects in each budget, 0 for those that it does not have; None: equal ones.
        """
        self._batch_sizes, self._budgets, self._sizes_WH = tuple(batch_sizes), budgets, sizes_WH
        self._seed = seed
        shares = shares or [[Fraction(1, len(sizes))] * len(sizes) for sizes in sizes_WH]
        self._aspects = [_aspects(own) for own in shares]
        self.buckets = tuple(
            Bucket(size, batch) for batch, sizes in zip(batch_sizes, sizes_WH, strict=True) for size in sizes
        )

    @classmethod
    def single(cls, *, size: int, batch_size: int) -> Self:
        """Square images of one size, in batches of one size."""
        return cls([batch_size], Schedule([1]), [[(size, size)]], seed=0)

    @classmethod
    def of(cls, config: BucketsConfig, *, multiple: int, seed: int) -> Self:
        """Sides are multiples of `multiple`, what autoencoder and denoiser halve: a budget's square must be
        one, other aspects are rounded. Raises ConfigError.
        """
        return cls(
            [budget.batch_size for budget in config.budgets],
            Schedule([budget.weight for budget in config.budgets]),
            [
                [
                    bucket_size_WH(check_side(budget.side, multiple), ratio, multiple)
                    for ratio in config.aspects
                ]
                for budget in config.budgets
            ],
            seed=seed,
        )

    def shaped(self, shares: Sequence[Sequence[Fraction]]) -> Self:
        """The same budgets with these shares of aspects in each, as in the constructor."""
        return type(self)(self._batch_sizes, self._budgets, self._sizes_WH, seed=self._seed, shares=shares)

    def place(self, batch: int) -> int:
        """Which of `buckets` global batch `batch` (from 0) is of."""
        budget = int(self._budgets.sequence[batch % self._budgets.period])
        there, schedule = self._aspects[budget]
        aspect = there[0]
        if len(there) > 1:
            cycle, step = divmod(int(self._budgets.counts(batch)[budget]), schedule.period)
            order = _order(self._seed, budget, cycle, schedule.period)
            aspect = there[int(schedule.sequence[order[step]])]
        return budget * self.num_aspects + aspect

    def bucket(self, batch: int) -> Bucket:
        return self.buckets[self.place(batch)]

    def samples(self, batches: int) -> int:
        """Samples in the first `batches` global batches; the same for any shares of aspects."""
        counts = self._budgets.counts(batches).tolist()
        return sum(count * size for count, size in zip(counts, self._batch_sizes, strict=True))

    @property
    def num_aspects(self) -> int:
        return len(self._sizes_WH[0])

    @property
    def sample_shares(self) -> tuple[Fraction, ...]:
        """Share of the samples, not of the batches, that each budget has."""
        samples = [part * size for part, size in zip(self._budgets.parts, self._batch_sizes, strict=True)]
        return tuple(Fraction(own, sum(samples)) for own in samples)

    @property
    def shares(self) -> tuple[Fraction, ...]:
        """Share of the samples that each of `buckets` has; 0 for those that never come."""
        found = []
        for own, (there, schedule) in zip(self.sample_shares, self._aspects, strict=True):
            aspects = dict(zip(there, schedule.shares, strict=True))
            found += [own * aspects.get(aspect, 0) for aspect in range(self.num_aspects)]
        return tuple(found)

    @property
    def mean_batch_size(self) -> float:
        return self.samples(self._budgets.period) / self._budgets.period

    @property
    def facts(self) -> dict[str, list]:
        """All that the sequence depends on beside its seed, JSON-able."""
        return {
            "budgets": list(self._budgets.parts),
            "aspects": [[list(there), list(schedule.parts)] for there, schedule in self._aspects],
            "buckets": [[*bucket.size_WH, bucket.batch_size] for bucket in self.buckets],
        }

    def check_ranks(self, world: int) -> None:
        """Raise ConfigError unless `world` ranks can share every batch evenly."""
        uneven = sorted({size for size in self._batch_sizes if size % world})
        if uneven:
            raise ConfigError(
                f"batch size {uneven[0]} cannot be divided among {world} ranks",
                consequence="ranks would take batches of different sizes and wait for each other for ever",
                remedy=f"make it a multiple of {world}",
            )


def check_side(side: int, multiple: int) -> int:
    """`side`, or ConfigError where it is no multiple of what autoencoder and denoiser halve."""
    if side % multiple:
        raise ConfigError(
            f"size {side} is no multiple of {multiple}, which the autoencoder and the widths of the denoiser"
            " need",
            consequence="the network's halves would not meet again at one size",
            remedy=f"set it to {side // multiple * multiple or multiple}, or use fewer denoiser.widths",
        )
    return side


def _aspects(shares: Sequence[Fraction]) -> tuple[tuple[int, ...], Schedule]:
    """The aspects that have a share, and their schedule; see _LONGEST_CYCLE."""
    there = tuple(aspect for aspect, share in enumerate(shares) if share)
    whole = lcm(*(shares[aspect].denominator for aspect in there))
    if whole <= _LONGEST_CYCLE:
        return there, Schedule([shares[aspect] for aspect in there])
    return there, Schedule([max(1, round(shares[aspect] * _LONGEST_CYCLE)) for aspect in there])


@lru_cache(maxsize=256)
def _order(seed: int, budget: int, cycle: int, period: int) -> np.ndarray:
    return rng(seed, "aspects", budget, cycle).permutation(period)
