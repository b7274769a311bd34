"""`pairbridge classifier` beside a flow of drawn shapes, and `pairbridge sample --classifier`."""

from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import seed31
from pairbridge.pipelines.inference.classifying import classifier_config
from pairbridge.pipelines.inference.found_checkpoints import newest_checkpoint
from pairbridge.training.bridge.samplers import HeunSampler
from pairbridge.training.bridge_training.class_guide import ClassGuide
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.mix_config import MixConfig
from tests.pipelines.inference.test_translation import pairbridge, read
from tests.pipelines.inference.translating_models import SMALL, write_model
from tests.support.drawn_shapes import SHAPE, write_shapes
from tests.support.toy_relighting import SIZE, write_toy_dataset
from tests.training.bridge_training.test_flow_training import config as flow_config
from tests.training.bridge_training.test_flow_training import model as random_flow
from tests.training.bridge_training.test_flow_training import shade_of, shaded_pair

FLOW = {
    "size": 32,
    "autoencoder": {"kind": "haar", "levels": 2},
    "bridge": {"sigma": 0, "start": "noise"},
    "timesteps": {"kind": "uniform", "cap": 0.98},
}
COMMON = ("--size", 32, "--count", 4, "--steps", 4, "--seed", 3)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The run's folders of a flow and of its classifier, both trained for a moment."""
    root = tmp_path_factory.mktemp("runs")
    write_shapes(root / "flow" / "dataset", {"train": 40})
    config = TrainingConfig.model_validate(
        {
            **FLOW,
            "steps": 10,
            "batch_size": 8,
            "denoiser": {**SMALL, "head": "estimate", "conditions": [SHAPE]},
            "optimiser": {"warmup_images": 0, "schedule": "constant"},
            "ema_half_life_images": 16,
            "threads": 1,
            "loader_workers": 0,
            "watch": {"trackers": ()},
        }
    )
    mix = MixConfig.model_validate(
        {
            "sources": [{"name": "shapes", "path": "run:dataset", "recipe": "shapes"}],
            "on_exhausted": "repeat",
        }
    )
    train(config, mix, root / "flow" / "train", run_root=root / "flow")
    command = ("classifier", root / "flow", "--run", root / "classifier")
    said = pairbridge(*command, "--set", "steps=20")
    assert said.endswith(f"step 20: {root}/classifier/train/checkpoints/step-000020\n")
    # The same command goes on, here to a later end.
    assert "step 40: " in pairbridge(*command, "--set", "steps=40")
    return root / "flow", root / "classifier"


def test_samples_are_bent_by_the_classifier_and_by_nothing_else(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    flow, classifier = runs
    guided = ("--classifier", classifier, "--class", "ring", "--guidance")
    said = pairbridge("sample", flow, "--out", tmp_path / "guided", *COMMON, *guided, 100)
    # The class is withheld: one evaluation a time.
    assert said.endswith("4 images, 7 network evaluations each\n")
    pairbridge("sample", flow, "--out", tmp_path / "without", *COMMON, *guided, 0)
    pairbridge("sample", flow, "--out", tmp_path / "free", *COMMON, "--class", "ring", "--guidance", 0)
    images = {
        name: np.stack([read(tmp_path / name / f"{place:04d}.png") for place in range(4)])
        for name in ("guided", "without", "free")
    }
    assert np.array_equal(images["without"], images["free"])
    assert all((one != other).any() for one, other in zip(images["guided"], images["free"], strict=True))
    model = TranslationModel.load(newest_checkpoint(flow))
    guide = ClassGuide.load(newest_checkpoint(classifier))
    expected = model.translate_batch(
        np.zeros_like(images["free"]),
        steps=4,
        sampler=HeunSampler(),
        seed=[seed31(3, "sample", place) for place in range(4)],
        guidance=100.0,
        classifier=guide.towards("ring", model),
    )
    assert np.array_equal(images["guided"], expected)


def test_a_guided_sample_goes_where_its_class_is(tmp_path: Path) -> None:
    """Targets are dark or light by class, and the flow knows nothing: what is seen is the classifier's."""
    write_toy_dataset(
        tmp_path / "shades", "shades", {"train": 16}, make_pair=shaded_pair, family=shade_of, per_object=1
    )
    mix = MixConfig.model_validate(
        {
            "sources": [{"name": "a", "path": "run:shades", "recipe": "shades"}],
            "on_exhausted": "repeat",
        }
    )
    settings = flow_config(ema_half_life_images=100)
    how = ("steps=120", "optimiser.learning_rate=0.01", "optimiser.warmup_images=0", "batch_size=16")
    config = classifier_config(settings, how)
    trained = train(config, mix, tmp_path / "train", run_root=tmp_path)
    guide, flow = ClassGuide.load(trained.checkpoint), random_flow(settings)

    def levels(name: str) -> np.ndarray:
        images = flow.predict_batch(
            np.zeros((6, SIZE, SIZE, 3), np.uint8),
            steps=8,
            sampler=HeunSampler(),
            guidance=20.0,
            classifier=guide.towards(name, flow),
        )
        return images.mean(axis=(1, 2, 3))

    light, dark = levels("light"), levels("dark")
    assert (light - dark).min() > 0.05, (light, dark)


def test_what_does_not_fit_is_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    flow, classifier = runs
    guide = ClassGuide.load(newest_checkpoint(classifier))

    def refused(why: str, conditions: tuple = (SHAPE,), **changes) -> None:
        other = write_model(
            tmp_path / str(len(list(tmp_path.iterdir()))), conditions=conditions, **{**FLOW, **changes}
        )
        with pytest.raises(ConfigError, match=why):
            guide.towards("ring", TranslationModel.load(other))

    refused(
        "bridge.kind: brownian there, diffusion now",
        bridge={"kind": "diffusion", "schedule": {"kind": "vp"}, "start": "noise"},
    )
    refused("autoencoder: .* there, .* now", autoencoder={"kind": "haar", "levels": 3})
    refused(r"classes\[0\]: cross there, disc now", ({**SHAPE, "classes": ["disc", "ring"]},))
    refused(r"conditions.source.field", (SHAPE, "source"))
    refused("timesteps.cap", timesteps={"kind": "uniform", "cap": 0.9})
    refused("in every step of its training", ({**SHAPE, "dropout": 0.0},))
    # A flow that has never heard of a class is what a classifier was made for.
    guide.towards("ring", TranslationModel.load(write_model(tmp_path / "unaware", conditions=(), **FLOW)))

    out = ("--out", tmp_path / "out", *COMMON, "--classifier")
    for arguments, why in (
        ((*out, classifier), "no class was asked for"),
        ((*out, classifier, "--class", "star"), "no class 'star'"),
        ((*out, flow, "--class", "ring"), "is no classifier"),
    ):
        with pytest.raises(ConfigError, match=why):
            pairbridge("sample", flow, *arguments)
    with pytest.raises(ConfigError, match="is a classifier of shape"):
        pairbridge("sample", classifier, "--out", tmp_path / "out", *COMMON)
