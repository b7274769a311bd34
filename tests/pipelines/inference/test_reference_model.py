"""The model that comes with the package: it opens by its name, and light does what light does."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pairbridge import load_model
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.pipelines.cli import app

FOLDER = Path(__file__).parents[3] / "pipelines" / "models" / "reference"
SIDE = 128


def ball(towards: tuple[float, float, float] | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A matte ball before grey: image, mask and normals, in even light or lit from one side."""
    y, x = np.mgrid[:SIDE, :SIDE]
    x, y = (x + 0.5 - SIDE / 2) / (SIDE * 0.35), (SIDE / 2 - y - 0.5) / (SIDE * 0.35)
    inside = np.hypot(x, y) < 1
    normal = np.stack([x, y, np.sqrt(np.maximum(1 - x * x - y * y, 0))], axis=2)
    level = np.full((SIDE, SIDE), 0.25) if towards is None else 0.06 + 0.5 * np.maximum(normal @ towards, 0)
    linear = np.where(inside, level, 0.2)
    image = np.rint(255 * linear ** (1 / 2.2)).clip(0, 255).astype(np.uint8)
    return np.repeat(image[..., None], 3, axis=2), np.where(inside, 255, 0).astype(np.uint8), normal


def light_from(side: float) -> np.ndarray:
    """An environment map in camera coordinates, (32, 64, 3): a soft lamp on the right (1) or left (-1)."""
    azimuth = (np.arange(64) + 0.5) / 64 * 2 * np.pi - np.pi
    lamp = np.exp(-(((azimuth - side * np.pi / 2) / 0.5) ** 2))
    return np.broadcast_to((0.15 + 6 * lamp)[None, :, None], (32, 64, 3)).astype(np.float32)


def leaning(image: np.ndarray, mask: np.ndarray) -> float:
    """How much brighter the right half of what the mask shows is than the left one, of their mean."""
    level, x = image.mean(axis=2), np.arange(SIDE)[None] >= SIDE / 2
    right, left = (level[(mask > 0) & half].mean() for half in (x, ~x))
    return (right - left) / (right + left)


def test_it_is_small_enough_to_come_with_the_package() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 12e6


def test_a_photograph_is_relit_in_the_first_minute(tmp_path: Path) -> None:
    image, mask, _ = ball((0.8, 0.3, 0.5))
    Image.fromarray(image).save(tmp_path / "photo.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    out = tmp_path / "relit.png"
    call = ["translate", "reference", tmp_path / "photo.png", "--mask", tmp_path / "mask.png", "--out", out]
    done = CliRunner().invoke(app, [str(word) for word in call])
    assert done.exit_code == 0, done.output
    relit = np.asarray(Image.open(out))
    assert np.array_equal(relit[mask == 0], image[mask == 0])
    assert not np.array_equal(relit, image)
    # Even grey light around it says nothing of the right side: the source's own shading weakens.
    assert 0 < leaning(relit, mask) < leaning(image, mask)


@pytest.mark.parametrize("towards", [None, (0.8, 0.3, 0.5), (-0.8, 0.3, 0.5)], ids=["even", "right", "left"])
def test_the_light_comes_from_where_the_map_has_it(towards: tuple[float, float, float] | None) -> None:
    image, mask, _ = ball(towards)
    model = load_model("reference")
    to = {
        side: leaning(model.translate(image, mask, conditions={"light_target": light_from(side)}), mask)
        for side in (-1, 1)
    }
    assert to[1] - to[-1] > 0.05


def test_a_light_that_stays_changes_little_and_a_brighter_one_brightens() -> None:
    """The light of the picture is known, so that its level is no longer the paint's."""
    image, mask, _ = ball()
    model, dim = load_model("reference"), 0.4 * light_from(1)

    def level(had: np.ndarray, comes: np.ndarray) -> float:
        lights = {"light_source": had, "light_target": comes}
        return float(model.translate(image, mask, conditions=lights)[mask > 0].mean())

    same, brighter, dimmer = level(dim, dim), level(dim, 2.5 * dim), level(2.5 * dim, dim)
    assert dimmer < same < brighter
    assert abs(same / image[mask > 0].mean() - 1) < 0.2


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reference").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="holds no checkpoint"):
        load_model("reference")
