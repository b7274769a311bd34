"""Draws that kinds of material share: roughness, seldom wear, and where noise starts.

Roughness is a mixture as of real things: glossy (0.05 to 0.25), satin (0.3 to 0.5) and matt (0.6 to 1), in
shares that belong to the kind.
"""

import numpy as np


def roughness_rand(rng: np.random.Generator, glossy: float, satin: float) -> float:
    """Glossy in one share of the draws, satin in another, else matt."""
    kind = rng.uniform()
    if kind < glossy:
        return float(rng.uniform(0.05, 0.25))
    return float(rng.uniform(0.3, 0.5) if kind < glossy + satin else rng.uniform(0.6, 1.0))


def seldom(rng: np.random.Generator, share: float) -> float:
    """0, or in `share` of the draws something between 0.25 and 1."""
    there, amount = rng.uniform(), rng.uniform(0.25, 1.0)
    return float(amount) if there < share else 0.0


def offset_rand(rng: np.random.Generator) -> tuple[float, float, float]:
    x, y, z = rng.uniform(-20, 20, 3).tolist()
    return x, y, z
