"""Published models: the same bytes in another process, a card of what is known, and nothing foreign."""

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DiffusionPipeline
from diffusers.utils import dynamic_modules_utils
from PIL import Image
from safetensors import safe_open
from typer.testing import CliRunner

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.pipelines.cli import app
from pairbridge.pipelines.inference.given_light import read_light
from pairbridge.pipelines.inference.publishing import publish
from pairbridge.pipelines.inference.translation import OpenedModel, open_model
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.published.published_folders import load_published, translation_of, write_published
from pairbridge.training.published.standalone import standalone
from tests.pipelines.inference.translating_models import write_model
from tests.support.panoramas import by_component, panorama, radiance, rgbe
from tests.support.tiny_transformers import TRANSFORMERS

# A process in which this package cannot be imported, as where only torch and diffusers are installed.
STOCK_PROCESS = """
import sys


class Elsewhere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pairbridge":
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, Elsewhere())
try:
    import pairbridge
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("it can be imported")
import torch
from diffusers import AutoencoderKL, UNet2DModel

torch.set_num_threads(1)
assert UNet2DModel.from_pretrained("model", subfolder="unet").config.in_channels == 5
assert AutoencoderKL.from_pretrained("model", subfolder="vae").config.latent_channels == 4
exec(sys.argv[1])
pipe(Image.open("picture.png"), Image.open("mask.png"), num_inference_steps=4, seed=5).images[0].save("4.png")
assert not [name for name in sys.modules if name.startswith("pairbridge")]
"""


def card_snippets(folder: Path) -> dict[str, str]:
    return dict(re.findall(r"^```(sh|python)\n(.*?)^```", (folder / "README.md").read_text(), re.M | re.S))


def stock_pipeline(folder: Path) -> DiffusionPipeline:
    """By the class in the folder's own file."""
    spec = importlib.util.spec_from_file_location("published_pipeline", folder / "pipeline.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LatentBridgePipeline.from_pretrained(folder, low_cpu_mem_usage=False)


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


def test_stock_diffusers_gives_the_same_bytes_where_this_package_cannot_be_imported(
    latent_checkpoint: Path, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    out = publish(latent_checkpoint, tmp_path / "model")
    image, mask = picture(45, 70)
    Image.fromarray(image).save(tmp_path / "picture.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    subprocess.run(
        [sys.executable, "-c", STOCK_PROCESS, card_snippets(out)["python"]],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"},
    )
    model = TranslationModel.load(latent_checkpoint)
    for name, expected in (
        ("result", model.translate(image, mask)),
        ("4", model.translate(image, mask, steps=4, seed=5)),
    ):
        made = np.asarray(Image.open(tmp_path / f"{name}.png"))
        assert np.array_equal(made, expected)
        assert not np.array_equal(made, image)


def test_the_pipeline_s_file_stands_alone(latent_checkpoint: Path, tmp_path: Path) -> None:
    text = (publish(latent_checkpoint, tmp_path / "model") / "pipeline.py").read_text()
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {getattr(node, "module", None) or node.names[0].name for node in nodes}
    heads = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    # What diffusers itself needs is there where it is.
    assert heads == {"torch", "diffusers", "numpy", "PIL"}


def test_two_things_of_one_name_are_not_put_into_one_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "collides.py").write_text(
        "from pairbridge.training.networks.autoencoders import _spans\n"
        "from pairbridge.training.bridge.timesteps import _sigmoid\n\n\n"
        "def spans(x):\n    return _spans, tags\n\n\n"
        "from pairbridge.training.networks.conditions import _planes as tags\n\n\n"
        "def _planes():\n    return 0\n"
    )
    with pytest.raises(ValueError, match="_planes is a name of both"):
        standalone("collides")


FLOW = {"kind": "brownian", "sigma": 0.0, "start": "noise"}
SHAPE = {"field": "shape", "classes": ["disc", "ring"], "read": "params.shape", "dropout": 0.1}


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({"hole": "smooth", "removes": True}, {"steps": 1}),
        ({"removes": True}, {"steps": 2, "seed": 3}),
        ({"outside_mask": "keep", "denoiser": {"head": "gain"}}, {"steps": 4}),
        ({"denoiser": {"head": "gate"}}, {"steps": 1}),
        ({"denoiser": {"head": "light"}}, {"steps": 1}),
        (
            {"bridge": FLOW, "conditions": ("mask", SHAPE), "denoiser": {"head": "estimate"}},
            {"guidance": 2.0},
        ),
        ({"conditions": ("mask", "source", "noise", {"field": "light", "dropout": 0.2})}, {"steps": 2}),
        ({"conditions": ("mask", {"field": "depth", "channels": 1, "encoding": "resize"})}, {"steps": 1}),
        ({"conditions": ({"field": "region", "labels": 20, "dropout": 0.1},)}, {"guidance": 1.5}),
        ({"conditions": ("mask", {"field": "region", "labels": 200})}, {"steps": 2}),
        ({"autoencoder": {"kind": "haar", "levels": 1}}, {"steps": 2, "size": (12, 300)}),
        *(({"denoiser": {**one, "conditions": ["mask"]}}, {"steps": 2}) for one in TRANSFORMERS.values()),
    ],
    ids=[
        "smooth",
        "hole",
        "gain",
        "gate",
        "light",
        "flow",
        "student",
        "depth",
        "labels",
        "code",
        "tiles",
        *TRANSFORMERS,
    ],
)
def test_the_folder_s_own_pipeline_gives_the_same_bytes_for_every_kind_of_model(
    tmp_path: Path, changes: dict, how: dict
) -> None:
    removes = changes.pop("removes", False)
    checkpoint = write_model(tmp_path / "checkpoints", **changes)
    model = TranslationModel.load(checkpoint)
    write_published(model, tmp_path / "model", removes=removes)
    image, mask = picture(*how.pop("size", (45, 70)))
    others = {
        "shape": "ring",
        "light": Image.fromarray(picture(16, 32, 1)[0]),
        "depth": Image.fromarray(image),
        "region": Image.fromarray(image[..., 0]),
    }
    fields = [one.field for one in model.config.denoiser.conditions]
    given = {name: one for name, one in others.items() if name in fields}
    pipe = stock_pipeline(tmp_path / "model")
    output = pipe(
        Image.fromarray(image),
        Image.fromarray(mask),
        given,
        num_inference_steps=how.get("steps", 1),
        guidance_scale=how.get("guidance", 1.0),
        seed=how.get("seed", 0),
    ).images[0]
    opened = OpenedModel(translation_of(load_published(tmp_path / "model")), removes=removes)
    arrays = {
        name: ConditionConfig.model_validate(SHAPE).class_image(one) if name == "shape" else np.asarray(one)
        for name, one in given.items()
    }
    assert np.array_equal(np.asarray(output), opened.translate(image, mask, conditions=arrays, **how))
    # And those of the checkpoint.
    assert np.array_equal(
        np.asarray(output),
        OpenedModel(model, removes=removes).translate(image, mask, conditions=arrays, **how),
    )
    # What the model was not trained for is refused there too.
    with pytest.raises(Exception, match="never trained at"):
        pipe(Image.fromarray(image), Image.fromarray(mask), given, num_inference_steps=7)


