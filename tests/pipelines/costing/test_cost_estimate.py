"""What a dataset will take, reckoned from a few groups: the arithmetic on costs that are known, and the whole
on a tiny dataset.
"""

import dataclasses
import json

import numpy as np
import pytest

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.costing import cost_estimate
from pairbridge.pipelines.costing.cost_estimate import (
    Cluster,
    Prices,
    estimate_cost,
    resampled,
    worker_seconds,
)
from pairbridge.pipelines.costing.cost_measuring import (
    GroupSampler,
    MeasuredGroup,
    Measurements,
    PlannedGroup,
    measure,
    planned_groups,
    spread_indices,
)
from pairbridge.pipelines.workers.pools import Pool
from pairbridge.pipelines.workers.worker import GroupOutcome
from tests.support.tiny_rendered import lobed_sphere, pin, tiny_config, write_assets

DRAWN_AGAIN = 0.15  # of the groups, and then they cost twice
SIZES = {"budgets": {32: 0.5, 64: 0.3, 128: 0.2}, "aspect": [0.5, 2.0]}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> DatasetConfig:
    """Two recipes; objects whose files differ by a factor of thirty."""
    assets = tmp_path_factory.mktemp("cost") / "assets"
    write_assets(assets)
    heavy = assets / "objects" / "heavy.obj"
    heavy.write_text(lobed_sphere(5) + "# " + "x" * 300_000)
    pin(heavy.parent, ["heavy"])
    content = tiny_config(assets, groups=80, sizes=SIZES, standing=0.5).model_dump(mode="json")
    content["recipes"]["plain"] = {"kind": "relighting_swap", "groups": {"train": 180}, "size_WH": [64, 64]}
    return DatasetConfig.model_validate(content)


@pytest.fixture(scope="module")
def plan(config: DatasetConfig) -> DatasetPlan:
    return plan_of(config, seed=3)


def plan_of(config: DatasetConfig, seed: int) -> DatasetPlan:
    config = config.model_copy(update={"seed": seed})
    return make_plan(config, build_catalogue(config.assets, None))


def population_of(plan: DatasetPlan) -> tuple[PlannedGroup, ...]:
    return tuple(group for recipe in plan.recipes for group in planned_groups(plan, recipe))


def object_mb(plan: DatasetPlan, group: PlannedGroup) -> float:
    ids = {entry["id"].partition(":")[0] for entry in group.spec.params["objects"]}
    paths = (plan.catalogue.get(asset_id).path for asset_id in ids)
    return sum(path.stat().st_size for path in paths if path) / 1e6


def true_seconds(plan: DatasetPlan, group: PlannedGroup) -> float:
    base = {"swap": 0.4, "plain": 0.9}[group.recipe]
    ground = 2.0 if group.spec.params.get("ground") else 1.0
    return base + 60 * ground * group.pixels / 1e6 + 4.0 * object_mb(plan, group)


def known_measurements(plan: DatasetPlan, seed: int, count: int) -> tuple[MeasuredGroup, ...]:
    """Groups as the sampler picks them, at the known law with a third of noise on top."""
    sampler, draw = GroupSampler(population_of(plan)), rng(seed, "noise")
    found: list[MeasuredGroup] = []
    for _ in range(count):
        group = sampler.next(1e9)
        making = true_seconds(plan, group) * draw.lognormal(-0.045, 0.3)
        making *= 1 + int(draw.random() < DRAWN_AGAIN)
        load = 0.2 + 1.5 * (not found)
        sampler.measured(group, making + load)
        pairs = len(group.spec.keys)
        outcome = GroupOutcome(
            num_pairs=pairs, num_bytes=1000, wall_s=making + load, phase_s={"load": load}, rss_mib=0
        )
        found.append(MeasuredGroup(group, outcome, making + load, new_photos=0, first=not found))
    return tuple(found)


def test_any_beginning_of_the_order_is_spread_over_the_shares() -> None:
    shares = np.array([1.0] * 90 + [10.0] * 10)  # the last ten hold 53 %
    order = spread_indices(shares)
    assert sorted(order) == list(range(100))
    dear = sum(index >= 90 for index in order[:16])
    assert 7 <= dear <= 10
    assert np.ptp([index for index in order[:8] if index < 90]) > 40


def test_measured_groups_represent_the_run(plan) -> None:
    population = population_of(plan)
    assert sum(group.share for group in population) == pytest.approx(plan.num_groups)
    assert len({group.spec.keys for group in population}) == len(population)
    measured = known_measurements(plan, 0, 30)
    assert len({each.group.spec.keys for each in measured}) == 30
    assert max(object_mb(plan, each.group) for each in measured) > 0.2, "the heavy file was not met"
    assert {each.group.recipe for each in measured} == {"swap", "plain"}


def test_the_total_of_unequal_groups_is_foretold_from_forty_of_them(config) -> None:
    errors, inside = [], 0
    for seed in range(5):
        plan = plan_of(config, seed)
        population, measured = population_of(plan), known_measurements(plan, seed, 40)
        made = sum(worker_seconds(population, measured, 2).values())
        truth = sum(true_seconds(plan, group) * (1 + DRAWN_AGAIN) + 0.2 for group in population) + 2 * 1.5
        errors.append(made / truth - 1)
        again = [sum(worker_seconds(population, each, 2).values()) for each in resampled(measured)]
        inside += abs(errors[-1]) < 1.7 * np.std(again) / made + 0.05
    assert np.abs(errors).max() < 0.2, errors
    assert abs(np.mean(errors)) < 0.08, errors
    assert inside >= 4, errors


