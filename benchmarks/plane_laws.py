"""Laws in the plane whose answers are known, a network that is large enough for them, and their distance.

What the bridge, the flow and their distillation are measured on (`benchmarks/toy.py`, tests). Points are
float32 (n, 2); every draw comes from the caller's generator.
"""

import math

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

EIGHT_RADIUS, EIGHT_STD = 5.0, 0.316
MOON_NOISE = 0.2
# Of `two_modes`: the modes lie 3 apart, 12 of their standard deviations.
MODE_OFFSET = (1.5, 0.0)
MODE_STD = 0.25


def eight_gaussians(n: int, generator: torch.Generator) -> Tensor:
    """Eight round Gaussians of equal weight on a circle."""
    angle = torch.randint(8, (n,), generator=generator) * (math.pi / 4)
    centre = EIGHT_RADIUS * torch.stack([angle.cos(), angle.sin()], dim=1)
    return centre + EIGHT_STD * torch.randn(n, 2, generator=generator)


def moons(n: int, generator: torch.Generator) -> Tensor:
    """Two interleaved half circles with noise: scikit-learn's `make_moons(noise=0.2)`, times 3, minus 1."""
    return labelled_moons(n, generator)[0]


def labelled_moons(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The same, and which of both a point is of: int64 (n,), 1 for the upper one."""
    angle = math.pi * torch.rand(n, generator=generator)
    upper = torch.rand(n, generator=generator) < 0.5
    outer = torch.stack([angle.cos(), angle.sin()], dim=1)
    inner = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], dim=1)
    curve = torch.where(upper[:, None], outer, inner)
    return 3 * (curve + MOON_NOISE * torch.randn(n, 2, generator=generator)) - 1, upper.long()


def two_modes(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pairs (x0, x1), each (n, 2): x0 is standard normal and x1 = x0 +- MODE_OFFSET + MODE_STD z, the sign
    drawn at even odds. The mean of x1 given x0 is x0 itself, which is on neither mode.
    """
    x0 = torch.randn(n, 2, generator=generator)
    sign = torch.where(torch.rand(n, 1, generator=generator) < 0.5, 1.0, -1.0)
    return x0, x0 + sign * torch.tensor(MODE_OFFSET) + MODE_STD * torch.randn(n, 2, generator=generator)


def wasserstein2(a: Tensor, b: Tensor) -> float:
    """The exact 2-Wasserstein distance of two samples of one size, (n, d) each; n = 2000 takes a second.

    Two samples of one law are not 0 apart: compare with that floor.
    """
    squared = torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
    rows, columns = linear_sum_assignment(squared.numpy())
    return math.sqrt(float(squared[rows, columns].mean()))


class PlaneNetwork(nn.Module):
    """f(x, t, beside...) -> (B, out): a perceptron with three hidden layers.

    `beside`: how many numbers a sample brings along, such as its source or the code of its class.
    """

    def __init__(self, *, seed: int, width: int = 128, beside: int = 0, out: int = 2) -> None:
        """The initial weights are a function of `seed` alone."""
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                *(nn.Linear(3 + beside, width), nn.SiLU()),
                *(nn.Linear(width, width), nn.SiLU()),
                *(nn.Linear(width, width), nn.SiLU()),
                nn.Linear(width, out),
            )

    def forward(self, x: Tensor, t: Tensor, *beside: Tensor) -> Tensor:
        """x (B, 2), t (B,), each of `beside` (B, k)."""
        return self.layers(torch.cat([x, t[:, None], *beside], dim=1))
