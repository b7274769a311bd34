"""What the browser app makes of what is chosen, painted and placed in its page; without a browser."""

import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.core.errors import AssetError, ConfigError, PairbridgeError, Rejected
from pairbridge.datagen.lighting.light_maps import MapLight, direction_at, place_in_map
from pairbridge.datagen.models.matting import GrabCutConfig, open_matting_model
from pairbridge.datagen.shards.sample import encode_field
from pairbridge.pipelines.app.app_model import AppModel
from pairbridge.pipelines.app.environment_choice import embedded_maps, map_preview
from pairbridge.pipelines.app.example_pairs import example_pairs
from pairbridge.pipelines.app.lamp_list import MOST_LAMPS, PlacedLamp, lamps_text, read_lamps
from pairbridge.pipelines.app.many_pictures import translate_many, zipped
from pairbridge.pipelines.app.page_errors import in_page
from pairbridge.pipelines.app.painted_mask import PaintedPicture, painted_mask, painter_value
from pairbridge.pipelines.inference.given_light import read_light
from pairbridge.pipelines.inference.publishing import publish
from pairbridge.pipelines.inference.translation import TranslationRequest, open_model, translate_image
from tests.pipelines.inference.test_given_light import write_map
from tests.pipelines.inference.translating_models import write_model
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

MATTING = open_matting_model(GrabCutConfig())


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A red disc on a blue gradient, (48, 64), and its mask."""
    y, x = np.mgrid[:48, :64]
    inside = (y - 24) ** 2 + (x - 30) ** 2 < 14**2
    image = np.stack([x, y, 160 + x], axis=-1).astype(np.uint8)
    image[inside] = (220, 30, 20)
    return image, np.where(inside, 255, 0).astype(np.uint8)


def run_with_data(root: Path) -> Path:
    """A removal model in a run's folder, with the dataset that it says it was trained on."""
    recipes = {"rooms": TinyRecipe(groups={"train": 1, "test": 3}, kind="photo_removal")}
    TinyDataset(recipes=recipes).write(root / "dataset")
    write_model(root / "train" / "checkpoints", conditions=())
    return root


@pytest.mark.parametrize(("u", "v"), [(0.0, 0.0), (0.3, -0.5), (-0.7071, 0.0), (0.0, 1.0), (0.6, 0.8)])
def test_a_place_in_the_map_is_a_direction_and_back(u: float, v: float) -> None:
    direction = direction_at(u, v)
    assert math.hypot(*direction) == pytest.approx(1)
    assert direction[2] == pytest.approx(1 - 2 * (u * u + v * v), abs=1e-9)
    if u * u + v * v < 1:
        assert place_in_map(direction) == pytest.approx((u, v), abs=1e-7)


def test_a_place_beyond_the_disc_is_on_its_rim() -> None:
    assert direction_at(0.9, 0.9) == pytest.approx((0, 0, -1), abs=1e-6)


def test_lamps_come_back_as_the_lights_that_they_were() -> None:
    lights = [
        MapLight(direction=(0.6, 0.0, 0.8), spread_rad=0.3, colour=(0.8, 0.4, 0.2)),
        MapLight(direction=(0.0, 0.0, -1.0), spread_rad=0.0, colour=(0.0, 0.0, 0.0)),
    ]
    back = read_lamps(lamps_text([PlacedLamp.of(light) for light in lights]))
    assert back[0].direction == pytest.approx(lights[0].direction)
    assert back[0].spread_rad == pytest.approx(0.3)
    assert back[0].colour == pytest.approx(lights[0].colour, abs=0.8 / 255)
    assert back[1].colour == (0, 0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "not JSON",
        '[{"u": 2, "v": 0, "softness_deg": 1, "colour": "#ffffff", "brightness": 1}]',
        '[{"u": 0, "v": 0, "softness_deg": 1, "colour": "white", "brightness": 1}]',
        json.dumps([json.loads(lamps_text([PlacedLamp.of(read_lamps(
            '[{"u": 0, "v": 0, "softness_deg": 1, "colour": "#ffffff", "brightness": 1}]')[0])]))[0]]
            * (MOST_LAMPS + 1)),
    ],
)  # fmt: skip
def test_lamps_that_the_canvas_cannot_have_written_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="lamps cannot be read"):
        read_lamps(text)


def test_a_mask_passes_the_painter_unchanged_soft_edges_included() -> None:
    image, _ = scene()
    mask = np.arange(48 * 64, dtype=np.uint32).astype(np.uint8).reshape(48, 64)
    assert np.array_equal(painted_mask(painter_value(image, mask), (64, 48)), mask)
    assert painted_mask(painter_value(image), (64, 48)) is None
    assert painted_mask(painter_value(image, np.zeros_like(mask)), (64, 48)) is None


def test_a_large_picture_is_shown_smaller_and_its_mask_is_not() -> None:
    value = PaintedPicture.model_validate_json(painter_value(np.zeros((1000, 3000, 3), np.uint8)))
    assert value.size_WH == (3000, 1000)
    assert len(value.picture) < 100_000


@pytest.mark.parametrize("value", ["", "{}", '{"size_WH": [4, 4], "mask": "data:image/png;base64,???"}'])
def test_what_no_painter_wrote_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="none that the page made"):
        painted_mask(value, (4, 4))


