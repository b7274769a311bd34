"""Edit losses against other implementations and closed forms; CLIP and DINO on tiny random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.imaging.colour import colour_statistics, rgb_to_lab
from pairbridge.training.data.tensors import image_tensor
from pairbridge.training.guidance.edit_losses import (
    ColourDistributionConfig,
    ColourStatisticsConfig,
    EditTerm,
    KeepConfig,
    OwnEditLoss,
    RangeConfig,
    build_terms,
)
from pairbridge.training.guidance.edit_networks import ClipConfig, DinoConfig
from pairbridge.training.guidance.edit_scene import Region, Scene
from pairbridge.training.perceptual.lab import to_lab
from tests.support.tiny_encoders import CLIP_MEAN, CLIP_SIDE, CLIP_STD, write_clip, write_dino

CPU = torch.device("cpu")


def pixels(seed: int, low: int = 0, high: int = 256, side: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (side, side, 3), dtype=np.uint8)


def disc(side: int = 12) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.where(np.hypot(x, y) < side / 3, 255, 0).astype(np.uint8)


class Given:
    """References that are at hand, by name."""

    def __init__(self, **arrays: np.ndarray) -> None:
        self.arrays = arrays

    def image(self, path: Path) -> np.ndarray:
        return self.arrays[path.stem]

    def mask(self, path: Path) -> np.ndarray:
        return self.arrays[path.stem]


def term(config, **arrays: np.ndarray) -> EditTerm:
    return build_terms([config], Given(**arrays), CPU)[0].term


def scene(images: Tensor, mask: np.ndarray | None = None, source: Tensor | None = None) -> Scene:
    held = (
        None
        if mask is None
        else torch.from_numpy(mask)[None, None].float().expand(len(images), -1, -1, -1) / 255
    )
    return Scene(source=images if source is None else source, unguided=images, mask=held)


def batch(*images: np.ndarray) -> Tensor:
    return image_tensor(images)


def lowered(loss: EditTerm, start: Tensor, about: Scene, steps: int = 150, rate: float = 0.02) -> Tensor:
    """`start` after Adam on the loss."""
    images = start.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([images], lr=rate)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(images, about).sum().backward()
        optimiser.step()
    return images.detach()


def test_lab_is_that_of_others_and_has_a_gradient_everywhere() -> None:
    image = pixels(0)
    found = to_lab(batch(image))[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found * 100, rgb2lab(image), atol=0.2)
    np.testing.assert_allclose(found * 100, rgb_to_lab(image), atol=1e-3)
    extremes = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0]).expand(1, 3, 1, 5).clone().requires_grad_(True)
    to_lab(extremes)[:, 0].sum().backward()
    assert bool(torch.isfinite(extremes.grad).all())
    assert bool((extremes.grad.sum(dim=1) > 0).all())


def test_statistics_are_those_that_colour_transfer_matches() -> None:
    image, reference, mask = pixels(1, 0, 150), pixels(2, 80, 256), disc()
    other = np.roll(mask, 2, axis=0)
    loss = term(
        ColourStatisticsConfig(region="foreground", reference="r.png", reference_mask="m.png"),
        r=reference,
        m=other,
    )
    own, wanted = colour_statistics(image, mask), colour_statistics(reference, other)
    expected = np.mean(np.concatenate([own.mean - wanted.mean, own.std - wanted.std]) ** 2) / 1e4
    found = loss(batch(image), scene(batch(image), mask))
    assert float(found) == pytest.approx(expected, rel=1e-3)
    same = loss(batch(reference), scene(batch(reference), other))
    assert float(same) < 1e-9


def test_a_shift_of_lightness_has_its_distance_in_closed_form() -> None:
    """Grey images: only L differs, by d, so along each direction the distance is (d k_L)^2."""
    dark, light = np.full((8, 8, 3), 90, np.uint8), np.full((8, 8, 3), 160, np.uint8)
    config = ColourDistributionConfig(reference="r.png", directions=5)
    loss = term(config, r=light)
    moved = float(to_lab(batch(light))[0, 0, 0, 0] - to_lab(batch(dark))[0, 0, 0, 0])
    expected = moved**2 * float(loss.along[:, 0].square().mean())
    assert float(loss(batch(dark), scene(batch(dark)))) == pytest.approx(expected, rel=1e-3)


def test_quantiles_are_those_of_the_pixels_that_count() -> None:
    image, mask = pixels(3), disc()
    loss = term(ColourDistributionConfig(region="foreground", reference="r.png", quantiles=8), r=image)
    found = loss._quantiles(batch(image), scene(batch(image), mask).weights(Region.FOREGROUND))[0, 0]
    inside = to_lab(batch(image))[0, 0][torch.from_numpy(mask) > 0].numpy()
    np.testing.assert_allclose(found, np.quantile(inside, loss.levels.numpy(), method="hazen"), atol=1e-5)


@pytest.mark.parametrize("kind", [ColourStatisticsConfig, ColourDistributionConfig])
def test_colours_can_be_led_to_the_reference_and_only_inside(kind) -> None:
    image, reference, mask = pixels(4, 0, 120), pixels(5, 100, 256), disc()
    loss = term(kind(region="foreground", reference="r.png"), r=reference)
    about = scene(batch(image), mask)
    before, edited = loss(about.source, about), lowered(loss, about.source, about)
    assert float(loss(edited, about)) < 0.02 * float(before)
    outside = torch.from_numpy(mask == 0)
    assert torch.equal(edited[..., outside], about.source[..., outside])


def test_every_loss_judges_samples_alone(tmp_path: Path) -> None:
    clip, dino = write_clip(tmp_path / "clip"), write_dino(tmp_path / "dino")
    configs = [
        ColourStatisticsConfig(region="foreground", reference="r.png"),
        ColourDistributionConfig(region="background", reference="r.png"),
        KeepConfig(),
        RangeConfig(),
        ClipConfig(path=clip, text="red", crops=2),
        DinoConfig(path=dino, reference="r.png"),
    ]
    terms = build_terms(configs, Given(r=pixels(6)), CPU)
    images = torch.cat([batch(pixels(7)), 1.2 * batch(pixels(8))])
    source = batch(pixels(9), pixels(10))
    for one in terms:
        both = one.term(images, scene(images, disc(), source))
        for i in range(2):
            alone = images[i : i + 1]
            found = one.term(alone, scene(alone, disc(), source[i : i + 1]))
            torch.testing.assert_close(found, both[i : i + 1], rtol=1e-4, atol=1e-6, msg=one.label)


def test_keep_and_range_count_what_they_say() -> None:
    image, mask = batch(pixels(11)), disc()
    inside = torch.from_numpy(mask)[None, None].float() / 255
    about = scene(image, mask)
    keep = term(KeepConfig())
    assert float(keep(image + inside, about)) == 0
    assert float(keep(image + 0.5 * (1 - inside), about)) == pytest.approx(0.25, rel=1e-5)
    assert float(term(RangeConfig())(torch.full((1, 3, 2, 2), 1.5), about)) == 0.25
    assert float(term(RangeConfig())(image, about)) == 0


def test_regions_need_a_mask_that_has_them() -> None:
    image = batch(pixels(12))
    loss = term(ColourStatisticsConfig(region="foreground", reference="r.png"), r=pixels(0))
    with pytest.raises(ConfigError, match="without a mask"):
        loss(image, scene(image))
    with pytest.raises(ConfigError, match="the mask has none"):
        loss(image, scene(image, np.zeros((12, 12), np.uint8)))
    with pytest.raises(ConfigError, match="another size"):
        term(ColourStatisticsConfig(reference="r.png", reference_mask="m.png"), r=pixels(0), m=disc(9))


def test_clip_points_where_its_texts_do(tmp_path: Path) -> None:
    """One whole view against the definition, written with transformers' own interface; then down it goes."""
    folder = write_clip(tmp_path / "clip")
    config = ClipConfig(path=folder, text="a red cat", source_text="a dog", away=0.4, kept=0.2, crops=1)
    image, source = batch(pixels(13, side=CLIP_SIDE)), batch(pixels(14, side=CLIP_SIDE))
    about = scene(image, source=source)
    loss = term(config)

    model, tokenizer = CLIPModel.from_pretrained(folder).eval(), CLIPTokenizer.from_pretrained(folder)

    def unit(found) -> Tensor:
        found = found if isinstance(found, Tensor) else found.pooler_output
        return found / found.norm(dim=1, keepdim=True)

    def seen(images: Tensor) -> Tensor:
        mean, std = (torch.tensor(value).reshape(1, 3, 1, 1) for value in (CLIP_MEAN, CLIP_STD))
        return unit(model.get_image_features(pixel_values=((images + 1) / 2 - mean) / std))

    with torch.no_grad():
        red, dog = (
            unit(model.get_text_features(**tokenizer(text, return_tensors="pt")))
            for text in ("a red cat", "a dog")
        )
        goal = unit(red - 0.4 * dog + 0.2 * seen(source))
        expected = 1 - (seen(image) * goal).sum()
    assert float(loss(image, about)) == pytest.approx(float(expected), abs=1e-5)
    many = term(config.model_copy(update={"crops": 4}))
    assert float(many(lowered(many, image, about, steps=40), about)) < float(many(image, about)) - 0.02


