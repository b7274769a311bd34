"""BiRefNet as a matting: weights from a folder, processing in closed form, refusals, provenance."""

import hashlib
import json
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pairbridge.datagen.core.errors import ConfigError, Rejected
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import make_plan
from pairbridge.datagen.models.matting import BiRefNetConfig, cut_out, open_matting_model
from pairbridge.datagen.models.matting.birefnet_config import Model, input_size
from pairbridge.datagen.models.torch_runtime import fixed_threads
from pairbridge.datagen.models.weights.weight_folders import WeightsError
from pairbridge.datagen.models.weights.weights_manifest import MODELS
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.reading.config_files import load_config
from tests.datagen.models.birefnet_models import BIAS, GAIN, red_finder_state, write_folder

SIZE_WH = (96, 64)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("weights") / "tiny", red_finder_state())


@pytest.fixture(scope="module")
def matting(folder: Path):
    return open_matting_model(BiRefNetConfig(weights=folder, size_WH=SIZE_WH))


def expected(colour: tuple[int, int, int]) -> float:
    """Alpha of a flat colour."""
    normalised = (np.array(colour) / 255 - MEAN) / STD
    return 1 / (1 + np.exp(-(GAIN * (normalised[0] - normalised[2]) + BIAS)))


RED, BLUE, ROSE = (200, 60, 40), (40, 60, 200), (180, 100, 105)


def two_colours(left: tuple, right: tuple, height: int = 150, width: int = 240) -> np.ndarray:
    image = np.empty((height, width, 3), np.uint8)
    image[:, : width // 2], image[:, width // 2 :] = left, right
    return image


def test_alpha_is_the_raw_probability_at_the_photographs_size(matting) -> None:
    # ROSE is neither: its probability of 0.71 must come back as it is, not stretched to 1.
    alpha = matting.alpha(two_colours(ROSE, BLUE))
    assert alpha.dtype == np.float32
    assert alpha.shape == (150, 240)
    assert 0.6 < expected(ROSE) < 0.9
    # Half-precision weights, and a resize that mixes the two sides near the middle alone.
    np.testing.assert_allclose(alpha[:, :110], expected(ROSE), atol=2e-3)
    np.testing.assert_allclose(alpha[:, 130:], expected(BLUE), atol=2e-3)
    columns = alpha[75]
    assert (np.diff(columns) <= 1e-6).all()
    assert abs(int(np.argmin(abs(columns - columns[[0, -1]].mean()))) - 120) <= 2


def test_a_mask_depends_on_the_image_alone(matting) -> None:
    image = rng(1, "noise").integers(0, 256, (80, 100, 3)).astype(np.uint8)
    image[:, :50] = RED
    first = matting.alpha(image)
    torch.manual_seed(99)
    matting.alpha(two_colours(RED, BLUE, 60, 200))
    assert (matting.alpha(image) == first).all()


def test_a_mask_does_not_depend_on_the_number_of_threads(matting) -> None:
    image = rng(2, "noise").integers(0, 256, (80, 100, 3)).astype(np.uint8)
    image[:, :50] = RED
    masks = []
    for threads in (1, 2):
        with fixed_threads(threads):
            masks.append(matting.alpha(image))
            assert torch.get_num_threads() == threads
    assert (masks[0] == masks[1]).all()


def test_shrinking_does_not_alias(matting) -> None:
    # Fine stripes of red and blue average out in the filter of the training code; picked pixels would not.
    image = two_colours(RED, BLUE, 600, 900)
    image[:, :450:2] = (60, 60, 60)
    alpha = matting.alpha(image)
    assert np.ptp(alpha[:, 50:400]) < 0.05


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (two_colours(BLUE, BLUE), "highest probability is 0.0"),
        (two_colours((150, 100, 100), (151, 100, 100)), "undecided"),
        (two_colours(RED, RED), "covers 0.97"),
    ],
    ids=["nothing", "undecided", "everything"],
)
def test_an_image_without_a_foreground_is_refused(matting, image: np.ndarray, reason: str) -> None:
    with pytest.raises(Rejected, match=reason) as caught:
        cut_out(matting, image)
    assert caught.value.cause.startswith("BiRefNet-matting found no foreground")


