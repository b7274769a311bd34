"""What stands around the camera, drawn by kind of place: open, park, suburb, street or square."""

import math

import numpy as np

from pairbridge.datagen.core.random_draws import log_uniform
from pairbridge.datagen.lighting.outdoor.stand import House, Stand, Tree


def draw_stand(draw: np.random.Generator, place: str, camera_height_m: float) -> Stand:
    """Things around a place of this kind: open, park, suburb, street or square."""
    if place == "street":
        return _street(draw, camera_height_m)
    if place == "square":
        return _square(draw, camera_height_m)
    trees, houses = [], []
    woods = float(draw.uniform(60, 260)) if draw.random() < 0.85 else 0.0
    if place in ("park", "suburb"):
        for _ in range(int(draw.integers(10, 34))):
            distance = log_uniform(draw, (9.0, 90.0))
            trees.append(_tree(draw, distance, float(draw.uniform(0, math.tau))))
    if place == "suburb":
        first = float(draw.uniform(0, math.tau))
        for number in range(int(draw.integers(5, 11))):
            azimuth = first + number * 0.62 + float(draw.uniform(-0.15, 0.15))
            distance = float(draw.uniform(16, 45))
            houses.append(
                House(
                    x=distance * math.cos(azimuth),
                    y=distance * math.sin(azimuth),
                    half_width=float(draw.uniform(4.5, 8)),
                    half_depth=float(draw.uniform(3.5, 5)),
                    turn_rad=azimuth + math.pi / 2 + float(draw.uniform(-0.3, 0.3)),
                    height=float(draw.choice([3.0, 5.6, 5.8])),
                    roof=float(draw.uniform(1.8, 3.2)),
                    seed=int(draw.integers(2**31)),
                )
            )
        trees = [tree for tree in trees if all(_apart(tree, house) for house in houses)]
    hills = int(draw.integers(1, 4)) if place == "open" or draw.random() < 0.4 else 0
    return Stand(camera_height_m, houses, trees, hills, woods)


def _tree(draw: np.random.Generator, distance: float, azimuth: float) -> Tree:
    height = float(draw.uniform(6, 15))
    return Tree(
        x=distance * math.cos(azimuth),
        y=distance * math.sin(azimuth),
        height=height,
        radius=height * float(draw.uniform(0.24, 0.42)),
        seed=int(draw.integers(2**31)),
    )


def _apart(tree: Tree, house: House) -> bool:
    return math.hypot(tree.x - house.x, tree.y - house.y) > house.half_width + 0.8 * tree.radius


def _street(draw: np.random.Generator, camera_height_m: float) -> Stand:
    turn = float(draw.uniform(0, math.tau))
    half_street = float(draw.uniform(7, 12))
    aside = float(draw.uniform(-0.6, 0.6)) * half_street
    houses, trees = [], []
    storeys = float(draw.uniform(2, 6))
    for side in (-1.0, 1.0):
        along = -150.0
        while along < 150:
            half_width = float(draw.uniform(4, 11))
            depth = 6.0
            offset = side * (half_street + depth + float(draw.choice([0.0, 0.0, 0.6]))) - aside
            along += half_width
            gap = draw.random() < 0.08
            height = max(1, round(storeys + float(draw.uniform(-1.3, 1.3)))) * 3.15 + 0.6
            roof = float(draw.choice([0.0, 0.0, 2.2]))
            seed = int(draw.integers(2**31))
            x, y = _turned(along, offset, turn)
            if not gap:
                houses.append(House(x, y, half_width, depth, turn, height, roof, seed))
            along += half_width
        if draw.random() < 0.6:
            spacing = float(draw.uniform(9, 16))
            for number in range(int(80 / spacing)):
                x, y = _turned(-40 + number * spacing + 3, side * (half_street - 2.2) - aside, turn)
                if math.hypot(x, y) > 5:
                    tree = _tree(draw, math.hypot(x, y), math.atan2(y, x))
                    trees.append(
                        Tree(tree.x, tree.y, min(tree.height, 8.5), min(tree.radius, 2.3), tree.seed)
                    )
    return Stand(camera_height_m, houses, trees, int(draw.random() < 0.3), 260.0)


def _square(draw: np.random.Generator, camera_height_m: float) -> Stand:
    turn = float(draw.uniform(0, math.tau))
    half_x, half_y = float(draw.uniform(16, 34)), float(draw.uniform(16, 34))
    move_x, move_y = float(draw.uniform(-0.5, 0.5)) * half_x, float(draw.uniform(-0.5, 0.5)) * half_y
    houses, trees = [], []
    for edge in range(4):
        span, reach = (half_x, half_y) if edge % 2 == 0 else (half_y, half_x)
        along = -span + float(draw.uniform(0, 8))
        while along < span - 4:
            half_width = float(draw.uniform(5, 11))
            along += half_width
            height = max(1, round(float(draw.uniform(2, 7)))) * 3.2 + 0.5
            local = (along, reach + 6.0)
            for _ in range(edge):
                local = (-local[1], local[0])
            x, y = _turned(local[0] + move_x, local[1] + move_y, turn)
            seed = int(draw.integers(2**31))
            houses.append(
                House(
                    x, y, half_width, 6.0, turn + edge * math.pi / 2, height, float(draw.choice([0, 2])), seed
                )
            )
            along += half_width + (float(draw.uniform(4, 12)) if draw.random() < 0.3 else 0.0)
    for _ in range(int(draw.integers(0, 9))):
        tree = _tree(draw, log_uniform(draw, (8.0, 26.0)), float(draw.uniform(0, math.tau)))
        if all(_apart(tree, house) for house in houses):
            trees.append(tree)
    return Stand(camera_height_m, houses, trees, int(draw.random() < 0.4), 240.0)


def _turned(along: float, across: float, turn_rad: float) -> tuple[float, float]:
    cos, sin = math.cos(turn_rad), math.sin(turn_rad)
    return along * cos - across * sin, along * sin + across * cos
