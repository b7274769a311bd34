"""How a worker ended, from what is known of it: Ray's error, its machine, and its own last words."""

from collections.abc import Mapping
from typing import Any

from ray.core.generated.common_pb2 import NodeDeathInfo
from ray.exceptions import (
    ActorUnavailableError,
    NodeDiedError,
    OutOfMemoryError,
    RayActorError,
    WorkerCrashedError,
)

from pairbridge.pipelines.attempts.policy import Fault, fault_of_signal
from pairbridge.pipelines.workers.worker_logs import LastWords

# Ray has no common base for "the process that ran it is gone"; RayTaskError is an exception of our own code.
PROCESS_DEATHS = (RayActorError, NodeDiedError, WorkerCrashedError, OutOfMemoryError)
# After what happened Ray gives advice by the page.
MESSAGE_CHARS = 1500
# A raylet that gets SIGTERM takes leave of the cluster: so end pods that are evicted, and spot machines that
# get a warning. One that is killed is missed after a quarter of a minute.
_TOLD_TO_END = frozenset(
    {
        NodeDeathInfo.EXPECTED_TERMINATION,
        NodeDeathInfo.AUTOSCALER_DRAIN_PREEMPTED,
        NodeDeathInfo.AUTOSCALER_DRAIN_IDLE,
    }
)


def fault_of_death(
    error: Exception, node: Mapping[str, Any] | None, words: LastWords | None
) -> tuple[Fault, str] | None:
    """What the end of a worker was, and how to say it; None while its machine has yet to tell.

    `error` is one of PROCESS_DEATHS, `node` the worker's machine as `ray.nodes()` has it (None: of a run of
    its own, or not known), `words` what the worker left, None if nobody could read it.
    """
    if isinstance(error, OutOfMemoryError):
        return Fault.OUT_OF_MEMORY, "Ray ended the worker, for its machine ran out of memory,"
    if getattr(error, "preempted", False):
        return Fault.PREEMPTED, "the worker's machine was pre-empted"
    if node is not None and not node["Alive"]:
        if node["DeathReason"] in _TOLD_TO_END:
            return Fault.PREEMPTED, "the worker's machine was told to end"
        return Fault.MACHINE_LOST, "the worker's machine was lost"
    if isinstance(error, NodeDiedError):
        return Fault.MACHINE_LOST, "the worker's machine was lost"
    if isinstance(error, ActorUnavailableError):
        # The connection broke. Its machine is gone, most often, and Ray does not know it yet.
        return None
    if words is None:
        return Fault.LOST, "the worker ended, and left no words,"
    if words.signal is not None:
        return fault_of_signal(words.signal), f"the worker ended with {words.signal}"
    return Fault.KILLED, "the worker was killed from outside"


def message_of(error: Exception, node: Mapping[str, Any] | None) -> str:
    """What Ray says of it, and of the machine."""
    said = str(error).strip()[:MESSAGE_CHARS]
    return f"{said}\n{node['DeathReasonMessage']}" if node and node["DeathReasonMessage"] else said
