"""Training on Gaussian ends reaches the known optimum from above (notes/bridges.md 8, T2), drift by name."""

import numpy as np
import pytest
import torch
from torch import nn

from pairbridge.training.bridge.equations import BridgeField, estimate_target, interpolate, regression_target
from pairbridge.training.bridge.timesteps import DiscreteTimesteps, Timesteps, UniformTimesteps
from pairbridge.training.bridge_training.losses import LatentWeighting, LossConfig, latent_loss
from pairbridge.training.bridge_training.objective import step_generator
from tests.training.bridge import gaussian_case as g2

KNOWN_LOSS = {0.25: 3.6492, 0.5: 1.7749, 0.75: 0.4485}


class Perceptron(nn.Module):
    """v(x_t, t) in the plane; images of one pixel and two channels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Linear(3, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 2)
        )

    def forward(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.cat([x_t.flatten(1), t[:, None]], dim=1)).reshape(x_t.shape)


LOSS = LossConfig(latent_weighting=LatentWeighting.ESTIMATE)


def fit(timesteps: Timesteps, field: BridgeField, steps: int = 1500, batch: int = 4096) -> Perceptron:
    x0, x1 = (ends.float()[..., None, None] for ends in g2.draw_pairs(steps * batch, seed=1))
    model = Perceptron()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-2)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        rows = slice(step * batch, (step + 1) * batch)
        draws = step_generator(0, step)
        t = timesteps.sample(batch, draws)
        eps = torch.randn(batch, 2, 1, 1, generator=draws)
        x_t = interpolate(x0[rows], x1[rows], t, eps, g2.SIGMA)
        target = regression_target(field, x0[rows], x1[rows], x_t, t)
        loss = latent_loss(
            LossConfig(latent_weighting=LatentWeighting.ESTIMATE), model(x_t, t), target, t
        ).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
    return model.requires_grad_(False)


def estimate_error(model: Perceptron, time: float) -> float:
    """E |x1_hat - x1|^2 on fresh pairs."""
    x0, x1 = (ends.float()[..., None, None] for ends in g2.draw_pairs(200_000, seed=2))
    t = torch.full((len(x0),), time)
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(3))
    x_t = interpolate(x0, x1, t, eps, g2.SIGMA)
    return float((estimate_target(x_t, model(x_t, t), t) - x1).square().sum(dim=1).mean())


@pytest.mark.parametrize(
    "timesteps",
    [
        DiscreteTimesteps(times=(0.0, 0.25, 0.5, 0.75), weights=(0.25,) * 4),
        pytest.param(UniformTimesteps(cap=0.95), marks=pytest.mark.long),
    ],
    ids=lambda timesteps: timesteps.kind,
)
def test_the_learned_drift_reaches_the_smallest_loss_from_above(timesteps: Timesteps) -> None:
    model = fit(timesteps, BridgeField.DRIFT)
    for time, smallest in KNOWN_LOSS.items():
        # 200,000 samples know this mean within half a percent.
        assert 0.99 * smallest < estimate_error(model, time) < 1.01 * smallest

    x0, x1 = g2.draw_pairs(2000, seed=4)
    t = torch.full((2000,), 0.5, dtype=torch.float64)
    eps = torch.randn(2000, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    x_t = interpolate(x0, x1, t, eps, g2.SIGMA)
    learned = model(x_t.float()[..., None, None], t.float())[..., 0, 0].numpy()
    exact = g2.exact_drift(x_t, t).numpy()
    unexplained = np.square(learned - exact).sum() / np.square(exact - exact.mean(axis=0)).sum()
    # R^2 of the learned drift against the closed form; all times at once are more to fit for one network.
    assert 1 - unexplained > (0.99 if timesteps.kind == "discrete" else 0.98)


@pytest.mark.long
def test_the_learned_velocity_leaves_bridge_noise_in_its_estimate() -> None:
    """Why the drift is the default: even a perfect velocity misses x1 by more than it has to."""
    t = 0.5
    now, to_target = g2.covariance_at(t), (1 - t) * g2.C.T + t * g2.S1
    velocity = ((1 - t) * (g2.C - g2.S0) + t * (g2.S1 - g2.C.T)) @ np.linalg.inv(now)
    gain = np.eye(2) + (1 - t) * velocity
    best = float(np.trace(gain @ now @ gain.T - 2 * gain @ to_target + g2.S1))
    assert best > 1.02 * KNOWN_LOSS[t]
    model = fit(DiscreteTimesteps(times=(t,), weights=(1.0,)), BridgeField.VELOCITY)
    assert estimate_error(model, t) == pytest.approx(best, rel=0.01)
