"""How a worker's end is called: by real errors of Ray, and by what a real crash leaves."""

import os
import signal
import subprocess
import sys

import pytest
import ray
from ray.exceptions import ActorUnavailableError, OutOfMemoryError

from pairbridge.pipelines.attempts.policy import LOSSES, Fault
from pairbridge.pipelines.workers.deaths import PROCESS_DEATHS, fault_of_death, message_of
from pairbridge.pipelines.workers.worker_logs import LastWords, append, last_words, log_path, written_since

SILENT = LastWords(phase="render", tail="", signal=None)
CRASHED = LastWords(phase="render", tail="", signal="SIGSEGV")
UNAVAILABLE = ActorUnavailableError("RpcError: Socket closed", None)


# Ray's workers cannot import a test module.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Victim:
    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def death(ray_address) -> Exception:
    """What Ray raises for a worker that was killed."""
    victim = ray.remote(num_cpus=0)(Victim).options(name="worker of a test").remote()
    with pytest.raises(PROCESS_DEATHS) as raised:
        ray.get(victim.die.remote(), timeout=60)
    return raised.value


def node(reason: int, *, alive: bool = False) -> dict:
    return {"Alive": alive, "DeathReason": reason, "DeathReasonMessage": "received SIGTERM"}


def test_the_same_error_of_ray_is_a_crash_a_kill_or_unknown_by_the_worker_s_last_words(death):
    # Ray's own message names all causes at once, lack of memory among them.
    assert "OOM" in str(death)
    assert fault_of_death(death, None, CRASHED) == (Fault.CRASHED, "the worker ended with SIGSEGV")
    assert fault_of_death(death, None, SILENT) == (Fault.KILLED, "the worker was killed from outside")
    assert fault_of_death(death, None, None)[0] is Fault.LOST
    assert "worker of a test" in message_of(death, None)


@pytest.mark.parametrize(("reason", "fault"), [(1, "pre-empted"), (3, "pre-empted"), (2, "machine lost")])
def test_a_machine_that_is_gone_explains_whatever_error_its_workers_gave(death, reason, fault):
    for error in (death, UNAVAILABLE):
        assert fault_of_death(error, node(reason), None)[0] == fault
        assert "received SIGTERM" in message_of(error, node(reason))


def test_a_worker_out_of_reach_is_no_verdict_until_its_machine_tells():
    assert fault_of_death(UNAVAILABLE, node(0, alive=True), SILENT) is None


def test_ray_s_own_kill_for_memory_is_named():
    error = OutOfMemoryError("Memory on the node was 22.9GB / 23.5GB")
    assert fault_of_death(error, node(0, alive=True), SILENT)[0] is Fault.OUT_OF_MEMORY


def test_losses_never_count_against_a_group():
    assert set(Fault) - {Fault.CRASHED, Fault.TIMED_OUT, Fault.UNREADABLE} == LOSSES


def test_last_words_are_those_of_a_process_that_crashed(tmp_path):
    (tmp_path / "logs").mkdir()
    log_path(tmp_path, "w").write_text("[pairbridge] phase load\nBlender says\n[pairbridge] phase render\n")
    crash = tmp_path / "logs" / "w.crash"
    code = (
        "import faulthandler, os, sys; faulthandler.enable(open(sys.argv[1], 'w')); os.kill(os.getpid(), 11)"
    )
    assert subprocess.run([sys.executable, "-c", code, crash], check=False).returncode == -signal.SIGSEGV
    words = last_words(tmp_path, "w")
    assert (words.phase, words.signal) == ("render", "SIGSEGV")
    assert "Blender says" in words.tail
    assert last_words(tmp_path, "nobody") == LastWords(phase="start", tail="", signal=None)


def test_lines_of_a_group_are_kept_where_the_driver_is(tmp_path):
    there, here = tmp_path / "there.log", tmp_path / "dataset"
    here.mkdir()
    there.write_text("before\n")
    position = there.stat().st_size
    with open(there, "a") as stream:
        stream.write("group one\n")
    append(here, "worker-00", written_since(str(there), position))
    assert log_path(here, "worker-00").read_text() == "group one\n"
