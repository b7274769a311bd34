"""The schedule against exact fractions, its bound at every prefix, and the draws that follow from it."""

import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import rng
from pairbridge.training.data.bucket_mix import Phase
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.draws import DrawnSource, DrawPlan
from pairbridge.training.data.mix_report import forecast
from pairbridge.training.data.picture_buckets import Placement
from pairbridge.training.data.schedule import MAX_PERIOD, Schedule


def _chairman(weights: list[Fraction], steps: int) -> list[int]:
    """Tijdeman's rule as he states it, in exact fractions, deficits recomputed at every step."""
    k = len(weights)
    slack = 1 - Fraction(1, 2 * k - 2)
    counts = [0] * k
    chosen = []
    for n in range(1, steps + 1):
        deficits = [n * w - c for w, c in zip(weights, counts, strict=True)]
        eligible = [i for i in range(k) if deficits[i] >= Fraction(1, 2 * k - 2)]
        best = min(eligible, key=lambda i: ((slack - deficits[i]) / weights[i], i))
        counts[best] += 1
        chosen.append(best)
    return chosen


PARTS = st.lists(st.integers(1, 60), min_size=2, max_size=7)


@given(parts=PARTS)
@settings(max_examples=200, deadline=None)
def test_sequence_is_the_chairman_assignment_in_exact_fractions(parts: list[int]) -> None:
    schedule = Schedule(parts)
    assert schedule.sequence.tolist() == _chairman(list(schedule.shares), schedule.period)


@given(parts=PARTS, periods=st.integers(0, 3), start=st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_every_prefix_is_within_the_bound(parts: list[int], periods: int, start: int) -> None:
    schedule = Schedule(parts)
    k = len(parts)
    bound = 1 - Fraction(1, 2 * k - 2)
    for n in [*range(periods * schedule.period, (periods + 1) * schedule.period + 1), start]:
        counts = schedule.counts(n).tolist()
        assert sum(counts) == n
        assert all(abs(c - n * w) <= bound for c, w in zip(counts, schedule.shares, strict=True))


def test_weights_are_the_decimals_they_are_written_with() -> None:
    assert Schedule([0.9, 0.1]).parts == (9, 1)
    assert Schedule([0.7, 0.3]).parts == Schedule([70, 30]).parts == Schedule(["0.7", "0.3"]).parts == (7, 3)
    assert Schedule([0.3, 0.3, 0.4]).parts == (3, 3, 4)
    assert Schedule([1e-3, 1]).parts == (1, 1000)
    assert Schedule([5]).counts(12).tolist() == [12]


@pytest.mark.parametrize("weights", [[], [1, 0], [1, -1], [0.123456789, 1]])
def test_weights_that_cannot_be_scheduled_are_refused(weights: list[float]) -> None:
    with pytest.raises(ConfigError):
        Schedule(weights)


def test_the_longest_period_is_built_in_a_moment() -> None:
    schedule = Schedule([50_001, 30_000, 19_998, 1])
    assert schedule.period == MAX_PERIOD
    began = time.process_time()
    schedule.counts(1)
    # 0.08 s on an idle core; the bound allows for a busy machine.
    assert time.process_time() - began < 0.5


def test_takes_of_a_batch_differ_from_their_share_by_less_than_two() -> None:
    schedule = Schedule([0.55, 0.25, 0.2])
    takes = np.diff([schedule.counts(7 * b) for b in range(401)], axis=0)
    assert (takes.sum(axis=1) == 7).all()
    assert (np.abs(takes - 7 * np.array([0.55, 0.25, 0.2])) < 2).all()
    assert takes.sum(axis=0).tolist() == schedule.counts(2800).tolist() == [1540, 700, 560]


def _plan(sizes: list[int], weights: list[float], batch_size: int, **options) -> DrawPlan:
    sources = [DrawnSource(f"s{i}", n, Placement.everything(n)) for i, n in enumerate(sizes)]
    buckets = BucketSequence.single(size=8, batch_size=batch_size)
    return DrawPlan(sources, [Phase(0, Schedule(weights))], seed=3, buckets=buckets, **options)


def test_draws_leave_no_gap_and_repeat_nothing_within_an_epoch() -> None:
    plan = _plan([10, 7, 31], [0.5, 0.2, 0.3], 6)
    drawn: dict[int, list] = {0: [], 1: [], 2: []}
    for b in range(60):
        for draw in plan.batch(b):
            drawn[draw.source].append(draw)
    for source, size in enumerate([10, 7, 31]):
        draws = sorted(drawn[source], key=lambda draw: draw.number)
        assert [draw.number for draw in draws] == list(range(len(draws)))
        indices = [draw.index for draw in draws]
        epochs = [indices[i : i + size] for i in range(0, len(indices) - size + 1, size)]
        assert len(epochs) >= 3
        assert all(sorted(epoch) == list(range(size)) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) == len(epochs), (
            "an epoch replayed the order of another"
        )


def test_a_batch_depends_on_its_number_alone() -> None:
    forwards, jumping = _plan([10, 7], [9, 1], 8), _plan([10, 7], [9, 1], 8)
    order = rng(0, "test").permutation(100).tolist()
    batches = {b: jumping.batch(b) for b in order}
    np.random.seed(99)
    assert [forwards.batch(b) for b in range(100)] == [batches[b] for b in range(100)]


def test_order_within_a_batch_does_not_follow_the_schedule() -> None:
    """One to one on two ranks: without a permutation each rank would meet one source for ever."""
    plan = _plan([1000, 1000], [1, 1], 8)
    firsts = [sum(draw.source == 0 for draw in plan.batch(b)[:4]) for b in range(200)]
    assert min(firsts) == 0
    assert max(firsts) == 4
    assert 1.8 < np.mean(firsts) < 2.2


def test_stop_ends_at_the_last_batch_without_a_repeat() -> None:
    for sizes, weights, batch in [([50, 9], [9, 1], 8), ([5, 500], [1, 1], 4), ([3, 3, 3], [1, 2, 3], 5)]:
        plan = _plan(sizes, weights, batch, on_exhausted="stop")
        last = plan.num_batches
        fits = [b for b in range(300) if all(Schedule(weights).counts(b * batch) <= np.array(sizes))]
        assert last == fits[-1]
    assert _plan([5, 5], [1, 1], 4).num_batches is None


def test_forecast_names_the_source_that_is_exhausted_first() -> None:
    mix = forecast(_plan([900, 50], [0.9, 0.1], 10), 200)
    synthetic, photos = mix.sources
    assert (synthetic.share, photos.share) == (Fraction(9, 10), Fraction(1, 10))
    assert (synthetic.draws, photos.draws) == (1800, 200)
    assert (synthetic.epochs, photos.epochs) == (2.0, 4.0)
    assert (synthetic.fresh_batches, photos.fresh_batches) == (100, 50)
    assert mix.exhausted_first == photos
    assert mix.bound == Fraction(1, 2)
    stopping = forecast(_plan([900, 50], [0.9, 0.1], 10, on_exhausted="stop"), 200)
    assert (stopping.limit, stopping.num_batches) == (50, 50)
