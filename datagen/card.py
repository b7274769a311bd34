"""README.md of a dataset: a card with Hugging Face front matter, derived from dataset.json and the sidecars
alone."""

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ruamel.yaml import YAML

from datagen.atomic import write_atomically
from datagen.commit import read_sidecars, rejection_counts
from datagen.manifest import DatasetManifest, RecipeEntry
from datagen.model_terms import model_terms
from datagen.records import Sidecar
from datagen.verify import StreamStatus, dataset_status

# From the freest to the strictest terms, with the Hub's identifiers. What is not in the list is not ranked.
_LICENCES = {
    "CC0-1.0": "cc0-1.0",
    "MIT": "mit",
    "BSD-3-Clause": "bsd-3-clause",
    "Apache-2.0": "apache-2.0",
    "CC-BY-3.0": "cc-by-3.0",
    "CC-BY-4.0": "cc-by-4.0",
    "CC-BY-SA-3.0": "cc-by-sa-3.0",
    "CC-BY-SA-4.0": "cc-by-sa-4.0",
    "CC-BY-NC-4.0": "cc-by-nc-4.0",
    "CC-BY-NC-SA-4.0": "cc-by-nc-sa-4.0",
    "CC-BY-ND-4.0": "cc-by-nd-4.0",
    "CC-BY-NC-ND-4.0": "cc-by-nc-nd-4.0",
}
_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
)


def write_card(dataset_dir: Path) -> None:
    """Write README.md for what is committed now. Raises ShardError if dataset.json or a sidecar is
    unusable."""
    manifest = DatasetManifest.from_folder(dataset_dir)
    text = dataset_card(manifest, dataset_status(dataset_dir), list(read_sidecars(dataset_dir / "shards")))
    write_atomically(dataset_dir / "README.md", [text.encode()])


def dataset_card(
    manifest: DatasetManifest, streams: Sequence[StreamStatus], sidecars: Sequence[Sidecar]
) -> str:
    """The card: front matter with one configuration per recipe, counts, fields, licences, quarantine."""
    reasons = Counter(hole.reason for sidecar in sidecars for hole in sidecar.holes)
    filled = [sidecar.shard.name for sidecar in sidecars if sidecar.count]
    return "\n".join(
        (
            "---",
            _front_matter(manifest, streams, filled).rstrip(),
            "---",
            f"\n# {manifest.name}\n",
            "Paired images for image-to-image translation, made by pairbridge. Every sample is a function of",
            f"the configuration in `dataset.json` and seed {manifest.seed}; `meta.json` says from what.\n",
            "## Samples\n",
            *_table(
                ("recipe", "kind", "split", "pairs", "planned", "quarantined", "shards"),
                [
                    (
                        status.recipe,
                        manifest.recipes[status.recipe].kind,
                        status.split,
                        status.pairs_made,
                        status.pairs_planned,
                        status.holes,
                        f"{status.shards_committed} of {status.shards_planned}",
                    )
                    for status in streams
                ],
            ),
            "",
            *(line for item in manifest.recipes.items() for line in _recipe_section(*item)),
            "## Use\n",
            "```python",
            "from datasets import load_dataset",
            f'load_dataset("path/to/{manifest.name}", "{streams[0].recipe}", split="{streams[0].split}")',
            "```\n",
            "`pairbridge verify` proves from this folder alone that every planned sample is here or in",
            "`quarantine.jsonl` with a reason.\n",
            "## Licences\n",
            _licence_text(manifest),
            "",
            *_table(("licence", "author", "assets"), _licence_rows(manifest)),
            "",
            *_models_section(manifest),
            *_gates_section(sidecars),
            *_quarantine_section(reasons),
        )
    )


def strictest_licence(licences: Sequence[str]) -> str | None:
    """The strictest of `licences`, or None if one of them is not a licence this project can rank."""
    ranks = list(_LICENCES)
    if not licences or not set(licences) <= set(ranks):
        return None
    return max(licences, key=ranks.index)


def data_files_glob(split: str, recipe: str) -> str:
    """Shards of one recipe and split; `*` would also take in a recipe whose id continues this one's."""
    return f"shards/{split}-{recipe}-{'?' * 6}.tar"


