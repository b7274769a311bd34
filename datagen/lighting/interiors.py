"""Rooms that maps are rendered of: walls, windows, lamps and furniture, drawn by seed; pure.

Light comes from what the map shows: the windows, behind which lies an outdoor map with its sun, and lamps.
Objects of embedded families that stand about are of the map's own split.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from pairbridge.datagen.core.random_draws import log_uniform, weighted
from pairbridge.datagen.lighting.outdoors import draw_outdoor, sun_direction
from pairbridge.datagen.scene.interior_specs import Block, InteriorSpec, Prop, Vector3, Window
from pairbridge.datagen.scene.object_sizes import facts_of
from pairbridge.datagen.scene.specs import SurfaceSpec

_HOURS = {"day": 0.6, "mixed": 0.2, "evening": 0.2}
_ROOMS = {"living": 0.4, "dining": 0.2, "study": 0.2, "bedroom": 0.2}
# What may stand on boards and tables, and on the floor, of the families that come with the package.
_ON_BOARDS = (
    "alarm_clock", "books", "bottle", "box", "camera", "drinking_glass", "fruit_bowl", "mug", "potted_plant",
    "table_lamp", "teapot", "teddy_bear", "tin_can", "toy_car", "vase",
)  # fmt: skip
_ON_FLOORS = ("potted_plant", "guitar", "box", "watering_can")
_WHITE: Vector3 = (0.78, 0.77, 0.74)
_WALLS: tuple[Vector3, ...] = (
    (0.74, 0.73, 0.7),
    (0.68, 0.65, 0.58),
    (0.6, 0.62, 0.63),
    (0.52, 0.55, 0.5),
    (0.62, 0.52, 0.42),
    (0.35, 0.42, 0.46),
    (0.7, 0.7, 0.7),
)
_WOODS: tuple[Vector3, ...] = ((0.32, 0.19, 0.1), (0.42, 0.29, 0.17), (0.2, 0.11, 0.06), (0.52, 0.4, 0.27))
_CLOTHS: tuple[Vector3, ...] = (
    (0.16, 0.17, 0.18),
    (0.4, 0.37, 0.32),
    (0.12, 0.17, 0.24),
    (0.32, 0.17, 0.1),
    (0.18, 0.22, 0.15),
    (0.5, 0.48, 0.45),
    (0.28, 0.08, 0.07),
)
_BOOKS: tuple[Vector3, ...] = (
    (0.3, 0.06, 0.05),
    (0.06, 0.1, 0.2),
    (0.5, 0.45, 0.35),
    (0.08, 0.15, 0.09),
    (0.03, 0.03, 0.03),
    (0.6, 0.58, 0.55),
    (0.42, 0.25, 0.06),
)
# Radiance of a shaded lamp, in the unit of a clear sky of about 3: some three times its brightness.
_LAMP = 9.0


def draw_interior(draw: np.random.Generator, families: Sequence[str]) -> dict[str, Any]:
    """Parameters of an interior, JSON-able; `families` are those of the split that may stand in it."""
    outside = draw_outdoor(draw)
    hour = weighted(draw, _HOURS)
    if hour != "day" and outside["sky"]["sun_elevation_rad"] > 0.3:
        outside["sky"]["sun_elevation_rad"] *= 0.35
    return {
        "camera_height_m": float(draw.uniform(1.2, 1.7)),
        "hour": hour,
        "room": weighted(draw, _ROOMS),
        "families": sorted(families),
        # From the ground floor to the third.
        "outside": outside | {"camera_height_m": float(draw.choice([1.6, 1.6, 4.4, 7.4, 10.4]))},
        "seed": int(draw.integers(2**31)),
    }


def interior_spec(params: dict[str, Any], draw: np.random.Generator) -> InteriorSpec:
    """The room of these parameters, without the sun's irradiance, which what is outside decides."""
    room = _Room(
        draw,
        wide=float(draw.uniform(3.8, 6.8)),
        deep=float(draw.uniform(3.4, 5.6)),
        high=float(draw.uniform(2.45, 3.1)),
        families=params["families"],
    )
    sun = sun_direction(params["outside"]["sky"])
    room.open_windows(sun)
    {"living": _living, "dining": _dining, "study": _study, "bedroom": _bedroom}[params["room"]](room)
    room.hang_pictures()
    room.stand_about()
    room.light(params["hour"])
    room.curtains()
    evening = {"day": 1.0, "mixed": 0.2, "evening": 0.0025}[params["hour"]]
    return InteriorSpec(
        size=(room.wide, room.deep, room.high),
        camera=(*room.free_place(), params["camera_height_m"]),
        wall=_plain(_WALLS[int(draw.integers(len(_WALLS)))], 0.85),
        floor=_floor(draw),
        ceiling=_plain(_WHITE, 0.9),
        trim=_plain(_WHITE, 0.45),
        windows=tuple(room.windows),
        blocks=tuple(room.blocks),
        props=tuple(room.props),
        sun_direction=(float(sun[0]), float(sun[1]), float(sun[2])),
        outside_factor=evening,
    )


