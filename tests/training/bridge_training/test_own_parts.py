"""A user's own network, loss, bridge and sampler: from files, through a training, to a translated image."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.pipelines.reading.config_files import load_config
from pairbridge.training.bridge.bridges import BrownianBridge
from pairbridge.training.bridge.sample_loop import check_sampler, sample
from pairbridge.training.bridge.samplers import (
    EulerMaruyamaSampler,
    EulerSampler,
    OwnSampler,
    PosteriorSampler,
)
from pairbridge.training.bridge.timesteps import UniformTimesteps
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.losses import LossConfig
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.distillation.distillation_config import DistillationConfig
from pairbridge.training.distillation.student import student_config
from pairbridge.training.engine.checkpoint import CheckpointError, read_state
from pairbridge.training.networks.denoisers import Denoiser, OwnNetworkConfig
from pairbridge.training.published.published_folders import write_published
from tests.support.toy_relighting import write_toy_dataset

PARTS = '''
import torch
from torch import nn
from pairbridge.training.bridge.samplers import EvenSampler


class Net(nn.Module):
    side_multiple = 2

    def __init__(self, channels_in, channels_out, width=8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels_in, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, channels_out, 1)
        )
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, x, t):
        return self.layers(x) * (1 + t)[:, None, None, None]


class WithMemory(Net):
    def __init__(self, channels_in, channels_out):
        super().__init__(channels_in, channels_out)
        self.norm = nn.BatchNorm2d(channels_out)


class Edges(nn.Module):
    def forward(self, output, target, mask):
        assert mask.shape == output[:, :1].shape
        return (output.diff(dim=-1) - target.diff(dim=-1)).square().mean(dim=(1, 2, 3))


class Straight:
    """A line without noise, as the target itself to predict."""

    def interpolate(self, x0, x1, t, eps):
        t = t[:, None, None, None]
        return (1 - t) * x0 + t * x1

    def regression_target(self, x0, x1, x_t, t):
        return x1

    def estimate_target(self, x_t, v, t):
        return v

    def posterior_step(self, x_a, x1, a, b, eps):
        return x_a + (b - a) / (1 - a) * (x1 - x_a)


class Halfway(EvenSampler):
    """All the way at once, blended with the start."""

    def __init__(self, share):
        self.share = share

    def advance(self, step):
        return (1 - self.share) * step.x0 + self.share * step.x1
'''
YAML = """
steps: 3
batch_size: 4
size: 32
threads: 1
loader_workers: 0
watch: {trackers: []}
denoiser: {kind: own, network: parts.py:Net, settings: {width: 4}}
loss: {terms: [{loss: parts.py:Edges, weight: 0.5}]}
bridge: {kind: own, bridge: parts.py:Straight}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "parts.py").write_text(PARTS)
    (folder / "training.yaml").write_text(YAML)
    write_toy_dataset(folder / "a", "relighting", {"train": 8})
    return folder


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Path:
    return train(
        load_config(folder / "training.yaml", TrainingConfig), mix(), folder / "run", run_root=folder
    ).checkpoint


def mix() -> MixConfig:
    return MixConfig.model_validate({"sources": [{"name": "a", "path": "run:a", "recipe": "relighting"}]})


def test_a_network_loss_and_bridge_of_ones_own_train_and_translate(folder: Path, checkpoint: Path) -> None:
    lines = (folder / "run" / "stats.jsonl").read_text()
    assert '"loss_Edges"' in lines
    model = TranslationModel.load(checkpoint)
    source = np.random.default_rng(0).integers(0, 256, (30, 34, 3), dtype=np.uint8)
    mask = np.full((30, 34), 255, np.uint8)
    full = OwnSampler(sampler=f"{folder}/parts.py:Halfway", settings={"share": 1.0})
    none = OwnSampler(sampler=f"{folder}/parts.py:Halfway", settings={"share": 0.0})
    arrived = model.translate(source, mask, sampler=full)
    assert np.array_equal(arrived, model.translate(source, mask))
    assert np.array_equal(source, model.translate(source, mask, sampler=none))
    assert not np.array_equal(arrived, source)


