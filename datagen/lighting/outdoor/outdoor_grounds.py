"""Grounds of outdoor maps, in perspective from the camera's height and lit by the map's own sky and sun."""

import math

import numpy as np

from pairbridge.datagen.imaging.filters import smooth_step
from pairbridge.datagen.lighting.outdoor.noise_fields import NoiseField

# Mean albedo of each ground: within the ranges that measurements of natural surfaces report.
ALBEDOS = {
    "grass": (0.062, 0.088, 0.026),
    "dry_grass": (0.2, 0.165, 0.08),
    "asphalt": (0.115, 0.113, 0.11),
    "sand": (0.42, 0.34, 0.24),
    "paving": (0.3, 0.28, 0.255),
    "cobbles": (0.2, 0.19, 0.18),
    "gravel": (0.24, 0.22, 0.19),
    "soil": (0.13, 0.09, 0.06),
    "snow": (0.82, 0.84, 0.87),
    "concrete": (0.34, 0.33, 0.31),
}


def ground_albedo(
    draw: np.random.Generator, kind: str, x: np.ndarray, y: np.ndarray, footprint_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Albedo (H, W, 3) at places in metres seen over `footprint_m`, and the slope (H, W, 2) of its relief."""
    base = np.array(ALBEDOS[kind]) * float(draw.uniform(0.85, 1.15))
    broad, fine = NoiseField(draw, 2.6), NoiseField(draw, 0.7)
    patches = broad.sample(x / 23.0, y / 23.0, footprint_m / 23.0)
    medium = broad.sample(x / 4.1 + 0.3, y / 4.1, footprint_m / 4.1)
    tile = 0.9
    grain = fine.sample(x / tile, y / tile, footprint_m / tile)
    tone, rough = 0.16 * patches + 0.1 * medium, 0.25
    colour = np.ones((*x.shape, 3)) * base
    if kind in ("grass", "dry_grass"):
        tone = tone + 0.42 * grain + 0.18 * medium
        dry = smooth_step(medium + 0.6 * patches, 0.3, 2.2)[..., None]
        colour = colour * (1 - 0.6 * dry) + 0.6 * dry * np.array([0.16, 0.135, 0.055])
        rough = 0.5
    elif kind == "asphalt":
        crack = _cracks(broad, x, y, footprint_m)
        tone = 0.4 * tone + 0.34 * grain - 0.5 * crack
        rough = 0.3
    elif kind == "sand":
        ripple = np.sin(2 * math.pi * (x * 0.8 + y * 4.5 + 0.7 * medium)) * _kept(footprint_m, 0.22)
        tone = 0.7 * tone + 0.07 * grain + 0.05 * ripple
        rough = 0.45
    elif kind in ("paving", "cobbles", "concrete"):
        side = {"paving": 0.5, "cobbles": 0.14, "concrete": 2.4}[kind] * float(draw.uniform(0.8, 1.25))
        rows = np.floor(y / side)
        shift = 0.5 * (rows % 2) if kind != "concrete" else 0.0
        column = np.floor(x / side + shift)
        edge = np.minimum(0.5 - np.abs((x / side + shift) % 1 - 0.5), 0.5 - np.abs((y / side) % 1 - 0.5))
        joint_width = {"paving": 0.018, "cobbles": 0.09, "concrete": 0.006}[kind]
        spread = np.maximum(footprint_m / side, 1e-4)
        joint = np.clip((joint_width - edge) / np.maximum(spread, 0.01) + 0.5, 0, 1)
        joint = joint * np.clip(1.2 - spread, 0, 1) + 2.5 * joint_width * np.clip(spread - 0.2, 0, 1)
        own = np.sin(column * 127.1 + rows * 311.7) * 43758.5453
        tone = tone + 0.14 * grain + 0.3 * (own % 1 - 0.5) * _kept(footprint_m, side) - 0.9 * joint
        rough = 0.2
    elif kind == "gravel":
        tone = tone + 0.4 * grain
        rough = 0.6
    elif kind == "snow":
        tone = 0.12 * tone + 0.012 * grain
        rough = 0.35
    else:
        tone = tone + 0.3 * grain
        rough = 0.5
    # Relief from the same noise, so that hollows are dark where light is level.
    step = 0.012
    slope_x = (fine.sample((x + step) / tile, y / tile, footprint_m / tile) - grain) * rough * 0.3
    slope_y = (fine.sample(x / tile, (y + step) / tile, footprint_m / tile) - grain) * rough * 0.3
    swell = 0.05 if kind == "snow" else 0.02
    step = 0.12
    slope_x = (
        slope_x + swell * (broad.sample((x + step) / 4.1 + 0.3, y / 4.1, footprint_m / 4.1) - medium) / step
    )
    slope_y = (
        slope_y + swell * (broad.sample(x / 4.1 + 0.3, (y + step) / 4.1, footprint_m / 4.1) - medium) / step
    )
    albedo = np.clip(colour * np.exp(np.clip(tone, -1.6, 0.9))[..., None], 0.03, 0.9)
    return albedo, np.clip(np.stack([slope_x, slope_y], axis=-1), -0.7, 0.7)


def _kept(footprint_m: np.ndarray, cell_m: float) -> np.ndarray:
    """How much is left of a pattern of `cell_m` under this footprint."""
    return np.clip(1.3 - footprint_m / cell_m, 0, 1)


def _cracks(field: NoiseField, x: np.ndarray, y: np.ndarray, footprint_m: np.ndarray) -> np.ndarray:
    line = np.abs(field.sample(x / 7.3 + 0.6, y / 7.3 + 0.1, footprint_m / 7.3))
    return np.clip(1 - line / 0.016, 0, 1) * _kept(footprint_m, 0.05)
