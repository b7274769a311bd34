"""README.md of a dataset: a card with Hugging Face front matter, derived from dataset.json and the sidecars
alone; croissant.json beside it."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from pairbridge.datagen.assets.licences import hub_licence, strictest_licence, unknown_licences
from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.dataset.croissant import CROISSANT_NAME, croissant_json
from pairbridge.datagen.dataset.manifest import DatasetManifest, RecipeEntry
from pairbridge.datagen.dataset.verify import StreamStatus, stream_counts
from pairbridge.datagen.models.weights.model_terms import model_terms
from pairbridge.datagen.shards.commit import rejection_counts
from pairbridge.datagen.shards.fields import FieldSpec, HoleContent
from pairbridge.datagen.shards.indexed_shard import IndexedShard
from pairbridge.datagen.shards.shard_index import ShardIndex

_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
)


def write_card(dataset_dir: Path) -> None:
    """Write README.md and croissant.json for what is committed now. Raises ShardError if dataset.json or a
    sidecar is unusable."""
    manifest = DatasetManifest.from_folder(dataset_dir)
    shards = list(ShardIndex(dataset_dir / "shards"))
    text = dataset_card(manifest, stream_counts(manifest, shards), shards)
    write_atomically(dataset_dir / CROISSANT_NAME, [croissant_json(manifest, shards)])
    write_atomically(dataset_dir / "README.md", [text.encode()])


def dataset_card(
    manifest: DatasetManifest, streams: Sequence[StreamStatus], shards: Sequence[IndexedShard]
) -> str:
    """The card: front matter with one configuration per recipe, counts, fields, licences, quarantine."""
    reasons = Counter(hole.reason for shard in shards for hole in shard.holes)
    filled = [shard.name for shard in shards if shard.count]
    return "\n".join(
        (
            *front_matter(
                manifest,
                sum(status.pairs_made for status in streams),
                tags=["webdataset", "image", "paired", "pairbridge"],
                configs=_configs(manifest, streams, filled),
            ),
            f"\n# {manifest.name}\n",
            *_origin(manifest),
            "## Samples\n",
            *table(
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
            *licence_section(manifest),
            *_gates_section(shards),
            *_quarantine_section(reasons),
        )
    )


def _origin(manifest: DatasetManifest) -> list[str]:
    lead = "Paired images for image-to-image translation, made by pairbridge. Every sample is a function of"
    if not manifest.parts:
        of = f"the configuration in `dataset.json` and seed {manifest.seed}; `meta.json` says from what.\n"
        return [lead, of]
    rows = [(part.name, part.seed, ", ".join(part.recipes), part.plan_digest[:12]) for part in manifest.parts]
    return [
        lead,
        "its part's configuration and seed, both in `dataset.json`; `meta.json` says from what.\n",
        *table(("merged from", "seed", "recipes", "plan"), rows),
        "",
    ]


def data_files_glob(split: str, recipe: str) -> str:
    """Shards of one recipe and split; `*` would also take in a recipe whose id continues this one's."""
    return f"shards/{split}-{recipe}-{'?' * 6}.tar"


def front_matter(manifest: DatasetManifest, num_pairs: int, **more: Any) -> list[str]:
    """The YAML head of a card, fences included: licence, task, size, and whatever `more` adds to it."""
    strictest = strictest_licence(asset.licence for asset in manifest.assets)
    front = {
        "license": hub_licence(strictest),
        "task_categories": ["image-to-image"],
        "size_categories": [next((name for limit, name in _SIZES if num_pairs < limit), "n>10M")],
        **more,
    }
    return ["---", as_yaml(front).rstrip(), "---"]


def as_yaml(value: Any) -> str:
    """Block style, without folded lines."""
    buffer = io.StringIO()
    yaml = YAML()
    yaml.width = 1000
    yaml.dump(value, buffer)
    return buffer.getvalue()


def licence_section(manifest: DatasetManifest) -> list[str]:
    """What terms the assets come to, who made them, and the terms of the models that had a part in it."""
    counts = Counter((asset.licence, asset.author) for asset in manifest.assets)
    rows = [(licence, author, count) for (licence, author), count in sorted(counts.items())]
    return [
        "## Licences\n",
        _licence_text(manifest),
        "",
        *table(("licence", "author", "assets"), rows),
        "",
        *_models_section(manifest),
    ]


