"""README.md of an export: the terms of the dataset it was made from, and where each part lies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pairbridge.datagen.dataset.card import front_matter, licence_section, table
from pairbridge.datagen.dataset.manifest import FIELD_DESCRIPTIONS
from pairbridge.datagen.exports.finished import FinishedDataset


def write_export_card(
    out: Path,
    dataset: FinishedDataset,
    fields: Mapping[str, Sequence[str]],
    use: Sequence[str],
    **front: Any,
) -> None:
    """fields: what the export holds of each recipe's samples; use: Markdown lines on how the layout is
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
        described = FIELD_DESCRIPTIONS | manifest.recipes[recipe].fields
        lines += [
            f"## Recipe `{recipe}`\n",
            *table(("file", "content"), [(f"`{name}`", described[name]) for name in names]),
            "",
        ]
    (out / "README.md").write_text("\n".join([*lines, "## Use\n", *use, "", *licence_section(manifest)]))
