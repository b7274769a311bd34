"""One sample of a dataset, or pair of an import, for a person's eyes: its meta.json as text, its files, and a
sheet of its neighbours.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.dataset.manifest import MANIFEST_NAME, DatasetManifest
from pairbridge.datagen.imports.import_manifest import ImportManifest
from pairbridge.datagen.imports.imported import ImportedPairs
from pairbridge.datagen.shards.fields import FIELDS, FieldSpec, Roles
from pairbridge.datagen.shards.mirror import origin
from pairbridge.datagen.shards.reader import Shard, open_shard
from pairbridge.datagen.shards.sample import Pair, decode_sample, params_of
from pairbridge.datagen.shards.shard_index import ShardIndex
from pairbridge.pipelines.pages.browsed_pairs import files_of, imported_pair
from pairbridge.pipelines.pages.pair_pictures import pair_pictures
from pairbridge.pipelines.pages.sheets import Item, Section, contact_sheet, write_png


def inspect_samples(what: Path, key: str | None, out: Path, samples: int) -> str:
    """Write the files of sample `key` and a contact sheet of it and the ones after it, in its shard, under
    `out`.

    Returns what there is to read. Raises ConfigError if there is no such shard or sample, ShardError for
    damage.
    """
    shard, index = _find(what, key)
    files, name = shard.read(index), shard.key(index)
    following = range(index, min(index + samples, len(shard)))
    pairs = [decode_sample(shard.key(number), shard.read(number)) for number in following]
    out.mkdir(parents=True, exist_ok=True)
    for field, data in files.items():
        write_atomically(out / f"{name}.{field}", [data])
    place = f"{name} is sample {index + 1} of {len(shard)} in {shard.path}"
    fields, roles = _stated(shard)
    shown = [pair_pictures(pair, fields, roles) for pair in pairs]
    return _written(out, name, shard.name, pairs, shown, pairs[0]["meta.json"], place)


def _stated(shard: Shard) -> tuple[Mapping[str, FieldSpec], Roles]:
    """What the dataset says of a shard's fields; of a shard that lies alone, what these names stand for."""
    folder = shard.path.parent.parent
    if not (folder / MANIFEST_NAME).is_file():
        return FIELDS, Roles()
    recipe = shard.key(0).rpartition("-")[0].rpartition("-")[0]
    entry = DatasetManifest.from_folder(folder).recipes[recipe]
    return entry.fields, entry.roles


def _written(
    out: Path,
    name: str,
    title: str,
    pairs: list[Pair],
    shown: list[dict[str, np.ndarray]],
    meta: dict[str, Any],
    place: str,
) -> str:
    """Write the contact sheet; what there is to read."""
    headings = tuple(shown[0])
    items = tuple(
        Item(_caption(pair["meta.json"]), tuple(pictures[heading] for heading in headings))
        for pair, pictures in zip(pairs, shown, strict=True)
    )
    sheet = out / f"{name}-sheet.png"
    write_png(sheet, contact_sheet([Section(title, headings, items)]))
    readable = json.dumps({**meta, "params": params_of(meta)}, indent=2, ensure_ascii=False)
    return f"{readable}\n{place}\nwritten: {sheet}"


def _caption(meta: dict[str, Any]) -> str:
    """Key and what the sample shows, short enough for a caption."""
    return f"{meta['key']}: {', '.join(asset['id'] for asset in meta['assets'])}"


def _find(what: Path, key: str | None) -> tuple[Shard, int]:
    seen: list[str] = []
    for shard in _shards(what):
        keys = shard.keys
        if keys and (key is None or key in keys):
            return shard, 0 if key is None else keys.index(key)
        seen += keys
        for hole in shard.holes:
            if hole.key == key:
                raise ConfigError(
                    f"{key} is in quarantine: {hole.reason}",
                    consequence="there is no such sample in the shard",
                    remedy="name another key; quarantine.jsonl lists all that are missing",
                )
    near = difflib.get_close_matches(key or "", seen, n=1)
    raise ConfigError(
        f"{what} holds no sample{f' {key!r}' if key else ''}",
        consequence="there is nothing to show",
        remedy=f"did you mean {near[0]!r}?" if near else "`pairbridge status` counts what a dataset holds",
    )


def _shards(what: Path) -> Iterator[Shard]:
    if what.suffix == ".tar":
        yield open_shard(what)
        return
    if not (what / "dataset.json").is_file():
        raise ConfigError(
            f"{what} is neither a shard's .tar nor the folder of a dataset or import",
            consequence="there is nothing to show",
            remedy="name a folder that `pairbridge generate` or `import` made, or one of its shards/*.tar",
        )
    url = origin(what / "shards")
    for shard in ShardIndex(what / "shards"):
        yield Shard(what / "shards", shard, url)


def inspect_imported(folder: Path, key: str | None, out: Path, samples: int) -> str:
    """Write the fields of pair `key` as pictures, and a contact sheet of it and the ones after it, in its
    split, under `out`.

    Returns what there is to read. Raises ConfigError if there is no such pair, ShardError for damage.
    """
    pairs, index = _find_imported(folder, key)
    following = [imported_pair(pairs, number) for number in range(index, min(index + samples, len(pairs)))]
    meta = following[0]["meta.json"]
    shown = [pair_pictures(pair, files_of(pairs), pairs.roles) for pair in following]
    name, entry = meta["key"], pairs.entry(index)
    out.mkdir(parents=True, exist_ok=True)
    for field, image in shown[0].items():
        write_png(out / f"{name}.{field}.png", image)
    files = {field: ref.model_dump(mode="json", exclude_none=True) for field, ref in entry.files.items()}
    place = f"{name} is pair {index + 1} of {len(pairs)} of {pairs.split}; files lie in {pairs.manifest.root}"
    title = f"{pairs.manifest.name}, {pairs.split}"
    return _written(out, name, title, following, shown, {**meta, "files": files}, place)


def _find_imported(folder: Path, key: str | None) -> tuple[ImportedPairs, int]:
    manifest = ImportManifest.from_folder(folder)
    seen: list[str] = []
    for split in manifest.splits:
        pairs = ImportedPairs(folder, manifest.name, split)
        if key is None:
            return pairs, 0
        keys = [pairs.key(index) for index in range(len(pairs))]
        if key in keys:
            return pairs, keys.index(key)
        seen += keys
    near = difflib.get_close_matches(key or "", seen, n=1)
    raise ConfigError(
        f"{folder} holds no pair {key!r}",
        consequence="there is nothing to show",
        remedy=f"did you mean {near[0]!r}?" if near else f"its keys are in {folder / 'index'}",
    )
