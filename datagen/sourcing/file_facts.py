"""What reading an asset's file says of it: its hash, what it looks like, whether it can be used.

Files are read in parallel, and what was found is kept in the user's cache by path, size and times, so that a
file is read once and not each time that a catalogue is made. The cache may be deleted at any moment.
"""

import contextlib
import errno
import os
import struct
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

from pairbridge.datagen.assets.exr_files import read_equirect
from pairbridge.datagen.assets.files_in_use import beside_sha256, stated_by_asset
from pairbridge.datagen.assets.material_files import check_material
from pairbridge.datagen.assets.object_files import check_object_file
from pairbridge.datagen.assets.object_rules import ObjectRules
from pairbridge.datagen.assets.photographs import PhotoRules, read_photograph
from pairbridge.datagen.core.atomic_files import DiskFull, write_atomically
from pairbridge.datagen.core.bounded_json import read_json
from pairbridge.datagen.core.errors import AssetError, FileUnreadable
from pairbridge.datagen.core.json_digest import Stamp, canonical_json, digest, file_sha256, file_stamp
from pairbridge.datagen.core.limits import MAX_RECORD_BYTES
from pairbridge.datagen.shards.object_store import cache_root
from pairbridge.datagen.sourcing.fingerprints import map_fingerprint, photo_fingerprint

# Libraries whose other version may decode a file differently.
_DECODERS = ("numpy", "opencv-python", "OpenEXR", "pillow")
# An environment map of 16384x8192 takes 1.6 GB, and as much again while it is decoded.
_LARGE_AT_ONCE = threading.Semaphore(2)
_LARGE_BYTES = 64 << 20
# What a reader may stumble over in a malformed file, beside what it says by name.
_MALFORMED = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError),
    struct.error,
)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """`beside` is one digest of the files that an object's file refers to. `fault` and `reason` say why the
    file cannot be used, by a one-word name and in a sentence without its folder; both are empty for one that
    can, as far as is known before Blender loads it."""

    sha256: str
    fingerprint: str = ""
    beside: str = ""
    fault: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FileToRead:
    """One asset's file, at or below `root`. `beside` stands for the files that it may refer to: what is known
    of it falls when they change. `named` is what the asset is called below its root where that is not the
    file's path."""

    kind: str
    path: Path
    root: Path
    beside: str = ""
    named: PurePosixPath | None = None

    @property
    def relative(self) -> PurePosixPath:
        return self.named or PurePosixPath(self.path.relative_to(self.root))


