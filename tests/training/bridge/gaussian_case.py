"""Case G2 of notes/bridges.md 8: jointly Gaussian ends in the plane, with every field in closed form.

m, S: mean and covariance; C = Cov(x1, x0). All float64.
"""

import numpy as np
import scipy.linalg
import torch

SIGMA = 0.7
M0, M1 = np.array([1.0, -1.0]), np.array([-2.0, 0.5])
JOINT = np.array(
    [
        [0.364, 0.295, -0.114, -0.410],
        [0.295, 1.285, -0.308, -0.415],
        [-0.114, -0.308, 1.095, 0.957],
        [-0.410, -0.415, 0.957, 2.915],
    ]
)
S0, S1, C = JOINT[:2, :2], JOINT[2:, 2:], JOINT[2:, :2]
IDENTITY = np.eye(2)


def mean_at(t: float) -> np.ndarray:
    return (1 - t) * M0 + t * M1


def covariance_at(t: float) -> np.ndarray:
    return (1 - t) ** 2 * S0 + t**2 * S1 + t * (1 - t) * (C + C.T) + SIGMA**2 * t * (1 - t) * IDENTITY


def estimate_gain(t: float) -> np.ndarray:
    """K of E[x1 | x_t] = m1 + K (x_t - m_t)."""
    return ((1 - t) * C + t * S1) @ np.linalg.inv(covariance_at(t))


def exact_drift(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The drift (E[x1 | x_t] - x_t) / (1 - t) on (B, 2) at one time."""
    time = float(t[0])
    gain = torch.from_numpy(estimate_gain(time))
    mean = torch.from_numpy(M1) + (x - torch.from_numpy(mean_at(time))) @ gain.T
    return (mean - x) / (1 - time)


def exact_velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """E[x1 - x0 | x_t]: what the code released with LBM regresses."""
    time = float(t[0])
    cross = (1 - time) * C + time * S1 - (1 - time) * S0 - time * C.T
    gain = torch.from_numpy(cross @ np.linalg.inv(covariance_at(time)))
    return torch.from_numpy(M1 - M0) + (x - torch.from_numpy(mean_at(time))) @ gain.T


def exact_conditional_drift(x: torch.Tensor, t: torch.Tensor, x0: torch.Tensor) -> torch.Tensor:
    """The same given x0 as well: E[x1 | x_t, x0]."""
    time = float(t[0])
    regression = C @ np.linalg.inv(S0)
    s10 = S1 - regression @ C.T
    mu = torch.from_numpy(M1) + (x0 - torch.from_numpy(M0)) @ torch.from_numpy(regression).T
    if time == 0:
        return mu - x
    gain = time * s10 @ np.linalg.inv(time**2 * s10 + SIGMA**2 * time * (1 - time) * IDENTITY)
    mean = mu + (x - (1 - time) * x0 - time * mu) @ torch.from_numpy(gain).T
    return (mean - x) / (1 - time)


def draw_pairs(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """n pairs (x0, x1), each (n, 2)."""
    root = np.linalg.cholesky(JOINT)
    pairs = np.random.default_rng(seed).standard_normal((n, 4)) @ root.T + np.r_[M0, M1]
    return torch.from_numpy(pairs[:, :2].copy()), torch.from_numpy(pairs[:, 2:].copy())


def w2_squared(mean_a, cov_a, mean_b, cov_b) -> float:
    """Squared 2-Wasserstein distance of two Gaussians."""
    root = scipy.linalg.sqrtm(cov_b)
    cross = np.real(scipy.linalg.sqrtm(root @ cov_a @ root))
    return float(np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a + cov_b - 2 * cross))
