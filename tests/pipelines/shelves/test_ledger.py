"""The diary of a run rotates, and nobody who wants sums reads more than its newest file."""

import json
from pathlib import Path
from typing import Any

import pytest

from pairbridge.pipelines.shelves import ledger as ledgers
from pairbridge.pipelines.shelves.ledger import Ledger, LedgerReader, RunTally, ledger_files, read_ledger

FULL_BYTES = 20_000


def write(folder: Path, groups: range, **options: int) -> None:
    with Ledger(folder, **options) as ledger:
        ledger.write("run", token="t", workers=3, address=None)
        for group in groups:
            shard = f"train-relighting-{group // 20:06d}"
            ledger.write(
                "group",
                shard=shard,
                group=group,
                wall_s=1 + group % 7,
                wait_s=0.25,
                start_s=0.5,
                pairs=3,
                holes=1,
                phase_s={"render": 1.0, "stage": 0.5},
                assets=[f"chair-{group % 5}"],
                refused={"chair-1": 1} if group % 11 == 0 else {},
            )
            if group % 13 == 0:
                ledger.write("fault", shard=shard, group=group, wall_s=2.0, fault="lost")
            if group % 20 == 19:
                ledger.write("shard", shard=shard, bytes=1)


def sums(tally: RunTally) -> dict[str, Any]:
    """But the clock."""
    state = {name: value for name, value in tally.state().items() if not name.endswith("unix_s")}
    faults = [{**fault, "unix_time_s": 0} for fault in state["last_faults"]]
    return state | {"last_faults": faults}


def whole(folder: Path) -> dict[str, Any]:
    return sums(RunTally.of(LedgerReader(folder).new_events()))


@pytest.fixture
def calm(tmp_path: Path) -> Path:
    """Two runs in one file."""
    folder = tmp_path / "calm"
    folder.mkdir()
    for groups in (range(300), range(300, 500)):
        write(folder, groups)
    assert ledger_files(folder) == ["ledger.jsonl"]
    return folder


def test_a_diary_that_rotated_adds_up_to_the_same_in_its_newest_file(calm: Path, tmp_path: Path) -> None:
    watched, reader = RunTally(), LedgerReader(tmp_path)
    for groups in (range(300), range(300, 500)):
        write(tmp_path, groups, full_bytes=FULL_BYTES)
        for event in reader.new_events():
            watched.add(event)
    names = ledger_files(tmp_path)
    assert len(names) > 5
    assert all((tmp_path / name).stat().st_size <= FULL_BYTES for name in names)
    assert whole(tmp_path) == whole(calm)
    assert sums(watched) == whole(calm)
    # And every event is kept, once.
    events = [[_timeless(event) for event in read_ledger(folder)] for folder in (calm, tmp_path)]
    assert events[0] == events[1]


def test_a_kill_between_two_files_loses_no_sum(calm: Path, tmp_path: Path, monkeypatch) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    write(tmp_path, range(300), full_bytes=1 << 30)
    with monkeypatch.context() as patched:
        patched.setattr(ledgers, "write_atomically", kill)
        with pytest.raises(Killed):
            write(tmp_path, range(300, 500), full_bytes=1000)
    assert ledger_files(tmp_path)[0] == "ledger-000001.jsonl"
    assert not (tmp_path / "ledger.jsonl").exists()
    write(tmp_path, range(300, 500), full_bytes=1 << 30)
    assert whole(tmp_path) == whole(calm)


def test_of_many_groups_the_median_is_kept_in_little(tmp_path: Path) -> None:
    walls = ledgers.Walls()
    for seconds in range(100_000):
        walls.add(float(seconds * 7919 % 100_000))
    assert (walls.count, walls.total_s) == (100_000, sum(range(100_000)))
    assert len(walls.kept_s) <= ledgers.MOST_WALLS
    tally = ledgers.RecipeTally(walls=walls)
    assert tally.median_s == pytest.approx(50_000, rel=0.05)


def _timeless(event: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in event.items() if name != "unix_time_s"})