def test_a_photograph_is_cut_out_once_by_each_worker(plan) -> None:
    (group, *_), outcome = population_of(plan), GroupOutcome(wall_s=5.0, phase_s={"cut out": 3.0}, rss_mib=0)
    groups = [dataclasses.replace(group, share=100.0, photos=frozenset({"cat"}))]
    measured = [MeasuredGroup(groups[0], outcome, 2.0, new_photos=1, first=False)]
    alone, together = (worker_seconds(groups, measured, workers) for workers in (1, 10))
    assert alone == {group.recipe: pytest.approx(100 * 2.0 + 3.0)}
    assert together == {group.recipe: pytest.approx(100 * 2.0 + 10 * 3.0, rel=1e-3)}


def sites_of(plan: DatasetPlan, cluster: Cluster | None, prices: Prices, gpus: float = 0.0):
    pool = Pool(name="all", workers=2, cpus=2, gpus=gpus, resources={}, spread=False)
    found = Measurements(
        plan=plan,
        population=population_of(plan),
        groups=known_measurements(plan, 1, 40),
        pools=(pool,),
        offered={"CPU": 4.0, "GPU": 1.0},
        before_s=6.0,
        took_s=60.0,
    )
    return estimate_cost(found, cluster, prices)["sites"]


def test_a_cluster_is_filled_with_workers_and_paid_by_the_hour(plan) -> None:
    prices = Prices(node_hour=3.0, core_hour=0.01, gpu_hour=2.0)
    here, there = sites_of(plan, Cluster(nodes=8, cpus=10, gpus=1), prices)
    assert (here["workers"], there["workers"]) == (2, 8 * 5)
    made_here, made_there = here["wall_s"] - 6.0, there["wall_s"] - 6.0
    # Twenty times the workers: each of them starts a Blender of its own and reads lightings of its own.
    assert 10 < made_here / made_there < 20
    hours = there["wall_s"] / 3600
    assert there["cost"] == pytest.approx(hours * 8 * (3.0 + 10 * 0.01 + 2.0))
    assert there["core_hours"] == pytest.approx(hours * 80)
    assert there["wall_s_low"] < there["wall_s"] < there["wall_s_high"]
    # A worker that needs half a GPU: two of them to a machine, however many cores it has.
    _, there = sites_of(plan, Cluster(nodes=8, cpus=10, gpus=1), Prices(), gpus=0.5)
    assert (there["workers"], there["cost"]) == (16, None)
    with pytest.raises(ConfigError, match="a machine of the cluster has 1"):
        sites_of(plan, Cluster(nodes=8, cpus=1), prices)


def test_workers_without_end_wait_for_the_driver(plan, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(nodes=1000, cpus=10, gpus=1)
    _, kept_up = sites_of(plan, cluster, Prices())
    monkeypatch.setattr(cost_estimate, "DRIVER_GROUPS_PER_S", 2)
    _, held_up = sites_of(plan, cluster, Prices())
    assert kept_up["wall_s"] < 6.0 + plan.num_groups / 2
    assert held_up["wall_s"] == held_up["wall_s_high"] == pytest.approx(6.0 + plan.num_groups / 2, rel=1e-3)
    monkeypatch.setattr(cost_estimate, "COMMITTER_BYTES_PER_S", 10)
    _, committing = sites_of(plan, cluster, Prices())
    assert committing["wall_s"] > held_up["wall_s"] + 10
    # A hundred workers have one committer, ten thousand have sixteen.
    _, fewer = sites_of(plan, Cluster(nodes=10, cpus=10, gpus=1), Prices())
    assert fewer["wall_s"] - 6.0 == pytest.approx(16 * (committing["wall_s"] - 6.0), rel=1e-3)


@pytest.mark.render
def test_a_tiny_dataset_is_measured_and_nothing_of_it_is_left(tmp_path, ray_address, monkeypatch) -> None:
    write_assets(tmp_path / "assets")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    config = tiny_config(tmp_path / "assets", groups=8)
    # It ends once as many groups are measured as there are.
    found = measure(config, workers=2, address=None, seconds=300.0)
    estimate = estimate_cost(found, None, Prices())
    assert not list((tmp_path / "temporary").iterdir())
    assert (estimate["pairs"], estimate["groups"], estimate["shards"]) == (16, 8, 3)
    assert estimate["measured_groups"] == 8
    (site,) = estimate["sites"]
    in_groups_s = sum(each.seconds for each in found.groups)
    assert site["wall_s"] == pytest.approx(in_groups_s / 2 + found.before_s, rel=0.5)
    assert site["pairs_per_hour"] == pytest.approx(16 / site["wall_s"] * 3600)
    written = sum(each.outcome.num_bytes for each in found.groups)
    assert estimate["gigabytes"] * 1e9 == pytest.approx(written, rel=0.2)
    assert json.loads(json.dumps(estimate))["sites"][0]["workers"] == 2
