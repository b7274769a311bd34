"""`pairbridge translate`: files and folders, holes, light maps, new backgrounds; every kind of model."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pairbridge.datagen.core.errors import ConfigError, PairbridgeError
from pairbridge.datagen.core.seeds import seed31
from pairbridge.datagen.imaging.fill import fill_noise
from pairbridge.pipelines.cli import app
from pairbridge.pipelines.inference.image_files import read_image, read_mask
from pairbridge.pipelines.inference.publishing import publish
from pairbridge.pipelines.inference.translation import open_model
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.published.published_folders import load_published
from tests.pipelines.commands.image_commands import pairbridge, read, write
from tests.pipelines.inference.translating_models import write_model
from tests.support.broken_photographs import BROKEN


def scene(height: int = 40, width: int = 56, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def hole(height: int = 40, width: int = 56) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[10:20, 12:30] = 255
    return mask


@pytest.fixture(scope="module")
def removal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A removal model as the paper has it: no mask beside the image, so its mask can only be a hole."""
    return write_model(tmp_path_factory.mktemp("removal") / "train" / "checkpoints", conditions=())


@pytest.fixture(scope="module")
def relighting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its checkpoint takes a foreground's mask and a light map."""
    root = tmp_path_factory.mktemp("relighting")
    mix = {"sources": [{"name": "rooms", "path": str(root / "elsewhere"), "recipe": "rooms"}]}
    return write_model(root / "train" / "checkpoints", mix=mix, conditions=("mask", "light"))


def test_a_hole_is_filled_with_noise_of_the_seed(removal: Path, tmp_path: Path) -> None:
    image = write(tmp_path / "image.png", scene())
    mask = write(tmp_path / "mask.png", hole())
    shown = {}
    for seed in (3, 4):
        pairbridge("translate", removal, image, "--mask", mask, "--seed", seed, "--out", tmp_path / "out.png")
        shown[seed] = read(tmp_path / "out.png")
        source = fill_noise(scene(), hole(), seed31(seed, "hole"))
        assert np.array_equal(shown[seed], TranslationModel.load(removal).translate(source, hole()))
    assert not np.array_equal(shown[3], shown[4])
    # What was in the hole cannot matter.
    spoilt = write(tmp_path / "spoilt.png", np.where(hole()[..., None] > 0, 255, scene()).astype(np.uint8))
    pairbridge("translate", removal, spoilt, "--mask", mask, "--seed", 3, "--out", tmp_path / "out.png")
    assert np.array_equal(read(tmp_path / "out.png"), shown[3])


def test_a_hole_that_readers_filled_smoothly_is_filled_so_everywhere(tmp_path: Path) -> None:
    root = tmp_path / "smooth" / "train" / "checkpoints"
    checkpoint = write_model(root, conditions=("mask",), hole_read="smooth")
    spoilt = np.where(hole()[..., None] > 0, 255, scene()).astype(np.uint8)
    outputs = []
    for model in (checkpoint, publish(checkpoint, tmp_path / "published")):
        for number, picture in enumerate((scene(), spoilt)):
            image = write(tmp_path / f"{number}.png", picture)
            mask = write(tmp_path / "mask.png", hole())
            pairbridge(
                "translate", model, image, "--mask", mask, "--seed", number, "--out", tmp_path / "o.png"
            )
            outputs.append(read(tmp_path / "o.png"))
    # What was in the hole cannot matter, and no noise takes its place.
    assert all(np.array_equal(outputs[0], other) for other in outputs[1:])
    shown = TranslationModel.load(write_model(tmp_path / "seen", hole_read="visible"))
    assert not np.array_equal(shown.translate(scene(), hole()), shown.translate(spoilt, hole()))