def _configs(
    manifest: DatasetManifest, streams: Sequence[StreamStatus], filled: Sequence[str]
) -> list[dict[str, Any]]:
    return [
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
    ]


def _data_files(status: StreamStatus, filled: Sequence[str]) -> str | list[str]:
    """One glob, or the shards by name where some are empty: the Hub's reader takes the columns from the first
    shard and fails if that holds no sample."""
    pattern = data_files_glob(status.split, status.recipe)
    shards = [f"shards/{name}.tar" for name in sorted(filled)]
    ours = [path for path in shards if PurePosixPath(path).match(pattern)]
    return pattern if len(ours) == status.shards_committed else ours


def _recipe_section(recipe_id: str, recipe: RecipeEntry) -> list[str]:
    fields = field_table(recipe.fields)
    roles = recipe.roles
    given = ", ".join(
        [
            f"source `{roles.source}`, target `{roles.target}`",
            *(f"`{field}`" for field in roles.conditions.values()),
        ]
    )
    derived = [f"\nBy default: {given}."]
    if roles.hole is HoleContent.NOISE:
        derived += [
            "Readers replace what the mask covers of the source by uniform noise, seeded by the sample's",
            "`meta.json`.",
        ]
    elif roles.hole is HoleContent.SMOOTH:
        derived.append("Readers fill what the mask covers of the source smoothly from its surroundings.")
    return [f"## Recipe `{recipe_id}` ({recipe.kind})\n", *fields, *derived, ""]


def _licence_text(manifest: DatasetManifest) -> str:
    strictest = strictest_licence(asset.licence for asset in manifest.assets)
    if strictest:
        return f"The strictest licence among the assets is {strictest}; treat the dataset as under its terms."
    others = ", ".join(unknown_licences(asset.licence for asset in manifest.assets))
    return f"Check before you redistribute: these terms could not be ranked: {others or 'none stated'}."


def _models_section(manifest: DatasetManifest) -> list[str]:
    """Models had a part in sources and masks alone; still, whoever uses those asks for their terms."""
    rows = model_terms(manifest.config["recipes"].values())
    if not rows:
        return []
    return ["Models that masks and relit foregrounds come from:\n", *table(("model", "terms"), rows), ""]


def _gates_section(shards: Sequence[IndexedShard]) -> list[str]:
    counts = rejection_counts(shards)
    if not counts:
        return []
    rows = [(recipe, gate, count) for (recipe, gate), count in sorted(counts.items())]
    return [
        "## Quality gates\n",
        "Draws that were refused; their pairs were drawn again, each with a seed of its own.\n",
        *table(("recipe", "gate", "draws refused"), rows),
        "",
    ]


def _quarantine_section(hole_reasons: Counter[str]) -> list[str]:
    if not hole_reasons:
        return ["No sample is in quarantine.", ""]
    rows = sorted(
        ((count, reason) for reason, count in hole_reasons.items()), key=lambda row: (-row[0], row[1])
    )
    return ["## Quarantine\n", *table(("samples", "reason"), rows), ""]


def field_table(fields: Mapping[str, FieldSpec]) -> list[str]:
    """Lines of a Markdown table of fields by file name: kind, what a value is, and what it shows."""
    return table(
        ("file", "kind", "values", "content"),
        [(f"`{name}`", spec.kind, values_of(spec), spec.shows) for name, spec in sorted(fields.items())],
    )


def values_of(spec: FieldSpec) -> str:
    """A pixel's values in words, such as `uint8 x 3, srgb`."""
    if spec.dtype is None:
        return spec.encoding
    return f"{spec.dtype} x {spec.channels}, {spec.encoding}" + (f", {spec.unit}" if spec.unit else "")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(_cell(value) for value in line) + " |" for line in lines]


def _cell(value: object) -> str:
    # Reasons and authors are free text; a bar or a line break would end the row.
    return " ".join(str(value).split()).replace("|", "\\|")
