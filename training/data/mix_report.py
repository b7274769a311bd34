"""What a mix will do, before it is trained on: shares, epochs, and which source runs out first."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.draws import DrawPlan, plan_draws
from pairbridge.training.data.mix_config import MixConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceForecast:
    """One source after the batches asked for.

    draws: samples taken from it; epochs: draws over pairs; fresh_batches: batches before its first repeated
    sample.
    """

    name: str
    pairs: int
    share: Fraction
    draws: int
    epochs: float
    fresh_batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MixForecast:
    """A mix over `num_batches` batches of `samples` samples in all.

    limit: batches in all where the mix stops at the first exhausted source, None where it repeats. Every
    source is at every batch boundary within `bound` samples of its share.
    """

    sources: tuple[SourceForecast, ...]
    samples: int
    num_batches: int
    limit: int | None
    bound: Fraction

    @property
    def exhausted_first(self) -> SourceForecast:
        """The source with the fewest batches of fresh samples; the first listed of equals."""
        return min(self.sources, key=lambda source: source.fresh_batches)


def describe_mix(mix: MixConfig, *, run_root: Path, buckets: BucketSequence, num_batches: int) -> MixForecast:
    """Forecast of a mix from the shards it names; opens their sidecars only.

    num_batches is cut to the mix's own end if it stops. Raises what opening the sources raises.
    """
    draws, _ = plan_draws(mix, run_root=run_root, buckets=buckets)
    return forecast(draws, num_batches)


def forecast(draws: DrawPlan, num_batches: int) -> MixForecast:
    """The same from a plan of draws."""
    limit = draws.num_batches
    last = num_batches if limit is None else min(limit, num_batches)
    taken = draws.mix.counts(last).tolist()
    return MixForecast(
        sources=tuple(
            SourceForecast(
                name=source.name,
                pairs=source.size,
                share=share,
                draws=count,
                epochs=count / source.size,
                fresh_batches=draws.fresh_batches(place),
            )
            for place, (source, share, count) in enumerate(
                zip(draws.sources, draws.schedule.shares, taken, strict=True)
            )
        ),
        samples=draws.buckets.samples(last),
        num_batches=last,
        limit=limit,
        bound=draws.mix.bound,
    )
