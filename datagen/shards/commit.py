"""Commit of a shard: concatenate parts, trailer, fsync, rename; then the sidecar, last.

The sidecar is the commit record. A tar without one was interrupted and is deleted and rebuilt; a sidecar
whose tar is missing or of another size is damage, which is never repaired without being asked.

| on disk | `committed_shard` |
|---|---|
| sidecar and tar of its size, same plan and config | what it says: skip the shard |
| no sidecar (tar or not) | None: build it (`sweep_unfinished` removes the tar and temp files) |
| sidecar without tar, tar of another size, unreadable sidecar | ShardError |
| sidecar of another plan or config | ConfigError |

All functions but the readers want the caller to hold the dataset's lock: two writers are not told apart here.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from pairbridge.datagen.core.atomic_files import TEMP_MARK, sync_folder, write_atomically
from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.core.json_digest import canonical_json, file_sha256
from pairbridge.datagen.shards.indexed_shard import IndexedShard
from pairbridge.datagen.shards.layout import sidecar_path, tar_path
from pairbridge.datagen.shards.records import GroupRecord, SampleRecord, ShardInfo, Sidecar, pack_group
from pairbridge.datagen.shards.shard_index import ShardIndex, append_record, index_record
from pairbridge.datagen.shards.tar import TRAILER

_CHUNK_BYTES = 1 << 20


def commit_shard(shards_dir: Path, shard: ShardInfo, parts: Iterable[tuple[GroupRecord, Path]]) -> Sidecar:
    """Both steps of the commit. The bytes on disk are a function of `shard` and the parts alone."""
    sidecar = write_shard_tar(shards_dir, shard, parts)
    write_sidecar(shards_dir, sidecar)
    return sidecar


def write_shard_tar(shards_dir: Path, shard: ShardInfo, parts: Iterable[tuple[GroupRecord, Path]]) -> Sidecar:
    """First step: the tar under its final name, durable. Not committed until `write_sidecar` is called.

    As `assemble`.
    """
    return assemble(tar_path(shards_dir, shard.name), shard, parts)


def assemble(path: Path, shard: ShardInfo, parts: Iterable[tuple[GroupRecord, Path]]) -> Sidecar:
    """Write the tar of `shard` to `path`, durable; the sidecar that it is to have.

    parts: one (record, path of its tar part) per group of the shard, in group order; the bytes of every
    part are checked against its record. Raises ShardError for a missing, extra or altered part, DiskFull
    when there is no room; in both cases nothing appears at `path`. Memory: one chunk of 1 MiB.
    """
    parts = list(parts)
    wanted = range(shard.first_group, shard.first_group + shard.num_groups)
    groups = [record.group for record, _ in parts]
    if groups != list(wanted):
        raise ShardError(
            f"shard {shard.name} wants groups {wanted.start} to {wanted.stop - 1} in order and got {groups}",
            consequence="samples would be lost or moved to another shard",
            remedy="run the same command again; if it recurs, report it with the ledger.jsonl of the dataset",
        )
    written = write_atomically(path, _concatenate(parts))
    samples, start = [], 0
    for record, _ in parts:
        samples += [_shift(sample, start) for sample in record.samples]
        start += record.bytes
    return Sidecar(
        shard=shard,
        sha256=written.sha256,
        bytes=written.num_bytes,
        count=len(samples),
        samples=tuple(samples),
        holes=tuple(hole for record, _ in parts for hole in record.holes),
        rejections=tuple(rejection for record, _ in parts for rejection in record.rejections),
    )


def write_sidecar(shards_dir: Path, sidecar: Sidecar) -> None:
    """Second step: from here on the shard is committed. The index follows, which may be missing."""
    path = sidecar_path(shards_dir, sidecar.shard.name)
    write_atomically(path, [sidecar.to_json()])
    append_record(shards_dir, index_record(sidecar, path))


# The same two steps for a shard whose files lie whole and durable elsewhere on the same file system. They
# cost the same for any size.


def place_tar(shards_dir: Path, name: str, tar: Path) -> None:
    """First step: the tar gets its final name."""
    os.replace(tar, tar_path(shards_dir, name))
    sync_folder(shards_dir)


def place_sidecar(shards_dir: Path, name: str, sidecar: Path, record: bytes) -> None:
    """Second step: from here on the shard is committed. `record` is the index's, of this sidecar."""
    os.replace(sidecar, sidecar_path(shards_dir, name))
    sync_folder(shards_dir)
    append_record(shards_dir, record)


