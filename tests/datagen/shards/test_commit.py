"""Commit: the sidecar last, the same bytes always, and every state a kill can leave told apart."""

import errno
import json
from pathlib import Path

import pytest

from pairbridge.datagen.core import atomic_files
from pairbridge.datagen.core.atomic_files import DiskFull, write_atomically
from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.core.json_digest import digest, file_sha256
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.shards.commit import (
    commit_shard,
    committed_shard,
    sweep_unfinished,
    write_shard_tar,
    write_sidecar,
)
from pairbridge.datagen.shards.indexed_shard import IndexedShard
from pairbridge.datagen.shards.layout import tar_path
from pairbridge.datagen.shards.reader import open_shard
from pairbridge.datagen.shards.records import GroupRecord, Hole, ShardInfo, Sidecar, pack_group
from pairbridge.datagen.shards.shard_index import ShardIndex
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

SHARD = ShardInfo(
    name="train-r-000001", first_group=4, num_groups=3, plan_digest=digest("p"), config_digest=digest("c")
)


@pytest.fixture
def shards_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    return folder


@pytest.fixture
def parts(tmp_path: Path) -> list[tuple[GroupRecord, Path]]:
    made = []
    for group in range(SHARD.first_group, SHARD.first_group + SHARD.num_groups):
        outcomes = [
            Hole(key=f"r-train-{group * 2:08d}", reason="broken", asset="chair")
            if group == 5
            else (f"r-train-{group * 2:08d}", {"a.json": b"x" * group * 300, "b.npy": b""}),
            Hole(key=f"r-train-{group * 2 + 1:08d}", reason="dark"),
        ]
        part, record = pack_group(group, outcomes)
        path = tmp_path / f"{group}.tar"
        path.write_bytes(part)
        made.append((record, path))
    return made


def committed(shards_dir: Path, shard: ShardInfo = SHARD) -> IndexedShard | None:
    return committed_shard(ShardIndex(shards_dir), shard)


def assert_committed(shards_dir: Path, sidecar: Sidecar) -> None:
    there = committed(shards_dir)
    for name in ("shard", "sha256", "bytes", "count", "holes", "rejections"):
        assert getattr(there, name) == getattr(sidecar, name)


def test_commit_gives_the_same_bytes_and_reads_back(shards_dir: Path, parts, tmp_path: Path) -> None:
    sidecar = commit_shard(shards_dir, SHARD, parts)
    again = tmp_path / "again"
    again.mkdir()
    commit_shard(again, SHARD, iter(parts))
    assert [path.name for path in sorted(shards_dir.iterdir())] == [
        "train-r-000001.json",
        "train-r-000001.tar",
    ]
    for path in shards_dir.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()
    assert_committed(shards_dir, sidecar)
    assert sidecar.sha256 == file_sha256(tar_path(shards_dir, SHARD.name))
    shard = open_shard(tar_path(shards_dir, SHARD.name))
    assert shard.keys == ["r-train-00000008", "r-train-00000012"]
    assert shard.read(1) == {"a.json": b"x" * 1800, "b.npy": b""}


def test_group_record_survives_json_and_refuses_anything_else(parts) -> None:
    for record, _ in parts:
        data = record.to_json()
        assert GroupRecord.from_json(data) == record
        for cut in range(len(data)):
            with pytest.raises(ShardError):
                GroupRecord.from_json(data[:cut])


def test_a_tar_without_sidecar_is_not_committed_and_is_swept(shards_dir: Path, parts) -> None:
    assert committed(shards_dir) is None
    sidecar = write_shard_tar(shards_dir, SHARD, parts)
    assert committed(shards_dir) is None
    (shards_dir / ".train-r-000002.tar.tmp-77").write_bytes(b"half")
    assert sweep_unfinished(shards_dir) == [".train-r-000002.tar.tmp-77", "train-r-000001.tar"]
    assert list(shards_dir.iterdir()) == []
    write_shard_tar(shards_dir, SHARD, parts)
    write_sidecar(shards_dir, sidecar)
    assert sweep_unfinished(shards_dir) == []
    assert_committed(shards_dir, sidecar)


def test_damage_after_the_commit_is_an_error(shards_dir: Path, parts) -> None:
    commit_shard(shards_dir, SHARD, parts)
    tar = tar_path(shards_dir, SHARD.name)
    whole = tar.read_bytes()
    tar.write_bytes(whole[:-1])
    with pytest.raises(ShardError, match=r"train-r-000001\.tar has .* bytes instead of"):
        committed(shards_dir)
    tar.unlink()
    with pytest.raises(ShardError, match="is missing"):
        committed(shards_dir)
    assert sweep_unfinished(shards_dir) == []
    tar.with_suffix(".json").write_bytes(b"{")
    with pytest.raises(ShardError, match="not a usable record"):
        committed(shards_dir)


@pytest.mark.parametrize(
    "change", [{"plan_digest": digest("q")}, {"config_digest": digest("q")}, {"num_groups": 4}]
)
def test_a_shard_of_another_plan_is_refused_with_the_difference(
    shards_dir: Path, parts, change: dict
) -> None:
    commit_shard(shards_dir, SHARD, parts)
    with pytest.raises(ConfigError, match=next(iter(change))):
        committed(shards_dir, SHARD.model_copy(update=change))


def test_missing_scattered_or_altered_parts_commit_nothing(shards_dir: Path, parts) -> None:
    for wrong in (parts[:2], parts[1:], [parts[1], parts[0], parts[2]], [*parts, parts[0]]):
        with pytest.raises(ShardError, match="wants groups 4 to 6"):
            commit_shard(shards_dir, SHARD, wrong)
    record, path = parts[2]
    path.write_bytes(b"y" + path.read_bytes()[1:])
    with pytest.raises(ShardError, match="part of group 6"):
        commit_shard(shards_dir, SHARD, parts)
    assert list(shards_dir.iterdir()) == []
    assert record.bytes > 0


def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, shards_dir: Path, parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.json"
    write_atomically(path, [b"old"])

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_files.os, "fsync", full)
    with pytest.raises(DiskFull, match="bytes free"):
        commit_shard(shards_dir, SHARD, parts)
    with pytest.raises(DiskFull):
        write_atomically(path, [b"new"])
    assert list(shards_dir.iterdir()) == []
    assert path.read_bytes() == b"old"
    assert not list(tmp_path.glob(".old*"))


def test_an_interrupt_while_writing_leaves_no_temp_file(tmp_path: Path) -> None:
    def chunks():
        yield b"first"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.tar", chunks())
    assert list(tmp_path.iterdir()) == []


def test_quarantine_lists_every_hole_sorted(tmp_path: Path) -> None:
    holes = {
        "b-train-00000001": "dark",
        "a-train-00000003": 'quoted "reason"\nof two lines',
        "a-train-00000000": "x",
    }
    tiny = TinyDataset(
        recipes={name: TinyRecipe(groups={"train": 3}) for name in ("b", "a")},
        holes=holes,
        groups_per_shard=1,
    )
    folder = tiny.write(tmp_path / "d")
    lines = (folder / "quarantine.jsonl").read_bytes()
    entries = [json.loads(line) for line in lines.splitlines()]
    assert [entry["key"] for entry in entries] == sorted(holes)
    assert {entry["key"]: entry["reason"] for entry in entries} == holes
    assert entries[1]["shard"] == "train-a-000001"
    assert verify_dataset(folder, decode=True).ok
