"""Houses and trees around the camera, as values, and the shade that they throw."""

import math
from dataclasses import dataclass, field

import numpy as np

from pairbridge.datagen.imaging.filters import smooth_step
from pairbridge.datagen.lighting.outdoor.noise_fields import NoiseField


@dataclass(frozen=True, slots=True)
class House:
    """A block on a rectangle of the ground: centre, half sides and turn in metres and radians."""

    x: float
    y: float
    half_width: float
    half_depth: float
    turn_rad: float
    height: float
    roof: float
    seed: int


@dataclass(frozen=True, slots=True)
class Tree:
    """A crown on a trunk: place, height of the top, radius of the crown, in metres."""

    x: float
    y: float
    height: float
    radius: float
    seed: int


@dataclass(frozen=True, slots=True)
class Stand:
    """All that stands around the camera, which is at the origin, `camera_height_m` above the ground."""

    camera_height_m: float
    houses: list[House] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    hills: int = 0
    woods_m: float = 0.0  # distance of a closed line of trees; 0 is none

    def shade_height(self, x: np.ndarray, y: np.ndarray, sun: np.ndarray) -> np.ndarray:
        """The height in metres below which houses hide the sun at each place."""
        level = math.hypot(sun[0], sun[1])
        towards, slope = np.array(sun[:2]) / max(level, 1e-6), sun[2] / max(level, 1e-6)
        hidden = np.zeros(np.broadcast(x, y).shape)
        for house in self.houses:
            near, far, _ = slabs(house, x, y, towards[0], towards[1])
            crosses = (near < far) & (far > 0.02)
            top = house.height + 0.5 * house.roof - np.maximum(near, 0) * slope
            hidden = np.where(crosses & (near > -0.5), np.maximum(hidden, top), hidden)
        return hidden

    def leaf_shade(self, x: np.ndarray, y: np.ndarray, sun: np.ndarray, holes: NoiseField) -> np.ndarray:
        """The share of sunlight that crowns leave on the ground at each place."""
        left = np.ones(np.broadcast(x, y).shape, np.float32)
        if sun[2] < 0.06:
            return left
        pattern = holes.sample(x / 6.0, y / 6.0, np.hypot(x, y) * 0.002)
        for tree in self.trees:
            middle = 0.62 * tree.height
            if math.hypot(tree.x, tree.y) > 60:
                continue
            # The crown's shadow is an ellipse, as long as the sun is low.
            centre = np.array([tree.x, tree.y]) - sun[:2] / sun[2] * middle
            dx, dy = x - centre[0], y - centre[1]
            level = math.hypot(sun[0], sun[1])
            along = (dx * sun[0] + dy * sun[1]) / max(level, 1e-6)
            across2 = np.maximum(dx * dx + dy * dy - along * along, 0)
            long = math.hypot(tree.radius, 0.38 * tree.height * level / sun[2])
            inside = 1 - np.sqrt(across2 / tree.radius**2 + (along / long) ** 2)
            cover = smooth_step(inside + 0.14 * pattern, -0.02, 0.3)
            left *= (1 - 0.92 * cover).astype(np.float32)
        return left


def slabs(
    house: House, x: np.ndarray, y: np.ndarray, towards_x: np.ndarray, towards_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where level rays enter and leave the house's rectangle, in metres, and by which face (0 and 2 the
    narrow ones, 1 and 3 the wide ones; 2 and 3 face along the axes)."""
    cos, sin = math.cos(house.turn_rad), math.sin(house.turn_rad)
    px, py = x - house.x, y - house.y
    a, b = px * cos + py * sin, -px * sin + py * cos
    da, db = towards_x * cos + towards_y * sin, -towards_x * sin + towards_y * cos
    da, db = (np.where(np.abs(step) < 1e-9, 1e-9, step) for step in (da, db))
    a0, a1 = (-house.half_width - a) / da, (house.half_width - a) / da
    b0, b1 = (-house.half_depth - b) / db, (house.half_depth - b) / db
    in_a, in_b = np.minimum(a0, a1), np.minimum(b0, b1)
    near, far = np.maximum(in_a, in_b), np.minimum(np.maximum(a0, a1), np.maximum(b0, b1))
    by_a = in_a > in_b
    return near, far, np.where(by_a, np.where(da < 0, 2, 0), np.where(db < 0, 3, 1))
