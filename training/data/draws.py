"""From schedule to samples: which sample of which source stands at every place of every batch.

A pure function of (seed, weights, sizes, buckets) and the batch's number, so that the whole state of the
data is one integer: the number of completed global batches. Exact whatever the number of loader workers or
ranks was or is.

    draws of source i in batch b    [counts(b)_i, counts(b + 1)_i)            no gap, no repeat
    sample of draw d                permutation(seed, i, d div N_i)[d mod N_i]
    order inside the batch          permutation(seed, b), so that no rank keeps meeting one source
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.leakage import refuse_leaks
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.imports.import_manifest import is_import
from pairbridge.training.data.buckets import BucketMix, BucketSequence
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.schedule import Schedule

# Two epochs of a source are open at most while its batches cross from one to the next.
_EPOCHS_KEPT = 2


class Draw(NamedTuple):
    """One place of a batch: the `number`-th draw (from 0) of `source` is its sample `index`."""

    source: int
    number: int
    index: int


@dataclass(frozen=True, slots=True)
class DrawnSource:
    """What the order depends on: the name keys its permutations, the size is its number of samples."""

    name: str
    weight: float
    size: int


class DrawPlan:
    """The draws of every global batch. Not thread-safe (it keeps the last permutations)."""

    def __init__(
        self,
        sources: Sequence[DrawnSource],
        *,
        seed: int,
        buckets: BucketSequence,
        on_exhausted: Literal["repeat", "stop"] = "repeat",
    ) -> None:
        self.sources = tuple(sources)
        self.schedule = Schedule([source.weight for source in sources])
        self.seed = seed
        self.buckets = buckets
        self.mix = BucketMix(self.schedule, buckets)
        self._on_exhausted = on_exhausted
        self._permutations: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()

    def batch(self, number: int) -> list[Draw]:
        """The draws of global batch `number` (from 0) in order."""
        first = self.mix.counts(number).tolist()
        last = self.mix.counts(number + 1).tolist()
        draws = [
            Draw(source, draw, self._sample(source, draw))
            for source in range(len(self.sources))
            for draw in range(first[source], last[source])
        ]
        order = rng(self.seed, "order in batch", number).permutation(len(draws))
        return [draws[place] for place in order]

    def substitute(self, draw: Draw, attempt: int) -> Draw:
        """The `attempt`-th (from 0) stand-in for an unreadable sample: same source, reserved stream."""
        source = self.sources[draw.source]
        stream = rng(self.seed, "substitute", source.name, draw.number, attempt)
        return draw._replace(index=int(stream.integers(source.size)))

    @property
    def num_batches(self) -> int | None:
        """Batches in all: None for `repeat`; for `stop` those before any source would give a sample twice."""
        if self._on_exhausted == "repeat":
            return None
        return min(self.fresh_batches(source) for source in range(len(self.sources)))

    def fresh_batches(self, source: int) -> int:
        """The largest b for which the first b batches take no sample of `source` twice."""
        size, share = self.sources[source].size, self.schedule.shares[source]
        low, high = 0, 1
        # Draws are within one of the share: beyond this batch more than `size` were taken for certain.
        while self.buckets.samples(high) * share <= size + 1:
            high *= 2
        while low < high:
            middle = (low + high + 1) // 2
            if self.mix.counts(middle)[source] <= size:
                low = middle
            else:
                high = middle - 1
        return low

    def _sample(self, source: int, draw: int) -> int:
        epoch, place = divmod(draw, self.sources[source].size)
        return int(self._permutation(source, epoch)[place])

    def _permutation(self, source: int, epoch: int) -> np.ndarray:
        key = (source, epoch)
        if key not in self._permutations:
            name, size = self.sources[source].name, self.sources[source].size
            self._permutations[key] = rng(self.seed, "permutation", name, epoch).permutation(size)
            while len(self._permutations) > _EPOCHS_KEPT * len(self.sources):
                self._permutations.popitem(last=False)
        return self._permutations[key]


def plan_draws(
    mix: MixConfig, *, run_root: Path, buckets: BucketSequence, conditions: Sequence[ConditionConfig] = ()
) -> tuple[DrawPlan, list[PairSource]]:
    """Open every source of a mix and plan its draws; the sources are in the mix's order.

    Raises ConfigError for datasets of which one trains on what another holds out.
    """
    folders = dict.fromkeys(source.folder(run_root) for source in mix.sources)
    made = [folder for folder in folders if not is_import(folder)]
    if len(made) > 1:
        refuse_leaks([DatasetManifest.from_folder(folder) for folder in made], [str(f) for f in made])
    pairs = [
        PairSource(
            source.folder(run_root), source.recipe, source.split, target=source.target, conditions=conditions
        )
        for source in mix.sources
    ]
    sources = [
        DrawnSource(source.name, source.weight, len(found))
        for source, found in zip(mix.sources, pairs, strict=True)
    ]
    plan = DrawPlan(sources, seed=mix.seed, buckets=buckets, on_exhausted=mix.on_exhausted)
    return plan, pairs
