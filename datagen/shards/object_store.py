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

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import ConfigError, PairbridgeError
from pairbridge.datagen.core.extras import install_command

_CHUNK_BYTES = 8 << 20
# One request takes this much; above it an object goes up in parts.
_PART_BYTES = 64 << 20
# Protocols whose client lets the store decide whether there is an object yet (If-None-Match on S3,
# ifGenerationMatch=0 on Google's), and whether it is still the one that was seen (If-Match; gcsfs offers no
# counterpart). With others we look first and write then: right while one driver writes, and no longer.
_CREATING = frozenset({"s3", "s3a", "gs", "gcs"})
_REPLACING = frozenset({"s3", "s3a"})
# The extra that has a protocol's package.
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
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


class Stamped(NamedTuple):
    """What an object held while it had a stamp."""

    content: bytes
    stamp: str


class Hashed(NamedTuple):
    """The sha256 of what an object held while it had a stamp."""

    sha256: str
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
        self._protocol = protocol
        self._waits_s = retry_waits_s
        # Late: asyncio and ssl with it, a sixth of what `status` of a folder takes.
        import fsspec

        try:
            # No listings are cached: another machine may have written since.
            self._fs, self._root = fsspec.core.url_to_fs(
                self.url, use_listings_cache=False, skip_instance_cache=True
            )
        except (ImportError, ValueError) as error:
            extra = _EXTRAS.get(protocol)
            raise ConfigError(
                f"{self.url} cannot be opened: {error}",
                consequence="nothing can be read or written there",
                remedy=f"install the store's package: {install_command(extra)}"
                if extra
                else "give s3://bucket/folder or gs://bucket/folder, or install what it names",
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

    def put(self, name: str, content: bytes | Path, may_write: Callable[[], object] = lambda: None) -> None:
        """Write an object and read it back: when this returns, the store holds exactly `content`.

        It replaces what is there only if nobody else has meanwhile. `may_write` is asked after a look at what
        is there and before the write, and raises if this process has lost the right to.
        """
        wanted = _sha256(content)
        for last in self.turns():
            found = self.hashed(name)
            if found is not None and found.sha256 == wanted:
                return
            if last:
                raise self.gave_up(name)
            may_write()
            if found is None:
                self.create(name, content)
            else:
                self.replace(name, content, found.stamp)

    def turns(self) -> Iterator[bool]:
        """For who writes an object until the store has it: False, and a wait, as often as it may be written;
        then True for a last look.
        """
        for wait_s in (0.0, *self._waits_s):
            time.sleep(wait_s)
            yield False
        yield True

    def gave_up(self, name: str) -> StoreFailed:
        """What to raise after the last of the `turns`."""
        error = OSError("what the store gives back is not what was written")
        return _failed(f"writing {self.url}/{name}", error, len(self._waits_s) + 1)

    def create(self, name: str, content: bytes | Path) -> bool:
        """Write an object unless there is one; whether it was written.

        A write whose answer was lost is repeated, so False may mean that it was there by our own doing.
        """

        def create() -> bool:
            try:
                if self._protocol in _CREATING:
                    self._write(name, content, mode="create")
                elif self._fs.exists(self._at(name)):
                    return False
                else:
                    self._write(name, content)
            except OSError as error:
                if isinstance(error, FileExistsError) or _is_refusal(error):
                    return False
                raise
            return True

        return self._tried(create, f"writing {self.url}/{name}")

    def replace(self, name: str, content: bytes | Path, stamp: str) -> bool:
        """Write over the object that has this stamp; whether it was there with it, and was written over.

        Where `replaces_conditionally` is false the stamp is compared before the write, not by it.
        """

        def replace() -> bool:
            try:
                if self.replaces_conditionally:
                    self._put_if_match(name, content, stamp)
                    return True
                found = self._stamp_now(name)
                if found == stamp:
                    self._write(name, content)
                return found == stamp
            except OSError as error:
                if isinstance(error, FileNotFoundError) or _is_refusal(error):
                    return False
                raise

        return self._tried(replace, f"writing {self.url}/{name}")

    @property
    def replaces_conditionally(self) -> bool:
        """Whether the store itself compares the stamp of what `replace` writes over."""
        return self._protocol in _REPLACING

    def stamped(self, name: str) -> Stamped | None:
        """A small object's content and its stamp, of one and the same moment; None if there is none."""
        found = self._consistent(name, lambda: self._fs.cat_file(self._at(name)))
        return Stamped(*found) if found else None

    def hashed(self, name: str) -> Hashed | None:
        """An object's sha256 and its stamp, of one and the same moment; None if there is none."""

        def sha256() -> str:
            hasher = hashlib.sha256()
            for chunk in self._chunks(name):
                hasher.update(chunk)
            return hasher.hexdigest()

        found = self._consistent(name, sha256)
        return Hashed(*found) if found else None

    def remove(self, name: str) -> None:
        """Delete an object; one that is not there is no error."""

        def remove() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._at(name))

        self._tried(remove, f"deleting {self.url}/{name}")

    def _consistent(self, name: str, read: Callable[[], Result]) -> tuple[Result, str] | None:
        def attempt() -> tuple[Result, str] | None:
            before = self._stamp_now(name)
            if before is None:
                return None
            content = read()
            if self._stamp_now(name) != before:
                raise OSError("it was replaced while it was read")
            return content, before

        try:
            return self._tried(attempt, f"reading {self.url}/{name}")
        except StoreFailed as error:
            if isinstance(error.__cause__, FileNotFoundError):  # removed while it was read
                return None
            raise

    def _stamp_now(self, name: str) -> str | None:
        try:
            return _stamp(self._fs.info(self._at(name)))
        except FileNotFoundError:
            return None

    def _write(self, name: str, content: bytes | Path, **options: str) -> None:
        if isinstance(content, bytes):
            self._fs.pipe_file(self._at(name), content, **options)
        else:
            self._fs.put_file(str(content), self._at(name), **options)

    def _put_if_match(self, name: str, content: bytes | Path, etag: str) -> None:
        # s3fs knows If-None-Match alone.
        bucket, key, _ = self._fs.split_path(self._at(name))
        place = {"Bucket": bucket, "Key": key}
        if isinstance(content, bytes) or content.stat().st_size <= _PART_BYTES:
            data = content if isinstance(content, bytes) else content.read_bytes()
            self._fs.call_s3("put_object", Body=data, IfMatch=etag, **place)
            return
        place["UploadId"] = self._fs.call_s3("create_multipart_upload", **place)["UploadId"]
        parts = []
        try:
            with open(content, "rb") as stream:
                while chunk := stream.read(_PART_BYTES):
                    number = len(parts) + 1
                    answer = self._fs.call_s3("upload_part", PartNumber=number, Body=chunk, **place)
                    parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            done = {"MultipartUpload": {"Parts": parts}, "IfMatch": etag}
            self._fs.call_s3("complete_multipart_upload", **done, **place)
        except BaseException:
            with contextlib.suppress(OSError):
                self._fs.call_s3("abort_multipart_upload", **place)
            raise

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


def _is_refusal(error: OSError) -> bool:
    """Whether the store says that an object is not, or no longer, what the write was bound to."""
    response = getattr(error.__cause__, "response", None) or {}
    return response.get("Error", {}).get("Code") in ("PreconditionFailed", "412")


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
