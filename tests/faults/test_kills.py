"""Kill -9 of workers, of their Blender and of the driver, at chosen points of real work: the finished files
are byte for byte those of an undisturbed run, and nothing is quarantined that was not before.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from faults import DRIVER_POINTS, WORKER_POINTS, Fault
from launching import SIGKILLED, promised

from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.pipelines.shelves.ledger import read_ledger
from tests.support.tiny_removal import removal_config
from tests.support.tiny_rendered import tiny_config

pytestmark = pytest.mark.render

SHARD_GROUPS = 3
# Groups of photographs have no phase of this name.
PHOTO_POINTS = tuple(point for point in WORKER_POINTS if point != "render")


def place_of(group: int, recipe: str = "swap") -> str:
    return f"train-{recipe}-{group // SHARD_GROUPS:06d} {group}"


def mixed_config(assets: Path, *, rendered: int, photographs: int) -> DatasetConfig:
    """So many groups of either kind. Were all of them rendered, most of the time would go into the Blender
    that every new worker starts.
    """
    config = tiny_config(assets, groups=rendered).model_dump(mode="json")
    photos = removal_config(assets / "photos", groups=photographs).model_dump(mode="json")
    config["assets"]["photos"] = photos["assets"]["photos"]
    config["recipes"] |= photos["recipes"]
    return DatasetConfig.model_validate(config)


def kills(
    seed: int, target: str, recipe: str, points: Sequence[str], groups: range, number: int
) -> list[Fault]:
    """`number` kills at distinct groups, every point about equally often, in an order drawn from `seed`."""
    draw = random.Random(seed)
    drawn = [points[index % len(points)] for index in range(number)]
    draw.shuffle(drawn)
    places = draw.sample(groups, number)
    return [Fault(target, point, place_of(group, recipe)) for point, group in zip(drawn, places, strict=True)]


def assert_undisturbed(launcher, out, calm) -> None:
    assert promised(out) == promised(calm), launcher.log(out)
    assert verify_dataset(out).ok
    assert not list(out.glob("staging/*"))
    assert not [path for path in out.rglob("*") if ".tmp-" in path.name]


def calm_run(config, tmp_path) -> Path:
    return generate(config, tmp_path / "calm", workers=1, on_progress=LogLines()).dataset_dir


def assert_all_hit_unfinished_work(launcher, out, faults) -> None:
    fired = launcher.fired(out)
    assert len(fired) == len(faults), launcher.log(out)
    assert all(marker["unfinished"] for marker in fired)


def run_until_done(launcher, config, out, faults) -> int:
    """How many drivers were killed before one finished."""
    for killed in range(len(faults) + 1):
        status = launcher.run(config, out, faults)
        if status == 0:
            return killed
        assert status == SIGKILLED, launcher.log(out)
    raise AssertionError(f"not finished after {len(faults)} kills:\n{launcher.log(out)}")


def test_a_few_kills_of_everything_change_no_byte(launcher, assets, tmp_path):
    config = tiny_config(assets, groups=6)
    faults = [
        Fault("worker", "render", place_of(0)),
        Fault("blender", "render", place_of(1)),
        Fault("worker", "staged part", place_of(4)),
        Fault("driver", "staging tar", place_of(2)),
        Fault("worker", "tar", "train-swap-000000"),
        Fault("worker", "ready", "train-swap-000001"),
        Fault("driver", "tar to sidecar", "train-swap-000001"),
    ]
    calm = calm_run(config, tmp_path)
    out = tmp_path / "rough"
    assert run_until_done(launcher, config, out, faults) == 2
    assert_all_hit_unfinished_work(launcher, out, faults)
    assert_undisturbed(launcher, out, calm)


@pytest.mark.long
def test_fifty_kills_of_workers_in_one_run_change_no_byte(launcher, assets, tmp_path):
    config = mixed_config(assets, rendered=15, photographs=39)
    faults = kills(11, "worker", "swap", WORKER_POINTS, range(15), 14)
    faults += kills(12, "worker", "holes", PHOTO_POINTS, range(39), 36)
    calm = calm_run(config, tmp_path)
    out = tmp_path / "rough"
    assert run_until_done(launcher, config, out, faults) == 0
    assert_all_hit_unfinished_work(launcher, out, faults)
    assert_undisturbed(launcher, out, calm)
    losses = [event for event in read_ledger(out) if event["event"] == "fault"]
    assert len(losses) == 50
    assert {event["verdict"] for event in losses} == {"retry"}


@pytest.mark.long
def test_twenty_kills_of_the_driver_with_workers_that_outlive_it_change_no_byte(launcher, assets, tmp_path):
    config = mixed_config(assets, rendered=9, photographs=15)
    faults = kills(12, "driver", "swap", WORKER_POINTS, range(9), 7)
    faults += kills(13, "driver", "holes", PHOTO_POINTS, range(15), 9)
    shards = ("train-swap-000000", "train-holes-000003", "train-swap-000002", "train-holes-000001")
    faults += [Fault("driver", DRIVER_POINTS[index], shard) for index, shard in enumerate(shards)]
    calm = calm_run(config, tmp_path)
    out = tmp_path / "rough"
    assert run_until_done(launcher, config, out, faults) == 20
    assert_all_hit_unfinished_work(launcher, out, faults)
    # Ray ends the workers of a dead driver within seconds; those that go on until then change nothing.
    assert any(marker.get("outlived") for marker in launcher.fired(out))
    assert_undisturbed(launcher, out, calm)