def interior_light(spec: InteriorSpec) -> dict[str, Any]:
    """What lights a room, as seen from its camera, JSON-able: unit directions to windows and lamps."""
    windows = [_window_middle(spec.size, window) for window in spec.windows]
    lamps = [block.at for block in spec.blocks if block.glow is not None]
    return {
        "windows": [_towards(spec.camera, place) for place in windows],
        "lamps": [_towards(spec.camera, place) for place in lamps],
        "sun_direction": list(spec.sun_direction),
    }


def closed_seam(pixels: np.ndarray) -> np.ndarray:
    """A rendered panorama (H, W, 3) whose two ends meet: the denoiser knows nothing of the other end, and
    what it left between them is spread over a twentieth of the width on each side."""
    reach = pixels.shape[1] // 20
    step = np.log(pixels[:, :1] + 1e-4) - np.log(pixels[:, -1:] + 1e-4)
    # A real edge may lie on the seam.
    step = np.where(np.abs(step) < 0.35, step, 0)
    ramp = np.zeros((1, pixels.shape[1], 1))
    ramp[0, :reach, 0] = -0.5 * (1 - np.arange(reach) / reach)
    ramp[0, -reach:, 0] = 0.5 * np.arange(1, reach + 1) / reach
    return (pixels * np.exp(ramp * step)).astype(np.float32)


def _towards(camera: Vector3, place: Vector3) -> list[float]:
    away = np.array(place) - camera
    return [float(value) for value in away / np.linalg.norm(away)]


def _window_middle(size: Vector3, window: Window) -> Vector3:
    wide, deep, _ = size
    x, y = {
        0: (window.middle_m, 0.0),
        1: (wide, window.middle_m),
        2: (window.middle_m, deep),
        3: (0.0, window.middle_m),
    }[window.wall]
    return x, y, window.sill_m + window.height_m / 2


def _plain(colour: Vector3, roughness: float) -> SurfaceSpec:
    return SurfaceSpec(kind="plain", colour=colour, accent=colour, roughness=roughness)


def _grained(draw: np.random.Generator, colour: Vector3) -> SurfaceSpec:
    dark = tuple(0.72 * channel for channel in colour)
    offset = (float(draw.uniform(0, 9)), float(draw.uniform(0, 9)))
    return SurfaceSpec(kind="planks", colour=colour, accent=dark, roughness=0.42, cell=0.6, offset=offset)


def _cloth(draw: np.random.Generator, colour: Vector3) -> SurfaceSpec:
    pale = tuple(min(1.25 * channel, 0.8) for channel in colour)
    return SurfaceSpec(kind="carpet", colour=colour, accent=pale, roughness=0.95, cell=0.25)


def _floor(draw: np.random.Generator) -> SurfaceSpec:
    kind = weighted(draw, {"planks": 0.6, "tiles": 0.2, "carpet": 0.2})
    if kind == "planks":
        colour = _WOODS[int(draw.integers(len(_WOODS)))]
        dark = tuple(0.78 * channel for channel in colour)
        turn = float(draw.choice([0.0, math.pi / 2]))
        return SurfaceSpec(kind=kind, colour=colour, accent=dark, roughness=0.38, cell=0.16, turn_rad=turn)
    if kind == "tiles":
        tone = float(draw.uniform(0.3, 0.65))
        colour = (tone, 0.97 * tone, 0.92 * tone)
        return SurfaceSpec(kind=kind, colour=colour, accent=colour, roughness=0.3, cell=0.45)
    return _cloth(draw, (0.42, 0.38, 0.33))


