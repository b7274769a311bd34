"""Assets and weights on machines that cannot see the driver's folders: fetched in pieces when they are first
needed, kept in a cache on each node, and used only with the sha256 that the driver's side states.

`FileServer` is the driver's side, a Ray actor on the driver's own machine. It
gives out assets of the catalogue and the models that the recipes name and nothing else: a worker asks by id
and by checksum, never by path.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pairbridge.datagen.assets.catalogue import Asset
from pairbridge.datagen.assets.files_in_use import asset_companions
from pairbridge.datagen.assets.object_files import is_beside
from pairbridge.datagen.core.atomic_files import held_lock, write_atomically
from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.core.json_digest import digest, file_sha256
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.shards.object_store import cache_root

PIECE_BYTES = 16 << 20
# Keys of a recipe's settings that name a folder of weights.
_MODEL_KEYS = frozenset({"model", "base", "offsets"})


class FilesNotServed(PairbridgeError):
    """A worker could not get a file from the driver's side as it was stated to be."""


class CommitterUnreachable(PairbridgeError):
    """A worker could not hand its group to the driver's side."""


class FileEntry(NamedTuple):
    """One file of an asset or of a model: its name relative to the first one's folder."""

    name: str
    sha256: str
    size: int


class FileSource(Protocol):
    """What hands out the driver's files: a `FileServer`, or a way to one."""

    def asset(self, asset_id: str) -> tuple[FileEntry, ...]: ...

    def models(self) -> tuple[str, ...]: ...

    def model(self, model_id: str) -> tuple[FileEntry, ...]: ...

    def piece(self, sha256: str, offset: int) -> bytes: ...


class NodeFiles:
    """A worker's way to the driver's files."""

    def __init__(self, source: FileSource, root: Path | None = None) -> None:
        self._source = source
        self.root = root or cache_root() / "files"
        """The cache: what is copied here lies below."""
        self._paths: dict[str, Path | None] = {}

    def locate(self, asset: Asset) -> Path | None:
        """Where `asset` lies here: under its own path if that shows the same bytes, else in the cache.

        Raises OSError where the driver's side cannot read it.
        """
        if asset.path is None:
            return None
        if asset.id not in self._paths:
            entries = self._source.asset(asset.id)
            here = _is(asset.path, entries[0])
            self._paths[asset.id] = asset.path if here else self._fetched(entries) / entries[0].name
        return self._paths[asset.id]

    def weights_folder(self) -> Path | None:
        """A folder with every model that the recipes name, as $PAIRBRIDGE_WEIGHTS wants it; None if none."""
        models = {model_id: self._source.model(model_id) for model_id in self._source.models()}
        if not models:
            return None
        folder = self.root / f"weights-{digest(models)[:16]}"
        folder.mkdir(parents=True, exist_ok=True)
        for model_id, entries in models.items():
            link = folder / model_id
            with held_lock(folder / f".{model_id}.lock"):
                if not link.exists():
                    link.symlink_to(self._fetched(entries), target_is_directory=True)
        return folder

    def _fetched(self, entries: tuple[FileEntry, ...]) -> Path:
        """The cache's folder with all of `entries`, each of them checked."""
        folder = self.root / digest(entries)[:32]
        folder.mkdir(parents=True, exist_ok=True)
        with held_lock(folder / ".lock"):
            for entry in entries:
                path = folder / entry.name
                if not is_beside(entry.name):
                    raise _not_served(entry, "its name leads out of the cache")
                # Its name is given once the bytes are proven, so a size is enough from then on.
                if path.is_file() and path.stat().st_size == entry.size:
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                written = write_atomically(path.with_name(f"{path.name}.new"), self._pieces(entry))
                if written.sha256 != entry.sha256:
                    path.with_name(f"{path.name}.new").unlink()
                    raise _not_served(entry, f"{written.num_bytes} bytes of another sha256 came")
                os.replace(path.with_name(f"{path.name}.new"), path)
        return folder

    def _pieces(self, entry: FileEntry) -> Iterator[bytes]:
        offset = 0
        while offset < entry.size:
            piece = self._source.piece(entry.sha256, offset)
            if not piece:
                return  # the file has shrunk; the checksum tells
            offset += len(piece)
            yield piece


def _is(path: Path, entry: FileEntry) -> bool:
    try:
        return path.stat().st_size == entry.size and file_sha256(path) == entry.sha256
    except OSError:
        return False


def _not_served(entry: FileEntry, why: str) -> FilesNotServed:
    return FilesNotServed(
        f"{entry.name} could not be copied to this worker's machine: {why}",
        consequence="samples made from it would not be those of the dataset",
        remedy="leave the asset and weights folders alone while a run goes on; run the same command again",
    )


class FileServer:
    """The driver's side, on its own machine; `weights` is the folder of models."""

    def __init__(self, plan: DatasetPlan, weights: Path) -> None:
        self._catalogue = plan.catalogue
        self._weights = weights
        recipes = plan.config.model_dump(mode="json")["recipes"]
        self._models = tuple(sorted({name for name in _named_models(recipes) if (weights / name).is_dir()}))
        self._entries: dict[str, tuple[FileEntry, ...]] = {}
        self._paths: dict[str, Path] = {}

    def asset(self, asset_id: str) -> tuple[FileEntry, ...]:
        """The asset's file and, after it, what it refers to. Raises OSError."""
        asset = self._catalogue.get(asset_id)
        names = (asset.path.name, *asset_companions(asset.kind, asset.path))
        return self._listed(f"asset {asset_id}", asset.path.parent, names)

    def models(self) -> tuple[str, ...]:
        """Ids of the models in the driver's weights folder that the dataset's recipes name."""
        return self._models

    def model(self, model_id: str) -> tuple[FileEntry, ...]:
        """The files of one model's folder."""
        if model_id not in self._models:
            return ()
        folder = self._weights / model_id
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        return self._listed(f"model {model_id}", folder, names)

    def piece(self, sha256: str, offset: int) -> bytes:
        """At most PIECE_BYTES of a file that `asset` or `model` has named."""
        with open(self._paths[sha256], "rb") as stream:
            stream.seek(offset)
            return stream.read(PIECE_BYTES)

    def _listed(self, what: str, folder: Path, names: Any) -> tuple[FileEntry, ...]:
        if what not in self._entries:
            entries = []
            for name in names:
                path = folder / name
                entries.append(FileEntry(name, file_sha256(path), path.stat().st_size))
                self._paths[entries[-1].sha256] = path
            self._entries[what] = tuple(entries)
        return self._entries[what]


def _named_models(value: Any) -> Iterator[str]:
    """Names of models anywhere in the settings of recipes."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in _MODEL_KEYS and isinstance(inner, str):
                yield inner
            yield from _named_models(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named_models(inner)
