"""A dataset made on an object store by a driver that is killed twice, and a training that reads it there."""

from pathlib import Path

import pytest
from faults import Fault
from launching import SIGKILLED, Launcher

from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.shards.object_store import ObjectStore
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.mix_config import MixConfig
from tests.support.tiny_removal import removal_config

pytestmark = pytest.mark.long

TRAINING = {
    "steps": 3,
    "batch_size": 4,
    "size": 32,
    "denoiser": {"widths": [8, 16], "head_width": 8, "norm_groups": 4},
    "timesteps": {"kind": "discrete", "times": [0.0], "weights": [1.0]},
    "optimiser": {"warmup_images": 0},
    "threads": 1,
    "loader_workers": 1,
    "log_every": 1,
    "watch": {"trackers": ()},
    "checkpoint_every": 3,
}


def shards_on(url: str) -> dict[str, bytes]:
    store = ObjectStore(url)
    names = [*store.list("shards"), "dataset.json", "quarantine.jsonl", "README.md", "croissant.json"]
    return {name: store.read(name) for name in names}


def test_made_on_a_store_killed_twice_it_passes_verify_and_trains_from_there(s3, tmp_path, ray_address):
    config = removal_config(tmp_path / "photos", groups=8)
    url, work = f"{s3}/interrupted", tmp_path / "work"
    faults = [
        Fault("driver", "compose", "train-holes-000001 2"),
        Fault("driver", "tar to sidecar", "train-holes-000002"),
    ]
    launcher = Launcher(ray_address)
    statuses = [launcher.run(config, work, faults, url=url) for _ in range(3)]
    assert statuses == [SIGKILLED, SIGKILLED, 0], launcher.log(work)
    assert all(marker["unfinished"] for marker in launcher.fired(work))

    calm = generate(config, tmp_path / "calm", workers=1, on_progress=LogLines()).dataset_dir
    here = [*(f"shards/{path.name}" for path in sorted(calm.glob("shards/*"))), "dataset.json"]
    there = shards_on(url)
    assert {name: there[name] for name in here} == {name: (calm / name).read_bytes() for name in here}
    assert verify_dataset(url, decode=True).ok

    mix = {"sources": [{"name": "waves", "path": url, "recipe": "holes", "weight": 1.0}]}
    result = train(
        TrainingConfig.model_validate(TRAINING),
        MixConfig.model_validate(mix),
        tmp_path / "training",
        run_root=tmp_path,
    )
    assert result.step == 3
    assert Path(result.checkpoint).is_dir()