@dataclass(slots=True)
class _Room:
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

    def chair(self, x: float, y: float, yaw: float) -> None:
        """A chair of the split's family, or a plain one."""
        if "chair" in self.families:
            seed = int(self.draw.integers(2**31))
            self.props.append(
                Prop(family="chair", seed=seed, foot=(x, y, 0.0), size_m=0.9, yaw_rad=yaw + math.pi)
            )
            return
        wood = _grained(self.draw, _WOODS[int(self.draw.integers(len(_WOODS)))])
        legs = [
            ((dx, dy, 0.22), (0.04, 0.04, 0.44), wood, 0.004) for dx in (-0.19, 0.19) for dy in (-0.19, 0.19)
        ]
        seat = ((0.0, 0.0, 0.455), (0.44, 0.44, 0.035), wood, 0.01)
        back = [((dx, -0.19, 0.66), (0.04, 0.03, 0.4), wood, 0.004) for dx in (-0.19, 0.0, 0.19)]
        rail = ((0.0, -0.19, 0.86), (0.44, 0.03, 0.08), wood, 0.01)
        self.add((x, y, yaw), [*legs, seat, *back, rail])

    def shelf(self) -> None:
        """Boards with books and things between two sides."""
        draw = self.draw
        width, depth, height = float(draw.uniform(0.7, 1.5)), 0.3, float(draw.uniform(1.2, 2.1))
        place = self.against_wall(width, depth, height)
        if place is None:
            return
        colour = _WOODS[int(draw.integers(len(_WOODS)))] if draw.random() < 0.6 else _WHITE
        wood = _grained(draw, colour) if colour != _WHITE else _plain(_WHITE, 0.5)
        parts = [
            ((dx, 0.0, height / 2), (0.025, depth, height), wood, 0.002) for dx in (-width / 2, width / 2)
        ]
        parts.append(((0.0, depth / 2, height / 2), (width, 0.01, height), wood, 0.0))
        boards = max(3, round(height / 0.36))
        levels = [0.06 + number * (height - 0.08) / boards for number in range(boards + 1)]
        parts += [((0.0, 0.0, level), (width, depth, 0.022), wood, 0.002) for level in levels]
        for level in levels[:-1]:
            at = -width / 2 + 0.03
            while at < width / 2 - 0.1:
                if draw.random() < 0.16:
                    gap = float(draw.uniform(0.15, 0.3))
                    self._prop_in(place, at + gap / 2, level + 0.012, gap)
                    at += gap
                    continue
                thick, tall = float(draw.uniform(0.015, 0.05)), float(draw.uniform(0.17, 0.28))
                cover = _plain(_BOOKS[int(draw.integers(len(_BOOKS)))], 0.6)
                deep = float(draw.uniform(0.13, 0.2))
                middle = (at + thick / 2, 0.1 - deep / 2, level + 0.011 + tall / 2)
                parts.append((middle, (thick - 0.002, deep, tall), cover, 0.0))
                at += thick
        self.add(place, parts)
        self._prop_in(place, 0.0, levels[-1] + 0.012, 0.35)

    def _prop_in(self, place: tuple[float, float, float], along: float, level: float, room_m: float) -> None:
        x, y, yaw = place
        self.prop(_ON_BOARDS, (x + math.cos(yaw) * along, y + math.sin(yaw) * along, level), min(room_m, 0.3))

    def cabinet(self, height: float = 0.75) -> None:
        """A sideboard with doors and things on it."""
        draw = self.draw
        width, depth = float(draw.uniform(0.9, 1.9)), 0.42
        place = self.against_wall(width, depth, height)
        if place is None:
            return
        front = _grained(draw, _WOODS[int(draw.integers(len(_WOODS)))])
        if draw.random() < 0.4:
            front = _plain(_WALLS[int(draw.integers(len(_WALLS)))], 0.4)
        parts = [((0.0, 0.0, 0.05 + height / 2), (width, depth - 0.03, height - 0.1), front, 0.004)]
        doors = round(width / 0.45)
        for number in range(doors):
            middle = -width / 2 + (number + 0.5) * width / doors
            door = (width / doors - 0.012, 0.02, height - 0.13)
            parts.append(((middle, -depth / 2, 0.05 + height / 2), door, front, 0.003))
        dark = _plain((0.05, 0.05, 0.05), 0.4)
        parts += [
            ((dx, 0.0, 0.05), (0.04, 0.3, 0.1), dark, 0.0) for dx in (-width / 2 + 0.1, width / 2 - 0.1)
        ]
        self.add(place, parts)
        for along in np.arange(-width / 2 + 0.2, width / 2 - 0.1, 0.38):
            if draw.random() < 0.7:
                self._prop_in(place, float(along), height, 0.45)

    def table(self, width: float, depth: float, height: float, place: tuple[float, float, float]) -> None:
        """A board on four legs, with things on it."""
        wood = _grained(self.draw, _WOODS[int(self.draw.integers(len(_WOODS)))])
        parts = [((0.0, 0.0, height - 0.018), (width, depth, 0.036), wood, 0.006)]
        parts += [
            ((dx, dy, height / 2 - 0.02), (0.055, 0.055, height - 0.04), wood, 0.005)
            for dx in (-width / 2 + 0.06, width / 2 - 0.06)
            for dy in (-depth / 2 + 0.06, depth / 2 - 0.06)
        ]
        self.add(place, parts)
        for along in np.arange(-width / 2 + 0.18, width / 2 - 0.1, 0.4):
            if self.draw.random() < 0.65:
                self._prop_in(place, float(along), height, 0.35)

    def rug(self, x: float, y: float) -> None:
        if self.draw.random() < 0.65:
            cloth = _cloth(self.draw, _CLOTHS[int(self.draw.integers(len(_CLOTHS)))])
            size = (float(self.draw.uniform(1.6, 2.6)), float(self.draw.uniform(1.2, 1.8)), 0.014)
            self.add((x, y, 0.0), [((0.0, 0.0, 0.007), size, cloth, 0.0)])

    def hang_pictures(self) -> None:
        """Framed pictures on walls, at eye level, and a door."""
        draw = self.draw
        for wall in range(4):
            for _ in range(int(draw.integers(0, 3))):
                width, height = float(draw.uniform(0.3, 0.9)), float(draw.uniform(0.3, 0.8))
                along = float(draw.uniform(0.5, self.length(wall) - 0.5))
                busy = any(
                    w.wall == wall and abs(w.middle_m - along) < (w.width_m + width) / 2 + 0.2
                    for w in self.windows
                )
                x, y, yaw = self.on_wall(wall, along, 0.015)
                beside = any(
                    math.hypot(block.at[0] - x, block.at[1] - y) < 0.75
                    and block.at[2] + block.size[2] / 2 > 1.2
                    for block in self.blocks
                )
                if busy or beside:
                    continue
                frame = _plain((0.04, 0.035, 0.03) if draw.random() < 0.6 else (0.5, 0.4, 0.25), 0.4)
                greys = draw.uniform(0.08, 0.6, 2)
                colours = [tuple(float(c) for c in g * draw.uniform(0.6, 1.25, 3)) for g in greys]
                picture = SurfaceSpec(
                    kind=str(draw.choice(["marble", "concrete", "carpet"])),
                    colour=colours[0],
                    accent=colours[1],
                    roughness=0.5,
                    cell=float(draw.uniform(0.1, 0.5)),
                    offset=(float(draw.uniform(0, 9)), float(draw.uniform(0, 9))),
                )
                middle = float(draw.uniform(1.45, 1.7))
                board = _plain((0.75, 0.74, 0.7), 0.6)
                self.add(
                    (x, y, yaw),
                    [
                        ((0.0, 0.0, middle), (width + 0.16, 0.03, height + 0.16), frame, 0.003),
                        ((0.0, -0.008, middle), (width + 0.11, 0.02, height + 0.11), board, 0.0),
                        ((0.0, -0.011, middle), (width, 0.02, height), picture, 0.0),
                    ],
                )

    def stand_about(self) -> None:
        """Things on the floor along the walls."""
        for _ in range(int(self.draw.integers(1, 4))):
            place = self.against_wall(0.5, 0.5, 0.4)
            if place:
                self.prop(_ON_FLOORS, (place[0], place[1], 0.0), 1.1)

    def curtains(self) -> None:
        """Cloth in folds beside some windows."""
        draw = self.draw
        if draw.random() < 0.4:
            return
        colour = _CLOTHS[int(draw.integers(len(_CLOTHS)))] if draw.random() < 0.5 else (0.66, 0.64, 0.6)
        cloth = _plain(colour, 0.9)
        for window in self.windows:
            top = window.sill_m + window.height_m + 0.12
            foot = 0.03 if window.sill_m < 0.6 else window.sill_m - 0.15
            for side in (-1, 1):
                for fold in range(6):
                    along = window.middle_m + side * (window.width_m / 2 + 0.22 - 0.05 * fold)
                    x, y, yaw = self.on_wall(window.wall, along, 0.09 + 0.025 * (fold % 2))
                    middle = (0.0, 0.0, (top + foot) / 2)
                    self.add((x, y, yaw), [(middle, (0.055, 0.05, top - foot), cloth, 0.022)])
            x, y, yaw = self.on_wall(window.wall, window.middle_m, 0.1)
            rod = (
                (0.0, 0.0, top + 0.02),
                (window.width_m + 0.7, 0.025, 0.025),
                _plain((0.1, 0.1, 0.1), 0.3),
                0.01,
            )
            self.add((x, y, yaw), [rod])

    def light(self, hour: str) -> None:
        """Lamps at the ceiling and on the floor, lit as the hour asks for."""
        draw = self.draw
        # Along the colours of glowing bodies from 2,700 to 4,500 K, which are never pink.
        green = float(draw.uniform(0.66, 0.88))
        warm = np.array([1.0, green, green**2.6])
        lit = hour != "day" or draw.random() < 0.3
        glow = tuple(float(value) for value in _LAMP * float(draw.uniform(0.6, 1.8)) * warm) if lit else None
        shade = _plain((0.75, 0.72, 0.66), 0.8)
        dark = _plain((0.05, 0.05, 0.05), 0.35)
        across = (
            self.wide / 2 + float(draw.uniform(-0.4, 0.4)),
            self.deep / 2 + float(draw.uniform(-0.4, 0.4)),
        )
        if draw.random() < 0.75:
            if draw.random() < 0.5:
                radius, drop = float(draw.uniform(0.12, 0.24)), float(draw.uniform(0.3, 0.75))
                self._lamp("ball", (*across, self.high - drop), (2 * radius,) * 3, shade, glow)
                cord = ((0.0, 0.0, self.high - (drop - radius) / 2), (0.012, 0.012, drop - radius), dark, 0.0)
                self.add((*across, 0.0), [cord])
            else:
                width = float(draw.uniform(0.3, 0.5))
                self._lamp("cylinder", (*across, self.high - 0.05), (width, width, 0.09), shade, glow)
        if draw.random() < 0.7 or hour == "evening":
            place = self.against_wall(0.5, 0.5, 1.6)
            if place:
                x, y, _ = place
                self.add((x, y, 0.0), [((0.0, 0.0, 0.015), (0.3, 0.3, 0.03), dark, 0.0)], "cylinder")
                self.add((x, y, 0.0), [((0.0, 0.0, 0.72), (0.025, 0.025, 1.4), dark, 0.0)], "cylinder")
                self._lamp("cylinder", (x, y, 1.55), (0.36, 0.36, 0.28), shade, glow)

    def _lamp(
        self,
        shape: Literal["box", "cylinder", "ball"],
        at: Vector3,
        size: Vector3,
        surface: SurfaceSpec,
        glow: Vector3 | None,
    ) -> None:
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