def test_a_mask_painted_on_another_picture_is_refused() -> None:
    image, mask = scene()
    with pytest.raises(ConfigError, match="another picture"):
        painted_mask(painter_value(image, mask), (48, 64))


def test_the_preview_is_turned_as_the_light_that_the_model_is_given(tmp_path: Path) -> None:
    path = write_map(tmp_path / "lamp.exr", column=128)
    for turn_deg, place in ((0, 0.5), (90, 0.75), (-90, 0.25)):
        shown = map_preview(path, turn_deg)
        given = read_light(path, turn_deg)
        assert shown.shape == (256, 512, 3)
        for picture in (shown, given):
            columns = picture.astype(np.float64).sum(axis=(0, 2))
            columns -= np.median(columns)
            middle = (columns * (np.arange(columns.size) + 0.5)).sum() / columns.sum() / columns.size
            assert middle == pytest.approx(place, abs=0.02)


def test_the_embedded_maps_are_files_that_can_be_read() -> None:
    maps = embedded_maps()
    assert {"city", "forest", "studio"} <= set(maps)
    assert read_light(maps["forest"]).shape == (32, 64, 3)


def test_examples_are_held_out_pairs_without_what_fills_their_holes(tmp_path: Path) -> None:
    run = run_with_data(tmp_path)
    examples = example_pairs(run)
    assert [example.name for example in examples] == ["rooms 0", "rooms 2", "rooms 3", "rooms 5"]
    for example in examples:
        assert example.image.shape == (32, 32, 3)
        assert example.mask.shape == (32, 32)
        assert example.mask.any()
    # What a reader would put into the hole is noise: neighbours there differ more than in what was stored.
    one = examples[0]
    inside = one.mask[:, 1:] & one.mask[:, :-1] == 255
    steps = np.abs(np.diff(one.image.astype(int), axis=1)).mean(axis=2)
    assert steps[inside].mean() == pytest.approx(steps[~inside].mean(), rel=0.35)


def test_a_model_without_its_data_has_no_examples(tmp_path: Path) -> None:
    lonely = write_model(tmp_path / "train" / "checkpoints", conditions=())
    assert example_pairs(lonely) == []
    assert example_pairs(publish(lonely, tmp_path / "published")) == []


def test_the_foreground_is_cut_out_where_there_is_a_new_background_alone(tmp_path: Path) -> None:
    opened = open_model(write_model(tmp_path, conditions=("mask",)))
    app = AppModel(opened, MATTING)
    image, _ = scene()
    behind = np.full((48, 64, 3), 90, np.uint8)
    assert (app.takes_mask, app.needs_mask, app.takes_background) == (True, True, True)
    request = TranslationRequest(image=image, background=behind, matting=GrabCutConfig())
    assert np.array_equal(app.translate(request), translate_image(opened, request))
    with pytest.raises(ConfigError, match="no mask: paint the foreground"):
        app.translate(TranslationRequest(image=image))


def test_only_counts_of_steps_that_were_trained_are_offered(tmp_path: Path) -> None:
    discrete = {"timesteps": {"kind": "discrete"}}
    app = AppModel(open_model(write_model(tmp_path, conditions=(), **discrete)), MATTING)
    assert app.step_counts == [1, 2, 4]


def test_one_bad_picture_of_many_stops_none(tmp_path: Path) -> None:
    image, mask = scene()
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encode_field(name, image))
    (tmp_path / "c.png").write_bytes(b"no picture")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").write_bytes(encode_field("a.png", mask))

    def translate(picture: np.ndarray, given: np.ndarray | None) -> np.ndarray:
        if given is None:
            raise ConfigError("there is no mask", consequence="it is needed", remedy="--mask")
        return 255 - picture

    pictures = [tmp_path / name for name in ("c.png", "b.png", "a.png")]
    done = list(translate_many(pictures, [tmp_path / "masks" / "a.png"], translate, tmp_path / "out"))
    assert [(one.name, one.path is not None) for one in done] == [
        ("a.png", True),
        ("b.png", False),
        ("c.png", False),
    ]
    assert done[1].why == "There is no mask. It is needed."
    with zipfile.ZipFile(zipped([done[0].path], tmp_path / "all.zip")) as file:
        assert file.namelist() == ["a.png"]
        assert file.read("a.png") == encode_field("a.png", 255 - image)


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two of the pictures are named a"):
        list(translate_many([tmp_path / "a.png", tmp_path / "a.jpg"], [], lambda *_: None, tmp_path / "out"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            Rejected("grabcut found no foreground: nothing", remedy="--matting", gate="no_foreground"),
            "Grabcut found no foreground: nothing. Paint the mask with the brush, or open a mask file.",
        ),
        (
            AssetError("/tmp/gradio/12ab/my.hdr is not equirectangular", remedy="see `assets check`"),
            "my.hdr is not equirectangular. Choose another file.",
        ),
        (
            ConfigError("a mask is missing", consequence="it would not know", remedy="pass it: `--mask`"),
            "A mask is missing. It would not know.",
        ),
    ],
)  # fmt: skip
def test_an_error_names_what_is_in_the_page(error: PairbridgeError, said: str) -> None:
    assert in_page(error) == said
