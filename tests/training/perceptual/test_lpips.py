"""LPIPS against a literal computation in NumPy, with random weights in the published layouts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.perceptual.lpips import Lpips, LpipsConfig

# torchvision's vgg16.features: convolutions by number, "M" pools.
LAYERS = [(0, 64), (2, 64), "M", (5, 128), (7, 128), "M", (10, 256), (12, 256), (14, 256), "M",
          (17, 512), (19, 512), (21, 512), "M", (24, 512), (26, 512), (28, 512)]  # fmt: skip
COMPARED = {2: 0, 7: 1, 14: 2, 21: 3, 28: 4}


def random_weights() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Features and heads in the published layouts."""
    generator = torch.Generator().manual_seed(0)
    features, heads, channels = {"classifier.0.bias": torch.zeros(3)}, {}, 3
    for layer in LAYERS:
        if layer == "M":
            continue
        number, width = layer
        scale = (2 / (9 * channels)) ** 0.5
        features[f"features.{number}.weight"] = scale * torch.randn(
            width, channels, 3, 3, generator=generator
        )
        features[f"features.{number}.bias"] = 0.1 * torch.randn(width, generator=generator)
        if number in COMPARED:
            heads[f"lin{COMPARED[number]}.model.1.weight"] = torch.rand(1, width, 1, 1, generator=generator)
        channels = width
    return features, heads


@pytest.fixture(scope="module")
def weights() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    return random_weights()


def activations(image: np.ndarray, features: dict[str, torch.Tensor]) -> list[np.ndarray]:
    """Stage by stage, straight from the definition of a convolution: shifted copies times weights."""
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    x = (image - shift[:, None, None]) / scale[:, None, None]
    found = []
    for layer in LAYERS:
        if layer == "M":
            channels, height, width = x.shape
            x = x.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4))
            continue
        number, _ = layer
        kernel, bias = (features[f"features.{number}.{name}"].double().numpy() for name in ("weight", "bias"))
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        height, width = x.shape[1:]
        x = sum(
            np.einsum("oc,chw->ohw", kernel[:, :, i, j], padded[:, i : i + height, j : j + width])
            for i in range(3)
            for j in range(3)
        )
        x = np.maximum(x + bias[:, None, None], 0)
        if number in COMPARED:
            found.append(x)
    return found


def test_it_is_the_published_distance(weights) -> None:
    features, heads = weights
    draw = np.random.default_rng(0)
    images = draw.uniform(-1, 1, (2, 3, 16, 32))
    distance = 0.0
    pairs = zip(*(activations(image, features) for image in images), strict=True)
    for level, (a, b) in enumerate(pairs):
        a, b = (x / (np.sqrt((x**2).sum(axis=0)) + 1e-10) for x in (a, b))
        weight = heads[f"lin{level}.model.1.weight"].double().numpy()[0]
        distance += (weight * (a - b) ** 2).sum(axis=0).mean()
    one, other = (torch.tensor(image[None], dtype=torch.float32) for image in images)
    lpips = Lpips(features, heads)
    assert float(lpips(one, other)) == pytest.approx(distance, rel=1e-4)
    assert float(lpips(one, one)) == 0
    # Symmetric, per sample, and never trained itself.
    torch.testing.assert_close(
        lpips(torch.cat([one, other]), torch.cat([other, other])),
        torch.tensor([distance, 0.0]).float(),
        rtol=1e-4,
        atol=1e-6,
    )
    assert not any(weight.requires_grad for weight in lpips.parameters())


def test_its_gradient_is_finite_where_nothing_responds(weights) -> None:
    features, heads = weights
    dark = {
        name: -torch.ones_like(value) if "bias" in name else value * 0 for name, value in features.items()
    }
    image = torch.zeros(1, 3, 16, 16, requires_grad=True)
    Lpips(dark, heads)(image, torch.ones(1, 3, 16, 16)).sum().backward()
    assert torch.isfinite(image.grad).all()


def test_weights_load_from_either_published_format(tmp_path: Path, weights) -> None:
    features, heads = weights
    torch.save(features, tmp_path / "vgg16.pth")
    save_file(heads, tmp_path / "heads.safetensors")
    config = LpipsConfig(vgg=tmp_path / "vgg16.pth", heads=tmp_path / "heads.safetensors")
    one, other = torch.rand(2, 1, 3, 16, 16)
    assert torch.equal(Lpips.load(config)(one, other), Lpips(features, heads)(one, other))
    before = config.digest
    torch.save({**features, "features.0.bias": features["features.0.bias"] + 1}, tmp_path / "vgg16.pth")
    assert config.digest != before


def test_files_that_are_something_else_are_refused_and_not_run(tmp_path: Path, weights) -> None:
    _, heads = weights
    torch.save(heads, tmp_path / "heads.pth")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "module.pth")
    for wrong in ("missing.pth", "module.pth", "heads.pth"):
        with pytest.raises(ConfigError, match="LPIPS"):
            Lpips.load(LpipsConfig(vgg=tmp_path / wrong, heads=tmp_path / "heads.pth"))