def test_the_checkpoint_holds_the_code_and_a_changed_one_is_refused(folder: Path, checkpoint: Path) -> None:
    saved = read_state(checkpoint).config
    assert saved["denoiser"]["code"] == saved["loss"]["terms"][0]["code"] == saved["bridge"]["code"] == PARTS
    assert str(folder) not in str(saved)
    changed = load_config(folder / "training.yaml", TrainingConfig).model_dump()
    changed["denoiser"]["code"] += "\n# Another version.\n"
    with pytest.raises(CheckpointError, match=r"denoiser\.code"):
        train(TrainingConfig.model_validate(changed), mix(), folder / "run", run_root=folder)


def test_what_cannot_be_known_of_own_parts_is_refused(folder: Path, checkpoint: Path) -> None:
    model = TranslationModel.load(checkpoint)
    for sampler in (EulerMaruyamaSampler(), EulerSampler()):
        with pytest.raises(ConfigError, match="sampler follows"):
            check_sampler(sampler, 1, UniformTimesteps(), bridge=model.config.bridge, sees_source=True)
    with pytest.raises(ConfigError, match="would run its code"):
        write_published(model, folder / "published", removes=False)
    with pytest.raises(ConfigError, match="of the user's own"):
        student_config(model.config, DistillationConfig())
    with pytest.raises(ConfigError, match=r"BatchNorm|GroupNorm"):
        TranslationModel(model.config, model.autoencoder, _denoiser(folder, "WithMemory"))
    with pytest.raises(ConfigError, match="cannot be made"):
        _denoiser(folder, "Net", wdth=4)
    with pytest.raises(ValueError, match="one name"):
        LossConfig(terms=({"loss": f"{folder}/parts.py:Edges"},) * 2)
    with pytest.raises(ValueError, match="without masks"):
        TrainingConfig(
            loss=LossConfig(terms=({"loss": f"{folder}/parts.py:Edges"},)),
            latents="cached",
            augment={"flip": 0},
        )


def _denoiser(folder: Path, name: str, **settings):
    config = OwnNetworkConfig(network=f"{folder}/parts.py:{name}", settings=settings, conditions=())
    return Denoiser(config, latent_channels=12, mask_channels=1)


def test_a_bridge_of_ones_own_is_followed_by_the_posterior_sampler(folder: Path) -> None:
    own = TrainingConfig(bridge={"kind": "own", "bridge": f"{folder}/parts.py:Straight"}).bridge
    x0, x1 = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    arguments = {"times": (0.0, 0.5), "generator": torch.Generator()}
    found = sample(PosteriorSampler(), lambda x, t: x1, x0, bridge=own, **arguments)
    drift = sample(
        PosteriorSampler(),
        lambda x, t: (x1 - x) / (1 - t)[:, None, None, None],
        x0,
        bridge=BrownianBridge(sigma=0),
        **arguments,
    )
    torch.testing.assert_close(found, drift)


def test_an_installed_network_is_found_by_its_entry_point(folder: Path, monkeypatch) -> None:
    package = folder / "site" / "nets-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: nets\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[pairbridge.networks]\ntiny = nets_module:Net\n[pairbridge.samplers]\nhalf = nets_module:Halfway\n"
    )
    module = folder / "site" / "nets_module.py"
    module.write_text(PARTS)
    monkeypatch.syspath_prepend(str(folder / "site"))
    config = OwnNetworkConfig(network="tiny")
    assert (config.code, config.side_multiple) == (PARTS, 2)
    assert OwnSampler(sampler="half", settings={"share": 1}).bridges == "any"
    with pytest.raises(
        ValueError, match=r"nor an entry point of pairbridge\.networks \(installed here: tiny\)"
    ):
        OwnNetworkConfig(network="half")
    module.write_text(PARTS + "\n")
    with pytest.raises(ConfigError, match="not the one of the config"):
        OwnNetworkConfig.model_validate(config.model_dump())
