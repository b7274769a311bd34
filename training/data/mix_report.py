"""What a mix will do, before it is trained on: shares, epochs, what is kept of pictures, and which source
runs out first.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from pairbridge.training.data.bucket_mix import Phase
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.draws import DrawPlan, plan_draws
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.picture_buckets import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceForecast:
    """One source after the batches asked for.

    pairs: those that are used; excluded: those that the mix's `keep` and `exclude` leave out; share: of the
    samples, over all phases; draws: samples taken from it; left_out: pairs smaller than every bucket, never
    drawn; epochs: draws over the others; most_epochs: the same in the bucket whose pictures
    come most often; kept: the share of its area that the median sample keeps when it is cropped;
    fresh_batches: batches before its first repeated sample.
    """

    name: str
    pairs: int
    excluded: int
    left_out: int
    share: Fraction
    draws: int
    epochs: float
    most_epochs: float
    kept: float
    fresh_batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MixForecast:
    """A mix over `num_batches` batches of `samples` samples in all.

    limit: batches in all where the mix stops at the first exhausted source, None where it repeats. Every
    source is at every batch boundary within `bound` samples of its share. bucket_shares: shares of the
    samples by size (W, H), of the sizes that come.
    """

    sources: tuple[SourceForecast, ...]
    phases: tuple[Phase, ...]
    bucket_shares: dict[tuple[int, int], Fraction]
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
    samples, shares = draws.buckets.samples(last), draws.buckets.shares
    taken, due = draws.mix.counts(last).tolist(), draws.mix.due(last)
    return MixForecast(
        sources=tuple(
            SourceForecast(
                name=source.name,
                pairs=source.size,
                excluded=source.excluded,
                left_out=source.placement.left_out,
                share=owed / samples if samples else draws.mix.phases[0].schedule.shares[place],
                draws=count,
                epochs=count / (source.size - source.placement.left_out),
                most_epochs=_most_epochs(source.placement, count, shares),
                kept=source.placement.median_kept(shares),
                fresh_batches=draws.fresh_batches(place),
            )
            for place, (source, count, owed) in enumerate(zip(draws.sources, taken, due, strict=True))
        ),
        phases=draws.mix.phases,
        bucket_shares={
            bucket.size_WH: share
            for bucket, share in zip(draws.buckets.buckets, shares, strict=True)
            if share
        },
        samples=samples,
        num_batches=last,
        limit=limit,
        bound=draws.mix.bound,
    )


def _most_epochs(placement: Placement, draws: int, shares: tuple[Fraction, ...]) -> float:
    return max(
        draws * float(share) / len(own) for own, share in zip(placement.members, shares, strict=True) if share
    )
