"""Making an import: find, check, put in order, write. The manifest is written last and is the commit."""

import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import AssetError, ConfigError, PairbridgeError
from pairbridge.datagen.core.json_digest import canonical_json, file_sha256
from pairbridge.datagen.core.limits import MAX_PICTURE_BYTES
from pairbridge.datagen.core.splits import SPLITS, Split
from pairbridge.datagen.imports.candidates import Candidate, Found, Refused, SidecarPlace
from pairbridge.datagen.imports.field_codecs import MaskCodec
from pairbridge.datagen.imports.field_decoding import decode, field_size
from pairbridge.datagen.imports.import_config import ImportConfig
from pairbridge.datagen.imports.import_manifest import (
    IMPORT_NAME,
    INDEX_FOLDER,
    REJECTED_NAME,
    FileRef,
    ImportManifest,
    IndexEntry,
    IndexInfo,
    index_path,
)
from pairbridge.datagen.imports.imported import read_file
from pairbridge.datagen.shards.fields import FieldStem

MEMBERS_FOLDER = "members"
# Headers are read from disks that answer slowly, and Python waits for them without holding its lock.
_THREADS = 8
_MAX_KEY = 80


class NothingToImport(PairbridgeError):
    """Files were found, but not one pair that can be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import holds; `refused` is also in rejected.jsonl."""

    name: str
    pairs: dict[Split, int]
    groups: dict[Split, int]
    refused: tuple[Refused, ...]


def import_dataset(
    config: ImportConfig,
    out: Path,
    *,
    hash_files: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> ImportReport:
    """Index the data set of `config` into the folder `out`, which then is a source for mixes and evaluations.

    Every file's header is opened and the sizes of a pair compared; masks are decoded, and other pixels where
    the layout must see them. hash_files: also record and compare sha256, which reads everything once.
    Running it again on an unchanged data set, or on one that moved, gives the same import; ConfigError if
    anything else is in the folder. Raises NothingToImport if no pair is left.
    """
    _check_folders(config, out)
    found = config.layout.find(config.root, SidecarPlace(out / MEMBERS_FOLDER, hash_files))
    checker = _Checker(config, found, hash_files)
    refused = list(found.refused)
    kept: dict[Split, list[Candidate]] = {split: [] for split in SPLITS}
    with ThreadPoolExecutor(_THREADS) as threads:
        outcomes = threads.map(checker.checked, found.candidates)
        for done, outcome in enumerate(outcomes, start=1):
            if isinstance(outcome, Refused):
                refused.append(outcome)
            elif (split := config.splits.place(outcome)) is None:
                refused.append(Refused(outcome.id, "no pattern of `splits` fits its path"))
            else:
                kept[split].append(outcome)
            on_progress(done, len(found.candidates))
    refused.sort(key=lambda entry: (entry.id, entry.reason))
    _check_groups(kept)
    if not any(kept.values()):
        first = f"; first {refused[0].id}: {refused[0].reason}" if refused else ""
        raise NothingToImport(
            f"none of {len(refused)} things found below {config.root} is a usable pair{first}",
            consequence="nothing was written",
            remedy="correct `root`, the layout's fields or the files",
        )
    _check_splits(config, kept)
    _write(config, out, found, kept, refused)
    return ImportReport(
        name=config.name,
        pairs={split: len(pairs) for split, pairs in kept.items()},
        groups={split: len({pair.group for pair in pairs}) for split, pairs in kept.items()},
        refused=tuple(refused),
    )


class _Checker:
    """Opens the files of candidates; used by several threads at once."""

    def __init__(self, config: ImportConfig, found: Found, hash_files: bool) -> None:
        self._root = config.root
        self._layout = config.layout
        self._codecs = config.layout.codecs
        self._tars = found.tars
        self._hash_files = hash_files

    def checked(self, candidate: Candidate) -> Candidate | Refused:
        """The candidate with its size and hashes, or why it is not used."""
        try:
            sizes = self._sizes(candidate)
            reason = self._reason(candidate, sizes)
        except AssetError as error:
            reason = error.cause
        except OSError as error:
            reason = f"{error.strerror or error}"
        if reason:
            return Refused(candidate.id, reason)
        sized = replace(candidate, size_WH=sizes["target"])
        if not self._hash_files:
            return sized
        return replace(sized, files={name: self._hashed(ref) for name, ref in candidate.files.items()})

    def _sizes(self, candidate: Candidate) -> dict[FieldStem, tuple[int, int]]:
        """From the files' headers. Raises AssetError."""
        sizes: dict[FieldStem, tuple[int, int]] = {}
        for field, codec in self._codecs.items():
            ref = candidate.files[field]
            if ref.size > MAX_PICTURE_BYTES:
                raise AssetError(
                    f"its {field} has {ref.size} bytes, above {MAX_PICTURE_BYTES}",
                    consequence="the pair is not used",
                    remedy="make the file smaller",
                )
            with _Span(self._root / ref.path, ref) as stream:
                sizes[field] = field_size(codec, stream, ref.name_of(field))
        return sizes

    def _reason(self, candidate: Candidate, sizes: Mapping[FieldStem, tuple[int, int]]) -> str | None:
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name} {width}x{height}" for name, (width, height) in sizes.items())
            return f"its images differ in size: {listed}"
        read = cache(lambda field: self._decode(candidate, field))
        for field, codec in self._codecs.items():
            if isinstance(codec, MaskCodec):
                read(field)
        return self._layout.refuse(candidate, read)

    def _decode(self, candidate: Candidate, field: FieldStem):
        ref = candidate.files[field]
        return decode(self._codecs[field], read_file(self._root, ref, self._tars), ref.name_of(field))

    def _hashed(self, ref: FileRef) -> FileRef:
        if ref.offset is None:
            return ref.model_copy(update={"sha256": file_sha256(self._root / ref.path)})
        data = read_file(self._root, ref, self._tars)
        return ref.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})