def check_part(record: GroupRecord, path: Path) -> bool:
    """Whether the part at `path` is exactly the bytes that `record` describes; what adoption of staging
    asks."""
    try:
        return path.stat().st_size == record.bytes and file_sha256(path) == record.sha256
    except FileNotFoundError:
        return False


def committed_shard(index: ShardIndex, shard: ShardInfo) -> IndexedShard | None:
    """What the sidecar says if `shard` is committed, None if it has to be built; reads the tar's size, not
    its bytes.

    Raises ShardError for damage and ConfigError if the folder holds this shard of another plan (see the
    table above).
    """
    there = planned_shard(index, shard)
    if there is not None:
        check_tar_size(index.shards_dir, there)
    return there


def planned_shard(index: ShardIndex, shard: ShardInfo) -> IndexedShard | None:
    """`committed_shard` without a look at the tar, which may lie elsewhere."""
    there = index.find(shard.name)
    if there is None:
        return None
    info = there.shard
    changed = [
        f"{name} {getattr(info, name)} there, {getattr(shard, name)} now"
        for name in ShardInfo.model_fields
        if getattr(info, name) != getattr(shard, name)
    ]
    if changed:
        path = sidecar_path(index.shards_dir, shard.name)
        raise ConfigError(
            f"{path} was committed by another plan: {'; '.join(changed)}",
            consequence="shards of two plans in one folder would repeat or lose samples",
            remedy="generate into a new folder, or restore the configuration that made this one",
        )
    return there


def check_tar_size(shards_dir: Path, shard: Sidecar | IndexedShard) -> None:
    """Raise ShardError unless the tar of a committed shard is there with its recorded size."""
    path = tar_path(shards_dir, shard.name)
    try:
        stat = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        stat = None
    check_size(str(path), stat.st_size if stat and S_ISREG(stat.st_mode) else None, shard.bytes)


def check_tar_bytes(path: Path, sha256: str) -> None:
    """Raise ShardError unless the tar at `path` is, byte for byte, the one that was committed."""
    if file_sha256(path) != sha256:
        raise ShardError(
            f"the sha256 of {path} is not the one it was committed with",
            consequence="its samples would be taken over damaged",
            remedy=f"restore the file, or delete it and {path.with_suffix('.json').name} and run "
            "`pairbridge generate` again",
        )


def check_size(tar: str, size: int | None, committed: int) -> None:
    """Raise ShardError unless a tar (its path or URL) has its committed size; None: there is none."""
    if size == committed:
        return
    found = "is missing" if size is None else f"has {size} bytes instead of {committed}"
    raise ShardError(
        f"{tar} {found}, although its sidecar says it was committed",
        consequence="the dataset is damaged; samples are missing",
        remedy=f"restore the file, or delete {tar.removesuffix('.tar')}.json and run `pairbridge generate` "
        "again",
    )


def split_shard(
    shards_dir: Path, name: str, keys_of_groups: Iterable[tuple[int, Iterable[str]]]
) -> Iterator[tuple[bytes, GroupRecord]]:
    """The parts and records that a committed shard was made of, to be committed again with more groups.

    keys_of_groups: (group, its planned keys), in order. Raises ShardError if the tar is not the one that was
    committed, so that damage is never given a new checksum.
    """
    path = tar_path(shards_dir, name)
    sidecar = Sidecar.from_file(sidecar_path(shards_dir, name))
    check_tar_size(shards_dir, sidecar)
    check_tar_bytes(path, sidecar.sha256)
    samples = {sample.key: sample for sample in sidecar.samples}
    holes = {hole.key: hole for hole in sidecar.holes}
    with open(path, "rb") as tar:
        for group, keys in keys_of_groups:
            keys = list(keys)
            outcomes = [holes[key] if key in holes else (key, _fields(tar, samples[key])) for key in keys]
            yield pack_group(group, outcomes, [each for each in sidecar.rejections if each.key in keys])


