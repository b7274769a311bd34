"""Makes groups of a rendering recipe from a small config, for the tests of recipes."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.shards.sample import Pair
from pairbridge.datagen.sourcing.sources import build_catalogue


def plan_of(recipe: dict[str, Any], *, samples: int = 4, seed: int = 3, **assets: Any) -> DatasetPlan:
    """A dataset of one recipe called `it`."""
    config = DatasetConfig.model_validate(
        {
            "name": "tiny",
            "seed": seed,
            "assets": assets,
            "render": {"samples": samples},
            "recipes": {"it": recipe},
        }
    )
    return make_plan(config, build_catalogue(config.assets, None))


def make(plan: DatasetPlan, group: int, root: Path, *, threads: int = 1) -> list[Pair | Rejected]:
    """The pairs of one group of the plan's first stream."""
    return next(make_groups(plan, [group], root, threads=threads))


def make_groups(
    plan: DatasetPlan, groups: Iterable[int], root: Path, *, threads: int = 1
) -> Iterator[list[Pair | Rejected]]:
    """The pairs of each group, made in one workbench."""
    with Workbench(
        plan.config.workbench,
        plan.catalogue,
        scratch_dir=root / "scratch",
        threads=threads,
        log_path=root / "blender.log",
    ) as workbench:
        for group in groups:
            yield plan.recipes["it"].make(plan.group(plan.streams[0], group), workbench)
