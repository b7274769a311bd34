"""Verification of an import: the files that its index names are there, of the stated size and hash."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.dataset.verify import Finding
from pairbridge.datagen.imports.import_manifest import ImportManifest
from pairbridge.datagen.imports.imported import ImportedPairs, read_file

_AGAIN = "restore the file, or import the data set into a new folder"


def verify_import(
    folder: Path, *, decode: bool = False, on_split: Callable[[str], None] = lambda name: None
) -> list[Finding]:
    """What is wrong with an import and its files: sizes always, hashes where it recorded them, pixels with
    `decode`. Empty if nothing is.
    """
    try:
        manifest = ImportManifest.from_folder(folder)
    except ShardError as error:
        return [Finding(folder.name, error.cause, error.remedy)]
    findings = [*_check_tars(manifest)]
    for split in sorted(manifest.splits):
        on_split(split)
        try:
            pairs = ImportedPairs(folder, manifest.name, split)
            findings += _check_pairs(pairs, decode)
        except ShardError as error:
            findings.append(Finding(f"{split} index", error.cause, error.remedy))
    return findings


def _check_tars(manifest: ImportManifest) -> Iterator[Finding]:
    for path, info in sorted(manifest.tars.items()):
        if info.sha256 is None or not (manifest.root / path).is_file():
            continue  # its samples say so
        if file_sha256(manifest.root / path) != info.sha256:
            yield Finding(path, "its sha256 is not the one it was imported with", _AGAIN)


def _check_pairs(pairs: ImportedPairs, decode: bool) -> Iterator[Finding]:
    for index in range(len(pairs)):
        entry = pairs.entry(index)
        for ref in entry.files.values():
            try:
                data = read_file(pairs.manifest.root, ref, pairs.manifest.tars)
            except OSError as error:
                yield Finding(entry.key, f"{ref.path}: {error.strerror or error}", _AGAIN)
                break
            if ref.sha256 is not None and hashlib.sha256(data).hexdigest() != ref.sha256:
                yield Finding(entry.key, f"{ref.path} has other content than when it was imported", _AGAIN)
                break
        else:
            if decode:
                try:
                    pairs.read(index, tuple(pairs.fields))
                except ShardError as error:
                    yield Finding(entry.key, error.cause, _AGAIN)
