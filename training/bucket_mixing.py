"""Exact shares where batches differ in size and shape: draws of every source after any number of batches.

Two shares are at stake. Of all samples so far each source must have its share at every batch boundary, to
within one sample: that is the promise. And within each bucket it should have it too, or a source of one in a
hundred, in a cycle of a hundred samples, would only ever be seen at one resolution.

At boundary b, with N_b samples so far, the draws C_i(b) of source i stay within

    L_i = ceil(N_b w_i - 1) <= C_i(b) <= floor(N_b w_i + 1) = U_i

That leaves a choice, which goes to the sources furthest behind in the bucket of the batch, and is only made
if it can be continued for ever. Draws are jobs of unit length, each to be done between the boundaries at
which U and L reach it; from boundary b on all can be met if and only if, at every later boundary b',

    sum_i max(0, L_i(b') - C_i(b)) <= N_b' - N_b

since between two later boundaries sum_i max(0, L_i(b') - U_i(b'')) <= N_b' - N_b'' holds anyway, and the sum
of U never is below N. The shares within buckets follow as closely as that allows: they are steered, not
promised.
"""

from fractions import Fraction

import numpy as np

from training.buckets import BucketSequence
from training.mixing import Schedule


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
