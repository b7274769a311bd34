"""Datasets on an object store, over the real protocol: made there, resumed there, proved there, read from
there; and a store that fails, stalls or lies.
"""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem

from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.verify import dataset_status, verify_dataset
from pairbridge.datagen.exports.export import export_dataset
from pairbridge.datagen.shards import object_store
from pairbridge.datagen.shards.commit import split_shard
from pairbridge.datagen.shards.mirror import local_folder
from pairbridge.datagen.shards.object_store import ObjectStore, StoreFailed
from pairbridge.datagen.shards.records import Sidecar, commit_record
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.open_plan import open_plan
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.pipelines.shelves import lock
from pairbridge.pipelines.shelves.committer import Committer
from pairbridge.pipelines.shelves.lock import LEASE_NAME, DatasetLocked, store_lease
from pairbridge.pipelines.shelves.shelf import StoreShelf
from pairbridge.pipelines.shelves.staging import Fenced, Staging, new_token, stage_group
from pairbridge.pipelines.shelves.store_commit import PENDING_NAME
from pairbridge.training.data.mix_config import dataset_folder
from pairbridge.training.data.pairs import PairSource
from tests.support.tiny_removal import removal_config


def make(dataset: DatasetConfig, out: str | Path, work: Path | None = None):
    return generate(dataset, out, workers=1, on_progress=LogLines(), work_dir=work)


def promised_of(url: str) -> dict[str, bytes]:
    store = ObjectStore(url)
    names = [name for name in store.list() if name.startswith("shards/")]
    return {
        name: store.read(name)
        for name in (*names, "dataset.json", "quarantine.jsonl", "README.md", "croissant.json")
    }


def promised_here(out: Path) -> dict[str, bytes]:
    names = [f"shards/{path.name}" for path in out.glob("shards/*")]
    return {
        name: (out / name).read_bytes()
        for name in (*names, "dataset.json", "quarantine.jsonl", "README.md", "croissant.json")
    }


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("assets") / "photos"


@pytest.fixture(scope="module")
def calm(photos, tmp_path_factory, ray_address) -> Path:
    """What the store must hold in the end: three shards, the last of them not full."""
    return make(removal_config(photos, groups=5), tmp_path_factory.mktemp("calm") / "set").dataset_dir


def test_objects_come_back_as_they_were_put(s3, tmp_path) -> None:
    store = ObjectStore(f"{s3}/objects")
    assert store.list() == {}
    assert store.read("a") is None
    (tmp_path / "large").write_bytes(bytes(range(256)) * 60_000)
    store.put("shards/large", tmp_path / "large")
    store.put("a", b"first")
    before = store.list()
    assert {name: each.size for name, each in before.items()} == {"a": 5, "shards/large": 15_360_000}
    assert store.list("shards").keys() == {"shards/large"}
    store.put("a", b"other")
    assert store.list()["a"].stamp != before["a"].stamp
    store.fetch("shards/large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "large").read_bytes()
    assert store.create("a", b"third") is False
    assert store.read("a") == b"other"
    assert store.create("b", b"third") is True
    store.remove("a")
    store.remove("a")
    assert store.list().keys() == {"b", "shards/large"}
    with pytest.raises(StoreFailed):
        ObjectStore(f"{s3}/objects", retry_waits_s=()).fetch("b", tmp_path / "c", sha256="0" * 64)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("url", ["s3://key:secret@pairs/x", "s3://pairs/x?AWSAccessKeyId=key"])
def test_credentials_in_an_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="credentials") as refused:
        ObjectStore(url)
    assert "secret" not in str(refused.value)
    assert "AWSAccessKeyId=key" not in str(refused.value)


