"""A folder on an object store (s3://, gs://, whatever fsspec knows), by relative names.

Objects appear whole or not at all, but a client, a proxy or a gateway may still lie about it: what is put is
read back and held against its sha256 before it counts. Credentials and endpoints come from the environment,
as the store's own tools take them; an URL that carries some is refused, since URLs end in logs and reports.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import fsspec

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import ConfigError, PairbridgeError

_CHUNK_BYTES = 8 << 20
# Waits between attempts, in seconds: a store that is being throttled or restarted is back within a minute.
RETRY_WAITS_S = (0.5, 2.0, 8.0, 30.0)

Result = TypeVar("Result")


class StoreFailed(PairbridgeError):
    """The object store did not do what it was asked, again and again. Nothing is committed that it did not
    confirm.
    """


class _OtherBytes(OSError):
    """An object that is there, and is not what its checksum says."""


class Stored(NamedTuple):
    """One object: its size, and a stamp that changes when it is replaced."""

    size: int
    stamp: str


def is_url(place: str | Path) -> bool:
    """Whether `place` names an object store rather than a folder."""
    return "://" in str(place)


class ObjectStore:
    """The objects under one URL. Holds no open connection worth keeping: make one per process and use it."""

    def __init__(self, url: str, *, retry_waits_s: tuple[float, ...] = RETRY_WAITS_S) -> None:
        """Raises ConfigError for an URL with credentials in it, or a protocol whose package is missing."""
        protocol, _, rest = url.partition("://")
        if "@" in rest or "?" in rest:
            raise ConfigError(
                f"the {protocol}:// URL carries credentials or options",
                consequence="they would end in logs, in dataset.json and in reports",
                remedy="give protocol://bucket/folder, and the rest by the environment (AWS_ACCESS_KEY_ID, "
                "AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, ...)",
            )
        self.url = url.rstrip("/")
        self._waits_s = retry_waits_s
        try:
            # No listings are cached: another machine may have written since.
            self._fs, self._root = fsspec.core.url_to_fs(
                self.url, use_listings_cache=False, skip_instance_cache=True
            )
        except (ImportError, ValueError) as error:
            raise ConfigError(
                f"{self.url} cannot be opened: {error}",
                consequence="nothing can be read or written there",
                remedy="install the store's package: `pip install 'pairbridge[s3]'`, or `[gs]` for gs://",
            ) from error

    def list(self, folder: str = "") -> dict[str, Stored]:
        """Every object under `folder`, by its name relative to the URL."""
        top = f"{self._root}/{folder}".rstrip("/")

        def find() -> dict[str, Any]:
            self._fs.invalidate_cache()
            return self._fs.find(top, detail=True)

        found = self._tried(find, f"listing {self.url}/{folder}")
        return {
            path.removeprefix(f"{self._root}/"): Stored(int(info["size"] or 0), _stamp(info))
            for path, info in sorted(found.items())
        }

    def read(self, name: str) -> bytes | None:
        """A small object's content; None if there is none."""
        return self._tried(lambda: self._cat(name), f"reading {self.url}/{name}")

    def fetch(self, name: str, path: Path, *, sha256: str | None = None) -> None:
        """Copy an object to `path`, which appears whole or not at all; with `sha256`, only if it has it."""

        def copy() -> None:
            written = write_atomically(path, self._chunks(name))
            if sha256 is not None and written.sha256 != sha256:
                path.unlink()
                raise _OtherBytes(f"{written.num_bytes} bytes with sha256 {written.sha256[:12]} came")

        self._tried(copy, f"reading {self.url}/{name}")

    def put(self, name: str, content: bytes | Path) -> None:
        """Write an object and read it back: when this returns, the store holds exactly `content`."""
        wanted = _sha256(content)

        def write() -> None:
            if isinstance(content, bytes):
                self._fs.pipe_file(self._at(name), content)
            else:
                self._fs.put_file(str(content), self._at(name))
            hasher = hashlib.sha256()
            for chunk in self._chunks(name):
                hasher.update(chunk)
            if hasher.hexdigest() != wanted:
                with contextlib.suppress(OSError):
                    self._fs.rm_file(self._at(name))
                raise OSError("what the store gives back is not what was written")

        self._tried(write, f"writing {self.url}/{name}")

    def create(self, name: str, content: bytes) -> bool:
        """Write an object unless there is one; whether it was written."""
        with contextlib.suppress(FileExistsError):
            try:
                self._fs.pipe_file(self._at(name), content, mode="create")
                return True
            except TypeError:  # a filesystem without conditional writes
                if self._cat(name) is None:
                    self.put(name, content)
                    return True
        return False

    def remove(self, name: str) -> None:
        """Delete an object; one that is not there is no error."""

        def remove() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._at(name))

        self._tried(remove, f"deleting {self.url}/{name}")

    def _cat(self, name: str) -> bytes | None:
        try:
            return self._fs.cat_file(self._at(name))
        except FileNotFoundError:
            return None

    def _chunks(self, name: str) -> Iterator[bytes]:
        with self._fs.open(self._at(name), "rb", block_size=_CHUNK_BYTES, cache_type="readahead") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _tried(self, action: Callable[[], Result], what: str) -> Result:
        for attempt, wait_s in enumerate((*self._waits_s, None), start=1):
            try:
                return action()
            except OSError as error:
                # What is not there, or not ours to touch, will not be a second later; wrong bytes may have
                # been a bad transfer once.
                hopeless = isinstance(error, FileNotFoundError | PermissionError)
                if hopeless or wait_s is None or (isinstance(error, _OtherBytes) and attempt > 1):
                    raise _failed(what, error, attempt) from error
                time.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")


def cache_root() -> Path:
    """Where copies of remote things are kept: $PAIRBRIDGE_CACHE, else ~/.cache/pairbridge."""
    given = os.environ.get("PAIRBRIDGE_CACHE")
    return Path(given).absolute() if given else Path.home() / ".cache" / "pairbridge"


def _stamp(info: dict[str, Any]) -> str:
    for name in ("ETag", "etag", "md5Hash", "mtime", "created"):
        if info.get(name):
            return str(info[name])
    return ""


def _sha256(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with open(content, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _failed(what: str, error: Exception, attempts: int) -> StoreFailed:
    return StoreFailed(
        f"{what} failed ({attempts} attempts): {type(error).__name__}: {error}",
        consequence="nothing counts that the store has not confirmed; what was committed before is whole",
        remedy="check the URL, the credentials in the environment and the store, and run the same command "
        "again: it resumes",
    )
