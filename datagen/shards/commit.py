"""Commit of a shard: concatenate parts, trailer, fsync, rename; then the sidecar, last.

The sidecar is the commit record. A tar without one was interrupted and is deleted and rebuilt; a sidecar
whose tar is missing or of another size is damage, which is never repaired without being asked.

| on disk | `committed_sidecar` |
|---|---|
| sidecar and tar of its size, same plan and config | the sidecar: skip the shard |
| no sidecar (tar or not) | None: build it (`sweep_unfinished` removes the tar and temp files) |
| sidecar without tar, tar of another size, unreadable sidecar | ShardError |
| sidecar of another plan or config | ConfigError |

All functions but the readers want the caller to hold the dataset's lock: two writers are not told apart here.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from pairbridge.datagen.core.atomic_files import TEMP_MARK, sync_folder, write_atomically
from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.core.json_digest import canonical_json, file_sha256
from pairbridge.datagen.shards.records import GroupRecord, SampleRecord, ShardInfo, Sidecar, pack_group
from pairbridge.datagen.shards.tar import TRAILER

_CHUNK_BYTES = 1 << 20


def tar_path(shards_dir: Path, name: str) -> Path:
    return shards_dir / f"{name}.tar"


def sidecar_path(shards_dir: Path, name: str) -> Path:
    return shards_dir / f"{name}.json"


def commit_shard(shards_dir: Path, shard: ShardInfo, parts: Iterable[tuple[GroupRecord, Path]]) -> Sidecar:
    """Both steps of the commit. The bytes on disk are a function of `shard` and the parts alone."""
    sidecar = write_shard_tar(shards_dir, shard, parts)
    write_sidecar(shards_dir, sidecar)
    return sidecar


def write_shard_tar(shards_dir: Path, shard: ShardInfo, parts: Iterable[tuple[GroupRecord, Path]]) -> Sidecar:
    """First step: the tar under its final name, durable. Not committed until `write_sidecar` is called.

    parts: one (record, path of its tar part) per group of the shard, in group order; the bytes of every
    part are checked against its record. Raises ShardError for a missing, extra or altered part, DiskFull
    when there is no room; in both cases nothing appears under the final name. Memory: one chunk of 1 MiB.
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
    path = tar_path(shards_dir, shard.name)
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
    """Second step: from here on the shard is committed."""
    write_atomically(sidecar_path(shards_dir, sidecar.shard.name), [sidecar.to_json()])


def check_part(record: GroupRecord, path: Path) -> bool:
    """Whether the part at `path` is exactly the bytes that `record` describes; what adoption of staging
    asks."""
    try:
        return path.stat().st_size == record.bytes and file_sha256(path) == record.sha256
    except FileNotFoundError:
        return False


def committed_sidecar(shards_dir: Path, shard: ShardInfo) -> Sidecar | None:
    """The sidecar if `shard` is committed, None if it has to be built; reads the tar's size, not its bytes.

    Raises ShardError for damage and ConfigError if the folder holds this shard of another plan (see the
    table above).
    """
    sidecar = matching_sidecar(shards_dir, shard)
    if sidecar is not None:
        check_tar_size(shards_dir, sidecar)
    return sidecar


def matching_sidecar(shards_dir: Path, shard: ShardInfo) -> Sidecar | None:
    """`committed_sidecar` without a look at the tar, which may lie elsewhere."""
    path = sidecar_path(shards_dir, shard.name)
    if not path.exists():
        return None
    sidecar = Sidecar.from_file(path)
    changed = [
        f"{name} {getattr(sidecar.shard, name)} there, {getattr(shard, name)} now"
        for name in ShardInfo.model_fields
        if getattr(sidecar.shard, name) != getattr(shard, name)
    ]
    if changed:
        raise ConfigError(
            f"{path} was committed by another plan: {'; '.join(changed)}",
            consequence="shards of two plans in one folder would repeat or lose samples",
            remedy="generate into a new folder, or restore the configuration that made this one",
        )
    return sidecar


def check_tar_size(shards_dir: Path, sidecar: Sidecar) -> None:
    """Raise ShardError unless the tar of a committed shard is there with its recorded size."""
    path = tar_path(shards_dir, sidecar.shard.name)
    check_size(str(path), path.stat().st_size if path.is_file() else None, sidecar.bytes)


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
    shards_dir: Path, sidecar: Sidecar, keys_of_groups: Iterable[tuple[int, Iterable[str]]]
) -> Iterator[tuple[bytes, GroupRecord]]:
    """The parts and records that a committed shard was made of, to be committed again with more groups.

    keys_of_groups: (group, its planned keys), in order. Raises ShardError if the tar is not the one that was
    committed, so that damage is never given a new checksum.
    """
    path = tar_path(shards_dir, sidecar.shard.name)
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


def read_sidecars(shards_dir: Path) -> Iterator[Sidecar]:
    """Every committed shard's sidecar, by name. Raises ShardError at the first unusable one."""
    for path in sorted(shards_dir.glob("*.json")):
        yield Sidecar.from_file(path)


def rejection_counts(sidecars: Iterable[Sidecar]) -> Counter[tuple[str, str]]:
    """Draws that gates refused, by (recipe, gate); the samples themselves may be there from a later draw."""
    return Counter(
        (sidecar.shard.recipe, rejection.gate) for sidecar in sidecars for rejection in sidecar.rejections
    )


def quarantine_jsonl(sidecars: Iterable[Sidecar]) -> bytes:
    """Content of quarantine.jsonl: one canonical JSON line per hole, sorted by key."""
    lines = [
        (hole.key, canonical_json({"shard": sidecar.shard.name, **hole.model_dump()}))
        for sidecar in sidecars
        for hole in sidecar.holes
    ]
    return b"".join(line + b"\n" for _, line in sorted(lines))


def write_quarantine(dataset_dir: Path) -> None:
    """Derive quarantine.jsonl from the sidecars on disk; a dataset without holes gets an empty file."""
    write_atomically(
        dataset_dir / "quarantine.jsonl", [quarantine_jsonl(read_sidecars(dataset_dir / "shards"))]
    )


def _fields(tar: BinaryIO, sample: SampleRecord) -> dict[str, bytes]:
    content = {}
    for field, (offset, size) in sample.fields.items():
        tar.seek(offset)
        content[field] = tar.read(size)
    return content


def _shift(sample: SampleRecord, start: int) -> SampleRecord:
    moved = {field: (offset + start, size) for field, (offset, size) in sample.fields.items()}
    return SampleRecord(key=sample.key, fields=moved)


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
