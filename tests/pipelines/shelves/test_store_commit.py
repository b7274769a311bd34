"""Every order in which the requests of two drivers can reach a store, with writes that arrive late or twice.

The drivers run the real protocol against a store in memory. A driver is a function of the answers it has had,
so it is run again from the start for each request, up to the one whose answer is not known yet; states that
were met before are not gone through twice.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.shards.commit import commit_shard
from pairbridge.datagen.shards.object_store import Hashed, ObjectStore, Stamped, Stored, StoreFailed
from pairbridge.datagen.shards.records import ShardInfo, Sidecar, commit_record, pack_group
from pairbridge.datagen.shards.sample import encode_field
from pairbridge.pipelines.shelves import store_commit
from pairbridge.pipelines.shelves.staging import Fenced
from pairbridge.pipelines.shelves.store_commit import commit_on_store, finish_on_store, reopen_on_store

SHARD = "train-waves-000000"
TAR, SIDECAR, LEASE, MANIFEST = f"shards/{SHARD}.tar", f"shards/{SHARD}.json", ".lease", "dataset.json"


class Made(NamedTuple):
    """A shard as one driver made it."""

    sidecar: Sidecar
    tar: bytes


# Of the pixels that two drivers render: two GPUs differ.
ONE_GPU, ANOTHER_GPU = 100, 101


def made(folder: Path, groups: int, grey: int) -> Made:
    """A shard of so many groups with one picture each, of pixels of this value."""
    folder.mkdir()
    picture = encode_field("target.png", np.full((2, 2), grey, np.uint8))
    info = ShardInfo(
        name=SHARD, first_group=0, num_groups=groups, plan_digest=f"{groups:064d}", config_digest="0" * 64
    )
    parts = []
    for group in range(groups):
        part, record = pack_group(group, [(f"{group:08d}", {"target.png": picture})])
        (folder / f"{group}").write_bytes(part)
        parts.append((record, folder / f"{group}"))
    return Made(commit_shard(folder, info, parts), (folder / f"{SHARD}.tar").read_bytes())


class Unanswered(BaseException):
    """The request whose answer a driver waits for."""

    def __init__(self, request: tuple[Any, ...]) -> None:
        self.request = request


class Conversation:
    """A store of which so many answers are known. Stamps are digests of the content, as S3's are."""

    url = "memory://model"

    def __init__(self, answers: tuple[Any, ...]) -> None:
        self._answers = iter(answers)

    def ask(self, *request: Any) -> Any:
        for answer in self._answers:
            return answer
        raise Unanswered(request)

    def list(self, folder: str) -> dict[str, Stored]:
        return {name: Stored(0, "") for name in self.ask("list", folder)}

    def stamped(self, name: str) -> Stamped | None:
        content = self.ask("read", name)
        return None if content is None else Stamped(content, stamp(content))

    def hashed(self, name: str) -> Hashed | None:
        content = self.ask("read", name)
        return None if content is None else Hashed(sha256(content), stamp(content))

    def create(self, name: str, content: bytes) -> bool:
        return self.ask("create", name, content)

    def replace(self, name: str, content: bytes, stamp: str) -> bool:
        return self.ask("replace", name, content, stamp)

    def remove(self, name: str) -> None:
        self.ask("remove", name)

    def turns(self) -> Iterator[bool]:
        yield from (False, False, False, True)

    def gave_up(self, name: str) -> StoreFailed:
        return StoreFailed(name, consequence="it is not there", remedy="try again")


