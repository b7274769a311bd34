"""From schedule to samples: which sample of which source stands at every place of every batch.

A pure function of (seed, weights, sizes, buckets) and the batch's number, so that the whole state of the
data is one integer: the number of completed global batches. Exact whatever the number of loader workers or
ranks was or is.

    draws of source i in batch b    [counts(b)_i, counts(b + 1)_i)            no gap, no repeat
    the d-th of them in bucket k    permutation(seed, i, k, d div N_ik)[d mod N_ik] of the N_ik pictures of k
    order inside the batch          permutation(seed, b), so that no rank keeps meeting one source
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.leakage import refuse_leaks
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.imports.import_manifest import ImportManifest, is_import
from pairbridge.training.data.bucket_mix import BucketMix, Phase
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.data.mix_config import MixConfig, MixSource
from pairbridge.training.data.pair_review import chosen, keys_to_keep, keys_to_leave_out
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.picture_buckets import Placement, place_pictures
from pairbridge.training.data.role_choice import refuse_disagreement

# Two epochs of a source are open at most while its batches cross from one to the next.
_EPOCHS_KEPT = 2


class Draw(NamedTuple):
    """One place of a batch: the `number`-th draw (from 0) of `source` is its sample `index`, one of the
    pictures of `bucket`.
    """

    source: int
    number: int
    index: int
    bucket: int


@dataclass(frozen=True, slots=True)
class DrawnSource:
    """What the order depends on: the name keys its permutations, the placement says which pictures it has
    for which bucket.

    size: pairs that are used; excluded: those that the mix's `keep` and `exclude` leave out; choice: digest
    of which these are, empty where all pairs are used.
    """

    name: str
    size: int
    placement: Placement
    excluded: int = 0
    choice: str = ""


class DrawPlan:
    """The draws of every global batch. Not thread-safe (it keeps the last permutations)."""

    def __init__(
        self,
        sources: Sequence[DrawnSource],
        phases: Sequence[Phase],
        *,
        seed: int,
        buckets: BucketSequence,
        on_exhausted: Literal["repeat", "stop"] = "repeat",
    ) -> None:
        """phases: weights of the sources, see `bucket_mix`; buckets: with the aspects of their pictures."""
        self.sources = tuple(sources)
        self.seed = seed
        self.buckets = buckets
        self.mix = BucketMix(phases, buckets)
        self._on_exhausted = on_exhausted
        self._permutations: OrderedDict[tuple[int, int, int], np.ndarray] = OrderedDict()

    def batch(self, number: int) -> list[Draw]:
        """The draws of global batch `number` (from 0) in order."""
        bucket = self.buckets.place(number)
        draws = [
            Draw(source, before + nth, self._sample(source, bucket, in_bucket + nth), bucket)
            for source, (before, in_bucket, taken) in enumerate(zip(*self.mix.draws(number), strict=True))
            for nth in range(taken)
        ]
        order = rng(self.seed, "order in batch", number).permutation(len(draws))
        return [draws[place] for place in order]

    def substitute(self, draw: Draw, attempt: int) -> Draw:
        """The `attempt`-th (from 0) stand-in for an unreadable sample: same source and bucket, reserved
        stream.
        """
        source = self.sources[draw.source]
        members = source.placement.members[draw.bucket]
        stream = rng(self.seed, "substitute", source.name, draw.number, attempt)
        return draw._replace(index=int(members[stream.integers(len(members))]))

    @property
    def num_batches(self) -> int | None:
        """Batches in all: None for `repeat`; for `stop` those before any source would give a sample twice."""
        if self._on_exhausted == "repeat":
            return None
        return min(self.fresh_batches(source) for source in range(len(self.sources)))

    def fresh_batches(self, source: int) -> int:
        """The largest b for which the first b batches take no sample of `source` twice."""
        members = self.sources[source].placement.members
        low, high = 0, 1
        if len(members) == 1:
            # Draws are within one of what is due: beyond this batch more were taken for certain.
            while self.mix.due(high)[source] <= len(members[0]) + 1:
                high *= 2
            while low < high:
                middle = (low + high + 1) // 2
                if self.mix.counts(middle)[source] <= len(members[0]):
                    low = middle
                else:
                    high = middle - 1
            return low
        while True:
            draws = self.mix.draws(low)
            there = len(members[self.buckets.place(low)])
            if draws.before_in_bucket[source] + draws.taken[source] > there:
                return low
            low += 1

    def _sample(self, source: int, bucket: int, draw: int) -> int:
        """Which sample the `draw`-th is that a source gives to batches of one bucket."""
        members = self.sources[source].placement.members[bucket]
        epoch, place = divmod(draw, len(members))
        return int(members[self._permutation(source, bucket, epoch)[place]])

    def _permutation(self, source: int, bucket: int, epoch: int) -> np.ndarray:
        key = (source, bucket, epoch)
        if key not in self._permutations:
            name, size = self.sources[source].name, len(self.sources[source].placement.members[bucket])
            self._permutations[key] = rng(self.seed, "permutation", name, bucket, epoch).permutation(size)
            while len(self._permutations) > _EPOCHS_KEPT * len(self.sources) * len(self.buckets.buckets):
                self._permutations.popitem(last=False)
        return self._permutations[key]


def plan_draws(
    mix: MixConfig, *, run_root: Path, buckets: BucketSequence, conditions: Sequence[ConditionConfig] = ()
) -> tuple[DrawPlan, list[PairSource]]:
    """Open every source of a mix and plan its draws; the sources are in the mix's order.

    Raises ConfigError for datasets of which one trains on what another holds out, and where a source has no
    picture for a budget or where sources differ in what they are to give the network.
    """
    folders = dict.fromkeys(source.folder(run_root) for source in mix.sources)
    made = [folder for folder in folders if not is_import(folder)]
    if len(made) > 1:
        refuse_leaks([DatasetManifest.from_folder(folder) for folder in made], [str(f) for f in made])
    pairs = [
        PairSource(
            source.folder(run_root),
            source.recipe,
            source.split,
            roles=source.roles,
            label=source.label,
            conditions=conditions,
        )
        for source in mix.sources
    ]
    refuse_disagreement([(source.name, own.forms) for source, own in zip(mix.sources, pairs, strict=True)])
    phases = mix.phases
    mean_shares = [
        sum(own) / len(phases) for own in zip(*(phase.schedule.shares for phase in phases), strict=True)
    ]
    names = [source.name for source in mix.sources]
    used = [_used(source, found) for source, found in zip(mix.sources, pairs, strict=True)]
    sizes = [
        found.store.sizes if own is None else found.store.sizes.at(own)
        for found, own in zip(pairs, used, strict=True)
    ]
    shaped, placements = place_pictures(names, sizes, mean_shares, buckets, seed=mix.seed)
    sources = [
        DrawnSource(name, len(found), placement)
        if own is None
        else DrawnSource(
            name,
            len(own),
            placement.at(own),
            len(found) - len(own),
            hashlib.sha256(own.tobytes()).hexdigest(),
        )
        for name, found, placement, own in zip(names, pairs, placements, used, strict=True)
    ]
    return DrawPlan(sources, phases, seed=mix.seed, buckets=shaped, on_exhausted=mix.on_exhausted), pairs


def _used(source: MixSource, pairs: PairSource) -> np.ndarray | None:
    """Positions, ascending int64, of the pairs that the mix uses; None for all. Raises ConfigError."""
    if source.keep is None and source.exclude is None:
        return None
    folder = pairs.dataset_dir
    manifest = ImportManifest if is_import(folder) else DatasetManifest
    dataset = manifest.from_folder(folder).name
    keep = keys_to_keep(source.keep, dataset) if source.keep else None
    exclude = keys_to_leave_out(source.exclude, dataset) if source.exclude else None
    used = np.flatnonzero(chosen(map(pairs.key, range(len(pairs))), keep, exclude))
    if not len(used):
        raise ConfigError(
            f"source {source.name}: `keep` and `exclude` leave none of its {len(pairs)} pairs",
            consequence="there is nothing to train on",
            remedy="accept pairs on the page of `pairbridge inspect --page`, and save the review again",
        )
    return used
