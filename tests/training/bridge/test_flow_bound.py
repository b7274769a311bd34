"""How far a flow in latent space is from the data, bounded by its objective (arXiv 2307.08698), where
all of it is known: Gaussian images, the orthonormal autoencoder, and an affine field that errs by design.
"""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from pairbridge.training.networks.autoencoders import HaarConfig, build_autoencoder

SIDE = 4
PIXELS = 3 * SIDE * SIDE
STEPS = 400


def decoder() -> np.ndarray:
    """The matrix of the decoder: latents (48) to pixels (48)."""
    haar = build_autoencoder(HaarConfig(levels=2))
    basis = torch.eye(PIXELS).reshape(PIXELS, PIXELS, 1, 1)
    return haar.decode(basis).reshape(PIXELS, PIXELS).double().numpy().T


def w2_square(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """Between two Gaussians."""
    root = sqrtm(cov_b)
    cross = sqrtm(root @ cov_a @ root).real
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a + cov_b - 2 * cross))


def data() -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the latents."""
    draw = np.random.default_rng(0)
    factor = draw.normal(size=(PIXELS, PIXELS)) / np.sqrt(PIXELS)
    return draw.normal(size=PIXELS), 0.3 * np.eye(PIXELS) + factor @ factor.T


def exact_gain(t: float, cov: np.ndarray) -> np.ndarray:
    """K of the velocity E[x1 - x0 | x_t] = m + K (x_t - t m), x0 ~ N(0, I) independent of x1 ~ N(m, cov)."""
    return (t * cov - (1 - t) * np.eye(PIXELS)) @ np.linalg.inv((1 - t) ** 2 * np.eye(PIXELS) + t**2 * cov)


@pytest.mark.parametrize("size", [0.0, 0.02, 0.1])
def test_the_latent_objective_bounds_w2_of_the_images(size: float) -> None:
    mean, cov = data()
    draw = np.random.default_rng(1)
    # What the field errs by: shift + slope (x - t m).
    shift = size * draw.normal(size=PIXELS)
    slope = size * draw.normal(size=(PIXELS, PIXELS)) / np.sqrt(PIXELS)
    objective, lipschitz = 0.0, 0.0
    for t in (np.arange(STEPS) + 0.5) / STEPS:
        path = (1 - t) ** 2 * np.eye(PIXELS) + t**2 * cov
        # E |error|^2 over the path's marginal: what the regression's loss exceeds its minimum by.
        objective += (shift @ shift + np.trace(slope @ path @ slope.T)) / STEPS
        lipschitz += np.linalg.norm(exact_gain(t, cov) + slope, 2) / STEPS

    def rate(t: float, made_mean: np.ndarray, made_cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gain = exact_gain(t, cov) + slope
        return mean + shift + gain @ (made_mean - t * mean), gain @ made_cov + made_cov @ gain.T

    state, h = (np.zeros(PIXELS), np.eye(PIXELS)), 1 / STEPS
    for step in range(STEPS):
        t = step * h
        first = rate(t, *state)
        second = rate(t + h / 2, *(a + h / 2 * b for a, b in zip(state, first, strict=True)))
        third = rate(t + h / 2, *(a + h / 2 * b for a, b in zip(state, second, strict=True)))
        last = rate(t + h, *(a + h * b for a, b in zip(state, third, strict=True)))
        state = tuple(
            a + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            for a, k1, k2, k3, k4 in zip(state, first, second, third, last, strict=True)
        )
    latent = w2_square(*state, mean, cov)
    to_pixels = decoder()
    np.testing.assert_allclose(to_pixels @ to_pixels.T, np.eye(PIXELS), atol=1e-6)
    made = to_pixels @ state[0], to_pixels @ state[1] @ to_pixels.T
    pixels = w2_square(*made, to_pixels @ mean, to_pixels @ cov @ to_pixels.T)
    # No error of reconstruction and a Lipschitz constant of 1: what holds of latents holds of images.
    assert pixels == pytest.approx(latent, rel=1e-5, abs=1e-7)
    # Gronwall along the flow, tighter than the paper's exp(1 + 2 L) with L the largest constant.
    assert pixels <= np.exp(2 * lipschitz) * objective + 1e-7
    if size:
        # It says something: the error is there, and within two orders of what the bound allows.
        assert pixels > 0.01 * np.exp(2 * lipschitz) * objective
