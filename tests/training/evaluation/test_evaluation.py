"""Evaluation end to end on small real shards: figures recomputed from the files, baselines, intervals."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.shards.sample import decode_field, encode_field
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.engine.checkpoint import checkpoint_folders
from pairbridge.training.evaluation.baselines import fit_colour_shift_ridge
from pairbridge.training.evaluation.evaluate import evaluate
from pairbridge.training.evaluation.evaluation_config import EvaluationConfig
from pairbridge.training.evaluation.linear_baselines import FittingPair
from pairbridge.training.evaluation.metrics import foreground_mse, psnr
from pairbridge.training.perceptual.context_deviation import ContextDeviation
from pairbridge.training.perceptual.image_classifier import ClassifierConfig, ImageClassifier
from pairbridge.training.perceptual.inception import InceptionV3
from pairbridge.training.perceptual.lpips import Lpips, LpipsConfig
from tests.support.tiny_classifier import write_tiny_classifier
from tests.support.tiny_dinov2 import write_tiny_dinov2
from tests.support.toy_relighting import write_toy_dataset
from tests.training.bridge_training.test_training_loop import config
from tests.training.perceptual.test_lpips import random_weights


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
    assert (judged["pairs"], judged["objects"], judged["lightings"]) == (20, 10, 0)

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
    assert judged["best_baseline"] == "colour_shift_ridge"
    assert judged["judged_by"] == "foreground_psnr"


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
    with open(tmp_path / "unseen.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4 * 20
    for name, ratios in result["sources"]["unseen"]["ratios"].items():
        values = [float(row["contrast"]) for row in rows if row["method"] == name]
        assert ratios["contrast"]["median"] == pytest.approx(np.median(values))
        assert ratios["contrast"]["pairs"] == 20
    for name, figures in result["sources"]["unseen"]["methods"].items():
        values = [float(row["ssim"]) for row in rows if row["method"] == name]
        assert figures["ssim"]["mean"] == pytest.approx(np.mean(values))


def test_a_recipe_without_a_validation_split_has_no_ridge(root: Path, tmp_path: Path) -> None:
    sources = [{"name": "photos", "path": "run:photos", "recipe": "photos", "max_pairs": 2}]
    judged = evaluate(evaluation(sources=sources), root / "training", tmp_path, run_root=root)
    judged = judged["sources"]["photos"]
    assert judged["pairs"] == 2
    assert "colour_shift_ridge" not in judged["methods"]
    sources[0]["fit_recipe"] = "photos"
    assert (
        "colour_shift_ridge"
        not in evaluate(evaluation(sources=sources), root / "training", tmp_path, run_root=root)["sources"][
            "photos"
        ]["methods"]
    )
    sources[0]["fit_recipe"] = "other"
    with pytest.raises(ConfigError, match="fit_recipe 'other' of evaluation source photos"):
        evaluate(evaluation(sources=sources), root / "training", tmp_path, run_root=root)


def test_a_dataset_of_others_is_judged_with_baselines_of_the_training_s(root: Path, tmp_path: Path) -> None:
    own = {"name": "photos", "path": "run:photos", "recipe": "photos"}
    own |= {"fit_path": "run:data", "fit_recipe": "relighting"}
    judged = evaluate(evaluation(sources=[own]), root / "training", tmp_path, run_root=root)["sources"][
        "photos"
    ]

    def pairs(folder: str, recipe: str, split: str) -> list[FittingPair]:
        there = PairSource(root / folder, recipe, split)
        found = (there.pair(place) for place in range(len(there)))
        return [FittingPair(p.source, p.target, p.mask, {}, p.mask >= 0) for p in found]

    ridge = fit_colour_shift_ridge(
        pairs("data", "relighting", "train"), pairs("data", "relighting", "validation")
    )
    errors = [
        psnr(foreground_mse(ridge(p.source, p.mask, {}), p.target, p.mask))
        for p in pairs("photos", "photos", "test")
    ]
    assert judged["pairs"] == 3
    assert judged["methods"]["colour_shift_ridge"]["foreground_psnr"]["mean"] == pytest.approx(
        np.mean(errors)
    )


def test_a_condition_that_is_optional_may_be_withheld(root: Path, tmp_path: Path) -> None:
    def lit(seed: int) -> dict[str, np.ndarray]:
        draw = np.random.default_rng(seed)
        pictures = {
            f"{name}.png": draw.integers(0, 256, (32, 32, 3), np.uint8) for name in ("source", "target")
        }
        mask = np.zeros((32, 32), np.uint8)
        mask[8:24, 8:24] = 255
        light = draw.gamma(0.3, 9, (32, 64, 3)).astype(np.float16)
        return {**pictures, "mask.png": mask, "light_target.npy": light}

    write_toy_dataset(tmp_path / "lit", "relighting", {"train": 4, "test": 3}, make_pair=lit)
    swap = {
        "name": "lit",
        "path": "run:lit",
        "recipe": "relighting",
        "roles": {"conditions": ["light_target"]},
    }
    light = {"field": "light_target", "encoding": "irradiance", "dropout": 0.5}
    denoiser = {"widths": [16], "norm_groups": 8, "conditions": ["mask", light]}
    settings = config(steps=20, checkpoint_every=20, denoiser=denoiser)
    train(settings, MixConfig.model_validate({"sources": [swap]}), tmp_path / "training", run_root=tmp_path)

    def judged(**changes) -> dict:
        source = {"name": "lit", "path": "run:lit", "recipe": "relighting", **changes}
        found = evaluate(
            evaluation(sources=[source]), tmp_path / "training", tmp_path / "out", run_root=tmp_path
        )
        return found["sources"]["lit"]["methods"]

    model = TranslationModel.load(checkpoint_folders(tmp_path / "training/checkpoints")[-1])
    there = PairSource(tmp_path / "lit", "relighting", "test")
    pairs = [there.pair(place) for place in range(len(there))]
    errors = [psnr(foreground_mse(model.translate(p.source, p.mask), p.target, p.mask)) for p in pairs]
    blind, seeing = judged(withheld=["light_target"]), judged(roles={"conditions": ["light_target"]})
    assert blind["model"]["foreground_psnr"]["mean"] == pytest.approx(np.mean(errors), abs=0.02)
    assert seeing["model"]["foreground_psnr"]["mean"] != pytest.approx(np.mean(errors), abs=1e-4)
    with pytest.raises(ConfigError, match="withholds mask, which the model was never trained without"):
        judged(withheld=["mask"])
    # Side by side, and one of them twice, they are what they are alone, though baselines are fitted once.
    of = {"blind": {"withheld": ["light_target"]}, "seeing": {"roles": {"conditions": ["light_target"]}}}
    sources = [
        {"name": name, "path": "run:lit", "recipe": "relighting", **of[name.removesuffix("-again")]}
        for name in ("blind", "seeing", "blind-again")
    ]
    beside = evaluate(evaluation(sources=sources), tmp_path / "training", tmp_path / "all", run_root=tmp_path)
    found = [beside["sources"][source["name"]]["methods"] for source in sources]
    assert found == [blind, seeing, blind]


def test_the_worst_pairs_are_kept_worst_first(root: Path, tmp_path: Path) -> None:
    judged = evaluate(evaluation(worst_images=4), root / "training", tmp_path, run_root=root)
    judged = judged["sources"]["unseen"]
    with open(tmp_path / "unseen.csv", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["method"] == "model"]
    rows.sort(key=lambda row: float(row["foreground_psnr"]))
    assert judged["worst"] == [f"worst/unseen-{row['key']}.png" for row in rows[:4]]
    assert all((tmp_path / file).is_file() for file in judged["worst"])


@pytest.mark.long  # covariances of 2048 features, two eigenproblems a distance
def test_set_distances_need_the_published_network_and_compare_with_the_targets(
    root: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="pt_inception-2015-12-05"):
        evaluate(evaluation(inception=tmp_path / "none"), root / "training", tmp_path, run_root=root)
    torch.manual_seed(0)
    save_file(InceptionV3().state_dict(), tmp_path / "random.safetensors")
    sources = [{"name": "unseen", "path": "run:data", "recipe": "relighting", "max_pairs": 6}]
    config = evaluation(inception=tmp_path / "random.safetensors", sources=sources)
    judged = evaluate(config, root / "training", tmp_path, run_root=root)["sources"]["unseen"]
    assert judged["sets"].keys() == judged["methods"].keys()
    for distances in judged["sets"].values():
        assert distances.keys() == {"fid", "local_fid", "sfid", "inception_score"}
        assert min(distances.values()) > -1e-6
        # At most as many classes as images, and at least one.
        assert 1 - 1e-9 <= distances["inception_score"] <= 6


def test_lpips_needs_local_files_and_is_a_figure_of_every_image(root: Path, tmp_path: Path) -> None:
    files = {"vgg": tmp_path / "vgg.safetensors", "heads": tmp_path / "heads.safetensors"}
    with pytest.raises(ConfigError, match="vgg16"):
        evaluate(evaluation(lpips=files), root / "training", tmp_path, run_root=root)
    features, heads = random_weights()
    save_file(features, files["vgg"])
    save_file(heads, files["heads"])
    sources = [{"name": "unseen", "path": "run:data", "recipe": "relighting", "max_pairs": 3}]
    config = evaluation(lpips=files, sources=sources)
    judged = evaluate(config, root / "training", tmp_path, run_root=root)["sources"]["unseen"]
    network = Lpips.load(LpipsConfig(**files))
    source = PairSource(root / "data", "relighting", "test")
    pairs = [source.pair(place) for place in range(3)]
    expected = [
        float(
            network(*(torch.from_numpy(i).permute(2, 0, 1)[None] / 127.5 - 1 for i in (p.source, p.target)))
        )
        for p in pairs
    ]
    assert judged["methods"]["source"]["lpips"]["mean"] == pytest.approx(np.mean(expected), rel=1e-4)
    assert "lpips" in (tmp_path / "unseen.csv").read_text().splitlines()[0]


def test_class_accuracy_is_how_often_a_classifier_finds_the_class_of_meta(root: Path, tmp_path: Path) -> None:
    weights = write_tiny_classifier(tmp_path / "resnet")
    # The toy's objects are balls.
    known = {"folder": weights, "read": "assets.object", "labels": {"ball": ["green", "blue"]}}
    source = {"name": "unseen", "path": "run:data", "recipe": "relighting", "classifier": known}
    judged = evaluate(evaluation(sources=[source]), root / "training", tmp_path / "out", run_root=root)
    stored = PairSource(root / "data", "relighting", "test")
    pairs = [stored.pair(place) for place in range(len(stored))]
    classifier = ImageClassifier.load(ClassifierConfig.model_validate(known), torch.device("cpu"))
    expected = np.mean(classifier([pair.source for pair in pairs], ["ball"] * len(pairs)))
    assert 0 < expected < 1
    found = judged["sources"]["unseen"]["methods"]["source"]["class_accuracy"]
    assert found["mean"] == pytest.approx(expected)
    assert found["low"] < expected < found["high"]
    nowhere = evaluation(sources=[{**source, "classifier": {**known, "read": "assets.lamp"}}])
    with pytest.raises(ConfigError, match=r"nothing is at 'assets\.lamp'"):
        evaluate(nowhere, root / "training", tmp_path / "out", run_root=root)
    with pytest.raises(ValueError, match="`classifier` is for pictures"):
        evaluation(sources=[{**source, "task": "depth"}])


def test_removal_has_a_figure_that_needs_no_target(root: Path, tmp_path: Path) -> None:
    weights = write_tiny_dinov2(tmp_path / "dinov2")
    source = {"name": "removed", "path": "run:data", "recipe": "relighting", "max_pairs": 3}
    config = evaluation(dinov2=weights, sources=[{**source, "task": "removal"}])
    judged = evaluate(config, root / "training", tmp_path, run_root=root)["sources"]["removed"]
    stored = PairSource(root / "data", "relighting", "test")
    pairs = [stored.pair(place) for place in range(3)]
    deviation = ContextDeviation.load(weights, torch.device("cpu"))
    expected = deviation([pair.source for pair in pairs], [pair.mask for pair in pairs])
    found = judged["methods"]["source"]["context_deviation"]
    assert found["mean"] == pytest.approx(np.mean(expected), rel=1e-4)
    # A ball is less like what surrounds it than what was interpolated from there.
    assert judged["methods"]["smooth_fill"]["context_deviation"]["mean"] < 0.5 * found["mean"]
    lit = evaluation(dinov2=weights, sources=[source])
    judged = evaluate(lit, root / "training", tmp_path, run_root=root)["sources"]["removed"]
    assert "context_deviation" not in judged["methods"]["source"]


def test_nothing_trained_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no checkpoint"):
        evaluate(evaluation(), tmp_path, tmp_path, run_root=root)


def test_a_baseline_of_ones_own_is_fitted_and_judged(root: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "class Lighter:\n"
        "    def __init__(self, share):\n"
        "        self.share = share\n"
        "    def fit(self, train, validation):\n"
        "        self.lift = np.mean([one.target - one.source.astype(float) for one in train])\n"
        "        assert len(list(train)) == len(list(train)) > 0\n"
        "    def predict(self, source, mask, conditions):\n"
        "        return np.clip(source + self.share * self.lift, 0, 255).astype(np.uint8)\n"
    )
    own = {"baseline": f"{tmp_path}/mine.py:Lighter", "settings": {"share": 0.0}}
    source = {"name": "unseen", "path": "run:data", "recipe": "relighting", "baselines": [own]}
    result = evaluate(evaluation(sources=[source]), root / "training", tmp_path / "out", run_root=root)
    methods = result["sources"]["unseen"]["methods"]
    assert methods["Lighter"] == methods["source"] != methods["model"]
    with pytest.raises(ValueError, match="name Lighter of a baseline is taken"):
        evaluation(sources=[{**source, "baselines": [own, own]}])


def test_a_folder_of_outputs_is_a_row_of_its_own(root: Path, tmp_path: Path) -> None:
    source = PairSource(root / "data", "relighting", "test")
    pairs = [source.pair(place) for place in range(len(source))]
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for pair in pairs:
        (theirs / f"{pair.key}.png").write_bytes(encode_field("output.png", pair.target // 2))
    sources = [
        {"name": "unseen", "path": "run:data", "recipe": "relighting", "outputs": {"Dark": str(theirs)}}
    ]
    judged = evaluate(evaluation(sources=sources), root / "training", tmp_path, run_root=root)
    of_theirs = [psnr(foreground_mse(p.target // 2, p.target, p.mask)) for p in pairs]
    found = judged["sources"]["unseen"]["methods"]["Dark"]["foreground_psnr"]["mean"]
    assert found == pytest.approx(np.mean(of_theirs))
    (theirs / f"{pairs[3].key}.png").unlink()
    with pytest.raises(ConfigError, match=f"{pairs[3].key}.png is not there"):
        evaluate(evaluation(sources=sources), root / "training", tmp_path, run_root=root)
    with pytest.raises(ValueError, match="the name source of a baseline is taken"):
        evaluation(sources=[{**sources[0], "outputs": {"source": str(theirs)}}])
