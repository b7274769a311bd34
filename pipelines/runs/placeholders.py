"""What in a run took the place of a learned model or of real data, read from the samples themselves."""

import re
from typing import Any

from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.models.provenance import STAND_IN
from pairbridge.datagen.shards.reader import open_shards
from pairbridge.datagen.shards.sample import decode_meta
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.runs.run_config import Run

_MARKED = re.compile(r"([\w.-]+)" + re.escape(STAND_IN))
_NAMES = {"grabcut": "GrabCut", "colour-transfer": "colour transfer"}
_ROLES = {"mask_source": "masks", "relighter": "relit foregrounds"}


def stand_ins(run: Run) -> list[dict[str, Any]]:
    """One entry each: `what` took its place, `part` of the data it made, in which `recipes`, and what to
    `read` into figures that rest on it."""
    manifest = DatasetManifest.from_folder(run.dataset_dir)
    made: dict[tuple[str, str], set[str]] = {}
    photographs: set[str] = set()
    embedded = _embedded_photographs(run)
    for recipe, entry in manifest.recipes.items():
        for split in entry.splits:
            for meta in _first_metas(run, recipe, split):
                photographs |= {recipe} if any(asset["id"] in embedded for asset in meta["assets"]) else set()
                for field, part in _ROLES.items():
                    for name in _MARKED.findall(str(meta.get(field, ""))):
                        made.setdefault((name, part), set()).add(recipe)
    found = [
        {
            "what": _NAMES.get(what, what),
            "part": part,
            "recipes": sorted(recipes),
            "read": "replaced by the learned model once weights are configured",
        }
        for (what, part), recipes in sorted(made.items())
    ]
    if photographs:
        found.append(
            {
                "what": f"{len(embedded)} photographs that come with scikit-image",
                "part": "photographs",
                "recipes": sorted(photographs),
                "read": "metrics on them are a smoke test: they show that the code runs, not its quality",
            }
        )
    if run.training.autoencoder.kind == "haar":
        found.append(
            {
                "what": f"orthonormal Haar transform, {run.training.autoencoder.levels} levels",
                "part": "autoencoder",
                "recipes": sorted({source.recipe for source in run.mix.sources}),
                "read": "needs no weights; a trained autoencoder makes the task easier",
            }
        )
    return found


def _first_metas(run: Run, recipe: str, split: str) -> list[dict[str, Any]]:
    """`meta.json` of the first sample of every shard: a recipe names its tools alike in all samples."""
    return [
        decode_meta(shard.key(0), shard.read(0)["meta.json"])
        for shard in open_shards(run.dataset_dir, recipe, split)
        if len(shard)
    ]


def _embedded_photographs(run: Run) -> set[str]:
    """Ids of the photographs that every installation has."""
    if not run.dataset.assets.embedded:
        return set()
    alone = run.dataset.assets.model_copy(update={"objects": (), "hdris": (), "photos": ()})
    return {asset.id for asset in build_catalogue(alone, None).assets if asset.kind == "photo"}
