"""Published models: the same bytes in another process, a card of what is known, and nothing foreign."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors import safe_open
from typer.testing import CliRunner

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.pipelines.cli import app
from pairbridge.pipelines.inference.publishing import publish
from pairbridge.pipelines.inference.translation import open_model
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.published.pipeline import LatentBridgePipeline, load_published
from tests.pipelines.inference.translating_models import write_model

FRESH_PROCESS = """
import sys
import torch
from PIL import Image
from pairbridge.training.published.pipeline import load_published

torch.set_num_threads(1)
pipe = load_published(sys.argv[1])
image, mask = Image.open(sys.argv[2]), Image.open(sys.argv[3])
pipe(image, mask, num_inference_steps=4, seed=5).images[0].save(sys.argv[4])
"""


def picture(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    image = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 255
    return image, mask


@pytest.fixture(scope="module")
def latent_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In the latents of a small AutoencoderKL."""
    folder = tmp_path_factory.mktemp("latent")
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=32,
    )
    vae.save_pretrained(folder / "secret-place" / "vae")
    autoencoder = {"kind": "folder", "path": str(folder / "secret-place" / "vae")}
    return write_model(folder / "train" / "checkpoints", autoencoder=autoencoder)


def test_a_published_model_gives_the_same_bytes_in_a_fresh_process(
    latent_checkpoint: Path, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    out = publish(latent_checkpoint, tmp_path / "model")
    image, mask = picture(45, 70)
    Image.fromarray(image).save(tmp_path / "image.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    files = [str(tmp_path / name) for name in ("image.png", "mask.png", "out.png")]
    subprocess.run([sys.executable, "-c", FRESH_PROCESS, str(out), *files], check=True)
    fresh = np.asarray(Image.open(tmp_path / "out.png"))
    assert fresh.shape == image.shape
    expected = TranslationModel.load(latent_checkpoint).translate(image, mask, steps=4, seed=5)
    assert np.array_equal(fresh, expected)
    assert not np.array_equal(fresh, image)


@pytest.mark.parametrize("size", [(32, 32), (1, 200), (33, 47)])
def test_saved_and_loaded_pipelines_keep_the_size_and_the_image(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    checkpoint = write_model(tmp_path / "checkpoints", outside_mask="keep")
    model = TranslationModel.load(checkpoint)
    LatentBridgePipeline.of(model, removes=False).save_pretrained(tmp_path / "saved")
    image, mask = picture(*size)
    pipe = load_published(tmp_path / "saved")
    output = pipe(Image.fromarray(image), Image.fromarray(mask)).images[0]
    assert np.array_equal(np.asarray(output), model.translate(image, mask))


def test_the_folder_holds_safetensors_alone_and_no_path_of_the_machine(
    latent_checkpoint: Path, tmp_path: Path
) -> None:
    out = publish(latent_checkpoint, tmp_path / "model")
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == {
        "README.md",
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    }
    for path in out.rglob("*.*"):
        assert b"secret-place" not in path.read_bytes(), path
    with safe_open(out / "unet/diffusion_pytorch_model.safetensors", framework="np") as weights:
        assert len(weights.keys()) > 10


def test_the_card_names_data_mix_training_and_says_what_it_does_not_know(
    latent_checkpoint: Path, tmp_path: Path
) -> None:
    card = (publish(latent_checkpoint, tmp_path / "model") / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: diffusers\n")
    for text in ("`rooms`", "100.00 % of 28 samples", "sigma 0.3", "Not evaluated", "not at hand", "--mask"):
        assert text in card


CLASSES = {"field": "shape", "classes": ["disc", "ring"], "read": "params.shape"}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"conditions": ("mask", "light")},
        {"conditions": (CLASSES,)},
        {"conditions": ("depth",)},
        {"conditions": ()},
    ],
    ids=["mask", "light", "class", "image", "removal"],
)
def test_what_the_card_says_runs_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict
) -> None:
    monkeypatch.chdir(tmp_path)
    card = (
        publish(write_model(tmp_path / "checkpoints", **changes), Path("my-model")) / "README.md"
    ).read_text()
    image, mask = picture(45, 70)
    for name, pixels in (("picture", image), ("mask", mask), ("light", image), ("depth", image)):
        Image.fromarray(pixels).save(f"{name}.png")
    snippets = dict(re.findall(r"^```(sh|python)\n(.*?)^```", card, re.MULTILINE | re.DOTALL))
    # The command has no option for an image of any other kind.
    assert snippets.keys() == {"sh", "python"} - ({"sh"} if changes == {"conditions": ("depth",)} else set())
    made = []
    for kind, text in snippets.items():
        Path("result.png").unlink(missing_ok=True)
        if kind == "sh":
            assert CliRunner().invoke(app, shlex.split(text)[1:]).exit_code == 0, text
        else:
            exec(text, {})
        made.append(np.asarray(Image.open("result.png")))
        assert made[-1].shape == image.shape
        assert np.array_equal(made[-1], made[0])


def test_nothing_is_overwritten_and_a_failure_leaves_nothing(latent_checkpoint: Path, tmp_path: Path) -> None:
    out = publish(latent_checkpoint, tmp_path / "model")
    with pytest.raises(ConfigError, match="exists"):
        publish(latent_checkpoint, out)
    with pytest.raises(ConfigError, match="no checkpoint"):
        publish(tmp_path, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_foreign_components_are_refused_before_anything_is_imported(tmp_path: Path) -> None:
    out = publish(write_model(tmp_path / "checkpoints"), tmp_path / "model")
    index = json.loads((out / "model_index.json").read_bytes())
    for component in (["subprocess", "Popen"], ["diffusers", "DDPMScheduler"], ["os"]):
        (out / "model_index.json").write_text(json.dumps({**index, "extra": component}))
        with pytest.raises(ConfigError, match="no part of a bridge"):
            load_published(out)
    (tmp_path / "bridge.py").write_text("raise SystemExit('run')\n")
    for name, code in (("bridge.py:Bridge", "raise SystemExit('run')"), (f"{tmp_path}/bridge.py:Bridge", "")):
        own = {"kind": "own", "bridge": name, "settings": {}, "code": code, "start": "source"}
        bridge = {**index["bridge"], "bridge": own}
        (out / "model_index.json").write_text(json.dumps({**index, "bridge": bridge}))
        with pytest.raises(ConfigError, match="holds code"):
            load_published(out)
    (out / "model_index.json").write_text(json.dumps({**index, "_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(ConfigError, match="no LatentBridgePipeline"):
        open_model(out)
    (out / "model_index.json").write_text("[]")
    with pytest.raises(ConfigError, match="no LatentBridgePipeline"):
        open_model(out)
