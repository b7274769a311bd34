"""Assets and weights on machines that cannot see the driver's folders: fetched in pieces when they are first
needed, kept in a cache on each node, and used only with the sha256 that the driver's side states.

`FileSource` is the driver's side (`pairbridge.pipelines.workers.file_server` runs it in Ray); everything
else is a worker's.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from pairbridge.datagen.assets.catalogue import Asset, Catalogue
from pairbridge.datagen.assets.object_files import is_beside
from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.core.json_digest import digest, file_sha256
from pairbridge.datagen.shards.object_store import cache_root

PIECE_BYTES = 16 << 20


class FilesNotServed(PairbridgeError):
    """A worker could not get a file from the driver's side as it was stated to be."""


class FileEntry(NamedTuple):
    """One file of an asset or of a model: its name relative to the first one's folder."""

    name: str
    sha256: str
    size: int


class FileSource(Protocol):
    """Where the driver's files are read."""

    def asset(self, asset_id: str) -> tuple[FileEntry, ...]:
        """The asset's file and, after it, what it refers to; empty if it is not there (any more)."""

    def models(self) -> tuple[str, ...]:
        """Ids of the models in the driver's weights folder that the dataset's recipes name."""

    def model(self, model_id: str) -> tuple[FileEntry, ...]:
        """The files of one model's folder."""

    def piece(self, sha256: str, offset: int) -> bytes:
        """At most PIECE_BYTES of a file that `asset` or `model` has named."""


@dataclass(frozen=True)
class NodeCatalogue(Catalogue):
    """A catalogue whose assets are at hand: `get` gives each the path under which it lies on this machine."""

    locate: Callable[[Asset], Path | None] = field(default=lambda asset: asset.path, compare=False)

    def get(self, asset_id: str) -> Asset:
        asset = super().get(asset_id)
        path = self.locate(asset)
        return asset if path == asset.path else replace(asset, path=path)


class NodeFiles:
    """A worker's way to the driver's files."""

    def __init__(self, source: FileSource, root: Path | None = None) -> None:
        self._source = source
        self._root = root or cache_root() / "files"
        self._paths: dict[str, Path | None] = {}

    def locate(self, asset: Asset) -> Path | None:
        """Where `asset` lies here: under its own path if that shows the same bytes, else in the cache."""
        if asset.path is None:
            return None
        if asset.id not in self._paths:
            entries = self._source.asset(asset.id)
            here = not entries or _is(asset.path, entries[0])
            self._paths[asset.id] = asset.path if here else self._fetched(entries) / entries[0].name
        return self._paths[asset.id]

    def weights_folder(self) -> Path | None:
        """A folder with every model that the recipes name, as $PAIRBRIDGE_WEIGHTS wants it; None if none."""
        models = {model_id: self._source.model(model_id) for model_id in self._source.models()}
        if not models:
            return None
        folder = self._root / f"weights-{digest(models)[:16]}"
        folder.mkdir(parents=True, exist_ok=True)
        for model_id, entries in models.items():
            link = folder / model_id
            with _locked(folder / f".{model_id}.lock"):
                if not link.exists():
                    link.symlink_to(self._fetched(entries), target_is_directory=True)
        return folder

    def _fetched(self, entries: tuple[FileEntry, ...]) -> Path:
        """The cache's folder with all of `entries`, each of them checked."""
        folder = self._root / digest(entries)[:32]
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / ".lock"):
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


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
