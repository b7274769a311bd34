"""Model weights in a local folder: which there are, whether they are what the manifest says, who they are.

A weights folder holds one folder per model, named by its id in
`pairbridge.datagen.models.weights.weights_manifest`. Nothing here
reaches out to a network, and nothing but safetensors, JSON and text is ever opened.
"""

import difflib
import json
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pairbridge.datagen.core.bounded_json import parse_json, read_json, read_json_object
from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.core.json_digest import digest, file_sha256
from pairbridge.datagen.core.limits import MAX_SAFETENSORS_HEADER_BYTES, MAX_SIDE_JSON_BYTES
from pairbridge.datagen.models.weights.weights_manifest import MODELS, Model, WeightFile

ENVIRONMENT = "PAIRBRIDGE_WEIGHTS"
# Written by `pairbridge weights fetch` beside the files: the revision they came from, and their checksums.
RECORD = "fetched.json"

# Files that would run, or could, when they are loaded.
_UNSAFE = (".bin", ".ckpt", ".msgpack", ".pickle", ".pkl", ".pt", ".pth", ".py")
# A safetensors file begins with the length of its header, which is JSON.
_LENGTH_BYTES = 8


class WeightsError(PairbridgeError):
    """Model weights are missing, damaged or of another shape. It stops a run: every group would meet it."""


class FileState(StrEnum):
    PROVEN = "proven"  # its checksum is the manifest's, or that of the recorded fetch
    PRESENT = "present"  # readable, but no checksum is known to hold it against
    MISSING = "missing"
    DAMAGED = "damaged"  # another checksum, or not what its name says


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What was found of one file of a model; `detail` says what is wrong, or whose checksum it has."""

    file: WeightFile
    finding: FileState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """What was found of one model. `unsafe` lists files in its folder that are never loaded."""

    model: Model
    folder: Path
    files: tuple[FileCheck, ...]
    unsafe: tuple[str, ...]

    @property
    def is_absent(self) -> bool:
        return all(check.finding is FileState.MISSING for check in self.files)

    @property
    def is_usable(self) -> bool:
        return all(check.finding in (FileState.PROVEN, FileState.PRESENT) for check in self.files)


def weights_root() -> Path:
    """The folder of all models: $PAIRBRIDGE_WEIGHTS, else `weights` in the working directory."""
    return Path(os.environ.get(ENVIRONMENT, "weights")).absolute()


def find_model(model_id: str) -> Model:
    """The manifest's entry. Raises WeightsError with the nearest id."""
    for model in MODELS:
        if model.id == model_id:
            return model
    known = [model.id for model in MODELS]
    near = difflib.get_close_matches(model_id, known, n=1)
    raise WeightsError(
        f"the manifest names no model {model_id!r}",
        consequence="it is not known which files it would need",
        remedy=(f"did you mean {near[0]!r}? " if near else "") + f"Known are: {', '.join(known)}",
    )


