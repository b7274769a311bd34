"""The driver with many workers and pairs, in virtual time: it keeps up, and keeps nothing that is done."""

import tracemalloc

import pytest

from benchmarks.driver_simulation import Simulated, simulate
from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from tests.pipelines.shelves.staged_plan import ASSETS


def plan_of(groups: int) -> DatasetPlan:
    recipe = {"kind": "relighting_swap", "groups": {"train": groups}, "pairs_per_group": 4}
    config = {
        "name": "many",
        "groups_per_shard": 20,
        "recipes": {"swap": recipe | {"lightings_per_group": 4}},
    }
    return make_plan(DatasetConfig.model_validate(config), Catalogue(ASSETS))


@pytest.fixture
def run(tmp_path):
    def run(groups: int, **options: float) -> Simulated:
        return simulate(plan_of(groups), tmp_path, **{"workers": 50, "group_s": 1.0, **options})

    return run


def test_every_group_of_the_plan_is_made_once_and_workers_are_kept_busy(run) -> None:
    done = run(5000, workers=200)
    assert (done.groups, done.pairs) == (5000, 20_000)
    # 25 groups each of log-normal times: what is lost is the end, when some have nothing left.
    assert 0.75 < done.workers_busy <= 1
    assert done.virtual_s == pytest.approx(25, rel=0.3)
    assert done.driver_busy < 0.3


def test_a_driver_that_is_too_slow_lets_its_workers_wait(run) -> None:
    # Two hundred workers want 200 groups a second; at 20 ms a hand-out the driver gives them 50.
    slow = run(2000, workers=200, call_s=0.02)
    assert slow.groups_per_s == pytest.approx(50, rel=0.1)
    assert slow.driver_busy > 0.9
    assert slow.workers_busy < 0.35


def test_memory_does_not_grow_with_the_number_of_pairs(run) -> None:
    run(200)  # what is loaded once
    few, many = 500, 4000
    peaks = []
    for groups in (few, many):
        tracemalloc.start()
        peaks.append(run(groups).peak_mib * 2**20)
        tracemalloc.stop()
    # Keeping as little as a group's number would take 60 bytes of it. pydantic keeps the last 16,384 strings
    # that it read, which are names of shards: some 10 bytes a group, and no more once they are all taken.
    assert peaks[1] - peaks[0] < 20 * (many - few), peaks
