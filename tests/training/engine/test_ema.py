"""The EMA against diffusers' own, and what its precision, device and interval leave of it."""

import pytest
import torch
from diffusers.training_utils import EMAModel
from torch import nn

from pairbridge.training.engine.ema import Ema, EmaSettings


def walked(settings: EmaSettings, steps: int = 60) -> tuple[Ema, EMAModel]:
    """Ours and diffusers', along one random walk of some weights."""
    generator = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((8, 3), (5,))]
    ours, theirs = Ema(weights, settings), EMAModel(weights, decay=0.5 ** (1 / settings.half_life))
    for _ in range(steps):
        with torch.no_grad():
            for weight in weights:
                weight += 0.1 * torch.randn(weight.shape, generator=generator)
        ours.step()
        theirs.step(weights)
    return ours, theirs


@pytest.mark.parametrize("device", ["weights", "cpu"])
@pytest.mark.parametrize("half_life", [3.0, 200.0])
def test_it_is_the_average_of_diffusers(half_life: float, device: str) -> None:
    ours, theirs = walked(EmaSettings(half_life=half_life, device=device))
    for mine, other in zip(ours.averages, theirs.shadow_params, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-5)


def jumped(settings: EmaSettings, steps: int = 1000) -> torch.Tensor:
    """The average of a weight that was 1 until the ramp of the decay was over, and 1.5 for `steps` since."""
    weight = nn.Parameter(torch.ones(4000))
    ema = Ema([weight], settings)
    ema.steps = 100_000
    weight.data += 0.5
    for _ in range(steps):
        ema.step()
    return ema.averages[0].float()


def test_a_half_life_is_what_it_says_at_every_interval() -> None:
    for every in (1, 10):
        average = jumped(EmaSettings(half_life=1000, every=every))
        torch.testing.assert_close(average, torch.full_like(average, 1.25), atol=1e-4, rtol=0)


def test_in_bf16_it_moves_by_less_than_bf16_can_tell() -> None:
    """A step is 0.0003, and the spacing of bf16 here 0.008: rounded to the nearest it would stay at 1."""
    average = jumped(EmaSettings(half_life=1000, precision="bf16"))
    assert float(average.mean()) == pytest.approx(1.25, abs=0.002)
    again = jumped(EmaSettings(half_life=1000, precision="bf16"))
    assert torch.equal(average, again)