def test_a_dataset_on_a_store_is_the_one_in_a_folder_and_can_be_read_there(
    s3, calm, tmp_path, photos
) -> None:
    url = f"{s3}/whole"
    result = make(removal_config(photos, groups=5), url, tmp_path / "work")
    assert (result.num_pairs, result.num_shards) == (10, 3)
    assert promised_of(url) == promised_here(calm)
    assert json.loads(ObjectStore(url).read(LEASE_NAME))["released"] is True
    assert not ObjectStore(url).list(PENDING_NAME)
    assert not list((tmp_path / "work").glob("shards/*.tar"))
    assert verify_dataset(url, decode=True).ok
    assert [(status.pairs_made, status.complete) for status in dataset_status(url)] == [(10, True)]

    here, there = (
        PairSource(calm, "holes", "train"),
        PairSource(dataset_folder(url, tmp_path), "holes", "train"),
    )
    assert there.digest == here.digest
    mirror = local_folder(url)
    assert not list(mirror.glob("shards/*.tar"))
    first = there.pair(0)
    assert [tar.name for tar in mirror.glob("shards/*.tar")] == ["train-holes-000000.tar"]
    assert all((getattr(first, name) == getattr(here.pair(0), name)).all() for name in ("source", "target"))
    assert [there.pair(index).key for index in range(10)] == [here.key(index) for index in range(10)]

    # What is handed over from there is what is handed over from here.
    for dataset, name in ((calm, "here"), (url, "there")):
        export_dataset(dataset, "energon", tmp_path / name)
    files = [
        {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        for out in (tmp_path / "here", tmp_path / "there")
    ]
    assert files[0] == files[1]

    # Nothing that gives access was written down.
    written = b"".join(ObjectStore(url).read(name) or b"" for name in ObjectStore(url).list())
    written += b"".join(path.read_bytes() for path in (tmp_path / "work").rglob("*") if path.is_file())
    assert b"not-to-be-written-anywhere" not in written


def test_damage_on_the_store_is_found_there_whatever_a_cache_remembers(s3, calm, tmp_path, photos) -> None:
    url = f"{s3}/damaged"
    make(removal_config(photos, groups=5), url, tmp_path / "work")
    source = PairSource(local_folder(url), "holes", "train")
    source.pair(0)
    store, name = ObjectStore(url), "shards/train-holes-000001.tar"
    data = bytearray(store.read(name))
    # The last byte of the block that the first file does not fill.
    data[1023] ^= 1
    store.put(name, bytes(data))
    store.put("shards/foreign.txt", b"?")
    problems = {(finding.where, finding.problem) for finding in verify_dataset(url).findings}
    assert any(where == "train-holes-000001" and "padding" in why for where, why in problems)
    assert any(where == "shards/foreign.txt" and "no such file" in why for where, why in problems)
    with pytest.raises(ShardError, match="train-holes-000001"):
        source.pair(4)
    store.remove(name)
    with pytest.raises(ShardError, match="is missing, although its sidecar says"):
        make(removal_config(photos, groups=5), url, tmp_path / "work")


@pytest.mark.long
def test_a_dataset_on_a_store_grows_from_another_machine(s3, calm, tmp_path, photos) -> None:
    url = f"{s3}/grown"
    make(removal_config(photos, groups=3), url, tmp_path / "one machine")
    before = promised_of(url)
    make(removal_config(photos, groups=5), url, tmp_path / "another machine")
    assert promised_of(url) == promised_here(calm)
    assert promised_of(url)["shards/train-holes-000000.tar"] == before["shards/train-holes-000000.tar"]
    with pytest.raises(ConfigError, match="5 there, 4 now"):
        make(removal_config(photos, groups=4), url, tmp_path / "a third")


class UnreliableS3(S3FileSystem):
    """Does `plan[n]` at the n-th upload of a tar: "fail", "half" of the bytes, "slow", or what it should."""

    plan: list[str]
    uploads: int

    async def _call_s3(self, method, *args, **kwargs):
        if method != "put_object" or not kwargs["Key"].endswith(".tar"):
            return await super()._call_s3(method, *args, **kwargs)
        cls = type(self)
        fault = cls.plan[cls.uploads] if cls.uploads < len(cls.plan) else ""
        cls.uploads += 1
        if fault == "fail":
            raise OSError("503 Slow Down")
        if fault == "slow":
            time.sleep(1)
        if fault == "half":
            kwargs["Body"] = kwargs["Body"][: len(kwargs["Body"]) // 2]
        return await super()._call_s3(method, *args, **kwargs)

    call_s3 = sync_wrapper(_call_s3)


@pytest.fixture
def unreliable(s3, monkeypatch) -> Iterator[str]:
    """The same server, by a client that does not always do what it is asked."""
    fsspec.register_implementation("s3", UnreliableS3, clobber=True)
    monkeypatch.setattr(ObjectStore.__init__, "__kwdefaults__", {"retry_waits_s": (0.01, 0.01)})
    UnreliableS3.uploads = 0
    yield s3
    fsspec.register_implementation("s3", S3FileSystem, clobber=True)


def test_a_store_that_fails_stalls_or_keeps_half_a_write_changes_no_byte(
    unreliable, calm, tmp_path, photos
) -> None:
    UnreliableS3.plan = ["fail", "half", "", "slow", "half", ""]
    url = f"{unreliable}/rough"
    make(removal_config(photos, groups=5), url, tmp_path / "work")
    assert UnreliableS3.uploads == 6
    assert promised_of(url) == promised_here(calm)
    assert verify_dataset(url).ok


@pytest.mark.long
def test_a_store_that_stays_away_stops_the_run_and_the_same_call_resumes(
    unreliable, calm, tmp_path, photos
) -> None:
    UnreliableS3.plan = ["", *["half"] * 20]
    url = f"{unreliable}/away"
    with pytest.raises(StoreFailed, match=r"writing .*\.tar failed \(3 attempts\)"):
        make(removal_config(photos, groups=5), url, tmp_path / "work")
    # What the store could not be given waits here, in parts, and nothing half is committed there.
    assert list((tmp_path / "work").glob("staging/*/*/*.tar"))
    listed = ObjectStore(url).list("shards")
    assert all(name.replace(".json", ".tar") in listed for name in listed if name.endswith(".json"))
    UnreliableS3.plan = []
    make(removal_config(photos, groups=5), url, tmp_path / "work")
    assert promised_of(url) == promised_here(calm)


def test_a_second_driver_is_refused_while_the_lease_is_held(
    s3, photos, tmp_path, ray_address, monkeypatch
) -> None:
    url = f"{s3}/leased"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    store = ObjectStore(url)
    monkeypatch.setattr(lock, "RENEW_S", 0.05)
    monkeypatch.setattr(lock, "WATCH_S", 0.05)
    with store_lease(store, tmp_path / "one", new_token()) as still_ours:
        assert still_ours() == 1
        with pytest.raises(DatasetLocked, match="is being generated by process"):
            make(removal_config(photos, groups=1), url, tmp_path / "two")
        # The same work folder, whose lock is free, is that of a dead predecessor, which renews nothing: a
        # renewal between the look and the writing of the next one would be another run's.
        monkeypatch.setattr(lock, "RENEW_S", 60)
        time.sleep(1)  # for the one that is under way
        with store_lease(store, tmp_path / "one", new_token()), pytest.raises(Fenced, match="taken over"):
            still_ours()
    # A holder that does not renew is dead, or has to behave as if it were. No two clocks are compared.
    monkeypatch.setattr(lock, "LEASE_S", 0.2)
    with store_lease(store, tmp_path / "one", new_token()) as still_ours:
        monkeypatch.setattr(time, "time", lambda: 0.0)
        with store_lease(store, tmp_path / "two", new_token()) as theirs:
            assert theirs() == 4
            with pytest.raises(Fenced):
                still_ours()
    assert json.loads(store.read(LEASE_NAME))["released"] is True


@pytest.mark.parametrize("late", ["-000000.tar", "-000000.json"])
def test_a_write_that_lands_after_its_driver_lost_the_lease_changes_nothing(
    s3, calm, photos, tmp_path, monkeypatch, late
) -> None:
    """The old run's committer stalls in an upload; another run takes the lease and is killed; then the
    upload lands."""
    url, name = f"{s3}/late{late}", "train-holes-000000"
    works = [tmp_path / each for each in ("old", "new", "last")]
    for work in works:
        work.mkdir()
    plan = open_plan(removal_config(photos, groups=5), calm).plan
    shard = plan.shard(name)
    info = Sidecar.from_file(calm / f"shards/{name}.json").shard
    staging = Staging.take_over(works[0], "old", plan)
    staging.open_shard(shard)
    keys = [(group, shard.stream.keys(group)) for group in shard.groups]
    for part, record in split_shard(calm / "shards", name, keys):
        stage_group(staging.shard_folder(shard), part, record)
    asked, landing = threading.Event(), threading.Event()
    create = ObjectStore.create

    def stalling(store, what, content):
        if what.endswith(late) and threading.current_thread().name == "old":
            asked.set()
            assert landing.wait(60)
        return create(store, what, content)

    monkeypatch.setattr(ObjectStore, "create", stalling)
    monkeypatch.setattr(lock, "LEASE_S", 0.0)
    ended: list[BaseException | None] = []

    def old_driver() -> None:
        try:
            with store_lease(ObjectStore(url), works[0], "old") as lease:
                Committer(works[0], staging.folder, lease).make_ready(shard, info)
            ended.append(None)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=old_driver, name="old")
    thread.start()
    assert asked.wait(60)
    store = ObjectStore(url)
    with store_lease(store, works[1], "new") as lease:
        StoreShelf.adopt(works[1], lease).sweep()
        landing.set()
        thread.join(60)
        check_no_sidecar_without_its_tar(store)
    # The first was fenced, unless what it had asked for was already settled by the second.
    assert ended[0] is None or isinstance(ended[0], Fenced)
    with store_lease(store, works[2], "last") as lease:
        shelf = StoreShelf.adopt(works[2], lease)
        shelf.sweep()
        sidecar = Sidecar.from_file(calm / f"shards/{name}.json")
        assert shelf.committed(sidecar.shard).sha256 == sidecar.sha256
    assert store.read(f"shards/{name}.tar") == (calm / f"shards/{name}.tar").read_bytes()


def check_no_sidecar_without_its_tar(store: ObjectStore) -> None:
    for name in store.list("shards"):
        record = commit_record(store.read(name)) if name.endswith(".json") else None
        if isinstance(record, Sidecar):
            tar = store.hashed(name.replace(".json", ".tar"))
            assert tar is not None
            assert tar.sha256 == record.sha256


@pytest.mark.parametrize("multipart", [False, True])
def test_an_object_is_replaced_only_while_it_is_the_one_that_was_seen(
    s3, tmp_path, monkeypatch, multipart
) -> None:
    store = ObjectStore(f"{s3}/conditional{multipart}", retry_waits_s=())
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * 45_000)
    if multipart:
        monkeypatch.setattr(object_store, "_PART_BYTES", 6 << 20)
    store.put("a", b"first")
    first = store.stamped("a").stamp
    assert store.replace("a", path, first) is True
    assert store.hashed("a").sha256 == file_sha256(path)
    if not multipart:  # moto does not look at If-Match when an upload in parts is completed
        assert store.replace("a", path, first) is False
    assert store.replace("a", b"third", first) is False
    assert store.replace("gone", b"third", first) is False
    assert store.hashed("a").sha256 == file_sha256(path)


