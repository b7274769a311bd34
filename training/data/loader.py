"""Global batches of mixed pairs as tensors, the same for any workers, ranks, prefetch and place of resume.

`pairbridge.training.data.draws` says the order, this reads it. Batches are decoded ahead by threads, for all
that takes long (reading, unpacking, NumPy, OpenCV) lets other threads run; between processes, each batch
would be written once more, into new shared memory. Each rank reads its own contiguous part. Nothing is drawn
from a global generator.
"""

import ctypes
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.core.seeds import rng
from pairbridge.training.data.buckets import Bucket, BucketSequence
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.data.draws import Draw, DrawPlan, plan_draws
from pairbridge.training.data.framing import Frame, random_frame
from pairbridge.training.data.latent_cache import CachedWith, LatentsBySize, open_latents
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.data.targets import PairKinds
from pairbridge.training.data.tensors import Batch, Row, collate, with_tensors

# One bad pair is replaced. When so many random ones of its source fail too, the disk or the dataset is at
# fault: with one sample in ten damaged this happens once in a hundred million draws.
MAX_BAD_IN_A_ROW = 8
# Batches that each thread is ahead of the one that is asked for, as torch's DataLoader has it.
_AHEAD = 2
# M_MMAP_THRESHOLD, in bytes, at the most that glibc takes, and M_TRIM_THRESHOLD (glibc's malloc.h).
_KEEP_FREED = ((-3, 32 << 20), (-1, 512 << 20))


class SourceUnreadable(ShardError):
    """So many pairs of one source failed in a row that replacing them would hide a broken dataset."""


class MixedLoader:
    """Batches of a mix. Its whole state is the number of completed global batches; the trainer keeps it."""

    def __init__(
        self,
        mix: MixConfig,
        *,
        run_root: Path,
        buckets: BucketSequence,
        workers: int = 0,
        ranks: Ranks | None = None,
        conditions: Sequence[ConditionConfig] = (),
        cached: CachedWith | None = None,
    ) -> None:
        """buckets: size of the images and samples a step over all ranks, of every batch; workers: threads of
        this rank that decode ahead, 0 to decode when a batch is asked for; ranks: this process's place, by
        default that of the torch process group; conditions: those of the network, whose images are read
        along; cached: read latents that `pairbridge encode` made, in place of pixels.

        Raises ConfigError if a source lacks what the mix asks of it, the ranks do not divide a batch, or
        latents are not there or would not be what the mix describes.
        """
        self.ranks = ranks or Ranks.current()
        buckets.check_ranks(self.ranks.world)
        self.mix = mix
        self.workers = workers
        self.draws, pairs = plan_draws(mix, run_root=run_root, buckets=buckets, conditions=conditions)
        latents = open_latents(mix, pairs, buckets, conditions, cached) if cached else None
        self._rows = _MixedRows(self.draws, pairs, mix.random_crop, latents, cached)

    @property
    def num_batches(self) -> int | None:
        """Batches in all, or None if the mix repeats its sources for ever."""
        return self.draws.num_batches

    @property
    def kinds(self) -> PairKinds:
        """What sources and targets of every batch show."""
        return self._rows.sources[0].kinds

    @property
    def digests(self) -> dict[str, Any]:
        """All the order and content of the data depend on. A resume with other values must be refused: old
        draws would repeat and others never come.
        """
        return {
            "mix_seed": self.mix.seed,
            "mix_buckets": self.draws.buckets.facts,
            "mix_on_exhausted": self.mix.on_exhausted,
            "mix_random_crop": self.mix.random_crop,
            "mix_sources": [
                {
                    "name": source.name,
                    "parts": [[phase.first, phase.schedule.parts[place]] for phase in self.draws.mix.phases],
                    "pairs": len(pairs),
                    "shards": pairs.digest,
                    "roles": pairs.facts,
                    # Absent where all pairs are used.
                    **({"choice": drawn.choice} if drawn.choice else {}),
                }
                for place, (source, drawn, pairs) in enumerate(
                    zip(self.mix.sources, self.draws.sources, self._rows.sources, strict=True)
                )
            ],
        }

    def batches(self, start: int = 0, *, pinned: bool = False) -> Iterator[Batch]:
        """This rank's part of global batches `start`, `start` + 1, ..., to the end of the mix if it has one.

        A batch: `source` uint8 and `target` (B, H, W, 3), the latter uint8 or, of geometry, float32 in
        [-1, 1]; `mask` uint8 (B, H, W); for a target that need not hold everywhere `valid`, like the mask;
        one image (B, H, W, C) like the source per condition; `batch_size`, the samples of the global batch,
        of which B are this rank's, and `size_WH`, that of its images; `keys` ("<source name>/<key>") and
        `source_names`, B strings each, of what was read; `substitutes`, a list of {"wanted", "used",
        "reason"} for the unreadable pairs that were replaced by others of their source; `number`, the global
        batch. `pairbridge.training.data.tensors.network_images` makes floats of the images. pinned: in memory
        that a GPU copies from by itself.

        From a cache there are `latents` in place of images, float32 (B, C, h, w) by name: source, target and
        each condition as the network sees it; and `target` beside them only where the loss wants pixels.
        Raises SourceUnreadable after MAX_BAD_IN_A_ROW failures in a row, and DataReplaced at the first file
        that is not the one on record: its other samples would look sound and be others.
        """
        wanted = self._wanted(start)
        if not self.workers:
            yield from (self._batch(places, pinned) for places in wanted)
            return
        threads = ThreadPoolExecutor(self.workers, "pairs", initializer=_prepare_process)
        ahead = islice(wanted, _AHEAD * self.workers)
        pending = deque(threads.submit(self._batch, places, pinned) for places in ahead)
        try:
            while pending:
                batch = pending.popleft().result()
                pending.extend(threads.submit(self._batch, places, pinned) for places in islice(wanted, 1))
                yield batch
        finally:
            threads.shutdown(cancel_futures=True)

    def _wanted(self, start: int) -> Iterator[list["_Place"]]:
        """This rank's rows of each global batch."""
        number, end = start, self.draws.num_batches
        while end is None or number < end:
            bucket = self.draws.buckets.bucket(number)
            rows = self.ranks.share(bucket.batch_size)
            yield [_Place(number, bucket, draw) for draw in self.draws.batch(number)[rows]]
            number += 1

    def _batch(self, places: list["_Place"], pinned: bool) -> Batch:
        batch = collate([self._rows.row(place) for place in places], places[0].number, places[0].bucket)
        return with_tensors(batch, lambda tensor: tensor.pin_memory()) if pinned else batch


