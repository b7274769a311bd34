"""Last words of workers on machines whose files the driver does not see: a small actor on each of them reads
the logs that lie there.

Files outlive a worker that crashes, and the actor is another process. What dies with a whole machine is the
log of the groups in flight: that of every group before has come to the driver with its result.
"""

from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pairbridge.pipelines.workers import worker_logs
from pairbridge.pipelines.workers.worker import WorkerInfo


class WordsReader:
    """The actor."""

    def last_words(self, info: WorkerInfo, worker: str) -> worker_logs.LastWords:
        return worker_logs.last_words(info.home, worker)


class NodeWords:
    """The actors of a run, one a machine, each started with the first worker there that needs it."""

    def __init__(self, run: str) -> None:
        """`run` names them, for who looks at the cluster."""
        self._run = run
        self._readers: dict[str, Any] = {}

    def attend(self, info: WorkerInfo) -> None:
        """See to it that there is an actor on the worker's machine, if it is needed there."""
        if info.home is not None and info.node not in self._readers:
            there = NodeAffinitySchedulingStrategy(info.node, soft=False)
            self._readers[info.node] = (
                ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=1)(WordsReader)
                .options(name=f"pairbridge {self._run} words {info.node[:12]}", scheduling_strategy=there)
                .remote()
            )

    def ask(self, info: WorkerInfo, worker: str) -> Any:
        """A call that gives the worker's LastWords, or fails with its machine."""
        return self._readers[info.node].last_words.remote(info, worker)

    def end(self) -> None:
        for reader in self._readers.values():
            ray.kill(reader)
