"""A photograph, a matting model or a relighter that fails ends in a named rejection, and the rest of the
shard is made.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
import ray

from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.models.relighting import ColourTransferConfig
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.workers.worker import GroupWorker
from tests.datagen.models.birefnet_models import red_finder_state, write_folder
from tests.support.broken_photographs import BROKEN, png, scene
from tests.support.sidecars import read_sidecars
from tests.support.tiny_photos import disc_photo

# Ray's workers cannot import a test module: its worker classes travel as code.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

# What the relighter of this file is asked for by; its slope is otherwise nobody's.
SHORT = ColourTransferConfig(slope_stops=(0.125, 0.125))


class Short:
    """A relighter that gives back eight columns too few."""

    name, revision, is_stand_in = "short", "0", True

    def relight(self, image: np.ndarray, alpha: np.ndarray, background: np.ndarray, seed: int) -> np.ndarray:
        return image[:, :-8]


class WorkerWithShort(GroupWorker):
    """Has `Short` in the relighter's seat where it is asked for."""

    def open(self):
        info = super().open()
        self.workbench._relighters[SHORT] = Short()
        return info


def run(recipes: dict, photos: Path, out: Path, worker_class: type = GroupWorker) -> list[dict]:
    """The dataset's quarantine, after it was verified."""
    config = DatasetConfig.model_validate(
        {
            "name": "p",
            "seed": 1,
            "groups_per_shard": 12,
            "assets": {"embedded": False, "photos": [photos]},
            "recipes": recipes,
        }
    )
    # One: each would load torch and the networks.
    generate(config, out, workers=1, on_progress=lambda _: None, worker_class=worker_class)
    assert verify_dataset(out, decode=True).ok
    return [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]


def made(out: Path, recipe: str) -> int:
    shards = [sidecar for sidecar in read_sidecars(out / "shards") if f"-{recipe}-" in sidecar.shard.name]
    return sum(sidecar.count for sidecar in shards)


def pin(folder: Path, names: list[str]) -> None:
    (folder / "catalogue.yaml").write_text("".join(f"{name}: {{split: train}}\n" for name in names))


def test_every_way_to_break_a_photograph_has_its_name_and_costs_no_sample(
    tmp_path: Path, ray_address: str
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for kind, (data, _) in BROKEN.items():
        (photos / f"{kind}.png").write_bytes(data)
    sound = ["one", "two"]
    for name in sound:
        (photos / f"{name}.png").write_bytes(png(scene(name)))
    pin(photos, [*BROKEN, *sound])
    recipe = {"kind": "photo_removal", "groups": {"train": 120}, "size_WH": [32, 32]}
    assert run({"r": recipe}, photos, tmp_path / "out") == []
    assert made(tmp_path / "out", "r") == 120
    refused = {
        asset.id: asset.reason for asset in DatasetManifest.from_folder(tmp_path / "out").refused_assets
    }
    assert refused.keys() == BROKEN.keys()
    for kind, reason in refused.items():
        assert reason.startswith(f"image {kind}.png cannot be used: ")
        assert re.search(BROKEN[kind][1], reason)


def test_matting_models_and_relighters_that_fail_are_named_and_the_rest_is_made(
    tmp_path: Path, ray_address: str
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a", "b", "c"):
        (photos / f"{name}.png").write_bytes(png(disc_photo(name)))
    pin(photos, ["a", "b", "c"])
    shared = {
        "kind": "photo_relighting",
        "groups": {"train": 3},
        "size_WH": [64, 64],
        "background_from": {"photo": 1},
    }
    recipes = {
        "sound": shared,
        "short": {**shared, "relighter": SHORT.model_dump()},
    }
    # What is added to every logit of a real network.
    for name, bias in (("nothing", -30.0), ("everything", 30.0), ("nan", float("nan"))):
        state = red_finder_state()
        state["decoder.conv_out1.0.bias"].fill_(bias)
        folder = write_folder(tmp_path / "birefnet" / name, state)
        matting = {"kind": "birefnet", "weights": folder, "size_WH": [64, 64], "max_doubt": 1}
        recipes[name] = {**shared, "matting": matting}
    holes = run(recipes, photos, tmp_path / "out", WorkerWithShort)
    wanted = {
        "nothing": "BiRefNet-matting found no foreground: its highest probability is 0.00",
        "everything": "BiRefNet-matting found no foreground: its mask covers 1.0000 of the image",
        "nan": "BiRefNet-matting found no foreground: its mask holds infinities or NaN",
        "short": "short gave uint8 (64, 56, 3) for an image of uint8 (64, 64, 3)",
    }
    for recipe, reason in wanted.items():
        found = [hole["reason"] for hole in holes if hole["key"].startswith(f"{recipe}-")]
        assert len(found) == 3, recipe
        assert all(reason in one for one in found), found
        assert made(tmp_path / "out", recipe) == 0
    assert made(tmp_path / "out", "sound") == 3
    assert len(holes) == 3 * len(wanted)
