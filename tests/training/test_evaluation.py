"""Evaluation end to end on small real shards: figures recomputed from the files, baselines, intervals."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_training_loop import config
from toy_relighting import write_toy_dataset

from datagen.errors import ConfigError
from datagen.sample import decode_field
from training.checkpoint import checkpoint_folders
from training.evaluation import evaluate
from training.evaluation_config import EvaluationConfig
from training.loop import train
from training.metrics import foreground_mse, psnr
from training.mix_config import MixConfig
from training.model import TranslationModel
from training.pairs import PairSource


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_toy_dataset(folder / "data", "relighting", {"train": 40, "validation": 12, "test": 20})
    write_toy_dataset(folder / "photos", "photos", {"train": 4, "test": 3}, seed=1)
    mix = MixConfig.model_validate(
        {"sources": [{"name": "synthetic", "path": "run:data", "recipe": "relighting"}]}
    )
    train(
        config(steps=120, checkpoint_every=120, optimiser={"learning_rate": 4e-3, "warmup_images": 16}),
        mix,
        folder / "training",
        run_root=folder,
    )
    return folder


def evaluation(**changes) -> EvaluationConfig:
    sources = [{"name": "unseen", "path": "run:data", "recipe": "relighting"}]
    return EvaluationConfig.model_validate(
        {"sources": sources, "size": 32, "threads": 1, "sample_images": 3, **changes}
    )


def test_figures_are_those_of_the_pairs_and_the_newest_checkpoint(root: Path, tmp_path: Path) -> None:
    result = evaluate(evaluation(), root / "training", tmp_path, run_root=root)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == result
    judged = result["sources"]["unseen"]
    assert (judged["pairs"], judged["objects"]) == (20, 10)

    model = TranslationModel.load(checkpoint_folders(root / "training/checkpoints")[-1])
    source = PairSource(root / "data", "relighting", "test")
    pairs = [source.pair(place) for place in range(len(source))]
    of_model = [psnr(foreground_mse(model.translate(p.source, p.mask), p.target, p.mask)) for p in pairs]
    of_source = [psnr(foreground_mse(p.source, p.target, p.mask)) for p in pairs]
    methods = judged["methods"]
    # Convolutions of a batch and of one image round differently: a grey level here and there.
    assert methods["model"]["foreground_psnr"]["mean"] == pytest.approx(np.mean(of_model), abs=0.02)
    assert methods["source"]["foreground_psnr"]["mean"] == pytest.approx(np.mean(of_source))
    gain = judged["gains"]["source"]["foreground_psnr"]
    assert gain["mean"] == pytest.approx(np.mean(of_model) - np.mean(of_source), abs=0.02)
    assert gain["low"] < gain["mean"] < gain["high"]


def test_a_model_that_learned_beats_doing_nothing(root: Path, tmp_path: Path) -> None:
    judged = evaluate(evaluation(), root / "training", tmp_path, run_root=root)["sources"]["unseen"]
    assert judged["gains"]["source"]["foreground_psnr"]["low"] > 1
    ridge = judged["methods"]["colour_shift_ridge"]["foreground_psnr"]["mean"]
    assert ridge > judged["methods"]["source"]["foreground_psnr"]["mean"]
    assert judged["ridge_penalty"] is not None


def test_samples_are_source_output_and_target_side_by_side(root: Path, tmp_path: Path) -> None:
    judged = evaluate(evaluation(), root / "training", tmp_path, run_root=root)["sources"]["unseen"]
    source = PairSource(root / "data", "relighting", "test")
    assert len(judged["samples"]) == 3
    for file, place in zip(judged["samples"], (0, 10, 19), strict=True):
        strip = decode_field("strip.png", (tmp_path / file).read_bytes())
        pair = source.pair(place)
        assert pair.key in file
        assert np.array_equal(strip[:, :32], pair.source)
        assert np.array_equal(strip[:, 64:], pair.target)
        assert not np.array_equal(strip[:, 32:64], pair.source)


def test_rows_of_every_image_and_method_are_kept(root: Path, tmp_path: Path) -> None:
    result = evaluate(evaluation(), root / "training", tmp_path, run_root=root)
    rows = [json.loads(line) for line in (tmp_path / "unseen.jsonl").read_text().splitlines()]
    assert len(rows) == 4 * 20
    for name, figures in result["sources"]["unseen"]["methods"].items():
        values = [row["ssim"] for row in rows if row["method"] == name]
        assert figures["ssim"]["mean"] == pytest.approx(np.mean(values))


def test_a_recipe_without_a_validation_split_has_no_ridge(root: Path, tmp_path: Path) -> None:
    sources = [{"name": "photos", "path": "run:photos", "recipe": "photos", "max_pairs": 2}]
    judged = evaluate(evaluation(sources=sources), root / "training", tmp_path, run_root=root)
    judged = judged["sources"]["photos"]
    assert judged["pairs"] == 2
    assert judged["ridge_penalty"] is None
    assert "colour_shift_ridge" not in judged["methods"]
    sources[0]["ridge_recipe"] = "photos"
    with pytest.raises(ConfigError, match="ridge_recipe 'photos' of evaluation source photos"):
        evaluate(evaluation(sources=sources), root / "training", tmp_path, run_root=root)


def test_nothing_trained_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no checkpoint"):
        evaluate(evaluation(), tmp_path, tmp_path, run_root=root)
