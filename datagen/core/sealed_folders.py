"""Folders that say what they hold: size and sha256 of every file, in a manifest that is written last.

A flipped bit, an edited number or a lost file shows when it is read, by name; without a manifest a folder was
never finished.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import is_of_machine
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import canonical_json, file_sha256
from pairbridge.datagen.core.limits import MAX_RECORD_BYTES
from pairbridge.datagen.core.record_files import read_record

SEAL_NAME = "manifest.json"

Unusable = Callable[[Path, str], Exception]


class SealedFile(FrozenModel):
    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Seal(FrozenModel):
    """The content of manifest.json."""

    format: Literal["pairbridge-manifest/1"] = "pairbridge-manifest/1"
    files: dict[str, SealedFile]
    """By path below the folder, with forward slashes."""


def sealed_files(folder: Path, paths: Iterable[Path]) -> dict[str, SealedFile]:
    """Make files below `folder` durable, and what a manifest says of them."""
    files = {}
    for path in paths:
        with open(path, "rb") as stream:
            os.fsync(stream.fileno())
        name = path.relative_to(folder).as_posix()
        files[name] = SealedFile(bytes=path.stat().st_size, sha256=file_sha256(path))
    return files


def seal_folder(folder: Path, files: Mapping[str, SealedFile]) -> None:
    """Write the manifest of `files`, which are durable. What is added later is not in it."""
    seal = Seal(files=dict(sorted(files.items())))
    write_atomically(folder / SEAL_NAME, [canonical_json(seal.model_dump(mode="json"))])


def read_seal(folder: Path, unusable: Unusable) -> Seal:
    """The manifest; else raises what `unusable` makes of its path and of what is wrong with it."""
    if not (folder / SEAL_NAME).is_file():
        raise unusable(folder / SEAL_NAME, "it is missing")
    return read_record(Seal, folder / SEAL_NAME, MAX_RECORD_BYTES, unusable)


def names_to_check(folder: Path, seal: Seal) -> list[str]:
    """All files that the manifest lists, and all weights that are there. Weights come first."""
    weights = {path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors")}
    return sorted({*seal.files, *weights}, key=lambda name: (not name.endswith(".safetensors"), name))


def check_sealed(folder: Path, seal: Seal, unusable: Unusable, names: Iterable[str]) -> None:
    """Compare the files `names` below `folder` with its manifest.

    Raises what `unusable` makes of a path and of what is wrong with it: a file that is missing, is not
    listed, is none, or has other bytes. An OSError of the machine's, which says nothing of the bytes, passes.
    """
    for name in names:
        path = folder / name
        if name not in seal.files:
            raise unusable(path, f"{SEAL_NAME} does not list it")
        wanted = seal.files[name]
        try:
            if (size := path.stat().st_size) != wanted.bytes:
                raise unusable(path, f"it has {size} bytes, and {wanted.bytes} when it was written")
            if file_sha256(path) != wanted.sha256:
                raise unusable(path, "its bytes are not those that were written (sha256)")
        except FileNotFoundError as error:
            raise unusable(path, "it is missing") from error
        except OSError as error:
            if is_of_machine(error):
                raise
            raise unusable(path, error.strerror) from error