@pytest.mark.parametrize("kind", ["vit", "dinov2"])
def test_dino_is_zero_at_its_goal_and_leads_there(tmp_path: Path, kind: str) -> None:
    folder = write_dino(tmp_path / kind, kind)
    reference, image = pixels(15), batch(pixels(16, 0, 90))
    about = scene(image, source=batch(reference))
    like = term(DinoConfig(path=folder, reference="r.png"), r=reference)
    structure = term(DinoConfig(path=folder, compare="structure"))
    for loss in (like, structure):
        assert float(loss(batch(reference), about)) < 1e-10
        before = float(loss(image, about))
        assert 0 < float(loss(lowered(loss, image, about, steps=40), about)) < 0.7 * before


def test_folders_that_hold_no_network_are_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config\.json") as refused:
        term(ClipConfig(path=tmp_path / "nowhere", text="a"))
    assert "hf download" in refused.value.remedy
    clip = write_clip(tmp_path / "clip")
    with pytest.raises(ConfigError, match="'clip', none of vit"):
        term(DinoConfig(path=clip))
    weights = clip / "model.safetensors"
    torch.save(CLIPModel.from_pretrained(clip).state_dict(), clip / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ConfigError, match="cannot be loaded"):
        term(ClipConfig(path=clip, text="a"))
    dino = write_dino(tmp_path / "dino")
    (dino / "preprocessor_config.json").unlink()
    with pytest.raises(ConfigError, match=r"preprocessor_config\.json cannot be read"):
        term(DinoConfig(path=dino))
    with pytest.raises(ValueError, match="leave reference out"):
        DinoConfig(path=dino, compare="structure", reference="r.png")


def test_a_loss_of_ones_own_comes_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "brightness.py"
    file.write_text(
        "class Brightness:\n"
        "    def __init__(self, level):\n"
        "        self.level = level\n"
        "    def __call__(self, images, scene):\n"
        "        return (images.mean(dim=(1, 2, 3)) - self.level) ** 2\n"
    )
    config = OwnEditLoss(loss=f"{file}:Brightness", settings={"level": 0.5})
    assert float(term(config)(torch.zeros(1, 3, 4, 4), None)) == 0.25
    with pytest.raises(ConfigError, match="cannot be made"):
        term(config.model_copy(update={"settings": {}}))
    for name, why in ((f"{file}:Darkness", "no class"), (f"{tmp_path}/gone.py:Brightness", "cannot be read")):
        with pytest.raises(ValueError, match=why):
            OwnEditLoss(loss=name, settings={"level": 0.5})
