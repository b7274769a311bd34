"""`pairbridge guide` from disk: what it writes, what it promises, and every kind of model."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image
from typer.testing import CliRunner

from pairbridge.datagen.core.errors import ConfigError, PairbridgeError
from pairbridge.pipelines.cli import app
from pairbridge.pipelines.inference.publishing import publish
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.guidance.edit_losses import WeightedTerm
from pairbridge.training.guidance.guide_config import GuideConfig
from pairbridge.training.guidance.guided_images import edit_images
from pairbridge.training.guidance.guided_translation import translation_path
from tests.pipelines.commands.image_commands import pairbridge, read, write
from tests.pipelines.inference.translating_models import write_model
from tests.support.tiny_encoders import write_clip, write_dino
from tests.support.tiny_iclight import BASE, write_weights

SIZE = (40, 56)


def scene(seed: int = 0, low: int = 0, high: int = 140) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(low, high, (5, 7, 3), dtype=np.uint8)
    return cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_LINEAR)


def foreground() -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[8:32, 12:40] = 255
    return mask


@pytest.fixture(scope="module")
def relighting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("relighting")
    mix = {"sources": [{"name": "rooms", "path": str(root / "elsewhere"), "recipe": "rooms"}]}
    return write_model(root / "train" / "checkpoints", mix=mix, outside_mask="keep")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """An image with its mask, and a config that wants the colours of a reference beside it."""
    config = {
        "steps": 4,
        "losses": [
            {
                "kind": "colour_statistics",
                "weight": 100,
                "region": "foreground",
                "reference": "wanted/red.png",
            }
        ],
        "guidance": {"mcg_scale": 0.002, "inner_steps": 10, "inner_rate": 0.05, "structure_weight": 0.1},
    }
    written = tmp_path / "configs" / "red.yaml"
    written.parent.mkdir()
    written.write_text(json.dumps(config))
    reference = scene(5, 100, 256)
    reference[..., 1:] //= 3
    return {
        "image": write(tmp_path / "image.png", scene()),
        "mask": write(tmp_path / "mask.png", foreground()),
        "reference": write(tmp_path / "configs" / "wanted" / "red.png", reference),
        "config": written,
    }


def test_the_loss_falls_outside_stays_and_the_record_tells(
    relighting: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    call = ["guide", relighting, files["image"], "--mask", files["mask"], "--config", files["config"]]
    said = pairbridge(*call, "--out", out)
    record = json.loads(out.with_suffix(".json").read_text())
    loss = record["losses"]["colour_statistics"]
    assert loss["guided"] < 0.5 * loss["unguided"]
    assert f"{loss['guided']:.4g}" in said
    assert np.array_equal(read(out)[foreground() == 0], scene()[foreground() == 0])
    assert not np.array_equal(read(out)[foreground() > 0], scene()[foreground() > 0])
    assert (record["seed"], record["evaluations"], record["of_these_with_gradient"]) == (0, 8, 3)
    assert record["config"]["guidance"]["inner_steps"] == 10
    assert set(record["sha256"]) == {str(files[name]) for name in ("image", "mask", "reference")}
    again = tmp_path / "again.png"
    pairbridge(*call, "--out", again)
    assert again.read_bytes() == out.read_bytes()
    # Without a push nothing is left but the plain translation.
    still = tmp_path / "still.png"
    pairbridge(*call, "--out", still, "--set", "guidance.mcg_scale=0", "--set", "guidance.inner_steps=0")
    record = json.loads(still.with_suffix(".json").read_text())["losses"]["colour_statistics"]
    assert record["guided"] == pytest.approx(record["unguided"], rel=1e-3)
    # And on request what comes out outside is shown.
    pairbridge(*call, "--out", again, "--set", "outside_mask=guide")
    assert not np.array_equal(read(again)[foreground() == 0], scene()[foreground() == 0])


def test_run_checkpoint_and_published_model_give_the_same_image(
    relighting: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    outputs = []
    for model in (relighting.parents[2], relighting, publish(relighting, tmp_path / "published")):
        out = tmp_path / "out.png"
        pairbridge(
            "guide", model, files["image"], "--mask", files["mask"], "--config", files["config"], "--out", out
        )
        outputs.append(out.read_bytes())
    assert outputs[0] == outputs[1] == outputs[2]


def test_a_folder_is_edited_image_by_image_and_what_fails_is_named(
    relighting: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        write(tmp_path / "in" / f"{name}.png", scene(seed))
        write(tmp_path / "masks" / f"{name}.png", foreground())
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no image")
    options = ["--mask", str(tmp_path / "masks"), "--config", str(files["config"])]
    call = ["guide", str(relighting), str(tmp_path / "in"), *options, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 2, done.output
    assert "not edited: broken.jpg" in done.output
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a.json", "a.png", "b.json", "b.png"]
    single = tmp_path / "single.png"
    call = ["guide", relighting, tmp_path / "in" / "b.png", "--mask", tmp_path / "masks" / "b.png"]
    pairbridge(*call, "--config", files["config"], "--out", single)
    assert single.read_bytes() == (tmp_path / "out" / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("conditions", "changes"),
    [
        (("mask",), {}),
        (("mask", "source"), {}),
        (("mask",), {"bridge": {"sigma": 0, "start": "noise"}, "timesteps": {"kind": "uniform"}}),
    ],
)
def test_a_batch_of_two_is_two_batches_of_one(
    tmp_path_factory: pytest.TempPathFactory, conditions: tuple[str, ...], changes: dict
) -> None:
    """Of a bridge that does not see its source, of one that does, whose path has noise, and of a flow."""
    folder = write_model(tmp_path_factory.mktemp("m"), conditions=conditions, outside_mask="keep", **changes)
    model = TranslationModel.load(folder)
    config = GuideConfig(losses=[{"kind": "range"}], blend=True, guidance={"mcg_scale": 0.001, "eta": 0.5})
    bright = WeightedTerm("bright", 100.0, lambda images, about: (images - 0.8).square().mean(dim=(1, 2, 3)))
    sources, masks = np.stack([scene(1), scene(2)]), np.stack([foreground(), foreground()[::-1]])

    def edited(chosen: slice) -> np.ndarray:
        generator = [torch.Generator().manual_seed(3) for _ in sources[chosen]]
        path = translation_path(
            model, sources[chosen], masks[chosen], {}, steps=4, strength=0.5, generator=generator
        )
        done = edit_images(path, sources[chosen], masks[chosen], [bright], config, generator)
        assert all(
            after < before for before, after in zip(done.before["bright"], done.after["bright"], strict=True)
        )
        return done.images

    both = edited(slice(0, 2))
    apart = np.concatenate([edited(slice(0, 1)), edited(slice(1, 2))])
    # Convolutions of two sum in another order: a rounding may tip.
    assert np.abs(both.astype(int) - apart).max() <= 1


def test_a_latent_diffusion_model_and_a_loss_of_ones_own(files: dict[str, Path], tmp_path: Path) -> None:
    base = write_weights(tmp_path / "weights") / BASE
    DDIMScheduler(beta_schedule="scaled_linear").save_pretrained(base / "scheduler")
    (tmp_path / "configs" / "blue.py").write_text(
        "class Blue:\n"
        "    def __call__(self, images, scene):\n"
        "        return (1 - images[:, 2]).square().mean(dim=(1, 2))\n"
    )
    config = tmp_path / "configs" / "blue.yaml"
    config.write_text(
        "{steps: 4, strength: 0.4, blend: true, diffusion: {prompt: a sea},"
        " losses: [{kind: own, loss: blue.py:Blue, weight: 20}], guidance: {inner_steps: 10}}"
    )
    out = tmp_path / "out.png"
    pairbridge("guide", base, files["image"], "--mask", files["mask"], "--config", config, "--out", out)
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["losses"]["own"]["guided"] < record["losses"]["own"]["unguided"]
    assert record["config"]["losses"][0]["code"] == (tmp_path / "configs" / "blue.py").read_text()
    assert np.array_equal(read(out)[foreground() == 0], scene()[foreground() == 0])


@pytest.mark.parametrize("name", ["text-edit", "image-edit"])
def test_a_published_edit_is_one_command(files: dict[str, Path], tmp_path: Path, name: str) -> None:
    """In the published layouts, with random weights: it runs, and what a word marks is all that changes."""
    base = write_weights(tmp_path / "weights") / BASE
    DDIMScheduler(beta_schedule="scaled_linear").save_pretrained(base / "scheduler")
    if name == "text-edit":
        settings = [f"losses.0.path={write_clip(tmp_path / 'clip')}"]
    else:
        settings = [
            f"losses.0.path={write_dino(tmp_path / 'dino')}",
            f"losses.0.reference={files['reference']}",
            "diffusion.prompt=a photo of a cat",
        ]
    image = tmp_path / "only" / "image.png"
    image.parent.mkdir()
    shutil.copy(files["image"], image)
    out = tmp_path / "out.png"

    def edited(*more: str) -> dict:
        options = [part for one in (*settings, *more) for part in ("--set", one)]
        pairbridge("guide", base, image, "--config", name, "--out", out, *options)
        return json.loads(out.with_suffix(".json").read_text())

    record = edited()
    # Sixty timesteps, the twenty noisiest of them guided.
    assert (record["evaluations"], record["of_these_with_gradient"]) == (120, 20)
    assert record["config"]["losses"][0]["weight"] == record["config"]["guidance"]["structure_weight"] == 200
    assert not out.with_suffix(".mask.png").exists()
    assert not np.array_equal(read(out), scene())

    # Guided to the end: what a random network makes of an edit afterwards says nothing.
    few = ("steps=6", "guidance.window=[0,1]", "guidance.inner_steps=20", "balance=10")
    record = edited(*few)
    label = record["config"]["losses"][0]["kind"]
    assert record["losses"][label]["guided"] < 0.95 * record["losses"][label]["unguided"]
    assert record["loss_scale"] not in (0, 1)

    few = (*few, "diffusion.mask_word=cat", "blend=true")
    edited(*few)
    mask = read(out.with_suffix(".mask.png"))
    assert set(np.unique(mask)) == {0, 255}
    assert np.array_equal(read(out)[mask == 0], scene()[mask == 0])
    assert not np.array_equal(read(out)[mask > 0], scene()[mask > 0])
    # A mask that is given is taken.
    own = write(tmp_path / "own.png", foreground())
    out.with_suffix(".mask.png").unlink()
    options = [part for one in (*settings, *few) for part in ("--set", one)]
    pairbridge("guide", base, image, "--mask", own, "--config", name, "--out", out, *options)
    assert not out.with_suffix(".mask.png").exists()
    assert np.array_equal(read(out)[foreground() == 0], scene()[foreground() == 0])


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (["steps=3"], "never trained"),
        (["losses.0.reference=nowhere.png"], "--set losses.0.reference=FILE"),
        (["losses.0.kind=magic"], "magic"),
        (["guidance.inner_step=3"], "did you mean 'inner_steps'"),
        (["losses=[{kind: clip, path: nowhere, text: a}]"], "--set losses.0.path=FOLDER"),
        (["balance=1", "guidance.structure_weight=0"], "structure_weight is 0"),
    ],
)
def test_what_does_not_fit_is_said(
    relighting: Path, files: dict[str, Path], tmp_path: Path, settings: list[str], why: str
) -> None:
    call = ["guide", relighting, files["image"], "--mask", files["mask"], "--config", files["config"]]
    with pytest.raises(PairbridgeError, match=why):
        pairbridge(
            *call, "--out", tmp_path / "out.png", *(part for one in settings for part in ("--set", one))
        )
    assert not (tmp_path / "out.png").exists()


def test_masks_are_asked_for_where_they_are_needed(files: dict[str, Path], tmp_path: Path) -> None:
    model = write_model(tmp_path / "checkpoints", conditions=())
    image = tmp_path / "only" / "image.png"
    image.parent.mkdir()
    shutil.copy(files["image"], image)
    call = ["guide", model, image, "--config", files["config"], "--out", tmp_path / "out.png"]
    with pytest.raises(ConfigError, match="looks at the foreground"):
        pairbridge(*call)
    anywhere = ["--set", "losses.0.region=all"]
    with pytest.raises(ConfigError, match="blend: true edits the inside"):
        pairbridge(*call, *anywhere, "--set", "blend=true")
    pairbridge(*call, *anywhere)
    assert Image.open(tmp_path / "out.png").size == SIZE[::-1]
