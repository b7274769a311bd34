"""Classifiers of noisy latents: against the posterior of Gaussian classes, in the trainer, and as guides."""

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.pipelines.inference.classifying import classifier_config
from pairbridge.training.bridge.flow import classifier_guided, from_noise
from pairbridge.training.bridge_training.class_learner import build_classifier
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.memory_estimate import estimate_memory
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel, build_denoiser
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.engine.checkpoint import CheckpointError, read_tensors
from pairbridge.training.engine.ema import EmaSettings
from pairbridge.training.engine.learner import Learner
from pairbridge.training.engine.optimiser import OptimiserConfig
from pairbridge.training.networks.autoencoders import build_autoencoder
from pairbridge.training.networks.denoisers import UNetConfig
from pairbridge.training.networks.noisy_classifier import NoisyClassifier
from tests.support.drawn_shapes import SHAPE, write_shapes
from tests.training.bridge import gaussian_flow as gaussian

FLOW = {
    "steps": 6,
    "batch_size": 8,
    "size": 32,
    "autoencoder": {"kind": "haar", "levels": 3},
    "bridge": {"sigma": 0, "start": "noise"},
    "timesteps": {"kind": "uniform", "cap": 0.98},
    "denoiser": {"widths": (16, 16), "head_width": 8, "norm_groups": 4, "conditions": [SHAPE, "source"]},
    "optimiser": {"warmup_images": 0, "schedule": "constant"},
    "threads": 1,
    "loader_workers": 0,
    "log_every": 2,
    "checkpoint_every": 2,
    "watch": {"trackers": (), "pictures_every": 2},
}


def flow_config(**changes) -> TrainingConfig:
    return TrainingConfig.model_validate({**FLOW, **changes})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MixConfig:
    folder = write_shapes(tmp_path_factory.mktemp("shapes") / "dataset", {"train": 30, "validation": 10})
    return MixConfig.model_validate(
        {"sources": [{"name": "shapes", "path": str(folder), "recipe": "shapes"}], "on_exhausted": "repeat"}
    )


def test_its_gradient_is_that_of_the_posterior_of_gaussian_classes() -> None:
    """Points of the plane are latents of one cell. The guided field is the class's own, in closed form."""
    torch.set_num_threads(1)
    classes = ConditionConfig(field="side", classes=("left", "right"), read="kind")
    torch.manual_seed(0)
    network = NoisyClassifier(
        UNetConfig(widths=(32,), head_width=32, norm_groups=1, conditions=(classes,)),
        classes,
        latent_channels=2,
        mask_channels=1,
    )
    steps, batch = 1000, 512
    learner = Learner(
        network,
        OptimiserConfig(learning_rate=4e-3, warmup_images=10 * batch, weight_decay=0.0),
        total_images=steps * batch,
        ema=EmaSettings(half_life=20.0),
    )
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        label = (torch.rand(batch, generator=generator) >= gaussian.SHARES[0]).long()
        x1 = gaussian.MEANS[label] + gaussian.STDS[label, None] * torch.randn(batch, 2, generator=generator)
        t = torch.rand(batch, generator=generator) * 0.95
        x_t = (1 - t[:, None]) * torch.randn(batch, 2, generator=generator) + t[:, None] * x1

        def losses(one, part, x_t=x_t, t=t, label=label):
            logits = one(x_t[part, :, None, None].float(), t[part], {})
            return {"loss": F.cross_entropy(logits, label[part], reduction="none")}

        learner.descend(losses, rows=batch, images=step * batch)

    def log_first(x, t):
        return torch.log_softmax(network(x[:, :, None, None].float(), t.float(), {}), dim=1)[:, 0].double()

    errors = {}
    with learner.averaged():
        for time in (0.2, 0.5, 0.8):
            # Where it guides: on points of its class.
            x, t = gaussian.points(2000, time, seed=2, label=0)
            points = x.requires_grad_(True)
            (found,) = torch.autograd.grad(log_first(points, t).sum(), points)
            (exact,) = torch.autograd.grad(gaussian.log_posterior(points, t, 0).sum(), points)
            guided = classifier_guided(gaussian.mixed_velocity, log_first, 1.0, from_noise)(x, t)
            errors[time] = missed(found, exact), missed(guided, gaussian.class_velocity(x, t, 0))
    assert all(gradient < 0.05 and field < 0.05 for gradient, field in errors.values()), errors


