"""What a dataset will take, reckoned from a few groups: the arithmetic on costs that are known, and the whole
on a tiny dataset.
"""

import json

import numpy as np
import pytest

from pairbridge.datagen.assets.sources import build_catalogue
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from pairbridge.pipelines.costing import cost as bill
from pairbridge.pipelines.costing.cost import Cluster, Prices, make_bill
from pairbridge.pipelines.costing.cost_estimate import work_of
from pairbridge.pipelines.costing.cost_features import Features, later_group
from pairbridge.pipelines.costing.cost_measuring import Measured, Measurements, measure
from pairbridge.pipelines.costing.group_sampling import Sampler, spread_indices
from pairbridge.pipelines.workers.pools import Pool
from tests.support.tiny_rendered import lobed_sphere, pin, tiny_config, write_assets

DRAWN_AGAIN = 0.15  # of the groups, and then they cost twice
SIZES = {"budgets": {32: 0.5, 64: 0.3, 128: 0.2}, "aspect": [0.5, 2.0]}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> DatasetConfig:
    """Two recipes; objects whose files differ by a factor of thirty."""
    assets = tmp_path_factory.mktemp("bill") / "assets"
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


def true_seconds(group: Features) -> float:
    base = {"swap": 0.4, "plain": 0.9}[group.recipe]
    return base + 60 * group.load + 4.0 * group.total_mb


def known_measurements(plan: DatasetPlan, seed: int, count: int) -> tuple[Measured, ...]:
    """Groups as the sampler picks them, at the known law with a third of noise on top."""
    sampler, draw = Sampler(plan, frozenset(plan.recipes)), rng(seed, "noise")
    found: list[Measured] = []
    seen: set[tuple[str, str]] = set()
    for _ in range(count):
        candidate = sampler.next(1e9)
        known = candidate.features
        new = tuple(each for each in known.read_once if each not in seen)
        seen.update(new)
        making = true_seconds(known) * draw.lognormal(-0.045, 0.3)
        again = int(draw.random() < DRAWN_AGAIN)
        making *= 1 + again
        reading = 0.2 * len(new) + 1.5 * (not found)
        sampler.measured(candidate, making + reading)
        found.append(
            Measured(
                draws=(known,) * (1 + again),
                weight=candidate.weight,
                seconds=making + reading,
                reading_s=reading,
                pairs=known.pairs,
                holes=0,
                num_bytes=1000,
                new=new,
                first_of_worker=not found,
            )
        )
    return tuple(found)


def test_any_beginning_of_the_order_is_spread_over_the_shares() -> None:
    shares = np.array([1.0] * 90 + [10.0] * 10)  # the last ten hold 53 %
    order = spread_indices(shares)
    assert sorted(order) == list(range(100))
    dear = sum(index >= 90 for index in order[:16])
    assert 7 <= dear <= 10
    assert np.ptp([index for index in order[:8] if index < 90]) > 40


def test_measured_groups_are_not_those_of_the_run(plan) -> None:
    (stream, *_) = plan.streams
    made = {json.dumps(plan.group(stream, group).params) for group in range(stream.num_groups)}
    later = [later_group(plan, stream, number) for number in range(50)]
    assert not made & {json.dumps(spec.params) for spec in later}
    measured = known_measurements(plan, 0, 30)
    assert max(each.draws[0].total_mb for each in measured) > 0.2, "the heavy file was not met"
    assert {each.recipe for each in measured} == {"swap", "plain"}


def test_the_total_of_unequal_groups_is_foretold_from_forty_of_them(config) -> None:
    errors, inside = [], 0
    for seed in range(5):
        plan = plan_of(config, seed)
        work = work_of(plan, frozenset(plan.recipes), known_measurements(plan, seed, 40), 500)
        made = sum(work.worker_seconds(2).values())
        truth = sum(true_seconds(each.features) for groups in work.groups.values() for each in groups)
        truth *= 1 + DRAWN_AGAIN
        errors.append(made / truth - 1)
        inside += abs(errors[-1]) < 1.7 * work.relative_error(2) + 0.05
    assert np.abs(errors).max() < 0.2, errors
    assert abs(np.mean(errors)) < 0.08, errors
    assert inside >= 4, errors


def site_of(plan: DatasetPlan, cluster: Cluster | None, prices: Prices, gpus: float = 0.0):
    pool = Pool(name="all", workers=2, cpus=2, gpus=gpus, resources={}, spread=False)
    found = Measurements(
        plan=plan,
        groups=known_measurements(plan, 1, 40),
        unfinished=0,
        pools=(pool,),
        cpus=4,
        gpus=1.0,
        plan_s=1.0,
        bake_s={},
        start_s=5.0,
        took_s=60.0,
    )
    return make_bill(found, plan.config, cluster, prices).sites


def test_a_cluster_is_filled_with_workers_and_paid_by_the_hour(plan) -> None:
    prices = Prices(node_hour=3.0, core_hour=0.01, gpu_hour=2.0)
    here, there = site_of(plan, Cluster(nodes=8, cpus=10, gpus=1), prices)
    assert (here.workers, there.workers) == (2, 8 * 5)
    made_here, made_there = here.wall_s - 6.0, there.wall_s - 6.0
    # Twenty times the workers: each of them starts a Blender of its own and reads lightings of its own.
    assert 10 < made_here / made_there < 20
    hours = there.wall_s / 3600
    assert there.cost == pytest.approx(hours * 8 * (3.0 + 10 * 0.01 + 2.0))
    assert there.core_hours == pytest.approx(hours * 80)
    assert there.wall_s_low < there.wall_s < there.wall_s_high
    # A worker that needs half a GPU: two of them to a machine, however many cores it has.
    _, there = site_of(plan, Cluster(nodes=8, cpus=10, gpus=1), Prices(), gpus=0.5)
    assert (there.workers, there.cost) == (16, None)
    with pytest.raises(ConfigError, match="a machine of the cluster has 1"):
        site_of(plan, Cluster(nodes=8, cpus=1), prices)


def test_workers_without_end_wait_for_the_driver(plan, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(nodes=1000, cpus=10, gpus=1)
    _, kept_up = site_of(plan, cluster, Prices())
    monkeypatch.setattr(bill, "DRIVER_GROUPS_PER_S", 2)
    _, held_up = site_of(plan, cluster, Prices())
    assert kept_up.wall_s < 6.0 + plan.num_groups / 2
    assert held_up.wall_s == held_up.wall_s_high == 6.0 + plan.num_groups / 2


@pytest.mark.render
def test_a_tiny_dataset_is_measured_and_nothing_of_it_is_left(tmp_path, ray_address, monkeypatch) -> None:
    write_assets(tmp_path / "assets")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    config = tiny_config(tmp_path / "assets", groups=8)
    # It ends once as many groups are measured as there are.
    found = measure(config, workers=2, address=None, seconds=300.0)
    bill = make_bill(found, config, None, Prices())
    assert not list((tmp_path / "temporary").iterdir())
    assert (bill.pairs, bill.groups, bill.shards) == (16, 8, 3)
    assert (bill.measured_groups, bill.unfinished_groups) == (8, 0)
    (site,) = bill.sites
    in_groups_s = sum(each.seconds for each in found.groups)
    assert site.wall_s == pytest.approx(in_groups_s / 2 + found.start_s + found.plan_s, rel=0.5)
    assert site.pairs_per_hour == pytest.approx(16 / site.wall_s * 3600)
    assert bill.gigabytes * 1e9 == pytest.approx(sum(each.num_bytes for each in found.groups), rel=0.2)
    assert json.loads(json.dumps(bill.to_json()))["sites"][0]["workers"] == 2