def require(folder: Path, *names: str) -> None:
    """Raise WeightsError unless `folder` holds every file of these names (relative paths)."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise WeightsError(
            f"{folder} lacks {', '.join(missing)}",
            consequence="the model cannot be loaded, and no download is ever started by itself",
            remedy="`pairbridge weights check` says what is there; put the files in place or run "
            f"`pairbridge weights fetch {folder.name}`, or set {ENVIRONMENT} to the folder that holds them",
        )


def check_model(model: Model, root: Path) -> ModelCheck:
    """Look at every file of `model` under `root`, reading all of them. Raises nothing for what it finds."""
    folder = root / model.id
    recorded = read_record(folder).get("sha256", {})
    unsafe = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix in _UNSAFE and path.is_file()
    )
    return ModelCheck(
        model,
        folder,
        tuple(_check_file(file, folder, recorded.get(file.path)) for file in model.files),
        tuple(unsafe),
    )


def identity(folder: Path, *names: str) -> str:
    """Who some files of a model's folder are: hub revision where proven, checksum of the contents otherwise.

    `ic-light@f5950d474dc0` if every named file that holds weights has the checksum under which the manifest
    or the record of the fetch knows it, else e.g. `ic-light@sha256:0c3f...` over all named files.
    """
    sums = {name: file_sha256(folder / name) for name in sorted(names)}
    record = read_record(folder)
    known = next((model for model in MODELS if model.id == folder.name), None)
    pinned = {file.path: file.sha256 for file in known.files} if known else {}
    weights = [name for name in sums if name.endswith(".safetensors")]
    if known and known.revision and all(pinned.get(name) == sums[name] for name in weights):
        return f"{folder.name}@{known.revision[:12]}"
    if record.get("revision") and all(record["sha256"].get(name) == sums[name] for name in sums):
        return f"{folder.name}@{record['revision'][:12]}"
    return f"{folder.name}@sha256:{digest(sums)[:16]}"


def write_record(model: Model, folder: Path, revision: str) -> None:
    """Note beside freshly fetched files which revision they are, and their checksums."""
    sums = {file.path: file_sha256(folder / file.path) for file in model.files}
    record = {"repository": model.repository, "revision": revision, "sha256": sums}
    (folder / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def read_record(folder: Path) -> dict:
    """What `write_record` noted; empty where nothing was fetched. Raises WeightsError if it is unreadable."""
    path = folder / RECORD
    if not path.is_file():
        return {}
    try:
        record = read_json_object(path, MAX_SIDE_JSON_BYTES)
        return {"revision": str(record["revision"]), "sha256": dict(record["sha256"])}
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{path} cannot be read: {error!r}",
            consequence="it is not known which revision the files beside it are",
            remedy="delete it; `pairbridge weights fetch` writes a new one",
        ) from error


def _check_file(file: WeightFile, folder: Path, recorded: str | None) -> FileCheck:
    path = folder / file.path
    if not path.is_file():
        return FileCheck(file, FileState.MISSING)
    broken = _broken(path)
    if broken:
        return FileCheck(file, FileState.DAMAGED, broken)
    if not (file.sha256 or recorded):
        return FileCheck(file, FileState.PRESENT, "no checksum is known")
    found = file_sha256(path)
    if file.sha256 and found != file.sha256:
        return FileCheck(
            file, FileState.DAMAGED, f"sha256 {found[:16]}..., the manifest has {file.sha256[:16]}..."
        )
    if recorded and found != recorded:
        return FileCheck(file, FileState.DAMAGED, f"sha256 {found[:16]}..., {recorded[:16]}... was fetched")
    return FileCheck(
        file, FileState.PROVEN, "the manifest's checksum" if file.sha256 else "as it was fetched"
    )


def _broken(path: Path) -> str:
    """Why a file is not what its name says; empty for a sound one."""
    try:
        if path.suffix == ".json":
            read_json(path, MAX_SIDE_JSON_BYTES)
        elif path.suffix == ".safetensors":
            return _broken_safetensors(path)
        elif path.stat().st_size == 0:
            return "it is empty"
    except ValueError as error:
        return f"it is no JSON: {error}"
    return ""


def _broken_safetensors(path: Path) -> str:
    """Checks the header against the file's length: a download that broke off is found without reading it."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        if not 2 <= length <= min(MAX_SAFETENSORS_HEADER_BYTES, path.stat().st_size):
            return "it is no safetensors file (a git-lfs pointer?)"
        try:
            header = parse_json(stream.read(length), MAX_SAFETENSORS_HEADER_BYTES)
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            expected = _LENGTH_BYTES + length + max(ends, default=0)
        except (ValueError, LookupError, TypeError, AttributeError):
            return "its safetensors header cannot be read"
    size = path.stat().st_size
    return "" if size == expected else f"it has {size} bytes, its header speaks of {expected}"
