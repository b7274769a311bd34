"""The estimate of a training's memory against a real process, and of what is shipped."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pairbridge.pipelines.cli import app
from pairbridge.pipelines.reading.config_files import load_config
from pairbridge.training.bridge_training.memory_estimate import GIB, NotEstimated, advice, estimate_memory
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.networks.autoencoders import FolderConfig
from tests.support.tiny_base import write_tiny_base

ROOT = Path(__file__).parents[3]
# 23 M parameters: 350 MiB of state, 700 MiB of activations.
MIDDLE = {
    "denoiser": {"widths": [96, 192, 288], "layers_per_block": 2, "head_width": 32, "norm_groups": 32},
    "size": 192,
    "batch_size": 8,
    "loss": {"pixel_weight": 1.0},
}
SMALL = {"denoiser": {"widths": [16, 32], "head_width": 8, "norm_groups": 8}, "size": 64, "batch_size": 8}


def of(config: dict, **changes) -> TrainingConfig:
    return TrainingConfig.model_validate({**config, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="plain", marks=pytest.mark.long),
        pytest.param({"gradient_checkpointing": True}, id="checkpointed", marks=pytest.mark.long),
        pytest.param({"accumulate": 2}, id="in parts", marks=pytest.mark.long),
        pytest.param({"ema_precision": "bf16"}, id="EMA in bf16", marks=pytest.mark.long),
    ],
)
def test_a_real_process_takes_what_was_estimated(changes: dict) -> None:
    """The most resident memory that two steps add, on a CPU: within 15 %."""
    config = of(MIDDLE, **changes)
    command = [sys.executable, "-m", "tests.support.measured_step", config.model_dump_json()]
    # Freed memory goes back at once, so that the most resident is the most in use.
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "MALLOC_TRIM_THRESHOLD_": "0"}
    environment |= {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert estimate_memory(config, 1).tensors == pytest.approx(int(done.stdout), rel=0.15)


# As stabilityai publishes it: an estimate reads nothing else of the folder.
SDXL_VAE = {
    "_class_name": "AutoencoderKL",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
}
RECIPES = ("removal", "relighting", "shadow", "controllable-relighting", "depth", "normals", "restoration")


@pytest.fixture(scope="module")
def vae(tmp_path_factory) -> FolderConfig:
    folder = tmp_path_factory.mktemp("vae")
    (folder / "config.json").write_text(json.dumps(SDXL_VAE))
    return FolderConfig(path=folder)


def shipped(recipe: str, vae: FolderConfig) -> TrainingConfig:
    config = load_config(ROOT / "pipelines" / "configs" / "training" / f"{recipe}.yaml", TrainingConfig)
    return config.model_copy(update={"autoencoder": vae})


@pytest.mark.parametrize("recipe", ["removal", "depth"])
def test_the_pixel_loss_of_the_papers_recipes_takes_a_crops_memory(recipe: str, vae: FolderConfig) -> None:
    """Beside a small denoiser: of a batch at once autograd kept 96 GiB in float32 and 49 in bf16."""
    config = shipped(recipe, vae)
    small = of(SMALL).denoiser.model_copy(update={"conditions": config.denoiser.conditions})
    estimate = estimate_memory(
        config.model_copy(update={"denoiser": small, "gradient_checkpointing": False}), 2
    )
    assert 2 * GIB < estimate.passing < 9 * GIB


@pytest.mark.long
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_shipped_recipe_fits_the_hardware_that_it_states(recipe: str, vae: FolderConfig) -> None:
    config = shipped(recipe, vae)
    estimate = estimate_memory(config, config.hardware.gpus)
    assert estimate.peak <= config.hardware.gpu_memory_gib * GIB
    one = estimate_memory(config.model_copy(update={"accumulate": 2}), 1)
    assert one.peak <= 79 * GIB


@pytest.mark.long
def test_relighting_by_adapters_fits_a_card_of_24_gb(vae: FolderConfig) -> None:
    config = shipped("relighting-lora", vae)
    estimate = estimate_memory(config, 1)
    assert estimate.peak <= config.hardware.gpu_memory_gib * GIB < 24 * GIB
    # Of 2.4 B weights, which rest in bf16, 2 % have gradients, moments and an average, in fp32.
    assert estimate.gradients / 4 < 0.02 * (estimate.parameters - estimate.gradients) / 2


def test_only_adapters_have_gradients_moments_and_an_average(tmp_path: Path) -> None:
    denoiser = write_tiny_base(tmp_path)
    whole, adapted = (of({**SMALL, "denoiser": denoiser}, lora=lora) for lora in (None, {"rank": 1}))
    whole, adapted = estimate_memory(whole, 1), estimate_memory(adapted, 1)
    trained = adapted.gradients // 4
    assert adapted.parameters - whole.parameters < 4 * trained < whole.gradients
    assert (adapted.optimiser, adapted.average) == (8 * trained, 4 * trained)


def test_every_recipe_for_gpus_states_its_hardware() -> None:
    for path in sorted((ROOT / "pipelines" / "configs" / "training").glob("*.yaml")):
        config = load_config(path, TrainingConfig)
        assert (config.hardware is not None) == (config.device == "cuda"), path


def test_what_rests_is_sharded_offloaded_and_halved_as_it_is_in_training() -> None:
    alone, sharded = (estimate_memory(of(SMALL, parallel="fsdp"), gpus) for gpus in (1, 2))
    assert alone.optimiser == 2 * alone.parameters == 2 * alone.gradients
    for part in ("parameters", "gradients", "optimiser", "average"):
        assert getattr(sharded, part) == pytest.approx(getattr(alone, part) / 2, rel=1e-3)
    # Half of the images, and of the gradients.
    assert sharded.passing < 0.6 * alone.passing
    offloaded = estimate_memory(of(SMALL, parallel="fsdp", cpu_offload=True), 1)
    assert offloaded.resting == offloaded.frozen
    assert offloaded.host == alone.parameters + alone.gradients + alone.optimiser + alone.average
    halved = estimate_memory(of(SMALL, ema_precision="bf16"), 1)
    assert 2 * halved.average == alone.average


def test_advice_is_followed_until_it_fits() -> None:
    config = of({**SMALL, "size": 256, "batch_size": 16})
    estimate = estimate_memory(config, 1)
    fits = estimate.resting + estimate.passing / 3 + 2.1 * GIB
    lines = advice(config, estimate, fits)
    assert lines[0] == "precision: bf16"
    assert "then it peaks at" in lines[-1]
    changed = of({**SMALL, "size": 256, "batch_size": 16}, precision="bf16", gradient_checkpointing=True)
    keys = [line.split(":")[0] for line in lines]
    if "accumulate" in keys:
        parts = int(lines[keys.index("accumulate")].split(":")[1])
        changed = changed.model_copy(update={"accumulate": parts})
    assert estimate_memory(changed, 1).peak <= fits
    least = of({**SMALL, "size": 32, "batch_size": 1})
    assert "still it does not fit" in advice(least, estimate, 1.0)[-1]


def test_a_network_that_looks_at_values_has_no_estimate(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, channels_in, channels_out):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Conv2d(channels_in, channels_out, 1)\n"
        "    def forward(self, x, t):\n"
        "        return self.layer(x) * (1.0 if float(t.sum()) > 0 else 2.0)\n"
    )
    own = {"kind": "own", "network": f"{tmp_path / 'parts.py'}:Net", "conditions": []}
    with pytest.raises(NotEstimated, match="without values"):
        estimate_memory(of({"denoiser": own, "size": 32}), 1)


def test_the_dry_run_prints_the_estimate_and_what_to_change(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(json.dumps({**SMALL, "batch_size": 1, "hardware": {"gpus": 1, "gpu_memory_gib": 23.5}}))
    done = CliRunner().invoke(app, ["train", str(path), "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "fits 1 x 23.5 GiB" in done.output
    for name in ("parameters", "gradients", "optimiser", "average", "activations", "peak"):
        assert name in done.output
    done = CliRunner().invoke(app, ["train", str(path), "--dry-run", "--gpu-memory", "0.1"])
    assert "does not fit 1 x 0.1 GiB" in done.output
    assert "- precision: bf16" in done.output
    assert not (tmp_path / "train").exists()
