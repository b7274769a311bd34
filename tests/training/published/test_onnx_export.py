"""ONNX files: the pictures of torch and of the commands, at sizes that the exporter never saw."""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from typer.testing import CliRunner

from benchmarks.onnx import SIZES, small_model
from benchmarks.small_recipes import TASKS
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import seed31
from pairbridge.pipelines.cli import app
from pairbridge.pipelines.inference.translation import open_model
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.published.one_evaluation import OneEvaluation
from pairbridge.training.published.onnx_export import TOLERANCE, difference, export_onnx
from pairbridge.training.published.published_folders import fill_hole
from tests.pipelines.inference.translating_models import write_model

# Few nodes: the exporter takes half a minute for a UNet.
NETWORK = """
import torch


class Net(torch.nn.Module):
    side_multiple = 2

    def __init__(self, channels_in, channels_out):
        super().__init__()
        self.down = torch.nn.Conv2d(channels_in, 8, 3, stride=2, padding=1)
        self.up = torch.nn.ConvTranspose2d(8, channels_out, 2, stride=2)

    def forward(self, x, t):
        return self.up(torch.relu(self.down(x)) + t.view(-1, 1, 1, 1))
"""
LIGHT = {"field": "light_target", "encoding": "irradiance"}
SHAPE = {"field": "shape", "classes": ["disc", "ring"], "read": "params.shape"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sees a light map, an environment map, a class and noise of its own; its holes are filled, and kept
    outside.
    """
    folder = tmp_path_factory.mktemp("own")
    (folder / "net.py").write_text(NETWORK)
    conditions = ["light", LIGHT, SHAPE, "noise"]
    network = {"kind": "own", "network": f"{folder}/net.py:Net", "conditions": conditions}
    return write_model(folder / "train" / "checkpoints", denoiser=network, outside_mask="keep")


@pytest.mark.parametrize(
    "sizes",
    [
        ((16, 24),),
        # Free sizes take symbolic arithmetic, and that half a minute.
        pytest.param(((32, 32), (45, 70), (1, 90)), marks=pytest.mark.long),
    ],
    ids=["fixed", "free"],
)
def test_a_file_makes_the_pictures_of_translate(
    checkpoint: Path, tmp_path: Path, sizes: tuple[tuple[int, int], ...]
) -> None:
    torch.set_num_threads(1)
    out = tmp_path / "exported"
    options = ["--to", "onnx", "--out", str(out), *(["--size", "24x16"] if len(sizes) == 1 else [])]
    done = CliRunner().invoke(app, ["export-model", str(checkpoint), *options])
    assert done.exit_code == 0, done.output
    assert "differs from torch by at most" in done.output
    onnx.checker.check_model(out / "model.onnx")
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == [
        *("image", "mask", "light", "light_target", "shape", "hole_noise", "noise"),
    ]
    opened = open_model(checkpoint)
    assert opened.removes
    draw = np.random.default_rng(0)
    for height, width in sizes:
        image, light = (draw.integers(0, 256, (*size, 3), np.uint8) for size in ((height, width), (19, 48)))
        mask = (draw.random((height, width)) > 0.6).astype(np.uint8) * 255
        shape = ConditionConfig.model_validate(SHAPE).class_image("ring")
        # Brighter than white here and there.
        radiance = draw.gamma(0.3, 5, (19, 48, 3)).astype(np.float32)
        conditions = {"light": light, "light_target": radiance, "shape": shape}
        expected = opened.translate(image, mask, conditions=conditions, seed=5)
        # The random numbers of that seed.
        noise = fill_hole(image, np.full_like(mask, 255), 5)
        generator = torch.Generator().manual_seed(seed31(5, "translate"))
        cells = [-(-side // 8) * 2 for side in (height, width)]
        inputs = {
            "image": planes(image),
            "mask": mask[None, None].astype(np.float32) / 255,
            "light": planes(light),
            "light_target": radiance.transpose(2, 0, 1)[None],
            "shape": np.array([1]),
            "hole_noise": planes(noise),
            "noise": torch.randn(1, 48, *cells, generator=generator).numpy(),
        }
        (made,) = session.run(None, inputs)
        made = made[0].transpose(1, 2, 0) * 255
        # What `translate` writes is rounded to grey levels.
        assert np.abs(made - expected).max() <= 0.5 + 255 * TOLERANCE
        assert np.abs(expected.astype(float) - image).max() > 20


@pytest.mark.parametrize("labels", [20, 200], ids=["planes", "code"])
def test_label_maps_go_in_as_whole_numbers(tmp_path: Path, labels: int) -> None:
    torch.set_num_threads(1)
    (tmp_path / "net.py").write_text(NETWORK)
    conditions = [{"field": "region", "labels": labels}]
    network = {"kind": "own", "network": f"{tmp_path}/net.py:Net", "conditions": conditions}
    opened = open_model(write_model(tmp_path / "checkpoints", denoiser=network))
    graph = OneEvaluation(opened.model, removes=False)
    exported = export_onnx(graph, tmp_path, size_WH=(24, 16))
    assert exported.inputs["region"] == [1, 1, 16, 24]
    draw = np.random.default_rng(0)
    image = draw.integers(0, 256, (16, 24, 3), np.uint8)
    # Some of them no labels.
    numbers = draw.integers(-1, labels + 20, (16, 24))
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    (made,) = session.run(None, {"image": planes(image), "region": numbers[None, None]})
    expected = opened.translate(image, conditions={"region": numbers})
    assert np.abs(made[0].transpose(1, 2, 0) * 255 - expected).max() <= 0.5 + 255 * TOLERANCE
    other = opened.translate(image, conditions={"region": np.zeros_like(numbers)})
    assert np.abs(expected.astype(int) - other).max() > 2


def planes(image: np.ndarray) -> np.ndarray:
    return image.transpose(2, 0, 1)[None].astype(np.float32) / 255


def test_what_cannot_be_exported_says_why_and_leaves_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_model(checkpoint)
    graph = OneEvaluation(opened.model, removes=True)
    forward = graph.forward
    # A file that makes other pictures than torch, as a faulty runtime would.
    ran = iter([forward, *[lambda *given: forward(*given) + 0.01] * 2])
    monkeypatch.setattr(graph, "forward", lambda *given: next(ran)(*given))
    with pytest.raises(ConfigError, match=r"differ by 0\.01 on"):
        export_onnx(graph, tmp_path, size_WH=(16, 16))
    wrong = ["export-model", str(checkpoint), "--to", "onnx", "--size", "24"]
    assert CliRunner().invoke(app, wrong).exit_code == 2
    late = write_model(tmp_path / "late", timesteps={"kind": "discrete", "times": [0.5], "weights": [1.0]})
    done = CliRunner().invoke(
        app, ["export-model", str(late), "--to", "onnx", "--out", str(tmp_path / "out")]
    )
    assert "never trained" in str(done.exception)
    assert not (tmp_path / "out").exists()
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ConfigError, match="onnxscript is not installed") as raised:
        export_onnx(graph, tmp_path)
    assert "[onnx]'" in raised.value.remedy


@pytest.mark.long
@pytest.mark.parametrize("task", TASKS)
def test_every_small_recipe_equals_torch(task: str, tmp_path: Path) -> None:
    graph = small_model(task)
    exported = export_onnx(graph, tmp_path)
    assert max(difference(graph, exported.path, size) for size in SIZES) <= TOLERANCE


def kl() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=32,
    )


def taesd() -> AutoencoderTiny:
    return AutoencoderTiny(
        encoder_block_out_channels=(8,) * 3,
        decoder_block_out_channels=(8,) * 3,
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
    )


def latent_unet(folder: Path, vae: AutoencoderKL | AutoencoderTiny) -> OneEvaluation:
    vae.save_pretrained(folder / "vae")
    network = {
        "kind": "latent_unet",
        "widths": [8, 16],
        "transformer_layers": [0, 1],
        "middle_layers": 1,
        "heads": [1, 2],
        "layers_per_block": 1,
        "norm_groups": 4,
        "conditions": ["mask"],
    }
    autoencoder = {"kind": "folder", "path": str(folder / "vae")}
    checkpoint = write_model(folder / "checkpoints", denoiser=network, autoencoder=autoencoder)
    return OneEvaluation(TranslationModel.load(checkpoint), removes=True)


@pytest.mark.long
@pytest.mark.parametrize("vae", [kl, taesd])
def test_latent_unets_in_the_latents_of_autoencoders_equal_torch(tmp_path: Path, vae) -> None:
    torch.manual_seed(0)
    graph = latent_unet(tmp_path, vae())
    exported = export_onnx(graph, tmp_path, size_WH=(72, 40))
    assert difference(graph, exported.path, (1, 40, 72)) <= TOLERANCE


@pytest.mark.long
def test_attention_has_no_form_of_free_size(tmp_path: Path) -> None:
    """Its gated halves have none, whatever the latents are of."""
    with pytest.raises(ConfigError, match="of any size"):
        export_onnx(latent_unet(tmp_path, taesd()), tmp_path)
