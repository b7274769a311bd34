"""Depth and normals from shards to figures: trained, judged beside the training mean, and drawn."""

from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.shards.sample import decode_field
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.framing import Frame
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.role_choice import RoleChoice
from pairbridge.training.engine.checkpoint import checkpoint_folders
from pairbridge.training.evaluation.evaluate import evaluate
from pairbridge.training.evaluation.evaluation_config import EvaluationConfig
from pairbridge.training.evaluation.metrics import depth_metrics, normal_metrics
from tests.support.toy_relighting import write_toy_dataset
from tests.training.bridge_training.test_training_loop import config, lines
from tests.training.data.test_targets import geometry_pair


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("geometry")
    splits = {"train": 24, "validation": 4, "test": 8}
    write_toy_dataset(folder / "data", "geometry", splits, make_pair=geometry_pair)
    return folder


@pytest.mark.parametrize("task", ["depth", "normals"])
def test_geometry_is_trained_judged_and_drawn(root: Path, tmp_path: Path, task: str) -> None:
    kind = {"depth": "depth", "normals": "normal"}[task]
    source = {"name": "a", "path": "run:data", "recipe": "geometry"}
    network = {"widths": (8, 16), "head_width": 8, "norm_groups": 4, "conditions": ["light"]}
    settings = config(
        steps=30,
        checkpoint_every=30,
        denoiser=network,
        loss={"pixel_weight": 1.0, "pixel_crop": 16},
        optimiser={"learning_rate": 4e-3, "warmup_images": 8},
        watch={"pictures_every": 30, "rows": 2, "trackers": ()},
        ema_half_life_images=20,
    )
    mix = MixConfig.model_validate({"sources": [{**source, "roles": {"target": kind}}]})
    train(settings, mix, tmp_path / "train", run_root=root)
    losses = [line["loss"] for line in lines(tmp_path / "train" / "stats.jsonl")]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert (tmp_path / "train" / "pictures" / "step-000030.png").is_file()

    judged = EvaluationConfig.model_validate(
        {
            "sources": [{**source, "task": task, "roles": {"target": kind}}],
            "size": 32,
            "threads": 1,
            "sample_images": 2,
        }
    )
    result = evaluate(judged, tmp_path / "train", tmp_path / "evaluation", run_root=root)["sources"]["a"]
    assert result["methods"].keys() == {"model", "training_mean", "pixel_ridge", "shape_ridge"}
    metric, best = result["judged_by"], result["best_baseline"]
    # Of both figures less is better.
    assert result["methods"][best][metric]["mean"] == min(
        result["methods"][name][metric]["mean"] for name in ("training_mean", "pixel_ridge", "shape_ridge")
    )

    model = TranslationModel.load(checkpoint_folders(tmp_path / "train/checkpoints")[-1])
    pairs = PairSource(
        root / "data",
        "geometry",
        "test",
        roles=RoleChoice(target=kind),
        conditions=settings.denoiser.conditions,
    )
    figures = []
    for place in range(len(pairs)):
        pair = pairs.pair(place, Frame((32, 32)))
        conditions = {name: image[None] for name, image in pair.conditions.items()}
        output = model.predict_batch(pair.source[None], pair.mask[None], conditions=conditions)[0]
        valid = pair.valid == 255
        if task == "depth":
            stored = pair.depth
            assert 0 < stored[valid].min() <= stored.max() < 4
            figures.append(depth_metrics(output[..., 0], stored, valid)["abs_rel"])
        else:
            figures.append(normal_metrics(output, pair.target, valid)["mean_angle"])
    metric = {"depth": "abs_rel", "normals": "mean_angle"}[task]
    assert result["methods"]["model"][metric]["mean"] == pytest.approx(np.mean(figures), rel=1e-3)
    strip = decode_field("strip.png", (tmp_path / "evaluation" / result["samples"][0]).read_bytes())
    assert strip.shape == (32, 96, 3)
