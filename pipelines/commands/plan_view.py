"""Plans, as tables on a terminal."""

import json
import shutil
from pathlib import Path

from rich.console import Console

from pairbridge.datagen.core.splits import SPLITS
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.manifest import MANIFEST_NAME
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.dataset.verify import dataset_status
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.shards.mirror import local_folder
from pairbridge.datagen.shards.object_store import ObjectStore, is_url
from pairbridge.pipelines.commands.tables import new_console, new_table, show_status
from pairbridge.pipelines.generation.open_plan import begun_dataset, plan_before_baking
from pairbridge.pipelines.generation.plan_summary import asset_counts, estimated_bytes, estimated_shard_bytes


def show_plan(plan: DatasetPlan, group: GroupSpec) -> None:
    """The whole of `pairbridge plan`."""
    console = new_console()
    config = plan.config
    console.print(f"dataset {config.name}, seed {config.seed}, {config.render.samples} samples a pixel")
    assets = new_table("assets", *SPLITS)
    for kind, of_splits in asset_counts(plan.catalogue).items():
        assets.add_row(kind, *map(str, of_splits))
    console.print(assets)
    _show_layout(plan, console)
    console.print(f"about {estimated_bytes(plan) / 1e6:,.0f} MB on disk")
    stream = group.stream
    console.print(
        f"\ngroup {stream.recipe_id}/{stream.split}/{group.group} makes {', '.join(group.keys)} from"
    )
    console.print_json(json.dumps(group.params))


def show_dry_run(config: DatasetConfig, out: str | Path) -> None:
    """What `generate` would do in `out`, a folder or an URL. Raises ConfigError if it holds a dataset of
    another config, StoreFailed if the store does not answer.
    """
    console = new_console()
    plan = plan_before_baking(config)
    _show_layout(plan, console)
    needed = f"about {estimated_bytes(plan) / 1e6:,.0f} MB are needed"
    if is_url(out):
        console.print(needed)
        begun = ObjectStore(str(out)).read(MANIFEST_NAME) is not None
    else:
        there = Path(out).absolute()
        while not there.exists():
            there = there.parent
        console.print(f"{needed}, {shutil.disk_usage(there).free / 1e6:,.0f} MB are free")
        begun = (out / MANIFEST_NAME).exists()
    if begun:
        folder = local_folder(out)
        begun_dataset(config, folder)
        console.print(f"{out} is there already; generate would go on from")
        show_status(dataset_status(folder))
    console.print("dry run: nothing was made")


def _show_layout(plan: DatasetPlan, console: Console) -> None:
    table = new_table("recipe", "kind", "split", "groups", "pairs", "shards", "MB each", left=3)
    for stream in plan.streams:
        numbers = (stream.num_groups, stream.num_pairs, stream.num_shards)
        expected = f"{estimated_shard_bytes(plan, stream) / 1e6:,.0f}"
        table.add_row(stream.recipe_id, stream.kind, stream.split, *map(str, numbers), expected)
    console.print(table)
    console.print(f"{plan.num_pairs} pairs of {plan.num_groups} groups")
