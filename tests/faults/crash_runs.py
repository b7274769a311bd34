"""Makes one small dataset again and again, each time in a fork of a process that has imported everything, so
that a run costs a fifth of a second.

`crash_runs.py CONFIG`, preloaded with `failio.c`; each line of the input is {"out": folder, "at": n,
"how": errno or "kill"}, each line of the output the status of that run: 0 finished, 1 stopped with a
PairbridgeError, 2 another exception, below 0 a signal. What a run says goes to `<out>.log`.

All of `generate` is real but Ray: the worker works in the driver's process, and dies with it.
"""

import collections
import contextlib
import ctypes
import gc
import json
import os
import sys
import traceback
from pathlib import Path

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.pipelines.generation import generate
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.pipelines.workers.crew import Finished, Slot
from pairbridge.pipelines.workers.pools import ONE_POOL, Pool
from pairbridge.pipelines.workers.worker import GroupWorker


class OwnCrew:
    """A crew of one worker, in this process."""

    def __init__(self, order, pools) -> None:
        self._worker = GroupWorker(order, "worker-00", 1)
        self._slot = Slot("worker-00", pools[0])
        self._finished = collections.deque()

    def __enter__(self) -> "OwnCrew":
        self._where = self._slot.info = self._worker.open()
        return self

    def __exit__(self, *exc_info) -> None:
        self._worker.close()

    num_busy = num_waiting = 0

    def ready(self, pool):
        return [] if self._finished else [self._slot]

    def resting_s(self):
        return {}

    def renew_one(self, pool) -> None: ...

    def release(self, pool) -> None: ...

    def abandon(self) -> None: ...

    def submit(self, slot, task) -> None:
        outcome = self._worker.run(task.shard, task.group)
        self._finished.append(Finished(task, outcome, slot.name, self._where))

    def poll(self, timeout_s=None):
        while self._finished:
            yield self._finished.popleft()


def run(config: DatasetConfig, out: Path, at: int, how: int | str) -> int:
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 2
    try:
        log = os.open(out.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.environ |= {"FAILIO_AT": str(at), "FAILIO_ERR": str(how)}
        Path(os.environ["FAILIO_CTR"]).unlink(missing_ok=True)
        # The preloaded library has read the variables of this process's parent.
        ctypes.CDLL(None).failio_read_environment()
        generate.generate(config, out, workers=1, on_progress=LogLines(60))
        status = 0
    except PairbridgeError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        status = 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    generate.ray_session = lambda *_: contextlib.nullcontext()
    generate.pools_of = lambda *_: (
        Pool(name=ONE_POOL, workers=1, cpus=1, gpus=0, resources={}, spread=False),
    )
    generate.crew_of = lambda order, pools, *_: OwnCrew(order, pools)
    CONFIG = DatasetConfig.model_validate_json(Path(sys.argv[1]).read_text())
    # Out of the collector's sight, so that no fork touches, and so copies, the pages of what was imported.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        print(run(CONFIG, Path(asked["out"]), asked["at"], asked["how"]), flush=True)
