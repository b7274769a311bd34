"""Label maps as conditions: shares of a latent cell, the promise of the code, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from pairbridge.datagen.assets.label_files import decode_labels
from pairbridge.datagen.assets.photographs import PhotographError
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.pipelines.inference.translation import open_model
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.data.tensors import image_tensor
from pairbridge.training.networks.autoencoders import HaarConfig, build_autoencoder
from pairbridge.training.networks.conditions import encode_condition, label_levels
from tests.pipelines.commands.image_commands import pairbridge, write
from tests.pipelines.inference.translating_models import write_model

HAAR = build_autoencoder(HaarConfig(levels=2))


def planes(config: ConditionConfig, numbers: np.ndarray) -> np.ndarray:
    """(B, width, h, w) of label maps (B, H, W), as they come from a dataset."""
    images = {config.field: image_tensor(config.label_image(numbers))}
    side = [length // HAAR.factor for length in numbers.shape[1:]]
    return encode_condition(config, images, torch.zeros(len(numbers), 48, *side), HAAR).numpy()


def code_of(config: ConditionConfig) -> np.ndarray:
    """(labels, width): what a cell of one label alone has."""
    numbers = np.arange(config.labels)[:, None, None].repeat(HAAR.factor, 1).repeat(HAAR.factor, 2)
    return planes(config, numbers)[:, :, 0, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_a_plane_holds_the_share_of_its_label_in_each_cell(dtype: type) -> None:
    config = ConditionConfig(field="region", labels=5)
    assert config.width(latent_channels=48, mask_channels=16) == 5
    numbers = np.random.default_rng(0).integers(0, 7, (2, 8, 12)).astype(dtype)
    numbers[0, :4, :4] = 255
    made = planes(config, numbers)
    cells = numbers.reshape(2, 2, 4, 3, 4).transpose(0, 1, 3, 2, 4).reshape(2, 2, 3, 16)
    for label in range(5):
        assert np.array_equal(made[:, label], (cells == label).mean(axis=-1).astype(np.float32))
    # 5, 6 and 255 are no labels.
    assert made[0, :, 0, 0].sum() == 0
    assert np.array_equal(made.sum(axis=1), (cells < 5).mean(axis=-1).astype(np.float32))


@pytest.mark.parametrize(("labels", "base"), [(65, 11), (151, 13), (255, 17), (256, 17), (1000, 37)])
def test_two_labels_of_a_code_share_at_most_one_of_their_three_planes(labels: int, base: int) -> None:
    config = ConditionConfig(field="region", labels=labels)
    assert config.code_base == base
    code = code_of(config)
    assert code.shape == (labels, 3 * base) == (labels, config.width(latent_channels=48, mask_channels=16))
    assert set(np.unique(code)) == {0, 1}
    common = code @ code.T
    assert np.array_equal(np.diag(common), np.full(labels, 3))
    assert (common - np.diag(np.diag(common))).max() == 1
    # All that a linear layer can tell apart of three blocks that each sum to one.
    if labels >= 3 * base:
        assert np.linalg.matrix_rank(code) == 3 * base - 2


def test_a_coded_cell_is_the_mean_of_its_pixels_codes_and_counts_no_pixel_without_a_label() -> None:
    config = ConditionConfig(field="region", labels=151)
    code = np.vstack([code_of(config), np.zeros((105, 39))])
    numbers = np.random.default_rng(0).integers(0, 256, (1, 4, 8))
    made = planes(config, numbers)[0, :, 0]
    for cell in range(2):
        expected = code[numbers[0, :, 4 * cell : 4 * cell + 4]].mean(axis=(0, 1))
        np.testing.assert_allclose(made[:, cell], expected, atol=1e-7)


def test_either_encoding_may_be_asked_for() -> None:
    assert ConditionConfig(field="region", labels=64).code_base is None
    assert ConditionConfig(field="region", labels=64, encoding="code").code_base == 11
    assert ConditionConfig(field="region", labels=300, encoding="planes").code_base is None
    # 300 labels travel in 16 bits.
    wide = ConditionConfig(field="region", labels=300, encoding="planes")
    assert np.array_equal(code_of(wide), np.eye(300))


@pytest.mark.parametrize("labels", [5, 255, 256, 4096])
def test_numbers_survive_the_way_to_the_network(labels: int) -> None:
    config = ConditionConfig(field="region", labels=labels)
    numbers = torch.arange(labels)[None, None, None]
    levels = label_levels(numbers, labels)
    assert torch.equal(levels, image_tensor(config.label_image(numbers[0].numpy())))
    assert levels.abs().max() <= 1


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"kind": "label"}, "write how many there are, `labels: 150`"),
        ({"labels": 4, "kind": "image"}, "is of kind label"),
        ({"labels": 4, "channels": 1}, "neither channels nor frame"),
        ({"labels": 4, "encoding": "autoencoder"}, "`encoding: planes` and `code`"),
        ({"encoding": "code"}, "`encoding: planes` and `code`"),
        ({"labels": 1}, "greater than or equal to 2"),
        ({"labels": 4, "field": "mask"}, "name of another image"),
        ({"labels": 4, "classes": ("a",), "read": "params.a"}, "a class has none"),
    ],
)
def test_what_no_label_map_can_be_is_refused(config: dict, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ConditionConfig.model_validate({"field": "region", **config})


def test_translate_takes_the_numbers_of_a_grey_picture_and_of_a_palette(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    network = {"conditions": ({"field": "region", "labels": 100},)}
    model = write_model(tmp_path / "checkpoints", **network)
    draw = np.random.default_rng(0)
    numbers = draw.integers(0, 110, (21, 30)).astype(np.uint8)
    image = write(tmp_path / "picture.png", draw.integers(0, 256, (21, 30, 3), np.uint8))
    write(tmp_path / "grey.png", numbers)
    write(tmp_path / "wide.png", numbers.astype(np.uint16))
    palette = Image.fromarray(numbers, mode="P")
    palette.putpalette(draw.integers(0, 256, 768).tolist())
    palette.save(tmp_path / "palette.png")
    made = []
    for name in ("grey", "wide", "palette"):
        out = tmp_path / f"{name}-out.png"
        pairbridge("translate", model, image, "--out", out, "--condition", f"region={tmp_path / name}.png")
        made.append(np.asarray(Image.open(out)))
    assert np.array_equal(made[0], made[1])
    assert np.array_equal(made[0], made[2])
    opened = open_model(model)
    assert np.array_equal(made[0], opened.translate(image, conditions={"region": numbers}))
    assert not np.array_equal(made[0], opened.translate(image, conditions={"region": numbers // 2}))
    # What has no label counts alike, whatever number says so.
    beyond = np.where(numbers < 100, numbers.astype(int), -1)
    assert np.array_equal(made[0], opened.translate(image, conditions={"region": beyond}))


def test_a_map_of_another_size_takes_the_nearest_pixel(tmp_path: Path) -> None:
    model = TranslationModel.load(write_model(tmp_path, conditions=({"field": "region", "labels": 9},)))
    numbers = np.random.default_rng(0).integers(0, 9, (1, 8, 8))
    source = np.zeros((1, 16, 16, 3), np.uint8)
    doubled = numbers.repeat(2, 1).repeat(2, 2)
    assert np.array_equal(
        model.translate_batch(source, conditions={"region": numbers}),
        model.translate_batch(source, conditions={"region": doubled}),
    )
    with pytest.raises(ConfigError, match="one number a pixel"):
        model.translate_batch(source, conditions={"region": source})


def test_pictures_that_hold_no_labels_are_refused(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(colours).save(tmp_path / "colour.png")
    Image.fromarray(colours[..., 0]).save(tmp_path / "lossy.jpg")
    for name, why in (("colour.png", "it is in colour"), ("lossy.jpg", "compressed with loss")):
        with pytest.raises(PhotographError, match=why):
            decode_labels((tmp_path / name).read_bytes(), name)
    Image.fromarray(colours[..., :1].repeat(3, 2)).save(tmp_path / "grey.png")
    assert np.array_equal(decode_labels((tmp_path / "grey.png").read_bytes(), "grey"), colours[..., 0])
