"""megatron-energon: one prepared dataset per recipe, its shards linked as they are.

    <out>/<recipe>/shards/<split>-<recipe>-000000.tar, .tar.idx    the start of every sample, and the end
                   .nv-meta/.info.json       samples per shard
                           /split.yaml       shards of train, val, test
                           /dataset.yaml     CrudeWebdataset: samples are dictionaries of their fields
                           /index.sqlite     where every sample and field lies
                           /index.uuid       an id of this content

That is what `energon prepare` makes (megatron-energon 7.4), from the sidecars instead of a scan. Sources are
as stored: a removal recipe without one has none here.
"""

import errno
import json
import os
import sqlite3
import struct
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.json_digest import digest
from pairbridge.datagen.dataset.card import as_yaml
from pairbridge.datagen.dataset.verify import StreamStatus
from pairbridge.datagen.exports.finished import FinishedDataset, link_or_copy, write_export_card
from pairbridge.datagen.shards.layout import sidecar_path
from pairbridge.datagen.shards.records import SampleRecord, Sidecar
from pairbridge.datagen.shards.tar import BLOCK, TRAILER

# The layout's version, which readers may look at.
_ENERGON_VERSION = "7.4.1"
_SPLITS = {"train": "train", "validation": "val", "test": "test"}

_SCHEMA = """
CREATE TABLE samples (
    tar_file_id INTEGER NOT NULL, sample_key TEXT NOT NULL UNIQUE, sample_index INTEGER NOT NULL,
    byte_offset INTEGER, byte_size INTEGER
);
CREATE TABLE sample_parts (
    tar_file_id INTEGER, sample_index INTEGER, part_name TEXT,
    content_byte_offset INTEGER, content_byte_size INTEGER
);
"""
_INDEXES = """
CREATE INDEX idx_samples_by_tar_and_idx ON samples(tar_file_id, sample_index);
CREATE INDEX idx_sample_parts_seq ON sample_parts(tar_file_id, sample_index, content_byte_offset);
CREATE INDEX idx_sample_parts_full
    ON sample_parts(tar_file_id, sample_index, part_name, content_byte_offset, content_byte_size);
"""


def export_energon(dataset: FinishedDataset, out: Path) -> None:
    """Fill the empty folder `out`. Memory: one sidecar."""
    recipes = dict.fromkeys(stream.recipe for stream in dataset.streams)
    for recipe in recipes:
        streams = [stream for stream in dataset.streams if stream.recipe == recipe]
        _export_recipe(dataset, streams, out / recipe)
    first = next(iter(recipes))
    write_export_card(
        out,
        dataset,
        {recipe: sorted(dataset.manifest.recipes[recipe].fields) for recipe in recipes},
        [
            "```python",
            "from megatron.energon import WorkerConfig, get_train_dataset",
            f'get_train_dataset("path/to/{first}", worker_config=WorkerConfig.default_worker_config(),',
            "                  task_encoder=..., batch_size=1, shuffle_buffer_size=None,",
            "                  max_samples_per_sequence=None)",
            "```\n",
            "Samples are dictionaries by field (`CrudeWebdataset`): your task encoder has a cooker for them.",
        ],
        tags=["webdataset", "image", "paired", "pairbridge"],
    )


def _export_recipe(dataset: FinishedDataset, streams: Iterable[StreamStatus], folder: Path) -> None:
    (folder / "shards").mkdir(parents=True)
    meta = folder / ".nv-meta"
    meta.mkdir()
    counts: dict[str, int] = {}
    splits: dict[str, list[str]] = {}
    content = []
    with _index(meta / "index.sqlite") as index:
        for stream in streams:
            for shard in dataset.shards(stream):
                name = f"shards/{shard.path.name}"
                link_or_copy(shard.path, folder / name)
                sidecar = Sidecar.from_file(sidecar_path(shard.path.parent, shard.name))
                _index_shard(index, len(counts), sidecar)
                write_atomically((folder / name).with_suffix(".tar.idx"), [_tar_index(sidecar)])
                counts[name] = len(shard)
                splits.setdefault(_SPLITS[stream.split], []).append(name)
                content.append([name, shard.sha256])
    info = {"energon_version": _ENERGON_VERSION, "shard_counts": counts}
    # In this order: `tar_file_id` counts in it.
    (meta / ".info.json").write_text(json.dumps(info, indent=2))
    (meta / "index.uuid").write_text(str(uuid.UUID(digest(content)[:32], version=4)))
    (meta / "split.yaml").write_text(as_yaml({"split_parts": splits, "exclude": []}))
    (meta / "dataset.yaml").write_text(
        as_yaml({"__module__": "megatron.energon", "__class__": "CrudeWebdataset"})
    )


@contextmanager
def _index(path: Path) -> Iterator[sqlite3.Connection]:
    """An empty index to fill. Raises OSError when the disk is full, for which SQLite has its own error."""
    try:
        with closing(sqlite3.connect(path)) as index:
            index.executescript(_SCHEMA)
            yield index
            index.executescript(_INDEXES)
            index.commit()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error


def _spans(samples: Iterable[SampleRecord]) -> Iterator[tuple[int, list[tuple[str, int, int]]]]:
    """(first byte of its first header, [(field, offset, size)] in file order) of each sample."""
    for sample in samples:
        fields = [(field, *sample.fields[field]) for field in sorted(sample.fields)]
        yield fields[0][1] - BLOCK, fields


def _tar_index(sidecar: Sidecar) -> bytes:
    starts = [start for start, _ in _spans(sidecar.samples)]
    return struct.pack(f"<{len(starts) + 1}Q", *starts, sidecar.bytes - len(TRAILER))


def _index_shard(index: sqlite3.Connection, shard_id: int, sidecar: Sidecar) -> None:
    spans = list(_spans(sidecar.samples))
    ends = [*(start for start, _ in spans[1:]), sidecar.bytes - len(TRAILER)]
    index.executemany(
        "INSERT INTO samples VALUES (?, ?, ?, ?, ?)",
        (
            (shard_id, sample.key, number, start, end - start)
            for number, (sample, (start, _), end) in enumerate(zip(sidecar.samples, spans, ends, strict=True))
        ),
    )
    index.executemany(
        "INSERT INTO sample_parts VALUES (?, ?, ?, ?, ?)",
        (
            (shard_id, number, field, offset, size)
            for number, (_, fields) in enumerate(spans)
            for field, offset, size in fields
        ),
    )