@dataclass(frozen=True)
class FactReader:
    """Reads facts under the rules of a dataset."""

    photo_rules: PhotoRules
    object_rules: ObjectRules

    def read(self, files: Sequence[FileToRead]) -> list[FileFacts]:
        """In the order of `files`. Raises FileUnreadable for one that cannot be read: nothing is known of
        it."""
        shelves = {root: _Shelf(root) for root in {file.root for file in files}}
        keys = [self._key(file) for file in files]
        known = [shelves[file.root].get(file, key) for file, key in zip(files, keys, strict=True)]
        missing = [index for index, facts in enumerate(known) if facts is None]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            try:
                read = list(pool.map(lambda index: self._read(files[index]), missing))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        for index, facts in zip(missing, read, strict=True):
            known[index] = facts
            shelves[files[index].root].put(files[index], keys[index], facts)
        for shelf in shelves.values():
            shelf.write()
        return [facts for facts in known if facts is not None]

    def _key(self, file: FileToRead) -> str:
        rules = self._rules.get(file.kind)
        return digest([file.kind, file.beside, rules, _reading_code(), _stamp(file.path)])

    @property
    def _rules(self) -> dict[str, Any]:
        return {
            "photo": self.photo_rules.model_dump(mode="json"),
            "object": self.object_rules.model_dump(mode="json"),
            "material": self.object_rules.model_dump(mode="json"),
            "scene": self.object_rules.model_dump(mode="json"),
        }

    def _read(self, file: FileToRead) -> FileFacts:
        try:
            facts = self._look(file)
            # A verdict stands if a second reading gives it of the same bytes: libraries that open files
            # themselves do not tell a failed reading from a damaged file.
            again = self._look(file) if facts.fault else facts
        except OSError as error:
            raise FileUnreadable.of(file.path, error) from error
        if again.sha256 != facts.sha256:
            raise FileUnreadable.of(file.path, OSError(errno.EBUSY, "its bytes change while it is read"))
        return again

    def _look(self, file: FileToRead) -> FileFacts:
        sha256 = file_sha256(file.path)
        try:
            large = file.kind in ("hdri", "material") or file.path.stat().st_size > _LARGE_BYTES
            with _LARGE_AT_ONCE if large else contextlib.nullcontext():
                fingerprint = self._fingerprint(file)
            names = stated_by_asset(file.kind, file.path)
            return FileFacts(sha256, fingerprint, beside_sha256(file.path, names))
        except AssetError as error:
            # What a dataset says of a file must not depend on where it lies.
            reason = error.cause.replace(str(file.path), file.path.name)
            return FileFacts(sha256, fault=error.fault, reason=reason)
        except _MALFORMED as error:
            return FileFacts(sha256, fault="damaged", reason=f"{file.path.name} is malformed: {error}")

    def _fingerprint(self, file: FileToRead) -> str:
        """What it looks like, in a few bytes. Raises AssetError for a file that cannot be used."""
        match file.kind:
            case "photo":
                return photo_fingerprint(read_photograph(file.path, self.photo_rules).pixels)
            case "hdri":
                return map_fingerprint(read_equirect(file.path))
            case "object" | "scene":
                check_object_file(file.path, self.object_rules)
            case "material":
                albedo = check_material(file.path, self.object_rules)
                return "" if albedo is None else photo_fingerprint(albedo)
        return ""


def beside_digests(files: Iterable[Path], root: Path) -> dict[Path, str]:
    """For each folder below `root`, one digest of names, sizes and times of all `files` in and below it."""
    inside: defaultdict[Path, list[Any]] = defaultdict(list)
    for path in sorted(files):
        entry = [path.name, _stamp(path)]
        folder = path.parent
        while True:
            inside[folder].append(entry)
            if folder == root or folder == folder.parent:
                break
            folder = folder.parent
    return {folder: digest(entries) for folder, entries in inside.items()}


class _Shelf:
    """The cache's file for the assets below one folder."""

    def __init__(self, folder: Path) -> None:
        self._path = cache_root() / "asset-facts" / f"{digest(str(folder.absolute()))[:32]}.json"
        self._changed = False
        entries: Any = None
        with contextlib.suppress(OSError, ValueError):
            entries = read_json(self._path, MAX_RECORD_BYTES)
        self._entries = entries if isinstance(entries, dict) else {}

    def get(self, file: FileToRead, key: str) -> FileFacts | None:
        entry = self._entries.get(self._name(file))
        if not isinstance(entry, dict) or entry.get("key") != key:
            return None
        try:
            return FileFacts(**entry["facts"])
        except (KeyError, TypeError):
            return None

    def put(self, file: FileToRead, key: str, facts: FileFacts) -> None:
        self._entries[self._name(file)] = {"key": key, "facts": asdict(facts)}
        self._changed = True

    def write(self) -> None:
        # Without a cache everything is right, and slower.
        if self._changed:
            with contextlib.suppress(OSError, DiskFull):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(self._path, [canonical_json(self._entries)])

    def _name(self, file: FileToRead) -> str:
        return f"{file.kind}/{file.path.relative_to(file.root).as_posix()}"


def _stamp(path: Path) -> Stamp:
    try:
        return file_stamp(path)
    except OSError:
        return ()


@cache
def _reading_code() -> str:
    """Changes with the code and the libraries that read files: facts are theirs."""
    rooms = ("imaging", "assets", "sourcing")
    files = sorted(path for room in rooms for path in (Path(__file__).parents[1] / room).rglob("*.py"))
    return digest([[file_sha256(path) for path in files], [metadata.version(name) for name in _DECODERS]])