def missed(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float(((found - exact).square().sum() / exact.square().sum()).detach())


def test_it_begins_without_an_opinion_and_sees_every_condition_but_the_class() -> None:
    config = classifier_config(flow_config())
    autoencoder = build_autoencoder(config.autoencoder)
    network = build_classifier(config, autoencoder)
    assert network.fields == ("source",)
    x, t = torch.randn(3, autoencoder.channels, 4, 4), torch.rand(3)
    assert (network(x, t, {"source": x}) == 0).all()
    field = build_denoiser(config.model_copy(update={"classifies": None}), autoencoder)
    count = [sum(one.numel() for one in of.parameters()) for of in (network, field)]
    assert count[0] < 0.7 * count[1]


def test_the_config_is_the_flows_but_for_what_a_classifier_has_not() -> None:
    flow = flow_config(loss={"latent_weighting": "field"})
    config = classifier_config(flow, ["steps=3", "denoiser.widths=[8, 8]"])
    assert (config.classifies, config.steps, config.label.dropout) == ("shape", 3, 0.0)
    assert config.denoiser.widths == (8, 8)
    assert config.watch.pictures_every is None
    same = ("bridge", "timesteps", "autoencoder", "size", "batch_size", "augment", "optimiser")
    assert all(getattr(config, name) == getattr(flow, name) for name in same)


def test_a_flow_without_a_class_or_with_two_asks_for_one() -> None:
    none = flow_config(denoiser={**FLOW["denoiser"], "conditions": []})
    with pytest.raises(ConfigError, match=r"no class condition"):
        classifier_config(none)
    named = classifier_config(none, ["denoiser.conditions=[{field: a, classes: [x, y], read: kind}]"])
    assert named.classifies == "a"
    other = {"field": "kind", "classes": ("a", "b"), "read": "kind", "dropout": 0.1}
    two = flow_config(denoiser={**FLOW["denoiser"], "conditions": [SHAPE, other]})
    with pytest.raises(ConfigError, match=r"more than one(.|\n)*--set classifies=shape"):
        classifier_config(two)
    assert classifier_config(two, ["classifies=kind"]).label.classes == ("a", "b")
    with pytest.raises(ConfigError, match="start to noise"):
        classifier_config(flow_config(bridge={"sigma": 0.1}))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"classifies": "colour"}, "has to be one of denoiser.conditions"),
        ({}, "without dropout"),
        ({"watch": {"pictures_every": 5}}, "makes no pictures"),
        ({"bridge": {"sigma": 0.1}}, "bridge.start to noise"),
        ({"denoiser": {"kind": "dit"}}, "of kind unet"),
    ],
)
def test_classifiers_that_make_no_sense_are_refused(changes: dict, why: str) -> None:
    kept = {**SHAPE, "dropout": 0.1 if not changes else 0.0}
    begun = {**FLOW, "watch": {"trackers": ()}, "denoiser": {**FLOW["denoiser"], "conditions": [kept]}}
    with pytest.raises(ValidationError, match=why):
        TrainingConfig.model_validate({**begun, "classifies": "shape", **changes})


def test_a_resumed_classifier_is_the_undisturbed_one_and_is_told_apart(
    data: MixConfig, tmp_path: Path
) -> None:
    config = classifier_config(flow_config(), ["validation.every_images=16", "validation.pairs=6"])
    whole = train(config, data, tmp_path / "whole", run_root=tmp_path)

    class Stopped(Exception):
        pass

    def stop_at_four(line: dict) -> None:
        if line["step"] == 4:
            raise Stopped

    with pytest.raises(Stopped):
        train(config, data, tmp_path / "cut", run_root=tmp_path, on_progress=stop_at_four)
    torch.manual_seed(99)
    resumed = train(config, data, tmp_path / "cut", run_root=tmp_path)
    for kind in ("model", "ema", "optimiser"):
        a, b = (read_tensors(run.checkpoint, kind) for run in (whole, resumed))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
    first = json.loads((tmp_path / "whole" / "stats.jsonl").read_text().splitlines()[0])
    # Five classes, and no opinion to begin with.
    assert first["loss"] == pytest.approx(math.log(5), rel=0.1)
    assert 0 <= first["loss_zero_one"] <= 1
    assert first["validation_loss"] == pytest.approx(first["loss"], rel=0.1)
    with pytest.raises(CheckpointError, match="classifies"):
        train(flow_config(), data, tmp_path / "cut", run_root=tmp_path)
    with pytest.raises(ConfigError, match="is a classifier of shape"):
        TranslationModel.load(whole.checkpoint)
    with pytest.raises(ConfigError, match="estimate is one of fields"):
        estimate_memory(config, 1)
