"""Global batches of mixed pairs as tensors, the same for any workers, ranks, prefetch and place of resume.

`pairbridge.training.data.draws` says the order, this reads it. A batch is decoded by torch DataLoader
workers, and each rank reads its own contiguous part. Nothing is drawn from a global generator.
"""

import ctypes
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pairbridge.datagen.core.errors import PairbridgeError, ShardError
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.shards.proven_files import DataReplaced
from pairbridge.training.data.buckets import Bucket, BucketSequence
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.data.draws import Draw, DrawPlan, plan_draws
from pairbridge.training.data.framing import Frame, random_frame
from pairbridge.training.data.latent_cache import CachedWith, LatentsBySize, open_latents
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.data.targets import PairKinds
from pairbridge.training.data.tensors import Batch, Row, collate

# One bad pair is replaced. When so many random ones of its source fail too, the disk or the dataset is at
# fault: with one sample in ten damaged this happens once in a hundred million draws.
MAX_BAD_IN_A_ROW = 8
# M_MMAP_THRESHOLD, in bytes, at the most that glibc takes, and M_TRIM_THRESHOLD (glibc's malloc.h).
_KEEP_FREED = ((-3, 32 << 20), (-1, 512 << 20))


class LoaderWorkerDied(PairbridgeError):
    """A loader process was killed from outside, mostly for memory."""


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
        """buckets: size of the images and samples a step over all ranks, of every batch; workers: loader
        processes of this rank; ranks: this process's place, by default that of the torch process group;
        conditions: those of the network, whose images are read along; cached: read latents that
        `pairbridge encode` made, in place of pixels.

        Raises ConfigError if a source lacks what the mix asks of it, the ranks do not divide a batch, or
        latents are not there or would not be what the mix describes.
        """
        self.ranks = ranks or Ranks.current()
        buckets.check_ranks(self.ranks.world)
        self.mix = mix
        self.workers = workers
        self.draws, pairs = plan_draws(mix, run_root=run_root, buckets=buckets, conditions=conditions)
        latents = open_latents(mix, pairs, buckets, conditions, cached) if cached else None
        self._dataset = _MixedPairs(self.draws, pairs, mix.random_crop, latents, cached)

    @property
    def num_batches(self) -> int | None:
        """Batches in all, or None if the mix repeats its sources for ever."""
        return self.draws.num_batches

    @property
    def kinds(self) -> PairKinds:
        """What sources and targets of every batch show."""
        return self._dataset.sources[0].kinds

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
                    zip(self.mix.sources, self.draws.sources, self._dataset.sources, strict=True)
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
        loader = DataLoader(
            self._dataset,
            batch_sampler=_RankBatches(self.draws, self.ranks, start),
            collate_fn=_batch_or_error,
            num_workers=self.workers,
            worker_init_fn=_quiet_worker,
            pin_memory=pinned,
            # torch would draw a base seed for its workers from the global generator.
            generator=torch.Generator(),
        )
        try:
            for batch in _start(loader):
                if isinstance(batch, PairbridgeError):
                    raise batch
                yield batch
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise LoaderWorkerDied(
                f"rank {self.ranks.rank}: {str(error).splitlines()[0]}",
                consequence="training stops; the newest checkpoint holds everything up to it",
                remedy="run the same command again, with fewer loader workers if memory was short",
            ) from error


class _Place(NamedTuple):
    """One row of a global batch."""

    number: int
    bucket: Bucket
    draw: Draw


class _RankBatches:
    """Batch sampler: lists of places of one rank, from batch `start` on."""

    def __init__(self, draws: DrawPlan, ranks: Ranks, start: int) -> None:
        self._draws, self._ranks, self._start = draws, ranks, start

    def __iter__(self) -> Iterator[list[_Place]]:
        number, end = self._start, self._draws.num_batches
        while end is None or number < end:
            bucket = self._draws.buckets.bucket(number)
            rows = self._ranks.share(bucket.batch_size)
            yield [_Place(number, bucket, draw) for draw in self._draws.batch(number)[rows]]
            number += 1


class _MixedPairs(Dataset):
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

    def __getitem__(self, place: _Place) -> tuple[_Place, Row] | PairbridgeError:
        """One row of a batch, or the error as a value: torch would rebuild an exception as another type."""
        name = self.draws.sources[place.draw.source].name
        try:
            row, failures = self._read(place.draw, place.bucket.size_WH)
        except (SourceUnreadable, DataReplaced) as error:
            return error
        substitutes = [
            {"wanted": f"{name}/{key}", "used": f"{name}/{row.key}", "reason": reason}
            for key, reason in failures[:1]
        ]
        return place, replace(row, substitutes=substitutes)

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


def _start(loader: DataLoader) -> Iterator[Batch | PairbridgeError]:
    """The loader's iterator, without torch's handler for SIGCHLD.

    That raises the death of a worker wherever the main thread happens to be, in an optimiser step or in a
    checkpoint. Without it the next wait for a batch raises, within five seconds.
    """
    before = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, before)
    return batches


def _batch_or_error(rows: list[tuple[_Place, Row] | PairbridgeError]) -> Batch | PairbridgeError:
    for row in rows:
        if isinstance(row, PairbridgeError):
            return row
    place = rows[0][0]
    return collate([row for _, row in rows], place.number, place.bucket)


def _quiet_worker(worker_id: int) -> None:
    # OpenCV's own threads would multiply with the workers.
    cv2.setNumThreads(0)
    _keep_freed_memory()
    # Ctrl-C and many launchers signal the whole process group. The trainer finishes its step and writes a
    # checkpoint, and a worker that died meanwhile would raise inside it: so workers leave the group. Ignoring
    # the signals instead would make the parent wait for ever at its exit, which ends workers with SIGTERM.
    os.setpgid(0, 0)


def _keep_freed_memory() -> None:
    """Have glibc keep what one pair frees for the next. Decoded pictures are so large that it would hand each
    back to the kernel and ask for it anew: a page fault for every 4 KiB, in all as long as half of a decode.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for parameter, value in _KEEP_FREED:
            libc.mallopt(parameter, value)
