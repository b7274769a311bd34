"""Every tensor is on the network's device where it is used, shown without a GPU on torch's meta device.

There an operation on tensors of two devices fails as it does on a GPU. Values do not exist: a translation
ends at its copy to the host, and reaching that copy is what is asked of it.
"""

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from pairbridge.datagen.shards.fields import FieldKind
from pairbridge.training.bridge.samplers import (
    DbimSampler,
    EulerMaruyamaSampler,
    EulerSampler,
    HeunSampler,
    PosteriorSampler,
    ReferenceSampler,
    Sampler,
)
from pairbridge.training.bridge_training.bridge_learner import BridgeLearner
from pairbridge.training.bridge_training.losses import PixelLoss
from pairbridge.training.bridge_training.objective import encode_sources, predict
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel, build_denoiser
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.data.targets import PairKinds
from pairbridge.training.distillation.distillation_equations import (
    Multistep,
    draw_student,
    student_loss,
    student_sample,
)
from pairbridge.training.guidance.edit_losses import WeightedTerm, out_of_range
from pairbridge.training.guidance.guide_config import GuideConfig
from pairbridge.training.guidance.guided_images import edit_images
from pairbridge.training.guidance.guided_translation import translation_path
from pairbridge.training.networks.autoencoders import build_autoencoder
from pairbridge.training.perceptual.inception import InceptionV3, inception_features
from tests.support.tiny_transformers import TRANSFORMERS
from tests.support.waits import Waits

META = torch.device("meta")
UNET = {"widths": [8, 16], "head_width": 8, "norm_groups": 4}
BESIDE = {"denoiser": {**UNET, "conditions": [{"field": "mask", "dropout": 0.2}, {"field": "source"}]}}
SOURCES = np.zeros((2, 40, 33, 3), np.uint8)
MASKS = np.full((2, 40, 33), 255, np.uint8)


def training(**changes) -> TrainingConfig:
    small = {"size": 32, "batch_size": 4, "denoiser": UNET, "timesteps": {"kind": "uniform"}}
    return TrainingConfig.model_validate({**small, **changes})


def model(**changes) -> TranslationModel:
    config = training(**changes)
    autoencoder = build_autoencoder(config.autoencoder)
    return TranslationModel(config, autoencoder.to(META), build_denoiser(config, autoencoder).to(META))


