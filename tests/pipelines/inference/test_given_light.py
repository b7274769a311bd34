"""An environment map of the user's lights a picture: by file, in Python and from a published folder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pairbridge as public
from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.core.errors import AssetError, ConfigError
from pairbridge.datagen.lighting.environment_maps import irradiance
from pairbridge.pipelines.inference.given_light import read_light
from pairbridge.pipelines.inference.image_files import conditions_of
from pairbridge.pipelines.inference.publishing import publish
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.targets import light_planes
from pairbridge.training.published.published_folders import load_published
from tests.pipelines.commands.image_commands import pairbridge, read, write
from tests.pipelines.inference.test_translation import hole, scene
from tests.pipelines.inference.translating_models import write_model

RIGHT, UP, BACK = np.eye(3)
LIGHT = {"field": "light_target", "encoding": "irradiance"}


def write_map(path: Path, *, column: int, row: int = 60) -> Path:
    """A dim room with a lamp, 256 x 128, brighter than any picture."""
    pixels = np.full((128, 256, 3), 0.1, np.float32)
    pixels[row - 4 : row + 4, column - 4 : column + 4] = (90, 60, 30)
    write_exr(path, pixels)
    return path


@pytest.fixture(scope="module")
def lit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its checkpoint takes a mask and an environment map."""
    return write_model(tmp_path_factory.mktemp("lit") / "train" / "checkpoints", conditions=("mask", LIGHT))


@pytest.mark.parametrize(
    ("column", "turn_deg", "towards"),
    [
        (128, 0, -BACK),
        (192, 0, RIGHT),
        (64, 0, -RIGHT),
        (128, 90, RIGHT),
        (128, -90, -RIGHT),
        (128, 180, BACK),
    ],
)
def test_the_middle_of_the_file_is_what_the_camera_looks_at(
    tmp_path: Path, column: int, turn_deg: float, towards: np.ndarray
) -> None:
    light = read_light(write_map(tmp_path / "lamp.exr", column=column), turn_deg).astype(np.float64)
    assert light.shape == (32, 64, 3)
    sides = np.array([towards, -towards, UP, -UP, np.cross(UP, towards)])
    received = irradiance(light, sides)[:, 0]
    assert received.argmax() == 0
    assert received[0] > 3 * received[1]


def test_a_file_of_any_exposure_gives_one_light(tmp_path: Path) -> None:
    pixels = np.full((64, 128, 3), 0.2, np.float32)
    pixels[:20] = 0.9
    lights = []
    for exposure in (1, 64):
        write_exr(tmp_path / "sky.exr", pixels * exposure)
        lights.append(read_light(tmp_path / "sky.exr"))
    np.testing.assert_allclose(lights[0], lights[1], rtol=2e-3)


def test_it_lights_alike_by_command_in_python_and_from_a_published_folder(lit: Path, tmp_path: Path) -> None:
    image, mask = write(tmp_path / "image.png", scene()), write(tmp_path / "mask.png", hole())
    lamp, out = write_map(tmp_path / "lamp.exr", column=40), tmp_path / "out.png"
    given = ("--condition", f"light_target={lamp}", "--mask", mask, "--out", out)
    pairbridge("translate", lit, image, *given)
    light = read_light(lamp)
    expected = TranslationModel.load(lit).translate(
        scene(), hole(), conditions={"light_target": light_planes(light)}
    )
    assert np.array_equal(read(out), expected)
    python = public.load_model(lit).translate(image, mask, conditions={"light_target": lamp})
    assert np.array_equal(python, expected)
    pairbridge("translate", lit, image, *given, "--turn-light", 120)
    turned = public.load_model(lit).translate(image, mask, conditions={"light_target": read_light(lamp, 120)})
    assert np.array_equal(read(out), turned)
    assert not np.array_equal(turned, expected)
    published = publish(lit, tmp_path / "published")
    assert np.array_equal(
        public.load_model(published).translate(image, mask, conditions={"light_target": lamp}), expected
    )
    called = load_published(published)(Image.open(image), Image.open(mask), {"light_target": light}).images[0]
    assert np.array_equal(np.asarray(called), expected)


def test_the_light_that_a_picture_was_taken_in_does_not_turn(tmp_path: Path) -> None:
    lamp = write_map(tmp_path / "lamp.exr", column=40)
    found = conditions_of(tmp_path / "image.png", {"light_target": lamp, "light_source": lamp}, 120)
    assert np.array_equal(found["light_target"], read_light(lamp, 120))
    assert np.array_equal(found["light_source"], read_light(lamp))


def test_each_picture_of_a_folder_has_its_light(lit: Path, tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / "images" / f"{number}.png", scene(seed=number))
        write(tmp_path / "masks" / f"{number}.png", hole())
        (tmp_path / "maps").mkdir(exist_ok=True)
        write_map(tmp_path / "maps" / f"{number}.exr", column=40 + 90 * number)
    pairbridge(
        *("translate", lit, tmp_path / "images", "--mask", tmp_path / "masks", "--batch-size", 2),
        *("--condition", f"light_target={tmp_path / 'maps'}", "--out", tmp_path / "out"),
    )
    model = public.load_model(lit)
    for number in range(2):
        light = {"light_target": tmp_path / "maps" / f"{number}.exr"}
        alone = model.translate(scene(seed=number), hole(), conditions=light)
        difference = np.abs(read(tmp_path / "out" / f"{number}.png").astype(int) - alone)
        assert difference.max() <= 1


def test_what_is_no_environment_map_is_refused_with_a_way_on(lit: Path, tmp_path: Path) -> None:
    model = public.load_model(lit)
    with pytest.raises(ConfigError, match="3 channels of uint8") as refused:
        model.translate(scene(), hole(), conditions={"light_target": scene()})
    assert "--condition light_target=FILE" in refused.value.remedy
    with pytest.raises(ConfigError, match="none was given") as refused:
        model.translate(scene(), hole())
    assert "--condition light_target=FILE" in refused.value.remedy
    write_exr(tmp_path / "square.exr", np.ones((64, 64, 3), np.float32))
    with pytest.raises(AssetError, match="twice as wide as high"):
        model.translate(scene(), hole(), conditions={"light_target": tmp_path / "square.exr"})
    flat = public.load_model(write_model(tmp_path / "flat" / "train" / "checkpoints", conditions=("light",)))
    with pytest.raises(ConfigError, match="takes a picture there"):
        flat.translate(scene(), conditions={"light": write_map(tmp_path / "lamp.exr", column=9)})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["light_target"], "FIELD=FILE"),
        (["=a.hdr"], "FIELD=FILE"),
        (["mask=a.png"], "--mask"),
        (["a=b.hdr", "a=c.hdr"], "twice"),
    ],
)
def test_conditions_that_name_no_file_of_their_own_are_refused(
    lit: Path, tmp_path: Path, given: list[str], why: str
) -> None:
    image = write(tmp_path / "image.png", scene())
    options = [word for one in given for word in ("--condition", one)]
    with pytest.raises(ConfigError, match=why):
        pairbridge("translate", lit, image, "--out", tmp_path / "out.png", *options)
