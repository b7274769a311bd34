"""import.json: what an imported data set is, and the one-line entries of its indexes.

An import holds no pixels. `import.json` says where the files lie and what they mean, `index/<split>.jsonl`
lists the pairs in order, `rejected.jsonl` what was found and not used. Where the files lie is no part of any
digest: a data set that moved is imported again, and a training on it resumes.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, field_validator

from pairbridge.datagen.core.bounded_files import read_at_most
from pairbridge.datagen.core.bounded_json import JsonRefused
from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import canonical_json, digest
from pairbridge.datagen.core.limits import MAX_FIELD_JSON_BYTES, MAX_PIXELS, MAX_RECORD_BYTES
from pairbridge.datagen.core.record_files import first_problem, parse_record, read_record
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imports.field_codecs import Codec
from pairbridge.datagen.shards.fields import FieldStem, Roles
from pairbridge.datagen.shards.records import Key, RecipeId, Sha256

IMPORT_NAME = "import.json"
IMPORT_FORMAT = "pairbridge-import-2"
INDEX_FOLDER = "index"
REJECTED_NAME = "rejected.jsonl"


def _safe_path(path: str) -> str:
    parts = path.split("/")
    if path.startswith("/") or not all(parts) or ".." in parts or "." in parts or "\0" in path:
        raise ValueError(f"{path!r} is no plain path below the data set's folder")
    return path


class FileRef(FrozenModel):
    """Bytes of one field: a file, or `size` bytes from `offset` on inside a tar."""

    path: str
    """Below the data set's folder, with forward slashes."""
    size: PositiveInt
    offset: NonNegativeInt | None = None
    sha256: Sha256 | None = None

    _path = field_validator("path")(_safe_path)

    def name_of(self, field: str) -> str:
        """What errors call it: of a tar's members only the place is known."""
        return self.path if self.offset is None else f"the {field} at byte {self.offset} of {self.path}"


_Side = Annotated[int, Field(ge=1, le=MAX_PIXELS)]


class IndexEntry(FrozenModel):
    """One pair. `group`: what it shares with others that are not independent of it (a scene, a video)."""

    key: Key
    id: str
    group: str
    files: dict[FieldStem, FileRef]
    size_WH: tuple[_Side, _Side]
    """Of its images."""

    def to_line(self) -> bytes:
        return canonical_json(self.model_dump(mode="json", exclude_none=True)) + b"\n"


class RejectedEntry(FrozenModel):
    """A line of rejected.jsonl: what looked like a pair and is not used."""

    id: str
    reason: str


class IndexInfo(FrozenModel):
    """One split's index as it was written."""

    pairs: PositiveInt
    sha256: Sha256


class TarInfo(FrozenModel):
    """A foreign tar as it was when it was indexed."""

    bytes: PositiveInt
    sha256: Sha256 | None = None


class ImportManifest(FrozenModel):
    """The content of import.json."""

    format: Literal["pairbridge-import-2"] = IMPORT_FORMAT
    name: RecipeId
    roles: Roles
    """Which field plays which part, where a mix does not say otherwise."""
    root: Path
    """Where the files lie; absolute."""
    licence: str
    author: str
    layout: dict[str, Any]
    codecs: dict[FieldStem, Codec]
    splits: Annotated[dict[Split, IndexInfo], Field(min_length=1)]
    tars: dict[str, TarInfo]
    rejected: NonNegativeInt

    @property
    def content_digest(self) -> str:
        """Hex digest of everything but the place of the files."""
        return digest(self.model_dump(mode="json", exclude={"root"}))

    def split_digest(self, split: str) -> str:
        """Equal digests are equal fields in equal order: files, sizes and what their values mean."""
        tars = {path: info.model_dump(mode="json") for path, info in self.tars.items()}
        codecs = {name: codec.model_dump(mode="json") for name, codec in self.codecs.items()}
        return digest([codecs, tars, self.splits[split].sha256])

    def to_json(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Raises ShardError if import.json is missing or is not one of ours."""
        return read_record(cls, folder / IMPORT_NAME, MAX_RECORD_BYTES, unusable)


def is_import(folder: Path) -> bool:
    """Whether a folder was made by `pairbridge import`."""
    return (folder / IMPORT_NAME).is_file()


def read_rejected(folder: Path) -> list[RejectedEntry]:
    """What the import found and did not use. Raises ShardError for a list that is damaged."""
    path = folder / REJECTED_NAME
    try:
        lines = read_at_most(path, MAX_RECORD_BYTES).splitlines()
        return [parse_record(RejectedEntry, line, MAX_FIELD_JSON_BYTES) for line in lines]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unusable(path, error.strerror or str(error)) from error
    except ValidationError as error:
        raise unusable(path, first_problem(error)) from error
    except JsonRefused as error:
        raise unusable(path, str(error)) from error


def index_path(folder: Path, split: str) -> Path:
    return folder / INDEX_FOLDER / f"{split}.jsonl"


def unusable(path: Path, why: str) -> ShardError:
    """The error for a file of the import itself."""
    return ShardError(
        f"{path} is not usable: {why}",
        consequence="which pairs the import holds is not known",
        remedy="delete the import's folder (it holds no pixels) and run `pairbridge import` again",
    )
