"""Resolutions, aspects and batch sizes that take turns: which of them the n-th batch has.

Budgets follow a chairman's schedule, like the sources of a mix: at every batch each is within one batch of
its share. The aspects of a budget come in a new order every cycle, each with exactly its share of it: an
order that repeated would tie aspects to sources, whose schedule repeats too. What a batch is, and how many
samples came before it, follow from its number alone.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, NamedTuple, Self

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.seeds import rng
from pairbridge.training.data.schedule import Schedule


class Budget(FrozenModel):
    """How many pixels an image of a batch has, and how many images the batch."""

    side: Annotated[int, Field(ge=8)]
    """Side of the square image in pixels; other aspects have about as many pixels."""
    batch_size: PositiveInt
    """Samples per optimiser step over all ranks."""
    weight: PositiveFloat = 1.0
    """Relative share of the batches (not of the samples) that have this budget, above 0."""


class Aspect(FrozenModel):
    """A shape of image; samples of another one are cropped to it."""

    ratio: Annotated[float, Field(ge=0.25, le=4)]
    """Width divided by height, in [0.25, 4]."""
    weight: PositiveFloat = 1.0
    """Relative share of the batches that have this aspect, above 0."""


class BucketsConfig(FrozenModel):
    """Every budget comes in every aspect."""

    budgets: Annotated[tuple[Budget, ...], Field(min_length=1)]
    """Resolutions with their batch sizes, at least one."""
    aspects: Annotated[tuple[Aspect, ...], Field(min_length=1)] = (Aspect(ratio=1.0),)
    """Aspect ratios, at least one. Every budget comes in all of them."""


class Bucket(NamedTuple):
    """What one batch is like: `size_WH` in pixels, `batch_size` samples over all ranks."""

    size_WH: tuple[int, int]
    batch_size: int


class BucketSequence:
    """The bucket of every global batch. Immutable."""

    def __init__(
        self,
        batch_sizes: Sequence[int],
        budgets: Schedule,
        aspects: Schedule,
        sizes_WH: Sequence[Sequence[tuple[int, int]]],
        *,
        seed: int,
    ) -> None:
        """batch_sizes: per budget; sizes_WH: per budget and aspect; seed: of the order of aspects."""
        self._batch_sizes = tuple(batch_sizes)
        self._seed = seed
        self._budgets, self._aspects = budgets, aspects
        self.buckets = tuple(
            Bucket(size, batch) for batch, sizes in zip(batch_sizes, sizes_WH, strict=True) for size in sizes
        )

    @classmethod
    def single(cls, *, size: int, batch_size: int) -> Self:
        """Square images of one size, in batches of one size."""
        return cls([batch_size], Schedule([1]), Schedule([1]), [[(size, size)]], seed=0)

    @classmethod
    def of(cls, config: BucketsConfig, *, multiple: int, seed: int) -> Self:
        """Sides are multiples of `multiple`, what autoencoder and denoiser halve: a budget's square must be
        one, other aspects are rounded. Raises ConfigError.
        """
        return cls(
            [budget.batch_size for budget in config.budgets],
            Schedule([budget.weight for budget in config.budgets]),
            Schedule([aspect.weight for aspect in config.aspects]),
            [
                [
                    _size_WH(check_side(budget.side, multiple), aspect.ratio, multiple)
                    for aspect in config.aspects
                ]
                for budget in config.budgets
            ],
            seed=seed,
        )

    def place(self, batch: int) -> int:
        """Which of `buckets` global batch `batch` (from 0) is of."""
        budget = int(self._budgets.sequence[batch % self._budgets.period])
        if len(self._aspects.parts) == 1:
            return budget
        cycle, step = divmod(int(self._budgets.counts(batch)[budget]), self._aspects.period)
        order = _order(self._seed, budget, cycle, self._aspects.period)
        return budget * len(self._aspects.parts) + int(self._aspects.sequence[order[step]])

    def bucket(self, batch: int) -> Bucket:
        return self.buckets[self.place(batch)]

    def samples(self, batches: int) -> int:
        """Samples in the first `batches` global batches."""
        counts = self._budgets.counts(batches).tolist()
        return sum(count * size for count, size in zip(counts, self._batch_sizes, strict=True))

    @property
    def mean_batch_size(self) -> float:
        return self.samples(self._budgets.period) / self._budgets.period

    @property
    def facts(self) -> dict[str, list]:
        """All that the sequence depends on beside its seed, JSON-able."""
        return {
            "budgets": list(self._budgets.parts),
            "aspects": list(self._aspects.parts),
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


@lru_cache(maxsize=256)
def _order(seed: int, budget: int, cycle: int, period: int) -> np.ndarray:
    return rng(seed, "aspects", budget, cycle).permutation(period)


def _size_WH(side: int, ratio: float, multiple: int) -> tuple[int, int]:
    stretch = math.sqrt(ratio)
    return tuple(max(1, round(length / multiple)) * multiple for length in (side * stretch, side / stretch))


# Exact shares where batches differ in size and shape: draws of every source after any number of batches.


class BucketMix:
    """Cumulative draws per source at batch boundaries. Grows a table up to the last batch asked for: ten
    microseconds a batch for two sources, a tenth of a millisecond for five.
    """

    def __init__(self, schedule: Schedule, buckets: BucketSequence) -> None:
        self._schedule, self._buckets = schedule, buckets
        self._table = [(0,) * len(schedule.parts)]
        self._in_bucket = [[0] * len(schedule.parts) for _ in buckets.buckets]

    @property
    def bound(self) -> Fraction:
        """Samples that a source's draws may be away from its share, at any batch boundary."""
        k = len(self._schedule.parts)
        if k == 1:
            return Fraction(0)
        return 1 - Fraction(1, 2 * k - 2) if len(self._buckets.buckets) == 1 else Fraction(1)

    def counts(self, batches: int) -> np.ndarray:
        """int64 (k,): draws per source in the first `batches` global batches; within one of their share."""
        if len(self._buckets.buckets) == 1:
            # One bucket's share is the whole's: the schedule has a closed form, and a tighter bound.
            return self._schedule.counts(batches * self._buckets.buckets[0].batch_size)
        while len(self._table) <= batches:
            self._table.append(self._next())
        return np.array(self._table[batches], dtype=np.int64)

    def _next(self) -> tuple[int, ...]:
        batch = len(self._table) - 1
        before, parts, period = self._table[-1], self._schedule.parts, self._schedule.period
        total = self._buckets.samples(batch + 1)
        own = self._in_bucket[self._buckets.place(batch)]
        in_bucket = sum(own) + total - sum(before)
        least = [max(had, self._least(total, part)) for had, part in zip(before, parts, strict=True)]
        most = [(total * part + period) // period for part in parts]
        counts = list(least)

        def how_far_ahead(i: int) -> tuple[int, int]:
            taken = own[i] + counts[i] - before[i]
            return taken * period - in_bucket * parts[i], counts[i] * period - total * parts[i]

        for left in range(total - sum(least), 0, -1):
            open_to = [i for i in range(len(parts)) if counts[i] < most[i]]
            for i in sorted(open_to, key=how_far_ahead):
                counts[i] += 1
                if self._can_go_on(counts, left - 1, batch + 1):
                    break
                counts[i] -= 1
        for i, count in enumerate(counts):
            own[i] += count - before[i]
        return tuple(counts)

    def _can_go_on(self, counts: list[int], left: int, batch: int) -> bool:
        """Whether, with `left` more draws before boundary `batch`, every later L can be reached."""
        parts = self._schedule.parts
        if len(parts) == 2:
            # Only one of two can be behind, by less than a sample more than it is given from there on.
            return True
        total = self._buckets.samples(batch)
        # From here on every L is above its count, and the sum of L is below the number of samples.
        last = total + -(-2 * self._schedule.period // min(parts))
        samples = total
        while samples <= last:
            batch += 1
            samples = self._buckets.samples(batch)
            short = sum(
                max(0, self._least(samples, part) - count) for part, count in zip(parts, counts, strict=True)
            )
            if short > samples - total + left:
                return False
        return True

    def _least(self, samples: int, part: int) -> int:
        """ceil(samples * share - 1), and no less than none."""
        return max(0, -(-(samples * part - self._schedule.period) // self._schedule.period))
