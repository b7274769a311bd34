"""Two gloo ranks as forks of a process that has torch and the trainer imported, so that a launch costs no
imports.

python -m tests.support.forked_ranks
{"call": "MODULE:FUNCTION", "arguments": {...}, "store": FILE}      a line in; FILE is where the ranks meet
[0, 0]              a line out: how both ended. Where one fails the other is killed, as torchrun would do.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
WORLD = 2


class ForkedRanks:
    def __init__(self, folder: Path) -> None:
        """folder: for what the ranks say, and where they meet."""
        self._folder, self._calls = folder, 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked_ranks"],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "stderr").open("w"),
            text=True,
        )

    def __call__(self, call: str, **arguments: Any) -> list[int]:
        """Run a function of some module in both ranks; their exit statuses."""
        self._calls += 1
        request = {"call": call, "arguments": arguments, "store": str(self._folder / f"store-{self._calls}")}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    @property
    def said(self) -> str:
        return (self._folder / "stderr").read_text()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self._process.stdin.close()
        self._process.wait(120)
        self._process.stdout.close()


def _run(call, request: dict[str, Any], rank: int) -> None:
    # Here, in the child: the process that forks must have no threads.
    import torch.distributed as dist

    # Answers alone go to the caller.
    os.dup2(2, 1)
    try:
        dist.init_process_group("gloo", f"file://{request['store']}", rank=rank, world_size=WORLD)
        call(**request["arguments"])
        dist.destroy_process_group()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _statuses(children: list[int]) -> list[int]:
    found: dict[int, int] = {}
    while len(found) < len(children):
        for child in children:
            if child not in found and (ended := os.waitpid(child, os.WNOHANG))[0]:
                found[child] = os.waitstatus_to_exitcode(ended[1])
        if any(found.values()):
            for child in children:
                if child not in found:
                    os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    return [found[child] for child in children]


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        module, name = request["call"].split(":")
        call = getattr(importlib.import_module(module), name)
        children = []
        for rank in range(WORLD):
            child = os.fork()
            if child == 0:
                _run(call, request, rank)
            children.append(child)
        print(json.dumps(_statuses(children)), flush=True)


if __name__ == "__main__":
    main()
