"""The reader: any sample by position, and damage that is always told, never guessed around."""

import json
import os
import pickle
import random
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.core.limits import MAX_RECORD_BYTES
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.shards.reader import open_shard, open_shards
from pairbridge.datagen.shards.records import Sidecar
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.datagen.shards.tar import BLOCK, walk_tar
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

TINY = TinyDataset(
    recipes={"r": TinyRecipe(groups={"train": 2}, size_WH=(9, 7))}, holes={"r-train-00000001": "no"}
)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return TINY.write(tmp_path / "tiny")


@pytest.fixture
def tar(dataset: Path) -> Path:
    return dataset / "shards" / "train-r-000000.tar"


def _readable(tar: Path) -> list[str]:
    """Keys of the samples that the reader hands out and that decode, however damaged the shard is."""
    try:
        shard = open_shard(tar)
    except ShardError:
        return []
    keys = []
    for index in range(len(shard)):
        try:
            sample = shard.read(index)
            for field, data in sample.items():
                decode_field(field, data)
        except ShardError:
            continue
        keys.append(shard.key(index))
    return keys


def test_reads_what_tarfile_reads(tar: Path) -> None:
    shard = open_shard(tar)
    with tarfile.open(tar) as archive:
        theirs = {member.name: archive.extractfile(member).read() for member in archive}
    ours = {
        f"{key}.{field}": data for i, key in enumerate(shard.keys) for field, data in shard.read(i).items()
    }
    assert ours == theirs
    assert shard.keys == ["r-train-00000000", "r-train-00000002", "r-train-00000003"]
    assert [(hole.key, hole.reason) for hole in shard.holes] == [("r-train-00000001", "no")]


def test_values_come_back_as_they_were_given(dataset: Path, tar: Path) -> None:
    from pairbridge.datagen.dataset.manifest import DatasetManifest
    from pairbridge.datagen.dataset.verify import manifest_streams

    stream = next(manifest_streams(DatasetManifest.from_folder(dataset)))
    given = TINY.pair(stream, 1, 0)
    for field, data in open_shard(tar).read(1).items():
        np.testing.assert_equal(decode_field(field, data), given[field])


def test_a_cut_at_every_block_is_never_a_silent_loss(dataset: Path, tar: Path) -> None:
    whole, keys = tar.read_bytes(), _readable(tar)
    for cut in [*range(0, len(whole), BLOCK), *range(1, len(whole), 997)]:
        tar.write_bytes(whole[:cut])
        with pytest.raises(ShardError, match="instead of"):
            open_shard(tar)
        with pytest.raises(ShardError, match=r"byte|cut|trailer"):
            list(walk_tar(tar))
        report = verify_dataset(dataset)
        assert not report.ok
        assert report.findings[0].where == "train-r-000000"
    tar.write_bytes(whole)
    assert _readable(tar) == keys
    assert verify_dataset(dataset, decode=True).ok


def test_a_shard_that_shrinks_under_a_reader_is_an_error_with_the_key(tar: Path) -> None:
    shard = open_shard(tar)
    os.truncate(tar, tar.stat().st_size - 2048)
    with pytest.raises(ShardError, match=r"train-r-000000\.tar, sample r-train-00000003"):
        shard.read(2)


def test_every_flipped_bit_is_found_by_verify(dataset: Path, tar: Path) -> None:
    whole = tar.read_bytes()
    draw = random.Random(5)
    members = list(walk_tar(tar))
    places = {
        "header": members[0].offset - BLOCK + draw.randrange(BLOCK),
        "payload": members[2].offset + draw.randrange(members[2].size),
        "padding": members[0].offset + members[0].size,
        "trailer": len(whole) - 3,
        **{f"random {i}": draw.randrange(len(whole)) for i in range(40)},
    }
    for where, place in places.items():
        flipped = bytearray(whole)
        flipped[place] ^= 1 << draw.randrange(8)
        tar.write_bytes(flipped)
        report = verify_dataset(dataset)
        assert [finding.where for finding in report.findings][:1] == ["train-r-000000"], where
        assert any("sha256" in finding.problem for finding in report.findings), where


