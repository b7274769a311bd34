"""A finished dataset, opened to be handed over: nothing missing, every shard's bytes checked when read."""

import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.dataset.card import field_table, front_matter, licence_section, table
from pairbridge.datagen.dataset.manifest import DatasetManifest, RecipeEntry
from pairbridge.datagen.dataset.verify import StreamStatus, dataset_status
from pairbridge.datagen.imaging.fill import fill_noise, fill_seed
from pairbridge.datagen.imports.import_manifest import is_import
from pairbridge.datagen.shards.commit import check_tar_bytes
from pairbridge.datagen.shards.fields import FIELDS, FieldSpec, HoleContent, stem_of
from pairbridge.datagen.shards.mirror import local_folder
from pairbridge.datagen.shards.reader import Shard, open_shards
from pairbridge.datagen.shards.sample import decode_field, decode_meta, encode_field

# Where a filesystem has no hard links, or the two places are not on one.
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EACCES)


@dataclass(frozen=True, slots=True)
class FinishedDataset:
    """`streams`: of every recipe and split, those without a pair left out."""

    folder: Path
    manifest: DatasetManifest
    streams: tuple[StreamStatus, ...]

    @property
    def num_pairs(self) -> int:
        return sum(stream.pairs_made for stream in self.streams)

    def fields(self, recipe: str) -> tuple[str, ...]:
        """What `samples` gives for each sample of a recipe, sorted."""
        return tuple(sorted(self.declared(recipe)))

    def declared(self, recipe: str) -> dict[str, FieldSpec]:
        """The declarations of `fields`."""
        entry = self.manifest.recipes[recipe]
        derived = {"source.png": FIELDS["source.png"]} if _derives_source(entry) else {}
        return {**derived, **entry.fields}

    def samples(self, recipe: str, shard: Shard) -> Iterator[tuple[str, dict[str, bytes]]]:
        """(key, {field: encoded bytes}) of each sample of a shard of `recipe`, as stored. Where the source is
        another field with a hole in it, a source.png comes along as training sees it: with its own seed's
        noise in the hole.
        """
        entry = self.manifest.recipes[recipe]
        filled = next((name for name in entry.fields if stem_of(name) == entry.roles.source), "")
        for index in range(len(shard)):
            sample = shard.read(index)
            if _derives_source(entry):
                source, mask, meta = (
                    decode_field(field, sample[field]) for field in (filled, "mask.png", "meta.json")
                )
                sample["source.png"] = encode_field("source.png", fill_noise(source, mask, fill_seed(meta)))
            yield shard.key(index), sample

    def shards(self, stream: StreamStatus) -> Iterator[Shard]:
        """Those that hold a sample, in order. Raises ShardError for one whose tar is not as committed."""
        for shard in open_shards(self.folder, stream.recipe, stream.split):
            if len(shard):
                shard.fetch()
                check_tar_bytes(shard.path, shard.sha256)
                check_metas(shard)
                yield shard


def open_finished(dataset: str | Path) -> FinishedDataset:
    """The dataset in a folder or at an URL. Raises ConfigError if it is an import, or something of it is
    not made yet, ShardError if its records are damaged.
    """
    folder = local_folder(dataset)
    if is_import(folder):
        raise ConfigError(
            f"{dataset} is an import: an index of files that lie elsewhere",
            consequence="there are no shards to pass on",
            remedy="use the data set's own files; its import.json says where they are",
        )
    streams = dataset_status(folder)
    lacking = [f"{stream.split}-{stream.recipe}" for stream in streams if not stream.complete]
    if lacking:
        raise ConfigError(
            f"{dataset} is not finished: shards of {', '.join(lacking)} are not made yet",
            consequence="others would take a part for the whole",
            remedy="run `pairbridge generate` with the same config; it makes what is missing",
        )
    filled = tuple(stream for stream in streams if stream.pairs_made)
    if not filled:
        raise ConfigError(
            f"{dataset} holds no pair: all of them are in quarantine",
            consequence="there is nothing to pass on",
            remedy="read quarantine.jsonl in the dataset's folder; it names the reasons",
        )
    return FinishedDataset(folder, DatasetManifest.from_folder(folder), filled)


def check_metas(shard: Shard) -> None:
    """Raise ShardError unless every sample says that it is the one its shard holds under its key. Readers of
    what is passed on may name files by either.
    """
    for index in range(len(shard)):
        decode_meta(shard.key(index), shard.read(index, ("meta.json",)).get("meta.json", b""))


def _derives_source(entry: RecipeEntry) -> bool:
    return entry.roles.hole is HoleContent.NOISE and entry.spec_of("source") is None


def link_or_copy(source: Path, target: Path) -> None:
    """Give a committed file, which nothing changes in place, a second name; or copy it if that cannot be."""
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copyfile(source, target)


def write_export_card(
    out: Path,
    dataset: FinishedDataset,
    fields: Mapping[str, Sequence[str]],
    use: Sequence[str],
    **front: Any,
) -> None:
    """README.md of an export: the terms of the dataset it was made from, and where each part lies.

    fields: what the export holds of each recipe's samples; use: Markdown lines on how the layout is
    opened; front: more keys for the YAML head.
    """
    manifest = dataset.manifest
    lines = [
        *front_matter(manifest, dataset.num_pairs, **front),
        f"\n# {manifest.name}\n",
        "Paired images for image-to-image translation, made by pairbridge and exported. What each sample was",
        "made from, under which licences, is in its own meta data and in `provenance.json`.\n",
        "## Samples\n",
        *table(
            ("recipe", "kind", "split", "pairs"),
            [
                (stream.recipe, manifest.recipes[stream.recipe].kind, stream.split, stream.pairs_made)
                for stream in dataset.streams
            ],
        ),
        "",
    ]
    for recipe, names in fields.items():
        declared = dataset.declared(recipe)
        lines += [f"## Recipe `{recipe}`\n", *field_table({name: declared[name] for name in names}), ""]
    (out / "README.md").write_text("\n".join([*lines, "## Use\n", *use, "", *licence_section(manifest)]))