def _sofa(room: _Room) -> tuple[float, float, float] | None:
    width = float(room.draw.uniform(1.5, 2.2))
    place = room.against_wall(width, 0.9, 0.8)
    if place is None:
        return None
    cloth = _cloth(room.draw, _CLOTHS[int(room.draw.integers(len(_CLOTHS)))])
    other = _cloth(room.draw, _CLOTHS[int(room.draw.integers(len(_CLOTHS)))])
    parts = [
        ((0.0, 0.0, 0.2), (width, 0.86, 0.28), cloth, 0.04),
        ((0.0, 0.34, 0.56), (width - 0.1, 0.2, 0.5), cloth, 0.08),
        ((-width / 2 + 0.09, 0.0, 0.4), (0.18, 0.86, 0.42), cloth, 0.07),
        ((width / 2 - 0.09, 0.0, 0.4), (0.18, 0.86, 0.42), cloth, 0.07),
    ]
    seats = 2 if width < 1.9 else 3
    inner = (width - 0.38) / seats
    for number in range(seats):
        middle = -width / 2 + 0.19 + (number + 0.5) * inner
        parts.append(((middle, -0.06, 0.4), (inner - 0.012, 0.66, 0.16), cloth, 0.06))
        parts.append(((middle, 0.2, 0.62), (inner - 0.02, 0.16, 0.4), cloth, 0.07))
    parts.append(((width / 2 - 0.4, 0.08, 0.62), (0.42, 0.13, 0.36), other, 0.06))
    room.add(place, parts)
    return place


