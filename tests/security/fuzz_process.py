"""A process of its own for damaged files: `python -m tests.security.fuzz_process INPUTS SEED READER...`.

Prints a JSON line for each of these readers: how many inputs were refused and read, how long the slowest
took, how many MiB the process grew, and every failure, with the seed that makes the input again.
"""

import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from tests.security.mutations import mutated
from tests.security.readers import Reader, every_reader

# Address space: libraries reserve a few gigabytes; an input that is believed asks for far more.
_ADDRESSES = 24 << 30
MOST_SECONDS = 20
_FAILURES = 5


class TookTooLong(BaseException):
    """No reader catches it."""


def fuzz(name: str, reader: Reader, inputs: int, seed: int, folder: Path) -> dict:
    seeds, beside = list(reader.seeds.items()), reader.beside
    others = tuple(data for _, data in seeds)
    for file_name, data in seeds:
        _read(reader, _place(folder, beside, file_name, data))
    # A peak of this reader's own, whatever the ones before it took.
    Path("/proc/self/clear_refs").write_text("5")
    grown = _peak_kib()
    counts = {"read": 0, "refused": 0}
    failures, slowest, began, number = [], 0.0, time.monotonic(), 0
    while number < inputs and len(failures) < _FAILURES:
        draw = random.Random(f"{seed}/{name}/{number}")
        file_name, data = seeds[number % len(seeds)]
        path = _place(folder, beside, file_name, mutated(data, others, draw))
        # For whoever looks at what a crash left.
        (folder.parent / "last").write_text(f"{name} {number}")
        started = time.monotonic()
        try:
            counts["read" if _read(reader, path) else "refused"] += 1
        except BaseException as error:  # a failure is any other outcome, also one that no handler catches
            if isinstance(error, KeyboardInterrupt):
                raise
            failures.append(f"{file_name}, input {number}: {''.join(traceback.format_exception(error)[-3:])}")
        slowest = max(slowest, time.monotonic() - started)
        number += 1
    return {
        "reader": name,
        "inputs": number,
        **counts,
        "seconds": round(time.monotonic() - began, 1),
        "slowest_s": round(slowest, 2),
        "grown_mib": (_peak_kib() - grown) >> 10,
        "failures": failures,
    }


def _place(folder: Path, beside: dict[str, bytes], name: str, data: bytes) -> Path:
    # Hundreds of thousands of times: by the calls of the system, not by paths of pathlib.
    for entry in list(os.scandir(folder)):
        shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else os.unlink(entry)
    for other, content in {**beside, name: data}.items():
        if "/" in other:
            (folder / other).parent.mkdir(parents=True, exist_ok=True)
        with open(os.path.join(folder, other), "wb") as stream:
            stream.write(content)
    return folder / name


def _read(reader: Reader, path: Path) -> bool:
    signal.alarm(MOST_SECONDS)
    try:
        reader.read(path)
        return True
    except reader.errors as error:
        if not (error.cause and error.consequence and error.remedy):
            raise AssertionError("an error without cause, consequence and remedy") from error
        return False
    finally:
        signal.alarm(0)


def _peak_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _too_long(*_: object) -> None:
    raise TookTooLong(f"more than {MOST_SECONDS} s")


def main(inputs: int, seed: int, names: list[str]) -> None:
    signal.signal(signal.SIGALRM, _too_long)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        root = Path(scratch)
        (root / "valid").mkdir()
        (root / "fuzzed").mkdir()
        readers = every_reader(root / "valid")
        for name in names:
            print(json.dumps(fuzz(name, readers[name], inputs, seed, root / "fuzzed")), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
