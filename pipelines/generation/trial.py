"""Pairs of each kind that single files allow, on one page: within a minute, and without Ray."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pairbridge.datagen.assets.catalogue import Asset, AssetKind, AssetsConfig, Catalogue
from pairbridge.datagen.blender.interpreter import bpy_folder
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.manifest import build_manifest
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from pairbridge.datagen.shards.records import Hole
from pairbridge.datagen.shards.sample import Pair
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.pages.browsed_pairs import Browsed, PairStream, Quarantined
from pairbridge.pipelines.pages.dataset_page import write_dataset_page
from pairbridge.pipelines.workers.worker import GroupWorker, WorkOrder

_OF_PHOTOGRAPHS = frozenset({"photo_relighting", "photo_removal"})


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial made: `counts` are pairs by recipe, `refused` reasons by key of the pairs that are not
    there."""

    page: Path
    counts: dict[str, int]
    refused: dict[str, str]


def try_files(config: DatasetConfig, files: AssetsConfig, out: Path, *, threads: int) -> Trial:
    """Make the recipes of `config` that `files`, single files of one or several kinds, allow, and write a
    page of them as the folder `out`.

    Rendered recipes show the object of `files`, or the package's, under their environment map and some of the
    package's. Raises ConfigError if `out` is there and not empty or a file cannot
    be used, and what `GroupWorker.make_pairs` raises.
    """
    plan = _plan(config, files)
    with (
        TemporaryDirectory(prefix="pairbridge-try-") as folder,
        GroupWorker(WorkOrder(plan, Path(folder), Path(folder)), name="try", threads=threads) as worker,
    ):
        made = list(_made(worker, plan))
    streams = tuple(stream for stream, _ in made if stream.num_pairs)
    holes = tuple(hole for _, refused in made for hole in refused)
    names = [place.name for place in (*files.objects, *files.hdris, *files.photos)]
    browsed = Browsed(", ".join(names), streams, holes)
    write_dataset_page(browsed, out, limit=browsed.num_pairs, seed=config.seed)
    return Trial(
        out / "index.html",
        {stream.recipe: stream.num_pairs for stream in streams},
        {hole.key: hole.reason for hole in holes},
    )


def _plan(config: DatasetConfig, files: AssetsConfig) -> DatasetPlan:
    """Everything is on the train side: nothing is learned of a trial, so nothing can leak."""
    given = {"object": files.objects, "hdri": files.hdris, "photo": files.photos}
    everything = files.model_copy(update={"embedded": True})
    catalogue = build_catalogue(everything, None, bpy_folder=bpy_folder(config.render.python))
    for left in catalogue.left_out:
        raise ConfigError(
            f"{left.path} cannot be used: {left.reason}",
            consequence="there is nothing to make of it",
            remedy="mend the file, or try another one",
        )
    own = {kind: [a for a in catalogue.assets if a.path in places] for kind, places in given.items()}
    rendered = bool(own["object"] or (own["hdri"] and not own["photo"]))
    recipes = {
        name: recipe
        for name, recipe in config.recipes.items()
        if (own["photo"] if recipe.kind in _OF_PHOTOGRAPHS else rendered)
    }
    lightings = max(getattr(recipe, "lightings_per_group", 1) for recipe in recipes.values())
    hdris = [a for a in catalogue.assets if a.kind == "hdri" and a not in own["hdri"]]
    kept = [
        *own["object"],
        *([] if own["object"] else _of(catalogue.assets, "family")),
        *own["photo"],
        *own["hdri"],
        *hdris[: max(0, lightings - len(own["hdri"]))],
    ]
    chosen = config.model_copy(update={"recipes": recipes, "assets": files})
    return make_plan(chosen, Catalogue(tuple(replace(asset, split="train") for asset in kept)))


def _of(assets: Iterable[Asset], kind: AssetKind) -> list[Asset]:
    return [asset for asset in assets if asset.kind == kind]


def _made(worker: GroupWorker, plan: DatasetPlan) -> Iterator[tuple[PairStream, Sequence[Quarantined]]]:
    entries = build_manifest(plan).recipes
    for stream in plan.streams:
        outcomes = [
            outcome
            for group in range(stream.num_groups)
            for outcome in worker.make_pairs(plan.group(stream, group))[0]
        ]
        pairs = [outcome[1] for outcome in outcomes if not isinstance(outcome, Hole)]
        entry = entries[stream.recipe_id]
        yield (
            PairStream(
                recipe=stream.recipe_id,
                split=stream.split,
                read=_reader(pairs),
                keys=_namer(pairs),
                planned=len(outcomes),
                fields=entry.fields,
                roles=entry.roles,
                parts={"tried": len(pairs)},
            ),
            [
                Quarantined(key=hole.key, recipe=stream.recipe_id, split=stream.split, reason=hole.reason)
                for hole in outcomes
                if isinstance(hole, Hole)
            ],
        )


def _reader(pairs: list[Pair]) -> Callable[[str, int], Pair]:
    return lambda _, index: pairs[index]


def _namer(pairs: list[Pair]) -> Callable[[str], list[str]]:
    return lambda _: [pair["meta.json"]["key"] for pair in pairs]
