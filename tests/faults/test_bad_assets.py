"""A bad asset costs its own samples, by name, and nothing else."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
import ray
from launching import promised

from pairbridge.datagen.dataset.plan import make_plan
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.lighting.baking.baked import LightingsConfig, planned_lightings
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.attempts.holes import assets_used
from pairbridge.pipelines.generation.driver import CrashesEverywhere
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.pipelines.shelves.ledger import read_ledger
from pairbridge.pipelines.workers.worker import GroupWorker
from tests.public.readme_examples import glb
from tests.support.sidecars import read_sidecars
from tests.support.tiny_rendered import pin, tiny_config

pytestmark = pytest.mark.render

# Ray's workers cannot import a test module: its worker classes travel as code.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


class PoisonedWorker(GroupWorker):
    """Its Blender dies of SIGSEGV when it opens `poison.glb`: see `poison/sitecustomize.py`."""

    def open(self):
        os.environ["PYTHONPATH"] = str(Path(__file__).with_name("poison"))
        return super().open()


def quarantined(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]


def keys_of_groups_using(config, out: Path, asset: str) -> set[str]:
    """Planned keys of the groups whose parameters name `asset`."""
    plan = make_plan(config, build_catalogue(config.assets, out / "lightings"))
    groups = [plan.group(shard.stream, group) for shard in plan.shards() for group in shard.groups]
    return {key for spec in groups if asset in assets_used(spec, plan.catalogue) for key in spec.keys}


def made_keys(out: Path) -> set[str]:
    return {sample.key for sidecar in read_sidecars(out / "shards") for sample in sidecar.samples}


def assert_only_the_bad_asset_is_missing(config, out: Path, asset: str) -> list[dict]:
    bad = keys_of_groups_using(config, out, asset)
    assert bad
    assert len(bad) < 2 * config.recipes["swap"].groups["train"]
    holes = quarantined(out)
    assert {hole["key"] for hole in holes} == bad
    assert verify_dataset(out).ok
    assert len(made_keys(out)) == 2 * config.recipes["swap"].groups["train"] - len(bad)
    return holes


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("objects", "broken.glb"),
        ("hdris", "broken.exr"),
        pytest.param("objects", "broken.obj", marks=pytest.mark.long),
        pytest.param("hdris", "broken.hdr", marks=pytest.mark.long),
    ],
)
def test_a_corrupt_file_is_left_out_and_named(assets, tmp_path, ray_address, capfd, folder, name):
    (assets / folder / name).write_bytes(b"not what its suffix says" * 10)
    pin(assets / folder, ["broken"])
    config = tiny_config(assets, groups=8)
    out = tmp_path / "out"
    result = generate(config, out, workers=1, on_progress=LogLines())
    assert (result.num_pairs, result.num_quarantined) == (16, 0)
    assert verify_dataset(out).ok
    manifest = json.loads((out / "dataset.json").read_text())
    assert "broken" not in [asset["id"] for asset in manifest["assets"]]
    [refused] = manifest["refused_assets"]
    assert (refused["id"], refused["kind"]) == ("broken", {"objects": "object", "hdris": "hdri"}[folder])
    assert name in refused["reason"]
    assert str(tmp_path) not in refused["reason"]
    assert f"left out: {refused['reason']}" in capfd.readouterr().err


@pytest.fixture
def poisoned_assets(assets):
    (assets / "objects" / "poison.glb").write_bytes(glb((assets / "objects" / "shape-0.obj").read_text()))
    pin(assets / "objects", ["poison"])
    return assets


def poisoned_run(config, out: Path, workers: int) -> Path:
    generate(config, out, workers=workers, on_progress=LogLines(), worker_class=PoisonedWorker)
    return out


def test_an_object_that_kills_the_process_is_quarantined_and_the_rest_is_made(
    poisoned_assets, tmp_path, ray_address
):
    config = tiny_config(poisoned_assets, groups=4)
    out = poisoned_run(config, tmp_path / "out", workers=2)
    for hole in assert_only_the_bad_asset_is_missing(config, out, "poison"):
        assert "SIGSEGV in phase load" in hole["reason"]
        assert hole["fault"] == "crashed"
        assert "poison" in hole["reason"]
    verdicts = [event["verdict"] for event in read_ledger(out) if event["event"] == "fault"]
    poisoned_groups = len(keys_of_groups_using(config, out, "poison")) // 2
    assert verdicts.count("quarantine") == poisoned_groups
    assert len(verdicts) == 3 * poisoned_groups


@pytest.mark.long
def test_an_object_whose_loading_never_ends_is_quarantined_and_the_rest_is_made(
    assets, tmp_path, ray_address
):
    (assets / "objects" / "endless.glb").write_bytes(glb((assets / "objects" / "shape-0.obj").read_text()))
    pin(assets / "objects", ["endless"])
    config = tiny_config(assets, groups=4)
    config = config.model_copy(
        update={"execution": config.execution.model_copy(update={"request_timeout_s": 10.0})}
    )
    out = poisoned_run(config, tmp_path / "out", workers=2)
    for hole in assert_only_the_bad_asset_is_missing(config, out, "endless"):
        assert "Blender gave no answer in time in phase load" in hole["reason"]


@pytest.mark.long
def test_quarantine_entries_do_not_depend_on_who_crashed_when(poisoned_assets, tmp_path, ray_address):
    config = tiny_config(poisoned_assets, groups=8)
    one, two = (poisoned_run(config, tmp_path / str(workers), workers) for workers in (1, 2))
    assert promised(one) == promised(two)


class SegfaultingWorker(GroupWorker):
    """Crashes in its own code, not in Blender's, at group 1."""

    def run(self, shard, group):
        self.group = group
        return super().run(shard, group)

    def phase(self, name):
        super().phase(name)
        if name == "encode" and self.group == 1:
            os.kill(os.getpid(), signal.SIGSEGV)


