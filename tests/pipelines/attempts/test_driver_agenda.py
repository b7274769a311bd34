"""The order of work: shards in turn, retries, workers of their own, the last tries alone."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from pairbridge.datagen.shards.layout import Stream
from pairbridge.pipelines.attempts.agenda import Agenda, OpenShard
from pairbridge.pipelines.attempts.policy import Fault, Verdict

STREAM = Stream(
    recipe_id="relighting",
    kind="relighting_swap",
    split="train",
    num_groups=12,
    pairs_per_group=2,
    groups_per_shard=4,
    fields=("meta.json",),
)


def agenda_of(*missing: tuple[int, ...]) -> Agenda:
    return Agenda(OpenShard(STREAM.shard(index), groups) for index, groups in enumerate(missing))


def test_shards_are_opened_one_after_the_other():
    opened = []

    def shards():
        for index in range(3):
            opened.append(index)
            shard = STREAM.shard(index)
            yield OpenShard(shard, tuple(shard.groups))

    agenda = Agenda(shards())
    for _ in range(4):
        agenda.next(worker_is_unused=False)
    assert opened == [0]
    agenda.next(worker_is_unused=False)
    assert opened == [0, 1]


def test_a_shard_that_lacks_nothing_is_committed_without_work():
    agenda = agenda_of((), (5,))
    task = agenda.next(worker_is_unused=True)
    assert task.group == 5
    assert agenda.pop_complete() == STREAM.shard(0)
    assert not agenda.finished
    agenda.settled(task)
    assert agenda.pop_complete() == STREAM.shard(1)
    assert agenda.finished


def test_third_try_waits_for_an_unused_worker_and_holds_up_nobody():
    agenda = agenda_of((0, 1, 2))
    for _ in range(2):
        task = agenda.next(worker_is_unused=True)
        assert task.group == 0 or task.name == ("train-relighting-000000", 0)
        agenda.failed(task, Fault.CRASHED)
    assert agenda.wants_unused_worker
    assert agenda.next(worker_is_unused=False).group == 1
    last = agenda.next(worker_is_unused=True)
    assert (last.group, last.own_worker, last.alone) == (0, True, False)
    assert agenda.failed(last, Fault.CRASHED) is Verdict.QUARANTINE
    agenda.settled(last)
    assert agenda.next(worker_is_unused=False).group == 2


def test_the_last_tries_after_losses_are_at_the_end_and_alone():
    agenda = agenda_of((0, 1, 2))
    for _ in range(8):
        task = agenda.next(worker_is_unused=True)
        assert task.group == 0
        agenda.failed(task, Fault.LOST)
    other, another = (agenda.next(worker_is_unused=True) for _ in range(2))
    assert {other.group, another.group} == {1, 2}
    agenda.settled(other)
    assert agenda.next(worker_is_unused=True) is None  # one is still in flight
    agenda.settled(another)
    assert agenda.next(worker_is_unused=False) is None  # only an unused worker will do
    assert agenda.wants_unused_worker
    task = agenda.next(worker_is_unused=True)
    assert (task.group, task.alone) == (0, True)
    assert agenda.next(worker_is_unused=True) is None  # nothing beside it
    agenda.settled(task)
    assert agenda.pop_complete() == STREAM.shard(0)
    assert agenda.finished


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_group_is_settled_once_whatever_fails(data):
    missing = [tuple(STREAM.shard(index).groups) for index in range(3)]
    agenda = agenda_of(*missing)
    in_flight, settled, committed = [], Counter(), []
    for _ in range(2000):
        if agenda.finished:
            break
        while (shard := agenda.pop_complete()) is not None:
            committed.append(shard.index)
        if len(in_flight) < 3:
            task = agenda.next(worker_is_unused=data.draw(st.booleans()) or agenda.wants_unused_worker)
            if task is not None:
                assert not any(other.alone for other in in_flight)
                assert not (task.alone and in_flight)
                in_flight.append(task)
        if in_flight:
            task = in_flight.pop(data.draw(st.integers(0, len(in_flight) - 1)))
            fault = data.draw(st.sampled_from([None, None, Fault.CRASHED, Fault.TIMED_OUT, Fault.LOST]))
            verdict = agenda.failed(task, fault) if fault else Verdict.QUARANTINE
            if verdict is Verdict.STOP:
                return
            if verdict is Verdict.QUARANTINE:
                agenda.settled(task)
                settled[task.name] += 1
    assert agenda.finished
    assert sorted(committed) == [0, 1, 2]
    assert len(settled) == 12
    assert set(settled.values()) == {1}
