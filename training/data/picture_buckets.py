"""Which bucket each picture of each source goes to, known from its size alone.

A picture goes to the aspect nearest to its own, the one that crops least of it, in one budget, and is never
enlarged: only buckets no larger than it are open to it. Budgets have the shares that the config gives them,
so large pictures are shared out among the budgets that they are large enough for, the largest budget first,
by a permutation of the seed. That makes a partition, and every picture of a source comes equally often where
its shapes are those of the mix.

Batches are of one bucket, and sources have their exact shares in each of them. So every source needs pictures
for every bucket: shapes that a source has nothing for are left out for all, and where it has few (none is
nearest to a bucket) its pictures that fit best stand in, cropped further. `pairbridge mix` prints what is
kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.shards.picture_sizes import PictureSizes
from pairbridge.training.data.buckets import BucketSequence

# Of pictures that stand in, those are taken that keep nearly as much as the best.
_NEARLY = 0.95


@dataclass(frozen=True, slots=True)
class Placement:
    """The pictures of one source by bucket.

    members: per bucket the positions of its pictures, ascending, empty for buckets that never come; kept: per
    bucket the share of its area that each of them keeps, at most 1; left_out: pictures smaller than every
    bucket.
    """

    members: tuple[np.ndarray, ...]
    kept: tuple[np.ndarray, ...]
    left_out: int

    @classmethod
    def everything(cls, size: int) -> "Placement":
        """All pictures of a source of unknown sizes, in one bucket."""
        return cls((np.arange(size),), (np.ones(size),), 0)

    def at(self, positions: np.ndarray) -> "Placement":
        """The same of a source in which the pictures stand at `positions`, ascending."""
        return replace(self, members=tuple(positions[own] for own in self.members))

    def median_kept(self, shares: Sequence[Fraction]) -> float:
        """The share of its area that the median sample keeps, where bucket i has `shares`[i] of them."""
        weights = [
            np.full(len(own), float(share) / len(own))
            for own, share in zip(self.kept, shares, strict=True)
            if share
        ]
        kept = np.concatenate([own for own, share in zip(self.kept, shares, strict=True) if share])
        order = kept.argsort()
        cumulative = np.concatenate(weights)[order].cumsum()
        return float(kept[order][min(len(kept) - 1, np.searchsorted(cumulative, cumulative[-1] / 2))])


def kept_areas(sizes_WH: np.ndarray, buckets: BucketSequence) -> np.ndarray:
    """float (n, buckets): the share of a picture of each size (n, 2) that the largest crop of each bucket's
    shape keeps; 0 where the picture would have to be enlarged.
    """
    wanted = np.array([bucket.size_WH for bucket in buckets.buckets], dtype=np.float64)
    shrink = (sizes_WH[:, None, :] / wanted).min(axis=2)
    kept = shrink**2 * wanted.prod(axis=1) / np.maximum(1, sizes_WH.prod(axis=1, dtype=np.float64))[:, None]
    return np.where(shrink >= 1, kept, 0.0)


def place_pictures(
    names: Sequence[str],
    sizes: Sequence[PictureSizes],
    shares: Sequence[Fraction],
    buckets: BucketSequence,
    *,
    seed: int,
) -> tuple[BucketSequence, list[Placement]]:
    """The buckets with the aspects that the pictures have, and where those of every source go.

    sizes: of each source's pictures; shares: of the sources in the mix. Raises ConfigError where a source has
    no picture for a whole budget.
    """
    tables = [own.table for own in sizes]
    kept = [kept_areas(table, buckets) for table in tables]
    open_to_all = np.logical_and.reduce([(own > 0).any(axis=0) for own in kept])
    _check_budgets(names, tables, open_to_all, buckets)
    kept = [np.where(open_to_all, own, 0.0) for own in kept]
    codes = [own.codes for own in sizes]
    places = [
        _budgets_filled(of_sizes, own, buckets, rng(seed, "budgets of pictures", name))
        for name, of_sizes, own in zip(names, kept, codes, strict=True)
    ]
    aspects = _shares_of_aspects(places, shares, buckets)
    shaped = buckets.shaped(aspects)
    used = [share > 0 for share in shaped.shares]
    return shaped, [_placement(*own, used) for own in zip(kept, codes, places, strict=True)]


def _budgets_filled(
    kept: np.ndarray, codes: np.ndarray, buckets: BucketSequence, stream: np.random.Generator
) -> np.ndarray:
    """int32 (n,): the bucket of every picture, -1 for none. kept: of each size; codes: the size of each."""
    per_budget = kept.reshape(len(kept), -1, buckets.num_aspects)
    nearest, fits = per_budget.argmax(axis=2).astype(np.int32), per_budget.max(axis=2) > 0
    places = np.full(len(codes), -1, np.int32)
    sides = [bucket.size_WH[0] * bucket.size_WH[1] for bucket in buckets.buckets[:: buckets.num_aspects]]
    num_fit = int(np.count_nonzero(fits.any(axis=1)[codes]))
    order, wanted, taken = None, Fraction(0), 0
    for budget in sorted(range(len(sides)), key=lambda budget: -sides[budget]):
        # What larger budgets had too few pictures for is made up by this one.
        wanted += buckets.sample_shares[budget]
        is_open = fits[:, budget][codes] & (places < 0)
        quota, chosen = max(0, round(wanted * num_fit) - taken), np.flatnonzero(is_open)
        if quota < len(chosen):
            order = stream.permutation(len(codes)) if order is None else order
            chosen = order[is_open[order]][:quota]
        places[chosen] = budget * buckets.num_aspects + nearest[:, budget][codes[chosen]]
        taken += len(chosen)
    # Rounded sides can leave a picture that fits a large bucket and none of the smaller ones.
    rest = np.flatnonzero((places < 0) & fits.any(axis=1)[codes])
    budgets = fits[codes[rest]].argmax(axis=1)
    places[rest] = budgets * buckets.num_aspects + nearest[codes[rest], budgets]
    return places


def _shares_of_aspects(
    places: Sequence[np.ndarray], shares: Sequence[Fraction], buckets: BucketSequence
) -> list[list[Fraction]]:
    """Per budget and aspect: the mean over the sources, by share, of what they have in this budget."""
    counts = [np.bincount(own[own >= 0], minlength=len(buckets.buckets)).tolist() for own in places]
    found = []
    for first in range(0, len(buckets.buckets), buckets.num_aspects):
        sums = [Fraction(0)] * buckets.num_aspects
        for own, share in zip(counts, shares, strict=True):
            in_budget = own[first : first + buckets.num_aspects]
            if total := sum(in_budget):
                sums = [had + share * count / total for had, count in zip(sums, in_budget, strict=True)]
        whole = sum(sums)
        found.append([own / whole if whole else Fraction(1, len(sums)) for own in sums])
    return found


def _placement(kept: np.ndarray, codes: np.ndarray, places: np.ndarray, used: Sequence[bool]) -> Placement:
    members = []
    for bucket, is_used in enumerate(used):
        own = np.flatnonzero(places == bucket) if is_used else np.zeros(0, np.int64)
        if is_used and not len(own):
            own = np.flatnonzero((kept[:, bucket] >= _NEARLY * kept[:, bucket].max())[codes])
        members.append(own)
    of_members = tuple(kept[:, bucket][codes[own]] for bucket, own in enumerate(members))
    return Placement(tuple(members), of_members, int(np.count_nonzero(places < 0)))


def _check_budgets(
    names: Sequence[str], tables: Sequence[np.ndarray], open_to_all: np.ndarray, buckets: BucketSequence
) -> None:
    for first in range(0, len(buckets.buckets), buckets.num_aspects):
        own = buckets.buckets[first : first + buckets.num_aspects]
        if open_to_all[first : first + buckets.num_aspects].any():
            continue
        wanted = " or ".join("{}x{}".format(*bucket.size_WH) for bucket in own)
        largest = {
            name: "x".join(map(str, sizes[sizes.prod(axis=1, dtype=np.int64).argmax()].tolist()))
            for name, sizes in zip(names, tables, strict=True)
        }
        lacking = [
            f"{name} (largest {largest[name]})"
            for name, sizes in zip(names, tables, strict=True)
            if not any((sizes >= bucket.size_WH).all(axis=1).any() for bucket in own)
        ]
        raise ConfigError(
            f"no picture is as large as {wanted} in {', '.join(lacking)}"
            if lacking
            else f"the sources {', '.join(names)} have no shape in common among {wanted}",
            consequence="its share of these batches could only be had by enlarging pictures, or not at all",
            remedy="remove this budget from `buckets` (or lower `size`), or leave the source out of the mix",
        )
