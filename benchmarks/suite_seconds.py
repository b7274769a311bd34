"""Processor seconds of the tests, by folder: wall clocks say little on a shared machine.

TEST_SECONDS=seconds.jsonl python -m pytest -p benchmarks.suite_seconds tests/faults
python -m benchmarks.suite_seconds seconds.jsonl [folder|file|test]

A line a test, of setup, call and teardown together: this process and all that came of it, looked at ten times
a second, so that what lived for less is missed. What a fixture of a session makes is its first test's.
"""

import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

_TICKS = os.sysconf("SC_CLK_TCK")


# Of each process that was seen, the most. Ray's daemon forgets the times of workers that ended.
_seen: dict[str, float] = {}


def _look(pid: str) -> None:
    try:
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        _seen[pid] = sum(map(int, times)) / _TICKS
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                _look(child)
    except OSError:
        # It ended meanwhile.
        return


def processor_s() -> float:
    _look(str(os.getpid()))
    return sum(_seen.copy().values())


def _watch() -> None:
    while True:
        _look(str(os.getpid()))
        time.sleep(0.1)


def pytest_configure(config: pytest.Config) -> None:
    threading.Thread(target=_watch, daemon=True).start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    before = processor_s()
    done = yield
    _write(item.nodeid, processor_s() - before)
    return done


def pytest_collection_finish(session: pytest.Session) -> None:
    # A controller of pytest-xdist collects nothing.
    if session.items:
        _write("collection", processor_s())


def _write(name: str, seconds: float) -> None:
    with open(os.environ["TEST_SECONDS"], "a") as stream:
        stream.write(json.dumps({"test": name, "seconds": round(seconds, 3)}) + "\n")


def part(test: str, by: str) -> str:
    file = test.partition("::")[0]
    return {"folder": file.rpartition("/")[0] or file, "file": file, "test": test}[by]


def main(path: str, by: str = "folder") -> None:
    seconds: dict[str, float] = defaultdict(float)
    tests: dict[str, int] = defaultdict(int)
    for line in Path(path).read_text().splitlines():
        entry = json.loads(line)
        seconds[part(entry["test"], by)] += entry["seconds"]
        tests[part(entry["test"], by)] += 1
    for name, spent in sorted(seconds.items(), key=lambda one: -one[1]):
        print(f"{spent:8.1f} s {tests[name]:5} {name}")
    print(f"{sum(seconds.values()):8.1f} s {sum(tests.values()):5} all")


if __name__ == "__main__":
    main(*sys.argv[1:])