def test_a_crash_of_the_worker_itself_is_told_from_a_kill(assets, tmp_path, ray_address):
    out = tmp_path / "out"
    config = tiny_config(assets, groups=3)
    result = generate(config, out, workers=2, on_progress=LogLines(), worker_class=SegfaultingWorker)
    assert (result.num_pairs, result.num_quarantined) == (4, 2)
    assert {hole["key"] for hole in quarantined(out)} == {"swap-train-00000002", "swap-train-00000003"}
    assert all("the worker ended with SIGSEGV in phase encode" in hole["reason"] for hole in quarantined(out))
    faults = [event["fault"] for event in read_ledger(out) if event["event"] == "fault"]
    assert faults == ["crashed"] * 3


class BrokenMachineWorker(GroupWorker):
    """On this machine every render ends in a crash of Blender, whatever the asset."""

    def phase(self, name):
        super().phase(name)
        if name == "render":
            os.kill(self.workbench.blender.pid, signal.SIGSEGV)


@pytest.mark.long
def test_a_machine_on_which_every_render_crashes_stops_the_run_and_quarantines_nothing(
    assets, tmp_path, ray_address
):
    config = tiny_config(assets, groups=6)
    config = config.model_copy(
        update={"execution": config.execution.model_copy(update={"stop_after_given_up": 2})}
    )
    out = tmp_path / "out"
    with pytest.raises(CrashesEverywhere, match=r"2 groups in a row .* SIGSEGV in phase render"):
        generate(config, out, workers=2, on_progress=LogLines(), worker_class=BrokenMachineWorker)
    assert quarantined(out) == []
    # On a sound machine the same command makes what an undisturbed run makes.
    result = generate(config, out, workers=1, on_progress=LogLines())
    assert (result.num_pairs, result.num_quarantined) == (12, 0)
    calm = generate(config, tmp_path / "calm", workers=1, on_progress=LogLines()).dataset_dir
    assert promised(out) == promised(calm)


def test_no_blend_is_made_of_a_damaged_environment_map(assets, tmp_path, ray_address):
    (assets / "hdris" / "lamp-1.exr").write_bytes(b"not what its suffix says" * 10)
    config = tiny_config(assets, groups=8, lighting_kinds={"hdri": 1.0, "blend": 1.0})
    config = config.model_copy(update={"lightings": LightingsConfig(width=64, blends={"train": 2})})
    out = tmp_path / "out"
    result = generate(config, out, workers=1, on_progress=LogLines())
    assert (result.num_pairs, result.num_quarantined) == (16, 0)
    planned = planned_lightings(config.seed, config.lightings, build_catalogue(config.assets, None))
    parents = {parent["id"] for lighting in planned for parent in lighting.params["parents"]}
    assert parents
    assert "lamp-1" not in parents
    catalogue = build_catalogue(config.assets, out / "lightings")
    assert len(catalogue.lightings("blend", "train")) == 2
    assert [left.id for left in catalogue.left_out] == ["lamp-1"]
    assert verify_dataset(out).ok
    before = promised(out)
    generate(config, out, workers=1, on_progress=LogLines())
    assert promised(out) == before