def test_nan_is_refused(folder: Path, tmp_path: Path) -> None:
    state = red_finder_state()
    state["decoder.conv_out1.0.bias"].fill_(float("nan"))
    broken = open_matting_model(
        BiRefNetConfig(weights=write_folder(tmp_path / "nan", state), size_WH=SIZE_WH)
    )
    with pytest.raises(Rejected, match="NaN"):
        cut_out(broken, two_colours(RED, BLUE))


@pytest.mark.parametrize(
    ("model", "photo_WH", "size_WH"),
    [
        ("BiRefNet-matting", (4000, 3000), (1024, 1024)),
        ("BiRefNet_lite", (640, 480), (1024, 1024)),
        ("BiRefNet_HR-matting", (640, 480), (2048, 2048)),
        ("BiRefNet_lite-2K", (640, 480), (2560, 1440)),
        ("BiRefNet_dynamic", (640, 480), (640, 480)),
        ("BiRefNet_dynamic", (671, 500), (640, 480)),
        ("BiRefNet_dynamic-matting", (4608, 3456), (2304, 1728)),
        ("BiRefNet_dynamic-matting", (200, 100), (512, 256)),
        ("BiRefNet_dynamic-matting", (9000, 300), (2304, 256)),
    ],
)
def test_each_model_sees_photographs_at_its_own_size(model: str, photo_WH: tuple, size_WH: tuple) -> None:
    assert input_size(BiRefNetConfig(weights="w", model=model), photo_WH) == size_WH
    assert input_size(BiRefNetConfig(weights="w", model=model, size_WH=(128, 96)), photo_WH) == (128, 96)


def test_every_model_is_one_that_can_be_fetched() -> None:
    assert set(get_args(Model)) <= {model.id for model in MODELS}


@pytest.mark.parametrize("size_WH", [(100, 96), (32, 64), (1024, 8192)])
def test_sides_the_network_cannot_take_are_refused(size_WH: tuple[int, int]) -> None:
    with pytest.raises(ValidationError, match="multiples of 32 from 64"):
        BiRefNetConfig(weights="w", size_WH=size_WH)


def without(state: dict, key: str) -> dict:
    return {name: tensor for name, tensor in state.items() if name != key}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda state: without(state, "bb.norm2.bias"), "1 missing: bb.norm2.bias"),
        (
            lambda state: without(without(state, "decoder.conv_out1.0.bias"), "decoder.conv_out1.0.weight"),
            "2 missing: decoder.conv_out1.0.bias, decoder.conv_out1.0.weight",
        ),
        (
            lambda state: state | {"refiner.weight": torch.zeros(3)},
            "1 not part of the network: refiner.weight",
        ),
        (
            lambda state: state | {"bb.norm0.bias": torch.zeros(9)},
            r"1 of another shape: bb.norm0.bias \[9\] instead of \[8\]",
        ),
        (
            lambda state: state | {"bb.norm0.bias": torch.zeros(8, dtype=torch.int8)},
            "1 of another kind of number: bb.norm0.bias torch.int8",
        ),
    ],
    ids=["missing", "two missing", "surplus", "shape", "integers"],
)
def test_wrong_tensors_are_named(change, named: str, tmp_path: Path) -> None:
    weights = write_folder(tmp_path / "w", change(red_finder_state()))
    with pytest.raises(WeightsError, match=named):
        open_matting_model(BiRefNetConfig(weights=weights))


def test_keys_of_a_training_wrapper_are_the_same_keys(matting, tmp_path: Path) -> None:
    wrapped = {f"_orig_mod.{key}": tensor for key, tensor in red_finder_state().items()}
    other = open_matting_model(BiRefNetConfig(weights=write_folder(tmp_path / "w", wrapped), size_WH=SIZE_WH))
    image = two_colours(RED, BLUE)
    assert (other.alpha(image) == matting.alpha(image)).all()


def test_broken_folders_say_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="lacks model"):
        open_matting_model(BiRefNetConfig(weights=tmp_path))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(WeightsError, match="does not hold a BiRefNet"):
        open_matting_model(BiRefNetConfig(weights=tmp_path))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(WeightsError, match="has 8 channels, where the published backbones have 96 or 192"):
        open_matting_model(BiRefNetConfig(weights=tmp_path))
    (tmp_path / "config.json").write_text('{"backbone": {"embed_dim": 8, "depths": [1, 1]}}')
    with pytest.raises(WeightsError, match=r"config.json .*backbone.depths"):
        open_matting_model(BiRefNetConfig(weights=tmp_path))


