"""Exact shares where batches differ in size and shape and weights change: draws of every source after any
number of batches.

A source is due X samples at a batch boundary, the sum over all batches so far of its weight times their
size. Its count c there obeys X - 1 <= c <= X + 1. Counts that go on obeying this for ever exist for any
weights (Tijdeman's theorem holds for weights that change at every draw), and a choice is taken only if every
later lower bound can still be reached: jobs of unit length with deadlines can all be done exactly if no
interval asks for more than it has. Upper bounds never stand in the way, as they add up to more than there is.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import NamedTuple

import numpy as np

from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.schedule import Schedule


class Phase(NamedTuple):
    """From global batch `first` on, sources have the shares of `schedule`."""

    first: int
    schedule: Schedule


class BatchDraws(NamedTuple):
    """Of each source: its draws before a batch, before it in batches of the same bucket, and in it."""

    before: tuple[int, ...]
    before_in_bucket: tuple[int, ...]
    taken: tuple[int, ...]


class BucketMix:
    """Cumulative draws per source at batch boundaries. Grows a table up to the last batch asked for: ten
    microseconds a batch for two sources, a tenth of a millisecond for five. A mix of one phase and one bucket
    has a closed form and no table.
    """

    def __init__(self, phases: Sequence[Phase], buckets: BucketSequence) -> None:
        """phases: by their first batch, from batch 0 on."""
        self.phases = tuple(phases)
        self._buckets = buckets
        self._sources = len(self.phases[0].schedule.parts)
        # Dues are kept as whole numbers of this fraction of a sample.
        self._unit = lcm(*(phase.schedule.period for phase in self.phases))
        self._steady = len(self.phases) == 1 and len(buckets.buckets) == 1
        self._dues = [(0,) * self._sources]
        self._samples = [0]
        self._table: list[BatchDraws] = []
        self._counts = [0] * self._sources
        self._in_bucket = [[0] * self._sources for _ in buckets.buckets]
        self._due_in_bucket = [[0] * self._sources for _ in buckets.buckets]

    @property
    def bound(self) -> Fraction:
        """Samples that a source's draws may be away from its share, at any batch boundary."""
        if self._sources == 1:
            return Fraction(0)
        return 1 - Fraction(1, 2 * self._sources - 2) if self._steady else Fraction(1)

    def due(self, batches: int) -> tuple[Fraction, ...]:
        """What every source's share of the first `batches` global batches is, in samples."""
        due = [Fraction(0)] * self._sources
        ends = [*(phase.first for phase in self.phases[1:]), batches]
        for (first, schedule), end in zip(self.phases, ends, strict=True):
            if first < batches:
                samples = self._buckets.samples(min(end, batches)) - self._buckets.samples(first)
                due = [had + samples * share for had, share in zip(due, schedule.shares, strict=True)]
        return tuple(due)

    def counts(self, batches: int) -> np.ndarray:
        """int64 (k,): draws per source in the first `batches` global batches; within one of their due."""
        if self._steady:
            return self.phases[0].schedule.counts(self._buckets.samples(batches))
        if not batches:
            return np.zeros(self._sources, dtype=np.int64)
        last = self.draws(batches - 1)
        return np.array(last.before, dtype=np.int64) + np.array(last.taken, dtype=np.int64)

    def draws(self, batch: int) -> BatchDraws:
        """What global batch `batch` takes from every source."""
        if self._steady:
            before, after = (self.counts(number) for number in (batch, batch + 1))
            first = tuple(before.tolist())
            return BatchDraws(first, first, tuple((after - before).tolist()))
        while len(self._table) <= batch:
            self._table.append(self._next())
        return self._table[batch]

    def _next(self) -> BatchDraws:
        batch = len(self._table)
        due, total = self._due(batch + 1), self._samples[batch + 1]
        before, unit = tuple(self._counts), self._unit
        place = self._buckets.place(batch)
        own, own_due = self._in_bucket[place], self._due_in_bucket[place]
        for i, (now, was) in enumerate(zip(due, self._dues[batch], strict=True)):
            own_due[i] += now - was
        counts = [max(had, _least(own, unit)) for had, own in zip(before, due, strict=True)]
        most = [(amount + unit) // unit for amount in due]

        def how_far_ahead(i: int) -> tuple[int, int]:
            return (own[i] + counts[i] - before[i]) * unit - own_due[i], counts[i] * unit - due[i]

        for left in range(total - sum(counts), 0, -1):
            open_to = [i for i in range(len(counts)) if counts[i] < most[i]]
            for i in sorted(open_to, key=how_far_ahead):
                counts[i] += 1
                if self._can_go_on(counts, left - 1, batch + 1):
                    break
                counts[i] -= 1
        taken = tuple(count - had for count, had in zip(counts, before, strict=True))
        draws = BatchDraws(before, tuple(own), taken)
        self._counts = counts
        for i, count in enumerate(taken):
            own[i] += count
        return draws

    def _can_go_on(self, counts: list[int], left: int, batch: int) -> bool:
        """Whether, with `left` more draws before boundary `batch`, every later lower bound can be reached."""
        if len(counts) == 2:
            # Only one of two can be behind, by less than a sample more than it is given from there on.
            return True
        total = self._samples[batch]
        while True:
            batch += 1
            least = [_least(due, self._unit) for due in self._due(batch)]
            short = sum(max(0, low - count) for low, count in zip(least, counts, strict=True))
            if short > self._samples[batch] - total + left:
                return False
            # From here on every bound is above its count, and their sum is below the number of samples.
            if all(low >= count for low, count in zip(least, counts, strict=True)):
                return True

    def _due(self, batches: int) -> tuple[int, ...]:
        """Dues at a boundary in units; also makes sure of `_samples` up to it."""
        while len(self._dues) <= batches:
            number = len(self._dues) - 1
            size = self._buckets.samples(number + 1) - self._samples[number]
            schedule = self._schedule(number)
            scale = size * (self._unit // schedule.period)
            self._dues.append(
                tuple(
                    had + part * scale for had, part in zip(self._dues[number], schedule.parts, strict=True)
                )
            )
            self._samples.append(self._samples[number] + size)
        return self._dues[batches]

    def _schedule(self, batch: int) -> Schedule:
        """The weights of a batch."""
        return next(phase.schedule for phase in reversed(self.phases) if phase.first <= batch)


def _least(due: int, unit: int) -> int:
    """The least count that is no more than one sample behind: ceil(due - 1), and no less than none."""
    return max(0, -(-(due - unit) // unit))
