"""What `augment.recolour` does to a pair, against renders' own law: light and albedo multiply."""

import torch
from torch import Tensor

from pairbridge.datagen.imaging.colour import srgb_decode, srgb_encode
from pairbridge.training.data.augment import DRAWS, AugmentConfig, augment


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def encoded(linear: Tensor) -> Tensor:
    return torch.from_numpy(srgb_encode(linear.numpy())) * 2 - 1


def linear(images: Tensor) -> Tensor:
    return torch.from_numpy(srgb_decode(((images + 1) / 2).numpy()))


def test_an_object_painted_anew_is_its_light_times_another_albedo() -> None:
    count = 64
    # Dark enough that no factor makes them white.
    light = {name: uniform(count, 3, 6, 6, seed=seed) * 0.25 for name, seed in (("source", 1), ("target", 2))}
    mask = torch.zeros(count, 1, 6, 6)
    mask[:, :, 1:5, 2:6] = 1
    images = {name: encoded(one) for name, one in light.items()} | {"mask": mask}
    found = augment(AugmentConfig(flip=0, recolour=1), dict(images), uniform(count, DRAWS))
    factors = {name: linear(found[name]) / light[name] for name in light}
    inside = mask.bool().expand(-1, 3, -1, -1)
    for name in light:
        torch.testing.assert_close(found[name][~inside], images[name][~inside], atol=1e-5, rtol=0)
    # One factor for each colour of a pair, the same in both pictures and in every pixel.
    both = torch.stack([one[:, :, 1:5, 2:6].flatten(2) for one in factors.values()])
    each = both.mean(dim=(0, 3))
    torch.testing.assert_close(both, each[None, :, :, None].expand_as(both), atol=2e-3, rtol=2e-3)
    brightest, faintest = each.amax(dim=1), each.amin(dim=1)
    assert brightest.min() > 0.35 * 0.74
    assert brightest.max() < 2.5 * 1.34
    assert faintest.min() > 0.35 * 0.03 * 0.99
    # Every other one is vivid: a colour of it may be next to nothing beside its brightest.
    vivid = (faintest / brightest < 0.56).float().mean()
    assert 0.35 < vivid < 0.55
    assert (faintest / brightest).min() < 0.08
    assert brightest.log().std() > 0.2


def test_as_many_pairs_are_recoloured_as_is_said_and_masks_stay() -> None:
    count = 2000
    images = {"source": uniform(count, 3, 2, 2) - 0.5, "target": uniform(count, 3, 2, 2, seed=1) - 0.5}
    images["mask"] = torch.ones(count, 1, 2, 2)
    found = augment(AugmentConfig(flip=0, recolour=0.3), dict(images), uniform(count, DRAWS))
    changed = (found["source"] - images["source"]).abs().amax(dim=(1, 2, 3)) > 1e-4
    assert abs(changed.float().mean() - 0.3) < 0.04
    torch.testing.assert_close(found["target"][~changed], images["target"][~changed], atol=1e-5, rtol=0)
    assert torch.equal(found["mask"], images["mask"])