class _Place(NamedTuple):
    """One row of a global batch."""

    number: int
    bucket: Bucket
    draw: Draw


class _MixedRows:
    """Reads one draw. Pure: the result depends on nothing but the draw."""

    def __init__(
        self,
        draws: DrawPlan,
        sources: list[PairSource],
        random_crop: float | None,
        latents: Sequence[LatentsBySize] | None,
        cached: CachedWith | None,
    ) -> None:
        self.draws = draws
        self.sources = sources
        self._random_crop = random_crop
        self._latents, self._cached = latents, cached

    def row(self, place: _Place) -> Row:
        """One row of a batch. Raises SourceUnreadable and DataReplaced."""
        name = self.draws.sources[place.draw.source].name
        row, failures = self._read(place.draw, place.bucket.size_WH)
        substitutes = [
            {"wanted": f"{name}/{key}", "used": f"{name}/{row.key}", "reason": reason}
            for key, reason in failures[:1]
        ]
        return replace(row, substitutes=substitutes)

    def _read(self, draw: Draw, size_WH: tuple[int, int]) -> tuple[Row, list[tuple[str, str]]]:
        source = self.sources[draw.source]
        failures: list[tuple[str, str]] = []
        tried = draw
        while True:
            try:
                return self._row(draw, tried.index, size_WH), failures
            except ShardError as error:
                failures.append((source.key(tried.index), error.cause))
            if len(failures) == MAX_BAD_IN_A_ROW:
                name = self.draws.sources[draw.source].name
                raise SourceUnreadable(
                    f"source {name}: {len(failures)} pairs in a row cannot be read, last {failures[-1][1]}",
                    consequence="training stops here rather than go on without this source",
                    remedy=f"run `pairbridge verify {source.dataset_dir}`",
                )
            tried = self.draws.substitute(draw, len(failures) - 1)

    def _row(self, draw: Draw, index: int, size_WH: tuple[int, int]) -> Row:
        name = self.draws.sources[draw.source].name
        source = self.sources[draw.source]
        if self._latents is None:
            frame = self._frame(draw, source.store.sizes[index], size_WH)
            pair = source.pair(index, frame, noise_draw=draw.number)
            return Row(pair.key, name, [], pair=pair)
        key, latents = self._latents[draw.source][size_WH].read(index)
        valid = latents.pop("valid", None)
        target = source.target_image(index, Frame(size_WH)) if self._cached.with_pixels else None
        return Row(key, name, [], latents=latents, target=target, valid=valid)

    def _frame(self, draw: Draw, picture_WH: np.ndarray, size_WH: tuple[int, int]) -> Frame:
        if self._random_crop is None:
            return Frame(size_WH)
        # A crop smaller than the bucket would be enlarged.
        smallest = max(self._random_crop, float((np.array(size_WH) / picture_WH).max()))
        # Keyed by the draw, so that neither the worker nor the place of resume changes a pixel.
        name = self.draws.sources[draw.source].name
        return random_frame(size_WH, smallest, rng(self.draws.seed, "crop", name, draw.number))


def _prepare_process() -> None:
    # OpenCV's own threads would multiply with these.
    cv2.setNumThreads(0)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Have glibc keep what one pair frees for the next. Decoded pictures are so large that it would hand each
    back to the kernel and ask for it anew: a page fault for every 4 KiB, in all as long as half of a decode.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for parameter, value in _KEEP_FREED:
            libc.mallopt(parameter, value)