STEPS: dict[str, dict] = {
    "defaults": {},
    "pixel loss": {"loss": {"pixel_weight": 1.0, "pixel_crop": 16}},
    "colours permuted": {"augment": {"permute_colours": 0.5}},
    "nothing augmented": {"augment": {"flip": 0.0}},
    "gain": {"denoiser": {**UNET, "head": "gain"}},
    "gate": {"denoiser": {**UNET, "head": "gate"}},
    "estimate": {"denoiser": {**UNET, "head": "estimate"}},
    "hole": {"hole": "smooth"},
    "conditions withheld": BESIDE,
    "velocity": {"bridge": {"field": "velocity"}},
    "flow from noise": {"bridge": {"sigma": 0, "start": "noise"}},
    **{kind: {"denoiser": {**network, "conditions": ["mask"]}} for kind, network in TRANSFORMERS.items()},
    "in parts": {"accumulate": 2},
    "weighting": {"loss": {"latent_weighting": "estimate"}},
}


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fused optimiser asks for a device that it knows, and then runs on this one too."""
    optimizer = sys.modules[torch.optim.Optimizer.__module__]
    monkeypatch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: ["meta"])


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, FieldKind.IMAGE) for name in STEPS]
    # What geometry shows is augmented and compared in other ways.
    + [("pixel loss", FieldKind.NORMAL), ("pixel loss", FieldKind.DEPTH)],
)
@pytest.mark.usefixtures("fused")
def test_a_step_leaves_nothing_on_the_cpu_and_waits_for_nothing(name: str, kind: FieldKind) -> None:
    config = training(**STEPS[name])
    autoencoder = build_autoencoder(config.autoencoder)
    bridge = BridgeLearner(config, autoencoder, PixelLoss(config.loss), Ranks(0, 1), META, from_base=False)
    batch = {name: torch.zeros(4, 32, 32, 3, dtype=torch.uint8) for name in ("source", "target")}
    batch["mask"] = torch.zeros(4, 32, 32, dtype=torch.uint8)
    if kind is not FieldKind.IMAGE:
        batch["target"] = torch.zeros(4, 32, 32, 3)
        batch["valid"] = torch.ones(4, 32, 32, dtype=torch.uint8)
    whole = {**batch, "size_WH": (32, 32), "batch_size": 4}
    with Waits() as waits:
        numbers = bridge.step(0, whole, PairKinds(target=kind))
    assert not waits.found
    assert {value.device for value in numbers.values()} == {META}
    assert numbers["loss"].shape == (4,)


def test_waiting_is_seen() -> None:
    with Waits() as waits:
        torch.zeros(3).to(META)
        torch.tensor([1.0, 2.0], device=META)
        torch.zeros(3).to(META, non_blocking=True)
    assert waits.found == ["a copy of shape (3,)", "a constant of shape (2,)"]
    with pytest.raises(RuntimeError):
        torch.zeros((), device=META).item()


def reaches_the_host(translate: Callable[[], object]) -> None:
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        translate()


NOISE = {"bridge": {"sigma": 0, "start": "noise"}}
TRANSLATIONS: dict[str, tuple[dict, int, Sampler, float]] = {
    "one step": ({}, 1, PosteriorSampler(), 1.0),
    "posterior": ({}, 4, PosteriorSampler(), 1.0),
    "euler_maruyama": ({}, 4, EulerMaruyamaSampler(), 1.0),
    "reference": ({}, 4, ReferenceSampler(), 1.0),
    "dbim": (BESIDE, 4, DbimSampler(eta=0.5), 1.0),
    "dbim of order 2": (BESIDE, 4, DbimSampler(order=2), 1.0),
    "euler": (NOISE, 4, EulerSampler(), 1.0),
    "heun": (NOISE, 4, HeunSampler(), 1.0),
    "guidance": (BESIDE, 2, PosteriorSampler(), 2.0),
    "hole": ({"hole": "smooth"}, 1, PosteriorSampler(), 1.0),
    **{kind: ({"denoiser": network}, 1, PosteriorSampler(), 1.0) for kind, network in TRANSFORMERS.items()},
    **{
        head: ({"denoiser": {**UNET, "head": head}}, 1, PosteriorSampler(), 1.0)
        for head in ("gain", "gate", "estimate")
    },
}


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_a_translation_reaches_its_copy_to_the_host(name: str) -> None:
    changes, steps, sampler, guidance = TRANSLATIONS[name]
    opened = model(**changes)
    reaches_the_host(
        lambda: opened.predict_batch(SOURCES, MASKS, steps=steps, sampler=sampler, guidance=guidance)
    )


@pytest.mark.parametrize("changes", [{}, BESIDE], ids=["mask", "mask and source"])
def test_a_guided_edit_reaches_its_copy_to_the_host(changes: dict) -> None:
    generator = [torch.Generator().manual_seed(seed) for seed in range(2)]
    config = GuideConfig.model_validate({"losses": [{"kind": "range"}], "steps": 4})
    path = translation_path(model(**changes), SOURCES, MASKS, {}, steps=4, generator=generator)
    terms = [WeightedTerm("range", 1.0, out_of_range)]
    reaches_the_host(lambda: edit_images(path, SOURCES, MASKS, terms, config, generator))


@pytest.mark.parametrize("multistep", list(Multistep))
def test_a_students_step_leaves_nothing_on_the_cpu(multistep: Multistep) -> None:
    teacher = model(bridge={"sigma": 0.5})
    batch = {"source": torch.zeros(4, 32, 32, 3), "mask": torch.zeros(4, 32, 32, dtype=torch.uint8)}
    x0, seen = encode_sources(
        teacher.config, teacher.autoencoder, batch, META, changes=torch.rand(4, 3), dropout=torch.rand(4, 1)
    )
    draws = draw_student(x0.shape, torch.rand(4), 2, torch.Generator().manual_seed(0)).to(META)

    def field(x: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None = None) -> torch.Tensor:
        return predict(teacher.config, teacher.denoiser, x, t, seen)

    bridge = teacher.config.bridge
    made = student_sample(field, x0, (0.0, 0.5), draws, bridge, multistep)
    loss = student_loss(field, field, x0, made, draws, bridge).per_sample
    loss.mean().backward()
    assert loss.device == META


def test_the_features_of_fid_are_taken_where_their_network_is() -> None:
    with META:
        network = InceptionV3().eval()
    reaches_the_host(lambda: inception_features(network, np.zeros((2, 64, 64, 3), np.uint8)))