class _Span(io.RawIOBase):
    """A part of a file as a stream of its own, so that a header is read without its pixels."""

    def __init__(self, path: Path, ref: FileRef) -> None:
        super().__init__()
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self._start, self._size, self._at = ref.offset or 0, ref.size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer) -> int:
        wanted = max(0, min(len(buffer), self._size - self._at))
        data = os.pread(self._fd, wanted, self._start + self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()


def _check_folders(config: ImportConfig, out: Path) -> None:
    if not config.root.is_dir():
        raise ConfigError(
            f"root {config.root} is not a folder",
            consequence="there is nothing to import",
            remedy="give the data set's folder (relative to the YAML file, or with --root)",
        )
    if (out / "dataset.json").exists():
        raise ConfigError(
            f"{out} holds a generated dataset",
            consequence="readers would not know which of the two the folder is",
            remedy="import into a new folder",
        )


def _check_groups(kept: dict[Split, list[Candidate]]) -> None:
    """Raise ConfigError if a group is in two splits: what it shares would leak."""
    place: dict[str, Split] = {}
    for split, candidates in kept.items():
        for candidate in candidates:
            if place.setdefault(candidate.group, split) != split:
                raise ConfigError(
                    f"group {candidate.group!r} has pairs in {place[candidate.group]} and in {split}",
                    consequence="a model would be judged on scenes that it was trained on",
                    remedy="use `splits: {kind: hash}`, patterns that keep groups together, or another "
                    "`group_by`",
                )


def _check_splits(config: ImportConfig, kept: dict[Split, list[Candidate]]) -> None:
    """Raise ConfigError if the hash of a group put everything into one split, because all is one group."""
    pairs = [pair for candidates in kept.values() for pair in candidates if config.splits.hashes(pair)]
    if len(pairs) == 1 or len({pair.group for pair in pairs}) != 1:
        return
    group = repr(pairs[0].group) if pairs[0].group else "none lies in a folder of its own"
    raise ConfigError(
        f"all {len(pairs)} pairs are one group ({group}), and the hash of a group says where it belongs: "
        f"all are in {config.splits.place(pairs[0])}",
        consequence="nothing would be left to train on, or nothing to evaluate on",
        remedy="group by something smaller (`group_by: id`, or names in the paths such as "
        "before/{scene}_{frame}.png), or say what it is for: `splits: {kind: all, split: train}`",
    )


def _write(
    config: ImportConfig, out: Path, found: Found, kept: dict[Split, list[Candidate]], refused: list[Refused]
) -> None:
    keys = _keys([candidate.id for candidates in kept.values() for candidate in candidates])
    indexes = {
        split: [
            IndexEntry(
                key=keys[candidate.id],
                id=candidate.id,
                group=candidate.group,
                files=candidate.files,
                size_WH=candidate.size_WH,
            ).to_line()
            for candidate in candidates
        ]
        for split, candidates in kept.items()
        if candidates
    }
    manifest = ImportManifest(
        name=config.name,
        roles=config.layout.roles,
        root=config.root,
        licence=config.licence,
        author=config.author,
        layout=config.layout.model_dump(mode="json"),
        codecs=config.layout.codecs,
        splits={
            split: IndexInfo(pairs=len(lines), sha256=hashlib.sha256(b"".join(lines)).hexdigest())
            for split, lines in indexes.items()
        },
        tars=dict(found.tars),
        rejected=len(refused),
    )
    path = out / IMPORT_NAME
    if path.exists() and ImportManifest.from_folder(out).content_digest != manifest.content_digest:
        raise ConfigError(
            f"{out} holds another import, or the data set has changed since",
            consequence="trainings on it would go on with other pairs than they began with",
            remedy="import into a new folder, or delete this one (it holds no pixels)",
        )
    (out / INDEX_FOLDER).mkdir(parents=True, exist_ok=True)
    for split, lines in indexes.items():
        write_atomically(index_path(out, split), lines)
    write_atomically(out / REJECTED_NAME, _rejected_lines(refused))
    write_atomically(path, [manifest.to_json()])


def _rejected_lines(refused: list[Refused]) -> Iterator[bytes]:
    for entry in refused:
        yield canonical_json({"id": entry.id, "reason": entry.reason}) + b"\n"


def _keys(ids: list[str]) -> dict[str, str]:
    """{id: key}: the id in the alphabet of keys; with a hash where that is too long or not unique."""
    plain = {pair_id: re.sub(r"[^a-z0-9_]+", "-", pair_id.lower()).strip("-") for pair_id in ids}
    uses = Counter(plain.values())
    return {
        pair_id: key
        if key and uses[key] == 1 and len(key) <= _MAX_KEY
        else f"{key[: _MAX_KEY - 9]}-{hashlib.sha256(pair_id.encode()).hexdigest()[:8]}".lstrip("-")
        for pair_id, key in plain.items()
    }