def test_a_flipped_header_bit_is_refused_on_reading(tar: Path) -> None:
    whole = tar.read_bytes()
    for bit in range(0, BLOCK * 8, 37):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        tar.write_bytes(flipped)
        with pytest.raises(ShardError, match="sample r-train-00000000"):
            open_shard(tar).read(0)


def test_a_link_in_place_of_a_member_is_refused(tar: Path) -> None:
    info = tarfile.TarInfo("r-train-00000000.mask.png")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    whole = tar.read_bytes()
    tar.write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + whole[BLOCK:])
    with pytest.raises(ShardError, match="header"):
        open_shard(tar).read(0)


def test_holds_no_file_between_reads_and_pickles(tar: Path) -> None:
    shard = open_shard(tar)
    before = len(os.listdir("/proc/self/fd"))
    first = shard.read(0)
    assert len(os.listdir("/proc/self/fd")) == before
    assert pickle.loads(pickle.dumps(shard)).read(0) == first


def test_a_recipe_whose_id_continues_another_stays_apart(tmp_path: Path) -> None:
    recipe = TinyRecipe(groups={"train": 1})
    folder = TinyDataset(recipes={"a": recipe, "a-b": recipe}).write(tmp_path / "two")
    assert [shard.name for shard in open_shards(folder, "a", "train")] == ["train-a-000000"]


def _edit(sidecar: Path, change) -> None:
    content = json.loads(sidecar.read_bytes())
    change(content)
    sidecar.write_text(json.dumps(content))


def _set(path: list, value):
    def change(content) -> None:
        for name in path[:-1]:
            content = content[name]
        content[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set(["samples", 0, "fields", "mask.png", 0], 10**15),
        _set(["samples", 0, "fields", "mask.png", 0], -512),
        _set(["samples", 0, "fields", "mask.png", 0], 513),
        _set(["samples", 0, "fields", "mask.png", 1], 10**15),
        _set(["samples", 0, "fields", "mask.png", 1], 1.5),
        _set(["samples", 0, "fields", "model.pyd"], [512, 5]),
        _set(["samples", 0, "fields"], {}),
        _set(["samples", 0, "key"], "../up"),
        _set(["samples", 0, "key"], "r-train-00000003"),
        _set(["samples", 0, "key"], "r-train-00000000\n"),
        _set(["holes", 0, "key"], "r-train-00000003"),
        _set(["count"], 2),
        _set(["bytes"], 512),
        _set(["sha256"], "no"),
        _set(["shard", "name"], "train-r-000001"),
        _set(["shard", "name"], "../train-r-000000"),
        _set(["format"], "pairbridge-shard/2"),
        _set(["surprise"], 1),
        lambda content: content["samples"].pop(1),
        lambda content: content["samples"].reverse(),
        lambda content: content.pop("sha256"),
    ],
)
def test_a_sidecar_that_contradicts_itself_is_refused(tar: Path, change) -> None:
    _edit(tar.with_suffix(".json"), change)
    with pytest.raises(ShardError, match="not a usable record"):
        open_shard(tar)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"null", b'{"samples": 1e999}'])
def test_a_sidecar_that_is_not_json_is_refused(tar: Path, content: bytes) -> None:
    tar.with_suffix(".json").write_bytes(content)
    with pytest.raises(ShardError, match="not a usable record"):
        open_shard(tar)


def test_a_sidecar_is_refused_for_its_size_alone_and_read_no_further(tar: Path) -> None:
    path = tar.with_suffix(".json")
    sound = Sidecar.from_file(path)
    # White space behind a record is JSON: nothing but the size speaks against it.
    path.write_bytes(path.read_bytes().ljust(MAX_RECORD_BYTES))
    assert Sidecar.from_file(path) == sound
    refusal = f"{path} is not a usable record: it has more than {MAX_RECORD_BYTES} bytes"
    with path.open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(ShardError) as refused:
        Sidecar.from_file(path)
    assert refused.value.cause == refusal
    # Whole it would fit into no memory.
    os.truncate(path, 1 << 40)
    with pytest.raises(ShardError) as refused:
        Sidecar.from_file(path)
    assert refused.value.cause == refusal