def test_run_checkpoint_and_published_model_give_the_same_image(removal: Path, tmp_path: Path) -> None:
    image, mask = write(tmp_path / "image.png", scene(33, 47)), write(tmp_path / "mask.png", hole(33, 47))
    published = publish(removal, tmp_path / "published")
    outputs = []
    for model in (removal.parents[2], removal, published):
        out = tmp_path / "out.png"
        pairbridge("translate", model, image, "--mask", mask, "--steps", 4, "--seed", 1, "--out", out)
        outputs.append(out.read_bytes())
    assert outputs[0] == outputs[1] == outputs[2]
    called = load_published(published)(
        Image.open(image), Image.open(mask), num_inference_steps=4, seed=1
    ).images[0]
    assert np.array_equal(np.asarray(called), read(tmp_path / "out.png"))
    assert read(tmp_path / "out.png").shape == (33, 47, 3)
    assert open_model(published).removes


def test_a_folder_is_translated_image_by_image_and_what_fails_is_named(removal: Path, tmp_path: Path) -> None:
    for name, seed in (("b", 1), ("a", 2)):
        write(tmp_path / "in" / f"{name}.png", scene(seed=seed))
        write(tmp_path / "masks" / f"{name}.png", hole())
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no image")
    write(tmp_path / "in" / "alone.png", scene())
    options = ["--mask", str(tmp_path / "masks"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["translate", str(removal), str(tmp_path / "in"), *options])
    assert done.exit_code == 2, done.output
    assert "broken.jpg" in done.output
    assert "no image named alone" in done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]
    single = tmp_path / "single.png"
    pairbridge(
        "translate", removal, tmp_path / "in/a.png", "--mask", tmp_path / "masks/a.png", "--out", single
    )
    assert single.read_bytes() == (tmp_path / "out" / "a.png").read_bytes()

    # Two pairs of neighbours of one size; one of the second pair has no mask that fits.
    for name, height in (("c", 48), ("d", 48)):
        write(tmp_path / "in" / f"{name}.png", scene(height))
        write(tmp_path / "masks" / f"{name}.png", hole(height if name == "c" else 40))
    options[-1] = str(tmp_path / "batched")
    call = ["translate", str(removal), str(tmp_path / "in"), *options, "--batch-size", "2"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 2, done.output
    assert "not translated: d.png: the mask has shape (40, 56), the image (48, 56)" in done.output
    assert sorted(path.name for path in (tmp_path / "batched").iterdir()) == ["a.png", "b.png", "c.png"]
    for name in ("a.png", "b.png"):
        alone, together = (read(tmp_path / folder / name).astype(int) for folder in ("out", "batched"))
        assert np.abs(alone - together).max() <= 1
    # a and b at once, then c, as d was refused before the network.
    assert "2 network evaluations in all" in done.output


def test_light_maps_reach_the_network_and_are_asked_for(relighting: Path, tmp_path: Path) -> None:
    image, mask = write(tmp_path / "image.png", scene()), write(tmp_path / "mask.png", hole())
    call = ["translate", relighting, image, "--mask", mask, "--out", tmp_path / "out.png"]
    shown = []
    for level in (20, 220):
        light = write(tmp_path / "light.png", np.full((16, 32, 3), level, np.uint8))
        pairbridge(*call, "--light-map", light)
        shown.append(read(tmp_path / "out.png"))
    assert not np.array_equal(*shown)
    with pytest.raises(ConfigError, match="trained with a light"):
        pairbridge(*call)


def test_a_foreground_is_cut_out_and_pasted_on_the_new_background(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    model = write_model(tmp_path_factory.mktemp("m") / "checkpoints", outside_mask="keep")
    person = np.full((60, 48, 3), 200, np.uint8)
    y, x = np.mgrid[:60, :48]
    inside = np.hypot(y - 30, x - 24) < 14
    person[inside] = (180, 40, 30)
    wall = np.full((90, 90, 3), (10, 60, 120), np.uint8)
    files = [write(tmp_path / f"{name}.png", image) for name, image in (("p", person), ("w", wall))]
    out = tmp_path / "out.png"
    pairbridge("translate", model, "--foreground", files[0], "--background", files[1], "--out", out)
    shown = read(out)
    assert shown.shape == person.shape
    # Where nothing of the foreground is, the new background shows as it is.
    assert (shown[:6] == wall[0, 0]).all()
    mask = write(tmp_path / "mask.png", np.where(inside, 255, 0).astype(np.uint8))
    options = ["--foreground", files[0], "--background", files[1], "--mask", mask]
    pairbridge("translate", model, *options, "--out", out)
    pasted = np.where(inside[..., None], person, wall[:60, :48])
    expected = TranslationModel.load(model).translate(pasted, np.where(inside, 255, 0).astype(np.uint8))
    assert np.abs(read(out).astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["IMAGE", "--foreground", "IMAGE", "--background", "IMAGE"], "give either IMAGE"),
        ([], "give either IMAGE"),
        (["--foreground", "IMAGE"], "go together"),
        (["IMAGE", "--sampler", "rk4"], "posterior, euler_maruyama, dbim, reference, euler, heun, dopri5"),
        (["IMAGE", "--sampler", "dbim", "--steps", "4"], "sees the source"),
        (["IMAGE", "--matting", "magic"], "--matting 'magic'"),
        (["IMAGE", "--steps", "3"], "never trained"),
    ],
)
def test_what_does_not_fit_is_said(removal: Path, tmp_path: Path, options: list[str], why: str) -> None:
    image = write(tmp_path / "image.png", scene())
    given = [str(image) if option == "IMAGE" else option for option in options]
    with pytest.raises(PairbridgeError, match=why):
        pairbridge("translate", removal, *given, "--out", tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()


def test_masks_of_another_size_and_other_suffixes_are_refused(removal: Path, tmp_path: Path) -> None:
    image, mask = write(tmp_path / "image.png", scene()), write(tmp_path / "mask.png", hole(20, 20))
    with pytest.raises(ConfigError, match="bring both to one size"):
        pairbridge("translate", removal, image, "--mask", mask, "--out", tmp_path / "out.png")
    with pytest.raises(ConfigError, match=r"no \.png file"):
        pairbridge("translate", removal, image, "--out", tmp_path / "out.jpg")


@pytest.mark.parametrize("kind", BROKEN)
def test_errors_of_images_speak_of_the_image_alone(tmp_path: Path, kind: str) -> None:
    """Groups, quarantine and catalogues are of datasets, and who translates has none."""
    path = tmp_path / "image.png"
    path.write_bytes(BROKEN[kind][0])
    said = []
    for read_file in (read_image, read_mask):
        try:
            read_file(path)
        except PairbridgeError as error:
            said.append(str(error))
    assert not [
        text
        for text in said
        for word in ("group", "quarantine", "dataset", "exclude", "recipe")
        if word in text
    ]
    assert all("image.png" in text for text in said)


def test_no_foreground_is_said_without_a_dataset(removal: Path, tmp_path: Path) -> None:
    image = write(tmp_path / "flat.png", np.full((40, 56, 3), 128, np.uint8))
    options = ("--foreground", image, "--background", image, "--out", tmp_path / "out.png")
    with pytest.raises(PairbridgeError, match="found no foreground") as refused:
        pairbridge("translate", removal, *options)
    assert "quarantine" not in str(refused.value)
    assert "recipe" not in str(refused.value)


def test_a_mask_of_two_levels_is_one_whatever_they_are(removal: Path, tmp_path: Path) -> None:
    image = write(tmp_path / "image.png", scene())
    outs = []
    for name, mask in (("white", hole()), ("one", hole() // 255)):
        given = write(tmp_path / f"{name}.png", mask)
        outs.append(tmp_path / f"{name}-out.png")
        pairbridge("translate", removal, image, "--mask", given, "--out", outs[-1])
    assert np.array_equal(read(outs[0]), read(outs[1]))