def uncommit_shard(shards_dir: Path, name: str) -> None:
    """Take back a commit: the sidecar goes first, so that a kill in between leaves a tar that is swept."""
    sidecar_path(shards_dir, name).unlink()
    sync_folder(shards_dir)
    tar_path(shards_dir, name).unlink()


def sweep_unfinished(shards_dir: Path) -> list[str]:
    """Delete temp files and tars without a sidecar; returns the deleted names, sorted."""
    doomed = [
        path
        for path in sorted(shards_dir.iterdir())
        if (path.name.startswith(".") and TEMP_MARK in path.name)
        or (path.suffix == ".tar" and not path.with_suffix(".json").exists())
    ]
    for path in doomed:
        path.unlink()
    sync_folder(shards_dir)
    return [path.name for path in doomed]


def rejection_counts(shards: Iterable[Sidecar | IndexedShard]) -> Counter[tuple[str, str]]:
    """Draws that gates refused, by (recipe, gate); the samples themselves may be there from a later draw."""
    return Counter((shard.shard.recipe, rejection.gate) for shard in shards for rejection in shard.rejections)


def quarantine_jsonl(shards: Iterable[IndexedShard]) -> Iterator[bytes]:
    """Content of quarantine.jsonl: one canonical JSON line per hole, sorted by key. Memory: the holes of a
    few shards, where the keys of shards do not overlap.
    """
    holed = []
    for shard in shards:
        if shard.num_holes:
            keys = [hole.key for hole in shard.holes]
            holed.append((min(keys), shard.name, shard))
    holed.sort(key=lambda entry: entry[:2])
    lines: list[tuple[str, bytes]] = []
    for first, _, shard in holed:
        # What lies before everything that is still to come.
        ready = [line for line in lines if line[0] < first]
        yield from (line for _, line in sorted(ready))
        lines = [line for line in lines if line[0] >= first]
        lines += [
            (hole.key, canonical_json({"shard": shard.name, **hole.model_dump()}) + b"\n")
            for hole in shard.holes
        ]
    yield from (line for _, line in sorted(lines))


def write_quarantine(dataset_dir: Path) -> None:
    """Derive quarantine.jsonl from the sidecars on disk; a dataset without holes gets an empty file."""
    shards = ShardIndex(dataset_dir / "shards")
    write_atomically(dataset_dir / "quarantine.jsonl", quarantine_jsonl(shards))


def _fields(tar: BinaryIO, sample: SampleRecord) -> dict[str, bytes]:
    content = {}
    for field, (offset, size) in sample.fields.items():
        tar.seek(offset)
        content[field] = tar.read(size)
    return content


def _shift(sample: SampleRecord, start: int) -> SampleRecord:
    moved = {field: (offset + start, size) for field, (offset, size) in sample.fields.items()}
    return sample.model_copy(update={"fields": moved})


def _concatenate(parts: list[tuple[GroupRecord, Path]]) -> Iterator[bytes]:
    for record, path in parts:
        hasher, size = hashlib.sha256(), 0
        with open(path, "rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                hasher.update(chunk)
                size += len(chunk)
                yield chunk
        if (size, hasher.hexdigest()) != (record.bytes, record.sha256):
            raise ShardError(
                f"the part of group {record.group} at {path} is not what its record describes",
                consequence="the shard would hold bytes that no worker made",
                remedy="delete the part and its record and run the same command again",
            )
    yield TRAILER