def _front_matter(manifest: DatasetManifest, streams: Sequence[StreamStatus], filled: Sequence[str]) -> str:
    strictest = strictest_licence([asset.licence for asset in manifest.assets])
    made = sum(status.pairs_made for status in streams)
    front = {
        "license": _LICENCES[strictest] if strictest else "other",
        "task_categories": ["image-to-image"],
        "size_categories": [next((name for limit, name in _SIZES if made < limit), "n>10M")],
        "tags": ["webdataset", "image", "paired", "pairbridge"],
        "configs": [
            {
                "config_name": recipe_id,
                "data_files": [
                    {"split": status.split, "path": _data_files(status, filled)}
                    for status in streams
                    if status.recipe == recipe_id and status.pairs_made
                ],
            }
            for recipe_id in manifest.recipes
            if any(status.recipe == recipe_id and status.pairs_made for status in streams)
        ],
    }
    buffer = io.StringIO()
    yaml = YAML()
    yaml.width = 1000
    yaml.dump(front, buffer)
    return buffer.getvalue()


def _data_files(status: StreamStatus, filled: Sequence[str]) -> str | list[str]:
    """One glob, or the shards by name where some are empty: the Hub's reader takes the columns from the first
    shard and fails if that holds no sample."""
    pattern = data_files_glob(status.split, status.recipe)
    shards = [f"shards/{name}.tar" for name in sorted(filled)]
    ours = [path for path in shards if PurePosixPath(path).match(pattern)]
    return pattern if len(ours) == status.shards_committed else ours


def _recipe_section(recipe_id: str, recipe: RecipeEntry) -> list[str]:
    fields = _table(
        ("file", "content"), [(f"`{name}`", text) for name, text in sorted(recipe.fields.items())]
    )
    derived = (
        []
        if "source.png" in recipe.fields
        else [
            "\nThe source is not stored: it is the target with the masked region replaced by uniform noise,",
            "seeded by the sample's `meta.json`.",
        ]
    )
    return [f"## Recipe `{recipe_id}` ({recipe.kind})\n", *fields, *derived, ""]


def _licence_text(manifest: DatasetManifest) -> str:
    strictest = strictest_licence([asset.licence for asset in manifest.assets])
    if strictest:
        return f"The strictest licence among the assets is {strictest}; treat the dataset as under its terms."
    others = ", ".join(sorted({asset.licence for asset in manifest.assets} - set(_LICENCES)))
    return f"Check before you redistribute: these terms could not be ranked: {others or 'none stated'}."


def _licence_rows(manifest: DatasetManifest) -> list[tuple[str, str, int]]:
    counts = Counter((asset.licence, asset.author) for asset in manifest.assets)
    return [(licence, author, count) for (licence, author), count in sorted(counts.items())]


def _models_section(manifest: DatasetManifest) -> list[str]:
    """Models had a part in sources and masks alone; still, whoever uses those asks for their terms."""
    rows = model_terms(manifest.config["recipes"].values())
    if not rows:
        return []
    return ["Models that masks and relit foregrounds come from:\n", *_table(("model", "terms"), rows), ""]


def _gates_section(sidecars: Sequence[Sidecar]) -> list[str]:
    counts = rejection_counts(sidecars)
    if not counts:
        return []
    rows = [(recipe, gate, count) for (recipe, gate), count in sorted(counts.items())]
    return [
        "## Quality gates\n",
        "Draws that were refused; their pairs were drawn again, each with a seed of its own.\n",
        *_table(("recipe", "gate", "draws refused"), rows),
        "",
    ]


def _quarantine_section(hole_reasons: Counter[str]) -> list[str]:
    if not hole_reasons:
        return ["No sample is in quarantine.", ""]
    rows = sorted(
        ((count, reason) for reason, count in hole_reasons.items()), key=lambda row: (-row[0], row[1])
    )
    return ["## Quarantine\n", *_table(("samples", "reason"), rows), ""]


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(_cell(value) for value in line) + " |" for line in lines]


def _cell(value: object) -> str:
    # Reasons and authors are free text; a bar or a line break would end the row.
    return " ".join(str(value).split()).replace("|", "\\|")
