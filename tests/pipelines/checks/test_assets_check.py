"""Broken assets, each with an outcome of its own, and their healthy neighbours: from what is on disk."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import make_plan
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.attempts.holes import assets_used
from pairbridge.pipelines.checks.asset_check import folder_assets, folder_config
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from tests.support.broken_assets import BROKEN, SOUND, write_broken_assets
from tests.support.sidecars import read_sidecars
from tests.support.tiny_rendered import lamp

pytestmark = pytest.mark.render

ONLY_BLENDER_KNOWS = {
    f"objects/{name}"
    for name in (
        *("zero-area.obj", "missing-texture.obj", "script.blend", "8k/8k-texture.obj", "empty-scene.blend"),
    )
}


def check(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from pairbridge.pipelines.cli import main; main()", "assets", "check"]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=240)


def test_every_broken_asset_has_its_own_outcome_and_its_neighbours_are_rendered(tmp_path: Path) -> None:
    root, out = tmp_path / "my assets", tmp_path / "out"
    write_broken_assets(root)
    done = check(root, "--out", out, "--size", 64, "--time-limit", 4)
    assert done.returncode == 2, done.stderr
    listed = {entry["path"]: entry for entry in json.loads((out / "assets.json").read_text())["assets"]}
    assert {path: entry["outcome"] for path, entry in listed.items()} == (
        BROKEN | dict.fromkeys(SOUND, "usable")
    )
    for path in BROKEN:
        assert Path(path).name in listed[path]["reason"]
        assert f"{path}: {BROKEN[path]}" in done.stdout
    for path in SOUND:
        thumbnail = cv2.imread(str(out / "thumbnails" / f"{listed[path]['id']}.png"))
        assert 32 <= max(thumbnail.shape[:2]) <= 64
        assert thumbnail.std() > 3
    assert "radius 6.76e+04" in listed["objects/100-km.obj"]["reason"]
    assert cv2.imread(str(out / "assets.png")).shape[1] == 1280
    files = json.loads((out / "assets.json").read_text())["files"]
    on_disk = {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}
    assert {entry["path"] for entry in files} == on_disk
    assert len(files) == len(on_disk)
    assert {entry["path"] for entry in files if entry["fate"] == "refused"} == set(BROKEN)
    assert f"{len(files)} files: {len(SOUND)} used, {len(BROKEN)} refused" in done.stdout
    page = (out / "index.html").read_text()
    assert all(path in page for path in BROKEN)


def test_a_sound_folder_ends_with_status_0_and_textures_are_no_photographs(tmp_path: Path) -> None:
    root = tmp_path / "flat"
    (root / "chair" / "textures").mkdir(parents=True)
    (root / "chair" / "chair.obj").write_text(
        "mtllib chair.mtl\nusemtl a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1\n"
    )
    (root / "chair" / "chair.mtl").write_text("newmtl a\nmap_Kd wood.png\n")
    picture = np.random.default_rng(1).integers(0, 255, (40, 40, 3), np.uint8)
    for name in ("chair/wood.png", "chair/textures/unused.png", "cat.png"):
        cv2.imwrite(str(root / name), picture)
    config = folder_config(root)
    assets = folder_assets(config, build_catalogue(config, None))
    assert [asset.id for asset in assets] == ["chair-chair", "cat"]
    done = check(root, "--out", tmp_path / "out", "--size", 48)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 usable assets state no licence" in done.stdout


@pytest.mark.long
def test_a_dataset_over_broken_assets_holds_what_the_sound_ones_give(
    tmp_path: Path, ray_address: str
) -> None:
    root, out = tmp_path / "assets", tmp_path / "out"
    write_broken_assets(root, pipe=False)
    # Enough sound lightings that some groups draw nothing broken at all.
    for number in range(8):
        write_exr(root / "hdris" / f"more-{number}.exr", lamp(number / 8))
    config = DatasetConfig.model_validate(
        {
            "name": "broken",
            "seed": 5,
            "assets": {
                "embedded": False,
                "objects": [str(root / "objects")],
                "hdris": [str(root / "hdris")],
            },
            "render": {"samples": 4, "lighting_copy_width": 32},
            "groups_per_shard": 10,
            "recipes": {
                "swap": {
                    "kind": "relighting_swap",
                    "groups": {"train": 40},
                    "size_WH": [32, 32],
                    "lightings_per_group": 2,
                    "strength": [0.8, 1.2],
                    "tint": 0.1,
                }
            },
        }
    )
    generate(config, out, workers=2, on_progress=LogLines())
    assert verify_dataset(out).ok
    plan = make_plan(config, build_catalogue(config.assets, out / "lightings"))
    paths = {asset.id: asset.path.relative_to(root).as_posix() for asset in plan.catalogue.assets}
    groups = [plan.group(shard.stream, group) for shard in plan.shards() for group in shard.groups]
    made = {sample.key for sidecar in read_sidecars(out / "shards") for sample in sidecar.samples}
    holes = {}
    for line in (out / "quarantine.jsonl").read_text().splitlines():
        hole = json.loads(line)
        holes[hole["key"]] = hole
    blamed = set()
    for spec in groups:
        used = {paths[asset] for asset in assets_used(spec, plan.catalogue)}
        for key in spec.keys:
            if used & BROKEN.keys():
                assert paths[holes[key]["asset"]] in used & BROKEN.keys()
                blamed.add(paths[holes[key]["asset"]])
            else:
                assert key in made
    # What only Blender can tell costs groups; the rest is not in the plan.
    assert blamed
    assert blamed <= ONLY_BLENDER_KNOWS
    refused = {left.id: left.path.relative_to(root).as_posix() for left in plan.catalogue.left_out}
    assert set(refused.values()) == {
        path for path in BROKEN.keys() - ONLY_BLENDER_KNOWS if (root / path).exists() and "photos" not in path
    }
    listed = json.loads((out / "dataset.json").read_text())["refused_assets"]
    assert {entry["id"] for entry in listed} == refused.keys()
    assert made
