"""What `generate` promises on a quiet day; for the other days see tests/faults."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.shards.reader import open_shards
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.pipelines.attempts.policy import Limits
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.preview import preview
from pairbridge.pipelines.generation.progress import LogLines, Snapshot
from pairbridge.pipelines.shelves.ledger import Ledger, read_ledger
from pairbridge.pipelines.shelves.scratch_folders import scratch_folder
from tests.support.tiny_rendered import tiny_config, write_assets


@pytest.fixture
def assets(tmp_path):
    write_assets(tmp_path / "assets")
    return tmp_path / "assets"


def files(out):
    names = ["dataset.json", "quarantine.jsonl", *(f"shards/{path.name}" for path in out.glob("shards/*"))]
    return {name: (out / name).read_bytes() for name in sorted(names)}


@pytest.mark.render
def test_the_number_of_workers_and_their_age_change_no_byte(assets, tmp_path, ray_address):
    config = tiny_config(assets, groups=5)
    seen: list[Snapshot] = []
    one = generate(config, tmp_path / "one", workers=1, on_progress=seen.append)
    # Each worker is replaced after two groups.
    two = generate(
        config, tmp_path / "two", workers=2, on_progress=lambda _: None, limits=Limits(groups_per_worker=2)
    )
    assert files(one.dataset_dir) == files(two.dataset_dir)
    assert (one.num_pairs, one.num_quarantined, one.num_shards) == (10, 0, 2)
    assert verify_dataset(one.dataset_dir, decode=True).ok
    assert not (one.dataset_dir / "staging").exists()
    last = seen[-1]
    assert last.last
    assert (last.pairs_done, last.pairs_total, last.shards_done, last.shards_total) == (10, 10, 2, 2)
    pids = {event["pid"] for event in read_ledger(tmp_path / "two") if event["event"] == "group"}
    assert len(pids) >= 3


@pytest.mark.render
def test_a_finished_dataset_is_recognised_and_left_alone(assets, tmp_path, ray_address):
    config = tiny_config(assets, groups=2)
    out = tmp_path / "out"
    first = generate(config, out, workers=1, on_progress=lambda _: None)
    before = {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir()}
    second = generate(config, out, workers=1, on_progress=lambda _: None)
    assert (second.num_pairs, second.num_shards) == (first.num_pairs, first.num_shards)
    assert {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir()} == before
    assert sum(event["event"] == "group" for event in read_ledger(out)) == 2


@pytest.mark.render
def test_more_workers_than_cores_are_refused_before_anything_waits(assets, tmp_path, ray_address):
    with pytest.raises(ConfigError, match=r"9 workers want 9 CPU \(Ray offers 2\)"):
        generate(tiny_config(assets, groups=1), tmp_path / "out", workers=9, on_progress=lambda _: None)


@pytest.mark.render
def test_preview_shows_the_pairs_of_the_run_and_commits_nothing(assets, tmp_path, ray_address):
    config = tiny_config(assets, groups=2)
    out = tmp_path / "out"
    sheet = preview(config, out, 3, workers=1)
    assert sheet == tmp_path / "out-preview.png"
    assert sorted(path.name for path in out.iterdir()) == [".lock", "lightings", "logs"]
    shown = cv2.imread(str(sheet))[..., ::-1]
    assert shown.std() > 10

    generate(config, out, workers=1, on_progress=lambda _: None)
    (shard,) = open_shards(out, "swap", "train")
    made = decode_field("target.png", shard.read(0)["target.png"])
    # The sheet enlarges smoothly, so a pair's mean colour is on it wherever the layout puts the tile.
    means = cv2.boxFilter(shown.astype(np.float32), -1, (126, 126))
    assert np.abs(means - made.mean(axis=(0, 1))).sum(axis=2).min() < 6


@pytest.mark.render
@pytest.mark.long
def test_a_worker_that_has_grown_is_replaced(assets, tmp_path, ray_address):
    out = tmp_path / "out"
    limits = Limits(worker_rss_mib=1)
    generate(tiny_config(assets, groups=2), out, workers=1, on_progress=lambda _: None, limits=limits)
    pids = [event["pid"] for event in read_ledger(out) if event["event"] == "group"]
    assert len(set(pids)) == 2


def test_log_lines_come_now_and_then_and_at_the_end(capsys):
    snapshot = Snapshot(
        shards_done=1,
        shards_total=4,
        pairs_done=30,
        pairs_total=120,
        quarantined=2,
        retries=1,
        busy_workers=2,
        waiting_workers=0,
        pairs_per_s=1.5,
        left_s=3725.0,
    )
    lines = LogLines(interval_s=60)
    for _ in range(3):
        lines(snapshot)
    lines(replace(snapshot, last=True))
    expected = (
        "shards 1/4, pairs 30/120, 1.50 pairs/s, ETA 1:02:05, 2 quarantined, 1 retries, 2 workers busy\n"
    )
    assert capsys.readouterr().out == expected * 2


SCRATCH = """
import os, signal
from pairbridge.pipelines.shelves.scratch_folders import scratch_folder
with scratch_folder() as folder:
    (folder / "image.exr").touch()
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_scratch_of_a_killed_worker_is_swept_and_that_of_a_live_one_is_not():
    killed = subprocess.run([sys.executable, "-c", SCRATCH], capture_output=True, text=True)
    left = Path(killed.stdout.strip())
    assert (left / "image.exr").exists()
    with scratch_folder() as mine:
        assert not left.exists()
        with scratch_folder():
            assert mine.exists()
    assert not mine.exists()


def test_a_line_cut_by_a_kill_does_not_spoil_the_ledger(tmp_path):
    with Ledger(tmp_path) as ledger:
        ledger.write("run", token="first")
    with open(tmp_path / "ledger.jsonl", "a") as stream:
        stream.write('{"event": "gro')
    with Ledger(tmp_path) as ledger:
        ledger.write("run", token="second")
    assert [event["token"] for event in read_ledger(tmp_path)] == ["first", "second"]