# Of the same few objects, hundreds of thousands of times.
@lru_cache
def stamp(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@lru_cache
def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


Objects = dict[str, bytes]


def answered(objects: Objects, request: tuple[Any, ...]) -> tuple[Objects, Any]:
    """The store after a request, and its answer."""
    kind, name, *rest = request
    there = objects.get(name)
    if kind == "list":
        return objects, tuple(sorted(each for each in objects if each.startswith(f"{name}/")))
    if kind == "read":
        return objects, there
    if kind == "remove":
        return {each: content for each, content in objects.items() if each != name}, None
    if kind == "take":
        generation = there[0] + 1 if there else 1
        return objects | {name: bytes([generation])}, generation
    fits = there is None if kind == "create" else there is not None and stamp(there) == rest[1]
    return (objects | {name: rest[0]} if fits else objects), fits


def drive(store: Conversation, mine: Made) -> None:
    """What a run does about one shard, from taking the lease to the commit."""
    generation = store.ask("take", LEASE)

    def still_ours() -> int:
        if store.ask("read", LEASE) != bytes([generation]):
            raise Fenced("taken over", consequence="nothing more", remedy="none")
        return generation

    finish_on_store(store)
    groups = bytes([mine.sidecar.shard.num_groups])
    found = store.stamped(MANIFEST)
    if found is not None and found.content > groups:
        return
    ObjectStore.put(store, MANIFEST, groups, still_ours)
    found = store.stamped(SIDECAR)
    held = commit_record(found.content) if found else None
    if isinstance(held, Sidecar) and held.shard == mine.sidecar.shard:
        return
    if isinstance(held, Sidecar):
        reopen_on_store(store, held.shard, still_ours)
    commit_on_store(store, mine.sidecar, mine.tar, still_ours)


@dataclass(frozen=True)
class State:
    """Objects, the answers that each driver has had (None: it is over), what is on its way, and which
    sidecar each plan of the shard was committed with.
    """

    objects: frozenset[tuple[str, bytes]]
    answers: tuple[tuple[Any, ...] | None, ...]
    late: tuple[tuple[Any, ...], ...] = ()
    faults: int = 0
    winners: frozenset[tuple[int, bytes]] = frozenset()


class Exploration:
    """All states that can be reached, each checked."""

    def __init__(self, drivers: list[Made], begun: Objects, faults: int) -> None:
        self.drivers = drivers
        self.seen: set[State] = set()
        self._requests: dict[tuple[int, tuple[Any, ...]], tuple[Any, ...] | None] = {}
        self.recovered = 0
        start = State(frozenset(begun.items()), ((),) * len(drivers), faults=faults)
        waiting = [checked(start)]
        while waiting:
            state = waiting.pop()
            if state in self.seen:
                continue
            self.seen.add(state)
            following = list(self.following(state))
            if all(answers is None for answers in state.answers):
                self.check_recovery(state)
            waiting += following

    def following(self, state: State) -> Iterator[State]:
        for number, request in enumerate(state.late):
            rest = state.late[:number] + state.late[number + 1 :]
            yield self.after(replace(state, late=rest), request, lambda answers, answer: answers)
        for driver, answers in enumerate(state.answers):
            if answers is None:
                continue
            request = self.request(driver, answers)
            if request is None:
                yield self.ended(state, driver)
                continue
            yield self.after(state, request, self.hears(driver))
            if request[0] in ("create", "replace", "remove") and state.faults:
                shaken = replace(state, faults=state.faults - 1, late=(*state.late, request))
                # It arrives after its driver was killed, or for a second time.
                yield self.ended(shaken, driver)
                yield self.after(shaken, request, self.hears(driver))
            if request[0] in ("create", "replace") and request[1] == TAR and state.faults:
                half = (*request[:2], request[2][:700], *request[3:])
                yield self.after(replace(state, faults=state.faults - 1), half, self.hears(driver))

    def request(self, driver: int, answers: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """What a driver asks next that has had these answers; None: it is done."""
        known = self._requests.get((driver, answers), ...)
        if known is ...:
            known = self._requests[driver, answers] = self._next_request(driver, answers)
        return known

    def _next_request(self, driver: int, answers: tuple[Any, ...]) -> tuple[Any, ...] | None:
        try:
            drive(Conversation(answers), self.drivers[driver])
        except Unanswered as unanswered:
            return unanswered.request
        except PairbridgeError:
            return None
        return None

    def hears(self, driver: int) -> Callable[[tuple[Any, ...], Any], tuple[Any, ...]]:
        def heard(answers: tuple[Any, ...], answer: Any) -> tuple[Any, ...]:
            return (*answers[:driver], (*answers[driver], answer), *answers[driver + 1 :])

        return heard

    def ended(self, state: State, driver: int) -> State:
        return replace(state, answers=(*state.answers[:driver], None, *state.answers[driver + 1 :]))

    def after(self, state: State, request: tuple[Any, ...], heard: Callable[..., Any]) -> State:
        objects, answer = answered(dict(state.objects), request)
        return checked(
            replace(state, objects=frozenset(objects.items()), answers=heard(state.answers, answer))
        )

    def check_recovery(self, state: State) -> None:
        """Whatever happened, one more run ends with the shard committed; what is late changes nothing."""
        objects, answers = dict(state.objects), ()
        while True:
            try:
                drive(Conversation(answers), self.drivers[-1])
                break
            except Unanswered as unanswered:
                objects, answer = answered(objects, unanswered.request)
                answers = (*answers, answer)
        assert isinstance(commit_record(objects[SIDECAR]), Sidecar)
        checked(replace(state, objects=frozenset(objects.items())))
        for request in state.late:
            objects, _ = answered(objects, request)
        after = checked(replace(state, objects=frozenset(objects.items())))
        assert isinstance(commit_record(dict(after.objects)[SIDECAR]), Sidecar)
        self.recovered += 1


def checked(state: State) -> State:
    """The state with its winner. Never a sidecar without its tar, never two sidecars of one plan."""
    objects = dict(state.objects)
    held = commit_record(objects[SIDECAR]) if SIDECAR in objects else None
    if not isinstance(held, Sidecar):
        return state
    assert TAR in objects, "a sidecar without a tar"
    assert sha256(objects[TAR]) == held.sha256, "a sidecar with another tar"
    winners = state.winners | {(held.shard.num_groups, objects[SIDECAR])}
    assert len({groups for groups, _ in winners}) == len(winners), "two winners"
    return replace(state, winners=winners)


@pytest.fixture
def records_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Millions of looks at four records."""
    monkeypatch.setattr(store_commit, "commit_record", lru_cache(commit_record))
    monkeypatch.setitem(globals(), "commit_record", lru_cache(commit_record))


@pytest.mark.usefixtures("records_read_once")
@pytest.mark.parametrize("faults", [1, pytest.param(2, marks=pytest.mark.long)])
def test_no_order_of_two_drivers_requests_leaves_a_sidecar_without_its_tar(tmp_path, faults):
    one, other = made(tmp_path / "one", 1, ONE_GPU), made(tmp_path / "other", 1, ANOTHER_GPU)
    found = Exploration([one, other], {MANIFEST: bytes([1])}, faults)
    assert len(found.seen) > 10_000
    assert found.recovered > 50


@pytest.mark.usefixtures("records_read_once")
@pytest.mark.parametrize("faults", [1, pytest.param(2, marks=pytest.mark.long)])
def test_no_order_of_requests_breaks_a_shard_that_two_drivers_fill_up(tmp_path, faults):
    small = made(tmp_path / "small", 1, ONE_GPU)
    begun = {TAR: small.tar, SIDECAR: small.sidecar.to_json(), MANIFEST: bytes([2])}
    larger = [made(tmp_path / "one", 2, ONE_GPU), made(tmp_path / "other", 2, ANOTHER_GPU)]
    found = Exploration(larger, begun, faults)
    assert len(found.seen) > 10_000
    assert found.recovered > 50


@pytest.mark.usefixtures("records_read_once")
@pytest.mark.parametrize("faults", [1, pytest.param(2, marks=pytest.mark.long)])
def test_no_late_write_of_a_smaller_dataset_breaks_the_grown_one(tmp_path, faults):
    small, large = made(tmp_path / "small", 1, ONE_GPU), made(tmp_path / "large", 2, ANOTHER_GPU)
    found = Exploration([small, large], {MANIFEST: bytes([1])}, faults)
    assert len(found.seen) > 10_000
    assert found.recovered > 50
