"""A worker dies on a machine that does not see the driver's folders: how is known all the same."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from blind_cluster import blind_cluster
from launching import promised

from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.pipelines.shelves.ledger import read_ledger
from tests.support.ray_jobs import PROGRAMS
from tests.support.tiny_rendered import tiny_config, write_assets

pytestmark = [pytest.mark.render, pytest.mark.long, pytest.mark.xdist_group("clusters")]


def test_a_crash_and_lack_of_memory_are_told_apart_where_no_folder_is_shared(tmp_path):
    hidden = tmp_path / "driver"
    write_assets(hidden / "assets")
    config, out = hidden / "config.json", hidden / "out"
    config.write_text(tiny_config(hidden / "assets", groups=6).model_dump_json())
    memory = psutil.virtual_memory()
    # Half of what is free: more than anything else here will take meanwhile.
    room = memory.available // 2
    threshold = (memory.total - memory.available + room) / memory.total
    watch = {"RAY_memory_usage_threshold": str(threshold), "RAY_memory_monitor_refresh_ms": "100"}
    with blind_cluster(hidden, tmp_path, **watch) as cluster:
        script = Path(__file__).with_name("dying_workers.py")
        arguments = [config, out, cluster.head.address, tmp_path / "begun", str(room + (2 << 30))]
        done = subprocess.run(
            [sys.executable, script, *arguments],
            env=cluster.head.environment,
            capture_output=True,
            text=True,
            timeout=400,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert verify_dataset(out).ok

    events = [event for event in read_ledger(out) if event["event"] == "fault"]
    crashes = [event for event in events if event["fault"] == "crashed"]
    holes = [json.loads(line) for line in promised(out)["quarantine.jsonl"].splitlines()]
    assert crashes
    assert len(crashes) == 3 * len({event["group"] for event in crashes})
    assert {hole["key"].rpartition("-")[0] for hole in holes}
    for hole in holes:
        assert "the worker ended with SIGSEGV in phase compose" in hole["reason"]
        assert "shape-1" in hole["reason"]
    # Lines of the worker's log came to the driver, with groups that ended and with those that did not.
    assert "[pairbridge] phase stage" in (out / "logs" / "worker-00.log").read_text()
    assert all("[pairbridge] phase compose" in event["detail"] for event in crashes)

    starved = [event for event in events if event["fault"] == "out of memory"]
    # One worker takes the memory, and it does so while it composes. Ray looks at the whole machine: should
    # something else take as much meanwhile, it ends a worker too many, in whatever phase that one is.
    reason = "Ray ended the worker, for its machine ran out of memory, in phase"
    assert f"{reason} compose" in {event["reason"] for event in starved}
    assert {event["reason"].removeprefix(reason) for event in starved} <= {" load", " render", " compose"}
    assert "low on memory" in starved[0]["message"]
    assert len(crashes) + len(starved) == len(events)
    told = subprocess.run(
        [PROGRAMS / "pairbridge", "status", out, "--faults"], capture_output=True, text=True, check=True
    ).stdout
    assert f"{len(crashes)} crashed" in told
    assert "low on memory" in " ".join(told.split())
