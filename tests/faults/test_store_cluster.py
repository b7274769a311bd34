"""A dataset on a store, made by a machine that sees nothing else: groups wait on the store, and shards are
assembled by that machine. Driver, worker and committer are killed in the middle.
"""

import os
import signal

import psutil
import pytest
from blind_cluster import BlindCluster, blind_cluster
from launching import PATIENCE_S, SIGKILLED, Launcher, promised, wait_for

from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.shards.object_store import ObjectStore
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.pipelines.shelves.ledger import read_ledger
from pairbridge.pipelines.shelves.store_staging import STAGED_NAME
from tests.support.tiny_removal import removal_config

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("clusters")]


def kill_one(cluster: BlindCluster, name: str) -> bool:
    """An actor of this class, if there is one."""
    token = cluster.head.environment["RAY_AUTH_TOKEN"]
    for process in psutil.process_iter():
        try:
            is_it = process.cmdline()[:1] and process.cmdline()[0].startswith(f"ray::{name}")
            if is_it and process.environ().get("RAY_AUTH_TOKEN") == token:
                os.kill(process.pid, signal.SIGKILL)
                return True
        except psutil.Error:
            continue
    return False


def staged(store: ObjectStore) -> set[tuple[str, int]]:
    """(shard, group) of those that wait."""
    names = [name.split("/") for name in store.list(STAGED_NAME) if name.endswith(".json")]
    return {(shard, int(group.removesuffix(".json"))) for _, _, shard, group in names}


def test_killed_everywhere_a_store_gets_the_bytes_of_a_calm_run_and_none_through_the_driver(
    s3, tmp_path, ray_address, monkeypatch
):
    hidden = tmp_path / "driver"
    hidden.mkdir()
    config = removal_config(hidden / "photos", groups=16)
    url, work = f"{s3}/cluster", hidden / "work"
    store = ObjectStore(url)
    with blind_cluster(hidden, tmp_path) as cluster:
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
            monkeypatch.setenv(name, cluster.head.environment[name])
        launcher = Launcher(cluster.head.address)
        slowly = {"url": url, "pause_s": 1.5, "paused": "compose"}
        process = launcher.start(config, work, **slowly)
        wait_for(lambda: len(staged(store)) >= 3, "three groups that wait on the store")
        process.kill()
        assert process.wait(PATIENCE_S) == SIGKILLED
        left = staged(store)

        process = launcher.start(config, work, **slowly)
        wait_for(lambda: len(store.list("shards")) >= 4, "two shards")
        assert kill_one(cluster, "StoreCommitter")
        assert kill_one(cluster, "FaultyWorker")
        assert process.wait(PATIENCE_S) == 0, launcher.log(work)

    # What had waited was not made again, and what was made did not pass the driver.
    events = list(read_ledger(work))
    second = events[max(index for index, event in enumerate(events) if event["event"] == "run") :]
    assert left
    assert not left & {(event["shard"], event["group"]) for event in second if event["event"] == "group"}
    by_driver = [event["pid"] == process.pid for event in second if event["event"] == "shard"]
    assert by_driver.count(False) >= 4
    assert by_driver.count(True) <= 1, "only that of the killed committer"
    assert [event["fault"] for event in second if event["event"] == "fault"] == ["killed"]

    calm = generate(config, tmp_path / "calm", workers=1, on_progress=LogLines()).dataset_dir
    assert {name: store.read(name) for name in promised(calm)} == promised(calm)
    assert set(store.list("shards")) == {name for name in promised(calm) if name.startswith("shards/")}
    assert not store.list(STAGED_NAME)
    assert verify_dataset(url, decode=True).ok