def _living(room: _Room) -> None:
    sofa = _sofa(room)
    if sofa:
        x, y, yaw = sofa
        front = (x + 1.15 * math.sin(yaw), y - 1.15 * math.cos(yaw))
        room.rug(*front)
        if room.take(*front, 1.0, 1.0, gap=0.0):
            room.table(0.95, 0.55, 0.42, (*front, yaw))
    room.cabinet(0.55)
    for _ in range(2):
        room.shelf()


def _dining(room: _Room) -> None:
    width = float(room.draw.uniform(1.3, 1.9))
    turned = room.draw.random() < 0.5
    x, y = room.wide * float(room.draw.uniform(0.35, 0.65)), room.deep * float(room.draw.uniform(0.38, 0.62))
    yaw = math.pi / 2 if turned else 0.0
    across, deep = (1.9, width) if turned else (width, 1.9)
    room.rug(x, y)
    room.take(x, y, across, deep)
    room.table(width, 0.85, 0.74, (x, y, yaw))
    for along in (-width / 4, width / 4):
        for side in (-1, 1):
            px, py = along, side * 0.62
            room.chair(
                x + math.cos(yaw) * px - math.sin(yaw) * py,
                y + math.sin(yaw) * px + math.cos(yaw) * py,
                yaw + (0.0 if side < 0 else math.pi) + float(room.draw.uniform(-0.15, 0.15)),
            )
    room.cabinet(0.85)
    room.shelf()


