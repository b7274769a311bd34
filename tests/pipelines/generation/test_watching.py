"""Watching a run: the ledger's sums, `status` once and again, and figures at the metrics endpoint of Ray."""

import json
import re
import shutil
import sys
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
import ray

from pairbridge.datagen.shards.mirror import local_folder
from pairbridge.datagen.shards.object_store import ObjectStore
from pairbridge.pipelines.cli import main
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.prometheus import RunMetrics
from pairbridge.pipelines.generation.status import Watched
from pairbridge.pipelines.pages.browsed_pairs import browse
from pairbridge.pipelines.shelves.ledger import Ledger, LedgerReader, RunTally, read_ledger
from tests.support.sidecars import read_sidecars
from tests.support.tiny_dataset import TinyDataset, TinyRecipe
from tests.support.tiny_removal import removal_config

SHARD = "train-swap-000000"


def group(time_s: float, wall_s: float, pairs: int = 2, holes: int = 0, **facts: object) -> dict:
    """An event as the driver writes it."""
    stages = {"render": wall_s * 0.75, "encode": wall_s * 0.25}
    counts = {"pairs": pairs, "holes": holes, "wall_s": wall_s, "phase_s": stages}
    return {"unix_time_s": time_s, "event": "group", "shard": SHARD, "wait_s": 1.0, **counts, **facts}


def test_the_sums_of_a_ledger_are_those_of_its_events() -> None:
    tally = RunTally.of(
        [
            {"unix_time_s": 0.0, "event": "run", "workers": 2},
            group(10.0, 4.0, start_s=3.0, assets=["chair", "sky"]),
            group(14.0, 8.0, assets=["vase", "sky"], refused={"vase": 2, "sky": 2}),
            {
                **{"unix_time_s": 15.0, "event": "fault", "shard": SHARD, "fault": "crashed"},
                **{"wall_s": 5.0, "wait_s": 0.5, "start_s": 0.0, "verdict": "retry"},
            },
            group(18.0, 4.0, pairs=1, holes=1, assets=["chair", "sky"]),
            group(20.0, 4.0, assets=["chair", "sky"]),
            {"unix_time_s": 21.0, "event": "rest", "wait_s": {"worker-00": 2.0, "worker-01": 0.5}},
        ]
    )
    assert tally.utilisation() == {
        **{"render": 15.0, "wait": 7.0, "encode": 5.0, "lost to faults": 5.0, "start": 3.0}
    }
    assert tally.pairs_per_s == pytest.approx(6 / 10)
    assert tally.waiting == {SHARD: 8}
    # The vase was in one group alone, which says little.
    assert tally.slowest_assets() == [
        {"asset": "sky", "groups": 4, "mean_s": 5.0},
        {"asset": "chair", "groups": 3, "mean_s": 4.0},
    ]
    assert tally.most_refused_assets() == [
        {"asset": "sky", "refused": 2, "pairs": 7},
        {"asset": "vase", "refused": 2, "pairs": 2},
    ]
    tally.add({"unix_time_s": 22.0, "event": "shard", "shard": SHARD})
    assert not tally.waiting.total()


def test_a_real_run_s_ledger_accounts_for_every_second_of_its_workers(finished_run) -> None:
    events = list(read_ledger(finished_run.dataset_dir))
    groups = [event for event in events if event["event"] == "group"]
    for event in groups:
        assert sum(event["phase_s"].values()) == pytest.approx(event["wall_s"], rel=0.05, abs=0.02)
        assert event["assets"]
        assert event["start_s"] == 0 or event is next(g for g in groups if g["worker"] == event["worker"])
    for worker in {event["worker"] for event in groups}:
        first, *others = [event for event in groups if event["worker"] == worker]
        assert first["start_s"] > 0
        if others:
            told = sum(event["wait_s"] + event["wall_s"] for event in others)
            assert told == pytest.approx(others[-1]["unix_time_s"] - first["unix_time_s"], abs=0.5)
    tally = RunTally.of(events)
    assert {"wait", "start", "encode", "stage"} <= tally.utilisation().keys()
    # Refused draws of the ledger are those that the sidecars prove; each used two photographs or one.
    refused = sum(len(sidecar.rejections) for sidecar in read_sidecars(finished_run.dataset_dir / "shards"))
    assert refused
    assert refused <= sum(sum(event["refused"].values()) for event in groups) <= 3 * refused
    assert tally.most_refused_assets()


