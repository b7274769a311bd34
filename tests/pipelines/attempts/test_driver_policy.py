"""What failures mean: crashes are evidence against a group, losses are not."""

import pytest

from pairbridge.pipelines.attempts.policy import (
    MAX_CRASHES,
    MAX_LOSSES,
    MAX_UNREADABLE,
    Fault,
    GivenUp,
    RetryLedger,
    Verdict,
    fault_of_signal,
)

GROUP = ("train-relighting-000000", 3)


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "exit 1"])
def test_own_doing_is_a_crash(name):
    assert fault_of_signal(name) is Fault.CRASHED


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGHUP"])
def test_signals_from_outside_are_losses(name):
    assert fault_of_signal(name) is Fault.KILLED


def test_third_crash_or_time_out_quarantines_and_the_third_try_has_its_own_worker():
    ledger = RetryLedger()
    assert ledger.record(GROUP, Fault.CRASHED) is Verdict.RETRY
    assert ledger.record(GROUP, Fault.TIMED_OUT) is Verdict.RETRY_OWN_WORKER
    assert ledger.record(GROUP, Fault.CRASHED) is Verdict.QUARANTINE


def test_losses_never_quarantine_and_the_last_tries_are_alone():
    ledger = RetryLedger()
    verdicts = [ledger.record(GROUP, Fault.LOST) for _ in range(MAX_LOSSES)]
    assert verdicts == [Verdict.RETRY] * 7 + [Verdict.RETRY_ALONE] * 2 + [Verdict.STOP]


def test_losses_do_not_add_to_crashes():
    ledger = RetryLedger()
    for _ in range(MAX_CRASHES - 1):
        ledger.record(GROUP, Fault.CRASHED)
    for _ in range(4):
        assert ledger.record(GROUP, Fault.LOST) is Verdict.RETRY_OWN_WORKER
    assert ledger.record(GROUP, Fault.CRASHED) is Verdict.QUARANTINE


def test_groups_are_counted_apart_and_forgotten_on_success():
    ledger = RetryLedger()
    other = ("train-relighting-000000", 4)
    ledger.record(GROUP, Fault.CRASHED)
    ledger.record(GROUP, Fault.CRASHED)
    assert ledger.record(other, Fault.CRASHED) is Verdict.RETRY
    ledger.forget(GROUP)
    assert ledger.record(GROUP, Fault.CRASHED) is Verdict.RETRY


def test_groups_given_up_in_a_row_stop_the_run_and_something_finished_breaks_the_row():
    given_up = GivenUp(3)
    assert [given_up.add(group) for group in "ab"] == [Verdict.QUARANTINE] * 2
    assert given_up.release() == ["a", "b"]
    assert given_up.release() == []
    verdicts = [given_up.add(group) for group in "cde"]
    assert verdicts == [Verdict.QUARANTINE, Verdict.QUARANTINE, Verdict.STOP]


def test_many_groups_of_one_broken_asset_count_once_and_many_assets_stop_the_run():
    given_up = GivenUp(3)
    verdicts = [given_up.add(group, {"chair"}) for group in range(50)]
    verdicts += [given_up.add("x", {"chair", "lamp"}), given_up.add("y", {"lamp"})]
    assert set(verdicts) == {Verdict.QUARANTINE}
    assert given_up.add("z", {"vase"}) is Verdict.STOP
    assert len(given_up.release()) == 53
    assert given_up.add("again", {"chair"}) is Verdict.QUARANTINE


def test_unreadable_inputs_are_tried_again_after_pauses_that_double_and_then_stop_the_run():
    ledger, pauses = RetryLedger(), []
    for _ in range(MAX_UNREADABLE - 1):
        assert ledger.record(GROUP, Fault.UNREADABLE) is Verdict.RETRY
        pauses.append(ledger.pause_s(GROUP, 0.5))
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert ledger.record(GROUP, Fault.CRASHED) is Verdict.RETRY
    assert ledger.record(GROUP, Fault.UNREADABLE) is Verdict.STOP