def _study(room: _Room) -> None:
    place = room.against_wall(1.5, 0.75, 0.9)
    if place:
        x, y, yaw = place
        room.table(1.5, 0.7, 0.74, place)
        dark = _plain((0.02, 0.02, 0.022), 0.2)
        room.add(
            place,
            [
                ((-0.1, 0.15, 1.02), (0.6, 0.03, 0.36), dark, 0.004),
                ((-0.1, 0.17, 0.8), (0.05, 0.03, 0.14), dark, 0.0),
                ((-0.1, 0.15, 0.748), (0.24, 0.18, 0.012), dark, 0.002),
            ],
        )
        room.chair(x + 0.62 * math.sin(yaw), y - 0.62 * math.cos(yaw), yaw)
        room.take(x + 0.62 * math.sin(yaw), y - 0.62 * math.cos(yaw), 0.5, 0.5, gap=-0.3)
    for _ in range(3):
        room.shelf()
    room.cabinet()


def _bedroom(room: _Room) -> None:
    width = float(room.draw.choice([1.0, 1.4, 1.8]))
    place = room.against_wall(width, 2.1, 0.9)
    if place:
        wood = _grained(room.draw, _WOODS[int(room.draw.integers(len(_WOODS)))])
        sheet = _plain((0.72, 0.72, 0.7), 0.95)
        cover = _cloth(room.draw, _CLOTHS[int(room.draw.integers(len(_CLOTHS)))])
        parts = [
            ((0.0, 0.0, 0.2), (width, 2.05, 0.22), wood, 0.01),
            ((0.0, 1.0, 0.5), (width, 0.06, 0.85), wood, 0.01),
            ((0.0, -0.02, 0.4), (width - 0.06, 1.96, 0.2), sheet, 0.06),
            ((0.0, -0.32, 0.47), (width + 0.04, 1.4, 0.12), cover, 0.05),
        ]
        for along in (0.0,) if width < 1.2 else (-width / 4, width / 4):
            parts.append(((along, 0.72, 0.55), (0.6 if width > 1.2 else 0.7, 0.4, 0.14), sheet, 0.065))
        room.add(place, parts)
    room.cabinet(0.8)
    room.shelf()
    room.cabinet(0.45)
