"""Who assembles shards: threads of the driver's process on one machine, actors on a cluster
(`pairbridge.pipelines.workers.ray_committers`). The driver hands out shards and gets back what it has to know
of them, never their bytes.

A shard belongs to one committer from the moment its last group is settled until the driver has placed it.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Protocol, Self

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.datagen.shards.records import ShardInfo, Sidecar
from pairbridge.pipelines.shelves.committer import Committer, ReadyShard, Work

# Of the driver's process: hashing and writing release Python's lock, two keep a disk or a connection busy.
THREADS = 2
# One assembles 400 MB in a second of its processor (docs/benchmarks/driver.md); a worker makes at most some.
WORKERS_PER_COMMITTER = 100
MOST_COMMITTERS = 16  # 7 GB a second: more than one driver hands out


class CommitterLost(PairbridgeError):
    """The processes that assemble shards die again and again."""


class Committers(Protocol):
    """A context manager; leaving it ends them. `actors`: where workers send their parts that cannot put them
    where committers find them, those of the first tuple before those of the next; another object after each
    change.
    """

    actors: Sequence[tuple[Any, ...]]

    @property
    def num_pending(self) -> int:
        """Shards handed over whose end was not yielded yet."""

    def is_behind(self, num_open: int) -> bool:
        """More wait than `num_open`, as many as were begun at once, and one for each committer: nothing more
        should be made meanwhile, for what is staged takes room on a disk.
        """

    def submit(self, shard: ShardSpec, info: ShardInfo) -> None:
        """Hand over a shard whose groups are all staged."""

    def clear(self, folder: Path, shard: ShardSpec) -> None:
        """As `Committer.clear`, some time."""

    def release(self, num_open: int) -> None:
        """Nothing is left to hand out, and so many shards are still to come: machines that are not needed for
        those are not held.
        """

    def wait(self, timeout_s: float) -> None:
        """Return when one has ended, at once if one had, or after so many seconds."""

    def ended(self) -> Iterator[ReadyShard]:
        """Those that have ended since, to be placed. Raises what `Committer.make_ready` does, and
        CommitterLost.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...


class OwnCommitters:
    """One committer in threads of this process."""

    actors = ()

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="committer")
        self._pending: list[Future[ReadyShard]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    @property
    def num_pending(self) -> int:
        return len(self._pending)

    def is_behind(self, num_open: int) -> bool:
        return len(self._pending) - THREADS > max(num_open, THREADS)

    def submit(self, shard: ShardSpec, info: ShardInfo) -> None:
        self._pending.append(self._threads.submit(self._committer.make_ready, shard, info))

    def note(self, shard: ShardSpec, sidecar: Sidecar, work: Work) -> None:
        """As `Committer.note`; it ends like a shard that was handed over."""
        self._pending.append(self._threads.submit(self._committer.note, shard, sidecar, work))

    def clear(self, folder: Path, shard: ShardSpec | None) -> None:
        self._threads.submit(self._committer.clear, folder, shard)

    def release(self, num_open: int) -> None: ...

    def wait(self, timeout_s: float) -> None:
        wait(self._pending, timeout_s, return_when="FIRST_COMPLETED")

    def ended(self) -> Iterator[ReadyShard]:
        done = [each for each in self._pending if each.done()]
        self._pending = [each for each in self._pending if not each.done()]
        for each in done:
            yield each.result()


def num_committers(workers: int) -> int:
    """How many a cluster's run has."""
    return min(-(-workers // WORKERS_PER_COMMITTER), MOST_COMMITTERS)
