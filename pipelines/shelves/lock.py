"""One driver at a time per dataset on an object store.

A folder has a lock of the kernel's (`pairbridge.datagen.core.folder_lock`). Workers that outlive a killed
driver hold no lock; they are fenced by the staging token (`pairbridge.pipelines.shelves.staging`).

On a store no kernel releases the lock of a dead process. A lease is an object that its holder renews;
whoever sees it unchanged for a while, by a clock of its own, takes it (clocks of two machines are never
compared). Each holder has the next `generation`, and the object stays when a run ends, so that generations
only rise. A lease saves work: a driver asks before each write whether it is still its own, and stops
otherwise. It is not what keeps bytes whole, since between question and write any time may pass: that is done
by writes which the store itself binds to what was seen (`pairbridge.pipelines.shelves.store_commit`). A run
that is started again from the same work folder, whose lock it holds, need not wait: its predecessor is dead.

Where a store cannot bind a write to what was seen (see `_honours_conditions`), a lease that was not given
back is never taken from its holder: someone has to say that it is dead, by deleting the object.
"""

import contextlib
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.shards.object_store import ObjectStore, StoreFailed
from pairbridge.pipelines.shelves.staging import Fenced

LEASE_NAME = ".lease"
LEASE_S = 90.0
RENEW_S = 15.0
WATCH_S = 1.0
_OWNER_FILE = ".owner"

assert RENEW_S * 3 < LEASE_S  # two renewals may fail before anyone takes over


class DatasetLocked(PairbridgeError):
    """Another driver is working on the dataset of this object store."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that a run holds, or held: each of its threads may ask."""

    store: ObjectStore
    token: str
    generation: int

    def __call__(self) -> int:
        """Its generation. Raises Fenced once another run has taken it."""
        held, _ = _held(self.store)
        if held is None or held.token != self.token:
            raise Fenced(
                f"another run has taken over {self.store.url}",
                consequence="this one commits nothing more; what it committed before is whole",
                remedy="none needed; to have this run go on instead, stop the other one and start it again",
            )
        return self.generation


@contextlib.contextmanager
def store_lease(store: ObjectStore, work_dir: Path, token: str) -> Iterator[Lease]:
    """Hold the store's lease for the body.

    Raises DatasetLocked, naming the holder, while another run holds it, which may take `LEASE_S` to see.
    """
    lease = _LeaseObject(owner=_owner(work_dir), token=token, host=socket.gethostname(), pid=os.getpid())
    lease = _take(store, lease)
    stop = threading.Event()

    def renew() -> None:
        renewed = lease
        while not stop.wait(RENEW_S):
            renewed = renewed.model_copy(update={"renewals": renewed.renewals + 1})
            # A store that fails for a moment is met again at the next renewal, or by the next commit.
            with contextlib.suppress(StoreFailed, OSError):
                _write_over_own(store, renewed)

    renewal = threading.Thread(target=renew, name="lease", daemon=True)
    renewal.start()

    try:
        yield Lease(store, token, lease.generation)
    finally:
        stop.set()
        renewal.join()
        with contextlib.suppress(StoreFailed, OSError):
            _write_over_own(store, lease.model_copy(update={"released": True}))


class _LeaseObject(BaseModel):
    """The content of the lease's object. `renewals` makes each renewal an object of another content."""

    model_config = ConfigDict(frozen=True)

    owner: str
    token: str
    host: str
    pid: int
    generation: Annotated[int, Field(ge=1)] = 1
    renewals: int = 0
    released: bool = False

    def to_json(self) -> bytes:
        return self.model_dump_json().encode()


def _take(store: ObjectStore, lease: _LeaseObject) -> _LeaseObject:
    """The lease as it is held from now on."""
    held, stamp = _held(store)
    if stamp is None and store.create(LEASE_NAME, lease.to_json()):
        _honours_conditions(store, lease)
        return lease
    if stamp is None:
        held, stamp = _held(store)
    conditional = _honours_conditions(store, held or lease)
    if held is not None and not held.released and held.owner != lease.owner:
        if not conditional:
            raise _locked(store, held, f"if it is dead, delete {store.url}/{LEASE_NAME}")
        _watch(store, held, stamp)
    taken = lease.model_copy(update={"generation": held.generation + 1 if held else 1})
    if stamp is not None:
        store.replace(LEASE_NAME, taken.to_json(), stamp)
    else:
        store.create(LEASE_NAME, taken.to_json())
    held, _ = _held(store)
    if held is None or held.token != lease.token:
        raise DatasetLocked(
            f"{store.url} was taken by another run at the same moment",
            consequence="nothing was touched",
            remedy="run the same command again once the other run is done",
        )
    return taken


def _watch(store: ObjectStore, held: _LeaseObject, stamp: str | None) -> None:
    """Return when the lease was not renewed for its whole length; raise DatasetLocked when it was."""
    print(
        f"{store.url} was being generated by process {held.pid} on {held.host}: "
        f"waiting {LEASE_S:.0f} s to see whether it lives",
        file=sys.stderr,
    )
    until = time.monotonic() + LEASE_S
    while (left_s := until - time.monotonic()) > 0:
        time.sleep(min(left_s, WATCH_S))
        now, stamp_now = _held(store)
        if stamp_now != stamp:
            raise _locked(store, now or held, "it renewed its lease just now")


def _honours_conditions(store: ObjectStore, there: _LeaseObject) -> bool:
    """Whether the store refuses to create the lease that is there. Says so on standard error if it does not,
    or if its client cannot replace conditionally.
    """
    honoured = not store.create(LEASE_NAME, there.to_json())
    if honoured and store.replaces_conditionally:
        return True
    print(
        f"{store.url} has no conditional writes that we can use: kills and half writes cost nothing there, "
        "but a write that arrives after its driver's end is not told apart. A lease that a dead driver has "
        "left is therefore not taken over",
        file=sys.stderr,
    )
    return False


def _write_over_own(store: ObjectStore, lease: _LeaseObject) -> None:
    held, stamp = _held(store)
    if held is not None and stamp is not None and held.token == lease.token:
        store.replace(LEASE_NAME, lease.to_json(), stamp)


def _held(store: ObjectStore) -> tuple[_LeaseObject | None, str | None]:
    """The lease that is there, None if it says nothing usable; and the object's stamp, None without one."""
    found = store.stamped(LEASE_NAME)
    if found is None:
        return None, None
    try:
        return _LeaseObject.model_validate_json(found.content), found.stamp
    except ValidationError:
        return None, found.stamp


def _locked(store: ObjectStore, held: _LeaseObject, remedy: str) -> DatasetLocked:
    return DatasetLocked(
        f"{store.url} is being generated by process {held.pid} on {held.host}",
        consequence="two drivers would make groups twice and race for shards; nothing was touched",
        remedy=f"wait for the other run or stop it; {remedy}",
    )


def _owner(work_dir: Path) -> str:
    path = work_dir / _OWNER_FILE
    if not path.is_file():
        path.write_text(uuid.uuid4().hex)
    return path.read_text()
