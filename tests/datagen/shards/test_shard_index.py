"""The index of a dataset: it says what the sidecars say, and whatever becomes of it costs time alone."""

import multiprocessing
import os
import pickle
import random
import shutil
from pathlib import Path

import pytest

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.dataset.card import write_card
from pairbridge.datagen.dataset.verify import dataset_status, verify_dataset
from pairbridge.datagen.shards.commit import uncommit_shard, write_quarantine
from pairbridge.datagen.shards.indexed_shard import IndexedShard, spans_of
from pairbridge.datagen.shards.reader import open_shards
from pairbridge.datagen.shards.records import Sidecar
from pairbridge.datagen.shards.shard_index import INDEX_NAME, ShardIndex
from tests.support.sidecars import read_sidecars
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

TINY = TinyDataset(
    recipes={
        "r": TinyRecipe(groups={"train": 7, "test": 1}, size_WH=(9, 7)),
        "holed": TinyRecipe(groups={"train": 2}, kind="geometry"),
    },
    holes={
        "r-train-00000001": "no",
        "r-train-00000004": "dark",
        "r-train-00000005": "dark",
        "holed-train-00000000": "x",
    },
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TINY.write(tmp_path_factory.mktemp("indexed") / "tiny")


@pytest.fixture
def dataset(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "tiny")


def said(shard: IndexedShard | Sidecar) -> tuple:
    """All that a sidecar says of its shard."""
    if isinstance(shard, Sidecar):
        samples = [(one.key, sorted(one.fields.items()), one.size_WH or (0, 0)) for one in shard.samples]
    else:
        samples = [
            (
                row["key"].decode(),
                list(zip(shard.fields, spans_of(row), strict=True)),
                tuple(size.tolist()),
            )
            for row, size in zip(shard.rows(), shard.picture_sizes(), strict=True)
        ]
    return shard.shard, shard.sha256, shard.bytes, shard.count, samples, shard.holes, shard.rejections


def assert_right(dataset: Path) -> None:
    wanted = [said(sidecar) for sidecar in read_sidecars(dataset / "shards")]
    assert [said(shard) for shard in ShardIndex(dataset / "shards")] == wanted


def no_sidecar_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> Sidecar:
        raise AssertionError(f"{path} was parsed")

    monkeypatch.setattr(Sidecar, "from_file", refuse)


def test_the_index_says_what_the_sidecars_say(written: Path) -> None:
    assert (written / INDEX_NAME).is_file()
    assert_right(written)


def test_what_counts_reads_the_index_and_no_sidecar(written: Path, monkeypatch) -> None:
    card, quarantine = ((written / name).read_bytes() for name in ("README.md", "quarantine.jsonl"))
    no_sidecar_is_parsed(monkeypatch)
    assert sum(status.pairs_made for status in dataset_status(written)) == 16
    assert sum(status.holes for status in dataset_status(written)) == 4
    write_card(written)
    write_quarantine(written)
    assert (written / "README.md").read_bytes() == card
    assert (written / "quarantine.jsonl").read_bytes() == quarantine
    assert [len(shard.keys) for shard in open_shards(written, "r", "train")] == [3, 2, 4, 2]


def test_a_copied_dataset_is_not_parsed_again(dataset: Path, monkeypatch) -> None:
    for path in (dataset / "shards").iterdir():
        os.utime(path)
    wanted = [shard.count for shard in ShardIndex(dataset / "shards")]
    size = (dataset / INDEX_NAME).stat().st_size
    for path in (dataset / "shards").iterdir():
        os.utime(path)
    no_sidecar_is_parsed(monkeypatch)
    assert [shard.count for shard in ShardIndex(dataset / "shards")] == wanted
    # Records that others came after do not pile up.
    for _ in range(5):
        for path in (dataset / "shards").iterdir():
            os.utime(path)
        list(ShardIndex(dataset / "shards"))
    assert (dataset / INDEX_NAME).stat().st_size < 3 * size


@pytest.mark.parametrize("cut", [0, 1, 100, 350, 1000, -1])
def test_a_torn_index_is_made_whole_from_the_sidecars(dataset: Path, cut: int) -> None:
    index = dataset / INDEX_NAME
    whole = index.read_bytes()
    index.write_bytes(whole[:cut])
    assert_right(dataset)
    assert len(index.read_bytes()) == len(whole)


def test_a_flipped_bit_anywhere_is_never_believed(dataset: Path) -> None:
    index, draw = dataset / INDEX_NAME, random.Random(3)
    whole = index.read_bytes()
    for place in draw.sample(range(len(whole)), 150):
        data = bytearray(whole)
        data[place] ^= 1 << draw.randrange(8)
        index.write_bytes(data)
        assert_right(dataset)
    index.write_bytes(whole)


def test_verify_mends_an_index_of_another_sidecar(dataset: Path) -> None:
    path = dataset / "shards" / "train-r-000000.json"
    before, right = path.stat(), path.read_bytes()
    # A sidecar of the same size and times with another reason, and an index made of it.
    path.write_bytes(right.replace(b'"no"', b'"on"'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (dataset / INDEX_NAME).unlink()
    list(ShardIndex(dataset / "shards"))
    path.write_bytes(right)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert verify_dataset(dataset).ok
    assert_right(dataset)


def test_a_changed_or_deleted_sidecar_is_what_counts(dataset: Path) -> None:
    shards = ShardIndex(dataset / "shards")
    assert shards.find("train-r-000001") is not None
    uncommit_shard(dataset / "shards", "train-r-000001")
    assert shards.find("train-r-000001") is None
    (dataset / "shards" / "train-r-000002.json").write_bytes(b"{")
    with pytest.raises(ShardError, match=r"train-r-000002\.json is not a usable record"):
        list(shards)


def test_a_folder_that_cannot_be_written_has_its_index_in_the_cache(
    dataset: Path, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PAIRBRIDGE_CACHE", str(tmp_path / "cache"))
    (dataset / INDEX_NAME).unlink()
    (dataset / INDEX_NAME).mkdir()  # what root cannot write either
    assert_right(dataset)
    no_sidecar_is_parsed(monkeypatch)
    assert sum(shard.count for shard in ShardIndex(dataset / "shards")) == 16


def _count(shards_dir: Path, results) -> None:
    results.put(sum(shard.count for shard in ShardIndex(shards_dir)))


def test_processes_that_start_at_once_make_one_index(dataset: Path) -> None:
    size = (dataset / INDEX_NAME).stat().st_size
    (dataset / INDEX_NAME).unlink()
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    started = [context.Process(target=_count, args=(dataset / "shards", results)) for _ in range(4)]
    for process in started:
        process.start()
    assert [results.get(timeout=30) for _ in started] == [16] * 4
    for process in started:
        process.join()
    assert (dataset / INDEX_NAME).stat().st_size == size
    assert_right(dataset)


def test_shards_go_to_other_processes_and_outlive_the_file(dataset: Path) -> None:
    shards = list(open_shards(dataset, "r", "train"))
    wanted = [[shard.read(index) for index in range(len(shard))] for shard in shards]
    sent = pickle.loads(pickle.dumps(shards))
    (dataset / INDEX_NAME).unlink()
    for each in (shards, sent):
        assert [[shard.read(index) for index in range(len(shard))] for shard in each] == wanted


def test_a_key_that_climbs_out_of_a_folder_is_refused_whatever_the_index_says(dataset: Path) -> None:
    from pairbridge.datagen.shards import indexed_shard

    (sidecar, *_) = read_sidecars(dataset / "shards")
    path = dataset / "shards" / f"{sidecar.name}.json"
    samples = tuple(one.model_copy(update={"key": "../" + one.key[:-3]}) for one in sidecar.samples)
    evil = sidecar.model_copy(update={"samples": samples})
    record = indexed_shard.packed(evil, indexed_shard.SidecarState.of(path), bytes(32))
    (dataset / INDEX_NAME).write_bytes(record)
    (shard,) = open_shards(dataset, sidecar.shard.recipe, sidecar.shard.split)
    with pytest.raises(ShardError, match=r"outside \[a-z0-9_-\]"):
        shard.read(0)
