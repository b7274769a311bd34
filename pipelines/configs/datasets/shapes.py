"""Five kinds of embossed shapes on a plain ground, drawn with NumPy: classes that anyone can tell apart, in
milliseconds and without Blender. Named in shapes.yaml.
"""

import colorsys

import cv2
import numpy as np

from pairbridge.datagen.recipes.user_recipe import OwnRecipe

KINDS = ("cross", "disc", "ring", "square", "triangle")
# Drawn this many times as large, and averaged down: smooth edges.
FINE = 4
# From the rim to the level top, in shares of the shape's radius.
BEVEL = 0.35


class Shapes(OwnRecipe):
    """The empty ground becomes the ground with a shape on it. A group's pairs show one kind of shape."""

    mask_source = "drawn"

    def plan_group(self, draw, split, catalogue):
        return {
            "shape": KINDS[draw.integers(len(KINDS))],
            "pairs": [_plan_pair(draw) for _ in range(self.config.pairs_per_group)],
        }

    def assets(self, params):
        return []

    def make_pair(self, params, number, workbench):
        pair, (width, height) = params["pairs"][number], self.config.size_WH
        y, x = np.mgrid[: height * FINE, : width * FINE] / (min(width, height) * FINE)
        ground = np.clip(pair["ground"] + pair["slope"] * (x - 0.5), 0, 1)[..., None] * np.ones(3)
        inside, light = _emboss(params["shape"], x - pair["x"], y - pair["y"], pair)
        shaped = np.where(inside[..., None], np.clip(light[..., None] * pair["colour"], 0, 1), ground)
        return {
            "source.png": _fine_to_pixels(ground, width, height),
            "target.png": _fine_to_pixels(shaped, width, height),
            "mask.png": _fine_to_pixels(inside.astype(np.float64), width, height),
        }


def _plan_pair(draw):
    hue, saturation, value = draw.uniform([0, 0.5, 0.6], [1, 1, 1])
    return {
        "colour": list(colorsys.hsv_to_rgb(hue, saturation, value)),
        "ground": float(draw.uniform(0.1, 0.9)),
        "slope": float(draw.uniform(-0.15, 0.15)),
        "radius": float(draw.uniform(0.22, 0.36)),
        "turn_rad": float(draw.uniform(0, 2 * np.pi)),
        "light_rad": float(draw.uniform(0, 2 * np.pi)),
        "x": float(draw.uniform(0.4, 0.6)),
        "y": float(draw.uniform(0.4, 0.6)),
    }


def _emboss(kind, x, y, pair):
    """Where the shape is, and how bright: 1 on its level top, more or less on the bevel by its slope."""
    cos, sin = np.cos(pair["turn_rad"]) / pair["radius"], np.sin(pair["turn_rad"]) / pair["radius"]
    distance = _distance(kind, cos * x + sin * y, cos * y - sin * x)
    height = np.clip(-distance / BEVEL, 0, 1)
    slope_y, slope_x = np.gradient(height, float(y[1, 0] - y[0, 0]) / pair["radius"])
    towards = np.cos(pair["light_rad"]) * slope_x + np.sin(pair["light_rad"]) * slope_y
    return distance < 0, 0.8 + 0.15 * np.clip(-towards * BEVEL, -1, 1) + 0.05 * height


def _distance(kind, x, y):
    """Below 0 inside the shape of radius 1, above 0 outside."""
    if kind == "disc":
        return np.hypot(x, y) - 1
    if kind == "ring":
        return np.abs(np.hypot(x, y) - 0.7) - 0.3
    if kind == "square":
        return np.maximum(np.abs(x), np.abs(y)) - 0.8
    if kind == "cross":
        upright = np.maximum(np.abs(x) - 0.32, np.abs(y) - 1)
        return np.minimum(upright, np.maximum(np.abs(y) - 0.32, np.abs(x) - 1))
    edges = [np.cos(angle) * x + np.sin(angle) * y for angle in np.pi * np.array([1 / 2, 7 / 6, 11 / 6])]
    return np.maximum.reduce(edges) - 0.5


def _fine_to_pixels(image, width, height):
    return np.rint(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) * 255).astype(np.uint8)
