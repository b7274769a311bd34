"""`pairbridge sample`, and flows through `translate`: solvers, guidance and classes on the command line."""

from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.pipelines.inference.publishing import publish
from pairbridge.pipelines.inference.sampling import tiled
from pairbridge.training.bridge.samplers import HeunSampler
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.published.published_folders import load_published
from tests.pipelines.inference.test_translation import pairbridge, read, scene, write
from tests.pipelines.inference.translating_models import write_model

FAMILY = {"field": "family", "classes": ["mug", "vase"], "read": "assets.object", "dropout": 0.1}
FLOW = {"bridge": {"sigma": 0, "start": "noise"}, "timesteps": {"kind": "uniform", "cap": 0.98}}


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a flow from noise that knows two classes."""
    return write_model(
        tmp_path_factory.mktemp("flow") / "train" / "checkpoints", conditions=(FAMILY,), **FLOW
    )


def test_samples_are_those_of_the_model_and_lie_on_a_sheet(generator: Path, tmp_path: Path) -> None:
    out = tmp_path / "samples"
    options = ("--out", out, "--count", 3, "--size", 32, "--steps", 2, "--class", "vase", "--guidance", 2)
    said = pairbridge("sample", generator, *options)
    assert said == f"{out / 'sheet.png'}: 3 images, 6 network evaluations each\n"
    images = [read(out / f"{place:04d}.png") for place in range(3)]
    assert not np.array_equal(images[0], images[1])
    assert np.array_equal(read(out / "sheet.png"), tiled(images))
    pairbridge("sample", generator, *("--out", tmp_path / "again", *options[2:]))
    assert (tmp_path / "again" / "0002.png").read_bytes() == (out / "0002.png").read_bytes()
    alone = pairbridge("sample", generator, *("--out", tmp_path / "alone", *options[2:], "--batch-size", 1))
    assert alone.endswith("6 network evaluations each\n")
    assert np.abs(read(tmp_path / "alone" / "0002.png").astype(int) - images[2]).max() <= 1
    pairbridge("sample", generator, *("--out", tmp_path / "mug", *options[2:9], "mug"))
    assert not np.array_equal(read(tmp_path / "mug" / "0000.png"), images[0])


def test_translate_takes_solver_guidance_and_class(generator: Path, tmp_path: Path) -> None:
    image = write(tmp_path / "image.png", scene(32, 48))
    flow = ("--solver", "heun", "--steps", 3, "--guidance", 1.5, "--class", "mug", "--seed", 4)
    said = pairbridge("translate", generator, image, "--out", tmp_path / "out.png", *flow)
    assert said.endswith("10 network evaluations in all\n")
    mug = ConditionConfig.model_validate(FAMILY).class_image("mug")
    model = TranslationModel.load(generator)
    expected = model.translate(
        scene(32, 48), steps=3, sampler=HeunSampler(), guidance=1.5, seed=4, conditions={"family": mug}
    )
    assert np.array_equal(read(tmp_path / "out.png"), expected)


def test_a_published_flow_gives_the_same_bytes(generator: Path, tmp_path: Path) -> None:
    from PIL import Image

    publish(generator, tmp_path / "published")
    pipe = load_published(tmp_path / "published")
    settings = {"num_inference_steps": 2, "guidance_scale": 2.0, "seed": 3}
    image = pipe(Image.fromarray(scene(32, 32)), conditions={"family": "vase"}, **settings).images[0]
    vase = ConditionConfig.model_validate(FAMILY).class_image("vase")
    expected = TranslationModel.load(generator).translate(
        scene(32, 32), steps=2, guidance=2.0, seed=3, conditions={"family": vase}
    )
    assert np.array_equal(np.asarray(image), expected)


def test_a_model_that_starts_from_a_source_makes_nothing_from_noise(tmp_path: Path) -> None:
    bridge = write_model(tmp_path / "train" / "checkpoints", conditions=())
    with pytest.raises(ConfigError, match="starts from a source image"):
        pairbridge("sample", bridge, "--out", tmp_path / "out", "--size", 32)
