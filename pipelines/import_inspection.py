"""One pair of an imported data set for a person's eyes: where its files lie, its images, its neighbours."""

import difflib
import json
from pathlib import Path

import numpy as np

from datagen.errors import ConfigError
from datagen.import_manifest import ImportManifest
from datagen.imported import ImportedPairs
from pipelines.inspection import caption, sample_section
from pipelines.sheets import contact_sheet, write_png


def inspect_imported(folder: Path, key: str | None, out: Path, samples: int) -> str:
    """Write the images of pair `key`, as training sees them before noise, and a contact sheet of it and the
    ones after it, in its split, under `out`.

    Returns what there is to read. Raises ConfigError if there is no such pair, ShardError for damage.
    """
    pairs, index = _find(folder, key)
    meta, images = pairs.read(index)
    name, entry = meta["key"], pairs.entry(index)
    out.mkdir(parents=True, exist_ok=True)
    for field, image in images.items():
        write_png(out / f"{name}.{field}.png", image)
    following = range(index, min(index + samples, len(pairs)))
    items = [(caption(meta), _named(images)) for meta, images in map(pairs.read, following)]
    sheet = out / f"{name}-sheet.png"
    write_png(sheet, contact_sheet([sample_section(f"{pairs.manifest.name}, {pairs.split}", items)]))
    files = {field: ref.model_dump(mode="json", exclude_none=True) for field, ref in entry.files.items()}
    readable = {**meta, "params": json.loads(meta["params"]), "files": files}
    place = f"{name} is pair {index + 1} of {len(pairs)} of {pairs.split}; files lie in {pairs.manifest.root}"
    return f"{json.dumps(readable, indent=2, ensure_ascii=False)}\n{place}\nwritten: {sheet}"


def _named(images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{field}.png": image for field, image in images.items()}


def _find(folder: Path, key: str | None) -> tuple[ImportedPairs, int]:
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