class DeafS3(S3FileSystem):
    """A store behind a gateway that drops the conditions of writes."""

    async def _call_s3(self, method, *args, **kwargs):
        kwargs = {name: value for name, value in kwargs.items() if name not in ("IfMatch", "IfNoneMatch")}
        return await super()._call_s3(method, *args, **kwargs)


@pytest.fixture(params=["s3", "memory"])
def unconditional(s3, request) -> Iterator[str]:
    if request.param == "memory":
        yield "memory://pairs"
        return
    fsspec.register_implementation("s3", DeafS3, clobber=True)
    yield s3
    fsspec.register_implementation("s3", S3FileSystem, clobber=True)


def test_a_store_without_conditional_writes_is_named_and_its_leases_are_not_taken(
    unconditional, tmp_path, monkeypatch, capsys
) -> None:
    url = f"{unconditional}/unconditional"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(lock, "LEASE_S", 0.0)
    with store_lease(ObjectStore(url), tmp_path / "one", "one") as still_ours:
        assert f"{url} has no conditional writes" in capsys.readouterr().err
        with pytest.raises(DatasetLocked, match=f"if it is dead, delete {url}/.lease"):
            store_lease(ObjectStore(url), tmp_path / "two", "two").__enter__()
        assert still_ours() == 1
    with store_lease(ObjectStore(url), tmp_path / "two", "two") as still_ours:
        assert still_ours() == 2
