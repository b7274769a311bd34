"""A room while it is furnished: its walls and windows, what stands where, and the floor that is left."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pairbridge.datagen.core.random_draws import log_uniform
from pairbridge.datagen.scene.interior_specs import Block, Prop, Vector3, Window
from pairbridge.datagen.scene.object_sizes import facts_of
from pairbridge.datagen.scene.specs import SurfaceSpec


@dataclass(slots=True)
class Room:
    """A room while it is furnished; `taken` are the floor's rectangles (x0, y0, x1, y1) that are occupied."""

    draw: np.random.Generator
    wide: float
    deep: float
    high: float
    families: Sequence[str]
    windows: list[Window] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    props: list[Prop] = field(default_factory=list)
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def length(self, wall: int) -> float:
        return self.wide if wall % 2 == 0 else self.deep

    def on_wall(self, wall: int, along: float, off: float) -> tuple[float, float, float]:
        """x, y and yaw of a thing `along` a wall, `off` away from it, its back to the wall (its own -y
        looks into the room where the yaw is 0 and the wall is that at y = depth)."""
        return {
            0: (along, off, math.pi),
            1: (self.wide - off, along, -math.pi / 2),
            2: (along, self.deep - off, 0.0),
            3: (off, along, math.pi / 2),
        }[wall]

    def open_windows(self, sun: np.ndarray) -> None:
        """One or two walls with windows; the first mostly the one that the sun shines on."""
        inwards = {0: (0, 1), 1: (-1, 0), 2: (0, -1), 3: (1, 0)}
        sunny = min(inwards, key=lambda wall: float(np.dot(inwards[wall], sun[:2])))
        walls = [sunny if self.draw.random() < 0.6 else int(self.draw.integers(4))]
        if self.draw.random() < 0.35:
            walls.append((walls[0] + 1) % 4)
        for wall in walls:
            count = 1 if self.length(wall) < 4 else int(self.draw.integers(1, 3))
            share = self.length(wall) / count
            sill = float(self.draw.choice([0.02, 0.5, 0.9, 0.9]))
            width = min(float(self.draw.uniform(1.0, 2.4)), share - 0.7)
            top = min(self.high - 0.22, float(self.draw.uniform(2.05, 2.4)))
            for number in range(count):
                middle = (number + 0.5) * share
                self.windows.append(
                    Window(wall=wall, middle_m=middle, sill_m=sill, width_m=width, height_m=top - sill)
                )

    def against_wall(self, width: float, depth: float, height: float) -> tuple[float, float, float] | None:
        """A free stretch of wall for a thing of this size: its middle and yaw; None if there is none."""
        for _ in range(24):
            wall = int(self.draw.integers(4))
            if self.length(wall) < width + 0.3:
                continue
            along = float(self.draw.uniform(0.15 + width / 2, self.length(wall) - 0.15 - width / 2))
            hidden = any(
                window.wall == wall
                and abs(window.middle_m - along) < (window.width_m + width) / 2 + 0.1
                and height > window.sill_m
                for window in self.windows
            )
            x, y, yaw = self.on_wall(wall, along, depth / 2 + 0.03)
            across, deep = (width, depth) if wall % 2 == 0 else (depth, width)
            if not hidden and self.take(x, y, across, deep):
                return x, y, yaw
        return None

    def take(self, x: float, y: float, across: float, deep: float, gap: float = 0.12) -> bool:
        """Reserve a rectangle of the floor if nothing stands there."""
        box = (x - across / 2, y - deep / 2, x + across / 2, y + deep / 2)
        for low_x, low_y, high_x, high_y in self.taken:
            apart_x = box[0] > high_x + gap or box[2] < low_x - gap
            if not (apart_x or box[1] > high_y + gap or box[3] < low_y - gap):
                return False
        self.taken.append(box)
        return True

    def add(
        self,
        place: tuple[float, float, float],
        parts: Sequence[tuple[Vector3, Vector3, SurfaceSpec, float]],
        shape: Literal["box", "cylinder", "ball"] = "box",
    ) -> None:
        """Parts (middle, size, surface, bevel) in a thing's own axes, at its place (x, y, yaw)."""
        x, y, yaw = place
        cos, sin = math.cos(yaw), math.sin(yaw)
        for (px, py, pz), size, surface, bevel in parts:
            at = (x + cos * px - sin * py, y + sin * px + cos * py, pz)
            self.blocks.append(
                Block(shape=shape, at=at, size=size, surface=surface, yaw_rad=yaw, bevel_m=bevel)
            )

    def prop(self, wanted: Sequence[str], foot: Vector3, room_m: float) -> None:
        """An object of one of the split's families on `foot`, at most `room_m` large, if there is one."""
        fitting = [
            family for family in wanted if family in self.families and facts_of(family).size_m[0] < room_m
        ]
        if fitting:
            family = fitting[int(self.draw.integers(len(fitting)))]
            low, high = facts_of(family).size_m
            self.props.append(
                Prop(
                    family=family,
                    seed=int(self.draw.integers(2**31)),
                    foot=foot,
                    size_m=log_uniform(self.draw, (low, min(high, room_m))),
                    yaw_rad=float(self.draw.uniform(-math.pi, math.pi)),
                )
            )

    def lamp(
        self,
        shape: Literal["box", "cylinder", "ball"],
        at: Vector3,
        size: Vector3,
        surface: SurfaceSpec,
        glow: Vector3 | None,
    ) -> None:
        """The shade of a lamp, around `at`; `glow` is its radiance, None where it is not lit."""
        self.blocks.append(Block(shape=shape, at=at, size=size, surface=surface, glow=glow))

    def free_place(self) -> tuple[float, float]:
        """Where the camera stands: of many places, the freest that is not in a corner."""
        best, place = -1.0, (self.wide / 2, self.deep / 2)
        for _ in range(60):
            x = float(self.draw.uniform(0.9, self.wide - 0.9))
            y = float(self.draw.uniform(0.9, self.deep - 0.9))
            free = min(x, y, self.wide - x, self.deep - y)
            for low_x, low_y, high_x, high_y in self.taken:
                free = min(free, math.hypot(max(low_x - x, x - high_x, 0), max(low_y - y, y - high_y, 0)))
            free = min(free, 1.1) + 0.1 * float(self.draw.random())
            if free > best:
                best, place = free, (x, y)
        return place
