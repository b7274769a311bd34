"""Finished groups on their way into a shard: `<dataset>/staging/<token>/<shard>/<group>.tar` and `.json`.

Each driver has a token of its own and renames the folder of the one before to it. That one rename both adopts
what was finished and fences off every worker of the older run: it knows its folder by the old name only,
creates no folders, and fails with ENOENT from then on.

Parts are written like everything else (temp, fsync, rename), the part before its record; a record whose part
is whole is a finished group, whichever run made it.
"""

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from pairbridge.datagen.core.atomic_files import sync_folder, write_atomically
from pairbridge.datagen.core.errors import PairbridgeError, ShardError
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.shards.commit import check_part
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.datagen.shards.records import GroupRecord

STAGING_NAME = "staging"
_PLAN_FILE = "plan_digest"


def sees_staging(folder: Path) -> bool:
    """Whether this process sees a run's staging folder: its name holds the run's own token."""
    return (folder / _PLAN_FILE).is_file()


class Fenced(PairbridgeError):
    """This worker's run is over: another driver has taken its staging folder."""


def new_token() -> str:
    """A name no other run has; it appears in no file of the dataset."""
    return uuid.uuid4().hex[:12]


def part_path(folder: Path, group: int) -> Path:
    return folder / f"{group:08d}.tar"


def record_path(folder: Path, group: int) -> Path:
    return folder / f"{group:08d}.json"


def stage_part(folder: Path, part: bytes, record: GroupRecord) -> None:
    """First half: the group's tar bytes under their final name. Raises Fenced, or DiskFull."""
    with _fence(folder):
        write_atomically(part_path(folder, record.group), [part])


def stage_record(folder: Path, record: GroupRecord) -> None:
    """Second half: from here on the group is finished. Raises Fenced, or DiskFull."""
    with _fence(folder):
        write_atomically(record_path(folder, record.group), [record.to_json()])


def stage_group(folder: Path, part: bytes, record: GroupRecord) -> None:
    """Both halves: the group is finished when the second is there."""
    stage_part(folder, part, record)
    stage_record(folder, record)


@contextlib.contextmanager
def _fence(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise Fenced(
            f"the staging folder {folder} is gone",
            consequence="this worker belongs to a run that has ended; what it made was not used",
            remedy="none needed; if a current run says this, its staging folder was deleted: start it again",
        ) from error


class Staging:
    """The driver's side. Open it with `take_over`, holding the dataset's lock."""

    def __init__(self, folder: Path, plan: DatasetPlan) -> None:
        self.folder = folder
        self._plan = plan

    @classmethod
    def take_over(cls, dataset_dir: Path, token: str, plan: DatasetPlan) -> "Staging":
        """Adopt an earlier run's folder by renaming it, or begin an empty one."""
        root = dataset_dir / STAGING_NAME
        root.mkdir(exist_ok=True)
        folder = root / token
        adopted = False
        for old in sorted(root.iterdir()):
            if not adopted and _has_plan(old, plan.digest):
                old.rename(folder)
                adopted = True
            else:
                # Of another plan, or cut off before it had one: its bytes belong to no shard of this dataset.
                _remove_tree(old)
        if not adopted:
            folder.mkdir()
            write_atomically(folder / _PLAN_FILE, [plan.digest.encode()])
        sync_folder(root)
        return cls(folder, plan)

    def open_shard(self, shard: ShardSpec) -> tuple[int, ...]:
        """Make the shard's folder, sweep what is unfinished in it, and return the groups still missing."""
        folder = self.shard_folder(shard)
        folder.mkdir(exist_ok=True)
        settled = {record.group for record, part in self._staged(shard) if check_part(record, part)}
        keep = {
            path.name for group in settled for path in (part_path(folder, group), record_path(folder, group))
        }
        for path in sorted(folder.iterdir()):
            if path.name not in keep:
                path.unlink()
        return tuple(group for group in shard.groups if group not in settled)

    def parts(self, shard: ShardSpec) -> list[tuple[GroupRecord, Path]]:
        """(record, part) of every finished group, in group order, for the commit, which checks the bytes."""
        return list(self._staged(shard))

    def discard(self, shard: ShardSpec) -> None:
        """Delete the folder of a committed shard."""
        _remove_tree(self.shard_folder(shard))

    def shard_folder(self, shard: ShardSpec) -> Path:
        return self.folder / shard.name

    def close(self) -> None:
        """Delete the run's folder once every shard is committed."""
        _remove_tree(self.folder)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()

    def _staged(self, shard: ShardSpec) -> Iterator[tuple[GroupRecord, Path]]:
        folder = self.shard_folder(shard)
        for group in shard.groups:
            record = _read_record(record_path(folder, group))
            if not record or record.group != group:
                continue
            if {entry.key for entry in (*record.samples, *record.holes)} == set(shard.stream.keys(group)):
                yield record, part_path(folder, group)


def _read_record(path: Path) -> GroupRecord | None:
    try:
        return GroupRecord.from_json(path.read_bytes())
    except (FileNotFoundError, ShardError):
        return None


def _has_plan(folder: Path, digest: str) -> bool:
    path = folder / _PLAN_FILE
    return path.is_file() and path.read_text() == digest


def _remove_tree(folder: Path) -> None:
    if not folder.is_dir():
        folder.unlink(missing_ok=True)
        return
    # Renamed first, so that a worker that is still dying cannot add a file while the folder is being emptied.
    doomed = folder.with_name(f".{folder.name}.doomed")
    shutil.rmtree(doomed, ignore_errors=True)  # from a driver that was killed on the last line
    folder.rename(doomed)
    shutil.rmtree(doomed)