def test_weights_are_pinned_by_their_hash(folder: Path) -> None:
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert open_matting_model(BiRefNetConfig(weights=folder, sha256=digest)).revision.startswith(
        "tiny@sha256:"
    )
    with pytest.raises(WeightsError, match=f"has sha256 {digest}"):
        open_matting_model(BiRefNetConfig(weights=folder, sha256="0" * 64))


def test_weights_are_found_by_the_models_name(folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PAIRBRIDGE_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="lacks model"):
        open_matting_model(BiRefNetConfig(model="BiRefNet_lite"))
    (tmp_path / "BiRefNet_lite").symlink_to(folder)
    matting = open_matting_model(BiRefNetConfig(model="BiRefNet_lite"))
    assert matting.name == "BiRefNet_lite"
    assert matting.revision.startswith("BiRefNet_lite@sha256:")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_missing_gpu_is_an_error_not_a_fallback(folder: Path) -> None:
    with pytest.raises(ConfigError, match="torch finds no GPU"):
        open_matting_model(BiRefNetConfig(weights=folder, device="cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_half_precision_on_the_gpu_changes_little(folder: Path, matting) -> None:
    image = rng(3, "noise").integers(0, 256, (80, 100, 3)).astype(np.uint8)
    image[:, :50] = RED
    on_gpu = open_matting_model(BiRefNetConfig(weights=folder, size_WH=SIZE_WH, device="cuda"))
    np.testing.assert_allclose(on_gpu.alpha(image), matting.alpha(image), atol=0.01)


YAML = """\
name: cut
assets: {{embedded: false, photos: [photos]}}
recipes:
  holes:
    kind: photo_removal
    groups: {{train: 2}}
    size_WH: [64, 64]
    max_enlargement: 4
    mask: {{mode: avoid_foreground}}
    matting: {{kind: birefnet, weights: {weights}, model: BiRefNet_dynamic-matting}}
"""


def test_a_recipe_chooses_it_by_kind_and_samples_name_it(folder: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    cv2.imwrite(str(photos / "a.png"), two_colours(RED, BLUE, 96, 128)[..., ::-1])
    (photos / "catalogue.yaml").write_text("a: {split: train, licence: CC0-1.0, author: me, source: here}")
    (tmp_path / "weights").symlink_to(folder)
    for name, weights in (("one", "weights"), ("two", str(folder))):
        (tmp_path / f"{name}.yaml").write_text(YAML.format(weights=weights))
    config = load_config(tmp_path / "one.yaml", DatasetConfig)
    # Where the weights lie is no part of the dataset; which they are is.
    assert config.digest == load_config(tmp_path / "two.yaml", DatasetConfig).digest
    pinned = load_config(tmp_path / "one.yaml", DatasetConfig, ["recipes.holes.matting.sha256=" + "ab" * 32])
    assert pinned.digest != config.digest

    plan = make_plan(config, build_catalogue(config.assets, None))
    scratch = tmp_path / "scratch"
    with Workbench(
        config.workbench, plan.catalogue, scratch_dir=scratch, threads=1, log_path=tmp_path / "log"
    ) as workbench:
        (pair,) = plan.recipes["holes"].make(plan.group(plan.streams[0], 0), workbench)
    # The left half is red, so that the hole lies in the right one (mirrored: the other way round).
    meta = pair["meta.json"]
    params = json.loads(meta["params"])
    assert meta["mask_source"].endswith("clear of what BiRefNet_dynamic-matting found")
    assert params["foreground_found"] is True
    tool = params["matting"]
    assert (tool["name"], tool["is_stand_in"]) == ("BiRefNet_dynamic-matting", False)
    assert tool["revision"].startswith("tiny@sha256:")
    assert tool["settings"]["device"] == "cpu"
    assert str(tmp_path) not in json.dumps(meta)
    assert str(folder) not in json.dumps(meta)
    hole = pair["mask.png"] > 0
    assert hole.any()
    red = pair["target.png"][..., 0] > 120
    assert (hole & red).mean() < 0.01
