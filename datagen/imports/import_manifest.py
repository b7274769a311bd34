"""import.json: what an imported data set is, and the one-line entries of its indexes.

An import holds no pixels. `import.json` says where the files lie and what they mean, `index/<split>.jsonl`
lists the pairs in order, `rejected.jsonl` what was found and not used. Where the files lie is no part of any
digest: a data set that moved is imported again, and a training on it resumes.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import canonical_json, digest
from pairbridge.datagen.core.record_files import read_record
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imports.field_codecs import Codec
from pairbridge.datagen.shards.records import Key, Sha256

IMPORT_NAME = "import.json"
IMPORT_FORMAT = "pairbridge-import-1"
INDEX_FOLDER = "index"
REJECTED_NAME = "rejected.jsonl"

# A list of a hundred thousand tars takes about 20 MB; beyond this the file is not one of ours.
MAX_MANIFEST_BYTES = 64 * 2**20

FieldKind = Literal["source", "target", "mask"]
# imported_removal: the hole of the mask is filled with noise as it is read; see
# pairbridge.datagen.imaging.fill.
ImportKind = Literal["imported_pairs", "imported_removal"]


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


class IndexEntry(FrozenModel):
    """One pair. `group`: what it shares with others that are not independent of it (a scene, a video)."""

    key: Key
    id: str
    group: str
    files: dict[FieldKind, FileRef]

    def to_line(self) -> bytes:
        return canonical_json(self.model_dump(mode="json", exclude_none=True)) + b"\n"


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

    format: Literal["pairbridge-import-1"] = IMPORT_FORMAT
    name: str
    kind: ImportKind
    root: Path
    """Where the files lie; absolute."""
    licence: str
    author: str
    layout: dict[str, Any]
    codecs: dict[FieldKind, Codec]
    splits: Annotated[dict[Split, IndexInfo], Field(min_length=1)]
    tars: dict[str, TarInfo]
    rejected: NonNegativeInt

    @property
    def content_digest(self) -> str:
        """Hex digest of everything but the place of the files."""
        return digest(self.model_dump(mode="json", exclude={"root"}))

    def split_digest(self, split: str) -> str:
        """Equal digests are equal pairs in equal order: files, sizes and what their values mean."""
        tars = {path: info.model_dump(mode="json") for path, info in self.tars.items()}
        codecs = {name: codec.model_dump(mode="json") for name, codec in self.codecs.items()}
        return digest([self.kind, codecs, tars, self.splits[split].sha256])

    def to_json(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Raises ShardError if import.json is missing or is not one of ours."""
        return read_record(cls, folder / IMPORT_NAME, MAX_MANIFEST_BYTES, unusable)


def is_import(folder: Path) -> bool:
    """Whether a folder was made by `pairbridge import`."""
    return (folder / IMPORT_NAME).is_file()


def index_path(folder: Path, split: str) -> Path:
    return folder / INDEX_FOLDER / f"{split}.jsonl"


def unusable(path: Path, why: str) -> ShardError:
    """The error for a file of the import itself."""
    return ShardError(
        f"{path} is not usable: {why}",
        consequence="which pairs the import holds is not known",
        remedy="delete the import's folder (it holds no pixels) and run `pairbridge import` again",
    )