@pytest.mark.parametrize(
    "name", ["unet/diffusion_pytorch_model.safetensors", "unet/config.json", "pipeline.py"]
)
def test_a_flipped_bit_of_a_published_folder_is_found_when_it_is_opened(tmp_path: Path, name: str) -> None:
    out = publish(write_model(tmp_path / "checkpoints"), tmp_path / "model")
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], check=True, cwd=out)
    (out / "__pycache__").mkdir(exist_ok=True)
    (out / "__pycache__" / "pipeline.cpython-311.pyc").write_bytes(b"as Python leaves it beside pipeline.py")
    open_model(out)
    data = bytearray((out / name).read_bytes())
    data[-2] ^= 1
    (out / name).write_bytes(data)
    with pytest.raises(ConfigError, match=f"{name} is damaged"):
        open_model(out)
    lines = (out / "SHA256SUMS").read_text().splitlines(keepends=True)
    (out / "SHA256SUMS").write_text("".join(line for line in lines if "safetensors" not in line))
    with pytest.raises(ConfigError, match="is not in SHA256SUMS"):
        open_model(out)


@pytest.mark.parametrize("size", [(32, 32), (1, 200), (33, 47)])
def test_saved_and_loaded_pipelines_keep_the_size_and_the_image(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    checkpoint = write_model(tmp_path / "checkpoints", outside_mask="keep")
    model = TranslationModel.load(checkpoint)
    write_published(model, tmp_path / "saved", removes=False)
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
        "SHA256SUMS",
        "model_index.json",
        "pipeline.py",
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
        {"conditions": ({"field": "light_target", "encoding": "irradiance"},)},
        {"conditions": ({"field": "region", "labels": 90},)},
        {"conditions": ()},
    ],
    ids=["mask", "light", "class", "image", "map", "labels", "removal"],
)
def test_what_the_card_says_runs_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict
) -> None:
    monkeypatch.chdir(tmp_path)
    # Where diffusers puts the file before it runs it.
    monkeypatch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = publish(write_model(tmp_path / "checkpoints", **changes), Path("my-model"))
    image, mask = picture(45, 70)
    pictures = {"picture": image, "mask": mask, "light": image, "depth": image, "region": image[..., 1]}
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(f"{name}.png")
    Path("light_target.hdr").write_bytes(radiance(by_component(rgbe(panorama()))))
    np.save("light_target.npy", read_light(Path("light_target.hdr")))
    snippets = card_snippets(folder)
    assert snippets.keys() == {"sh", "python"}
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


def test_a_published_model_refuses_a_label_map_in_colour(tmp_path: Path) -> None:
    checkpoint = write_model(tmp_path / "checkpoints", conditions=({"field": "region", "labels": 90},))
    pipe = load_published(publish(checkpoint, tmp_path / "model"))
    image = Image.fromarray(picture(32, 32)[0])
    with pytest.raises(ConfigError, match="which label a colour stands for"):
        pipe(image, conditions={"region": image})
    # A palette's picture is taken by its indices.
    indices = Image.fromarray(picture(32, 32, 1)[0][..., 0])
    coloured = Image.frombytes("P", indices.size, indices.tobytes())
    coloured.putpalette(list(range(256)) * 3)
    made = [np.asarray(pipe(image, conditions={"region": one}).images[0]) for one in (indices, coloured)]
    assert np.array_equal(*made)


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
