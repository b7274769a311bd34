"""What can go wrong with Blender's process. (A broken file is
`pairbridge.datagen.core.errors.AssetError`.)"""

from pairbridge.datagen.core.errors import PairbridgeError

SIGNALS_OF_A_BROKEN_SCENE = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL")


class BlenderCrashed(PairbridgeError):
    """Blender's process died during a request.

    `signal` is the signal's name ("SIGSEGV", "SIGKILL"), or "exit N" where the process ended by itself. A
    SIGKILL is almost never the scene's fault (memory killer, operator, lost node); SIGSEGV and its kin
    usually are.
    """

    def __init__(self, *, signal: str, phase: str, log_tail: str) -> None:
        blame = (
            "the scene is the likely cause: the group counts one failure"
            if signal in SIGNALS_OF_A_BROKEN_SCENE
            else "the scene is an unlikely cause (memory killer, operator or lost machine): retry the group"
        )
        super().__init__(
            f"Blender's process ended with {signal} during {phase}; last lines of its log:\n{log_tail}",
            consequence=f"nothing of this request was kept; {blame}",
            remedy="see the worker's log; after repeated SIGKILL give workers more memory, or use fewer",
        )
        self.signal = signal
        self.phase = phase
        self.log_tail = log_tail


class BlenderTimedOut(PairbridgeError):
    """A request outlived its limit; the process group was killed."""

    def __init__(self, *, phase: str, timeout_s: float, log_tail: str) -> None:
        super().__init__(
            f"Blender did not answer {phase} within {timeout_s:g} s; last lines of its log:\n{log_tail}",
            consequence="its process group was killed, and nothing of this request was kept",
            remedy="raise execution.request_timeout_s if the object is large, megasample_timeout_s beside it"
            " if the machine is slow",
        )
        self.phase = phase
        self.timeout_s = timeout_s
        self.log_tail = log_tail


class BlenderUnavailable(PairbridgeError):
    """Blender cannot work on this machine: bpy, a system library or the requested GPU is missing."""


class BlenderRequestFailed(PairbridgeError):
    """A request raised inside Blender for a reason that is not a broken asset; the process lives on."""
