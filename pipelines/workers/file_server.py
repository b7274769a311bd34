"""The driver's side of `pairbridge.pipelines.workers.node_files`, as a Ray actor on the driver's own machine.

It gives out assets of the catalogue and the models that the recipes name, in pieces through Ray's object
store, and nothing else: a worker asks by id and by checksum, never by path.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pairbridge.datagen.assets.object_files import companions
from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.pipelines.workers.node_files import PIECE_BYTES, FileEntry

# Keys of a recipe's settings that name a folder of weights.
_MODEL_KEYS = frozenset({"model", "base", "offsets"})
# Names of large files cost a checksum each; one at a time, so that memory stays at a piece.
_MAX_CONCURRENCY = 4


class FileServer:
    """See `pairbridge.pipelines.workers.node_files.FileSource`."""

    def __init__(self, plan: DatasetPlan, weights: Path) -> None:
        self._catalogue = plan.catalogue
        self._weights = weights
        self._models = tuple(
            sorted({name for name in _named_models(plan.config) if (weights / name).is_dir()})
        )
        self._entries: dict[str, tuple[FileEntry, ...]] = {}
        self._paths: dict[str, Path] = {}

    def asset(self, asset_id: str) -> tuple[FileEntry, ...]:
        path = self._catalogue.get(asset_id).path
        if path is None or not path.is_file():
            return ()
        return self._listed(f"asset {asset_id}", path.parent, (path.name, *companions(path)))

    def models(self) -> tuple[str, ...]:
        return self._models

    def model(self, model_id: str) -> tuple[FileEntry, ...]:
        if model_id not in self._models:
            return ()
        folder = self._weights / model_id
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        return self._listed(f"model {model_id}", folder, names)

    def piece(self, sha256: str, offset: int) -> bytes:
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


class RemoteFiles:
    """A `FileSource` for workers; pickles."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def asset(self, asset_id: str) -> tuple[FileEntry, ...]:
        return ray.get(self._actor.asset.remote(asset_id))

    def models(self) -> tuple[str, ...]:
        return ray.get(self._actor.models.remote())

    def model(self, model_id: str) -> tuple[FileEntry, ...]:
        return ray.get(self._actor.model.remote(model_id))

    def piece(self, sha256: str, offset: int) -> bytes:
        return ray.get(self._actor.piece.remote(sha256, offset))


def start_file_server(plan: DatasetPlan, weights: Path) -> RemoteFiles:
    """A server on this machine for the life of the Ray session; `weights`: the folder of models."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = (
        ray.remote(num_cpus=0, max_concurrency=_MAX_CONCURRENCY, scheduling_strategy=here)(FileServer)
        .options(max_restarts=-1, max_task_retries=-1)
        .remote(plan, weights)
    )
    return RemoteFiles(actor)


def _named_models(config: DatasetConfig) -> Iterator[str]:
    yield from _texts(config.model_dump(mode="json")["recipes"])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in _MODEL_KEYS and isinstance(inner, str):
                yield inner
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