@pytest.fixture
def status(monkeypatch, capsys):
    """Run `pairbridge status` in this process and return what it prints."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["pairbridge", "status", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "160")
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr().out

    return run


def test_status_as_json_and_for_people_tell_the_same(status, finished_run) -> None:
    state = json.loads(status(finished_run.dataset_dir, "--json"))
    assert list(state) == ["format", "dataset", "complete", "pairs", "shards", "streams", "run"]
    sidecars = list(read_sidecars(finished_run.dataset_dir / "shards"))
    made, holes = sum(one.count for one in sidecars), sum(len(one.holes) for one in sidecars)
    assert state["pairs"] == {"planned": made + holes, "made": made, "quarantined": holes}
    assert state["complete"] is state["run"]["finished"] is True
    runs = [event for event in read_ledger(finished_run.dataset_dir) if event["event"] == "run"]
    assert state["run"]["workers"] == runs[-1]["workers"]
    text = status(finished_run.dataset_dir)
    assert f"pairs {made}/{made + holes}, {holes} quarantined: finished" in text
    assert "most refused assets, draws: " in text


def test_status_watches_until_the_last_shard_is_committed(status, finished_run, tmp_path) -> None:
    dataset = Path(shutil.copytree(finished_run.dataset_dir, tmp_path / "dataset"))
    last = sorted((dataset / "shards").glob("*.json"))[-1]
    record = last.read_bytes()
    last.unlink()
    commit = threading.Timer(0.6, lambda: last.write_bytes(record))
    commit.start()
    lines = [json.loads(line) for line in status(dataset, "--watch", "--json", "--every", "0.1").splitlines()]
    commit.join()
    assert len(lines) > 2
    assert [line["complete"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert lines[0]["shards"]["committed"] == lines[-1]["shards"]["committed"] - 1


def test_status_lists_faults_with_what_ray_said_of_them(status, finished_run, tmp_path) -> None:
    dataset = Path(shutil.copytree(finished_run.dataset_dir, tmp_path / "dataset"))
    facts = {"shard": SHARD, "group": 3, "worker": "worker-07", "host": "spot-12", "wall_s": 2.0}
    with Ledger(dataset) as ledger:
        for kind in ("pre-empted", "out of memory"):
            said = f"Ray says: {kind}, [bold]as it is[/bold]\n\tand why"
            ledger.write("fault", **facts, fault=kind, reason="it was", verdict="retry", message=said)
    state = json.loads(status(dataset, "--json"))
    assert [fault["fault"] for fault in state["run"]["last_faults"]][-2:] == ["pre-empted", "out of memory"]
    text = status(dataset, "--faults")
    assert f"worker-07 on spot-12, {SHARD} group 3: pre-empted; it was; retry" in text
    assert "    Ray says: out of memory, [bold]as it is[/bold]" in text
    assert "Ray says" not in status(dataset)


def test_a_ledger_that_grows_is_read_on_from_where_it_was(tmp_path) -> None:
    reader, path = LedgerReader(tmp_path), tmp_path / "ledger.jsonl"
    assert list(reader.new_events()) == []
    path.write_bytes(b'{"event": "run"}\n{"event": "gro')
    assert [event["event"] for event in reader.new_events()] == ["run"]
    with open(path, "ab") as stream:
        stream.write(b'up"}\n{"cut off\n{"event": "shard"}\n')
    assert [event["event"] for event in reader.new_events()] == ["group", "shard"]


def test_a_dataset_on_a_store_is_watched_and_browsed_by_its_url(s3, tmp_path) -> None:
    url = f"{s3}/watched"
    tiny = TinyDataset(recipes={"swap": TinyRecipe(groups={"train": 3})}, holes={"swap-train-00000001": "?"})
    folder = tiny.write(tmp_path / "tiny")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        ObjectStore(url).put(path.relative_to(folder).as_posix(), path)
    _, state = Watched(url).look()
    assert (state["complete"], state["run"]) == (True, None)
    assert state["pairs"] == {"planned": 6, "made": 5, "quarantined": 1}
    assert len(list(browse(local_folder(url)).pairs(100, 0))) == 5


def exported(label: str) -> Counter[str]:
    """Sums of this dataset's samples at the metrics endpoint of the test run's Ray, by metric and label."""
    node = ray.nodes()[0]
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    found: Counter[str] = Counter()
    for line in text.splitlines():
        if line.startswith("ray_pairbridge_") and f'dataset="{label}"' in line:
            name = line.partition("{")[0].removeprefix("ray_pairbridge_")
            stage = re.search(r'stage="([^"]*)"', line)
            found[f"{name} {stage.group(1)}" if stage else name] += float(line.rpartition(" ")[2])
    return found


def test_prometheus_finds_the_run_at_the_endpoint_of_ray(finished_run, ray_address, tmp_path) -> None:
    events = list(read_ledger(finished_run.dataset_dir))
    metrics = RunMetrics("fed-again")
    with metrics.exported():
        for event in events:
            metrics.event(event)
    groups = [event for event in events if event["event"] == "group"]
    pairs = sum(event["pairs"] for event in groups)
    give_up = time.monotonic() + 120
    while (found := exported("fed-again"))["pairs_total"] < pairs:
        assert time.monotonic() < give_up, found
        time.sleep(0.5)
    assert found["pairs_total"] == pairs
    assert found["quarantined_total"] == sum(event["holes"] for event in groups)
    assert found["groups_total"] == found["group_seconds_count"] == len(groups)
    assert found["shards_total"] == sum(event["event"] == "shard" for event in events)
    for stage in ("encode", "stage"):
        spent = sum(event["phase_s"][stage] for event in groups)
        assert found[f"stage_seconds_total {stage}"] == pytest.approx(spent)
    assert found["stage_seconds_total wait"] == pytest.approx(sum(event["wait_s"] for event in groups))
    # A run that this process starts is exported by `generate`.
    generate(
        removal_config(tmp_path / "photos", groups=2),
        tmp_path / "waves",
        workers=1,
        address=ray_address,
        on_progress=lambda snapshot: None,
    )
    give_up = time.monotonic() + 120
    while exported("waves")["pairs_total"] < 4:
        assert time.monotonic() < give_up
        time.sleep(0.5)
