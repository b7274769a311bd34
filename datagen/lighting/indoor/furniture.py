"""Furniture of a room, with what lies and stands on it."""

import math

import numpy as np

from pairbridge.datagen.lighting.indoor.room_plan import Room
from pairbridge.datagen.lighting.indoor.room_surfaces import (
    CLOTHS,
    WALLS,
    WHITE,
    WOODS,
    grained,
    plain,
    woven,
)
from pairbridge.datagen.scene.interior_specs import Prop, Vector3

# What may stand on boards and tables, of the families that come with the package.
_ON_BOARDS = (
    "alarm_clock", "books", "bottle", "box", "camera", "drinking_glass", "fruit_bowl", "mug", "potted_plant",
    "table_lamp", "teapot", "teddy_bear", "tin_can", "toy_car", "vase",
)  # fmt: skip
_BOOKS: tuple[Vector3, ...] = (
    (0.3, 0.06, 0.05),
    (0.06, 0.1, 0.2),
    (0.5, 0.45, 0.35),
    (0.08, 0.15, 0.09),
    (0.03, 0.03, 0.03),
    (0.6, 0.58, 0.55),
    (0.42, 0.25, 0.06),
)


def put_sofa(room: Room) -> tuple[float, float, float] | None:
    """A sofa of two or three seats against a wall: its place (x, y, yaw), None where there is no room."""
    width = float(room.draw.uniform(1.5, 2.2))
    place = room.against_wall(width, 0.9, 0.8)
    if place is None:
        return None
    cloth = woven(room.draw, CLOTHS[int(room.draw.integers(len(CLOTHS)))])
    other = woven(room.draw, CLOTHS[int(room.draw.integers(len(CLOTHS)))])
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


def put_chair(room: Room, x: float, y: float, yaw: float) -> None:
    """A chair of the split's family, or a plain one."""
    if "chair" in room.families:
        seed = int(room.draw.integers(2**31))
        room.props.append(
            Prop(family="chair", seed=seed, foot=(x, y, 0.0), size_m=0.9, yaw_rad=yaw + math.pi)
        )
        return
    wood = grained(room.draw, WOODS[int(room.draw.integers(len(WOODS)))])
    legs = [((dx, dy, 0.22), (0.04, 0.04, 0.44), wood, 0.004) for dx in (-0.19, 0.19) for dy in (-0.19, 0.19)]
    seat = ((0.0, 0.0, 0.455), (0.44, 0.44, 0.035), wood, 0.01)
    back = [((dx, -0.19, 0.66), (0.04, 0.03, 0.4), wood, 0.004) for dx in (-0.19, 0.0, 0.19)]
    rail = ((0.0, -0.19, 0.86), (0.44, 0.03, 0.08), wood, 0.01)
    room.add((x, y, yaw), [*legs, seat, *back, rail])


def put_shelf(room: Room) -> None:
    """Boards with books and things between two sides."""
    draw = room.draw
    width, depth, height = float(draw.uniform(0.7, 1.5)), 0.3, float(draw.uniform(1.2, 2.1))
    place = room.against_wall(width, depth, height)
    if place is None:
        return
    colour = WOODS[int(draw.integers(len(WOODS)))] if draw.random() < 0.6 else WHITE
    wood = grained(draw, colour) if colour != WHITE else plain(WHITE, 0.5)
    parts = [((dx, 0.0, height / 2), (0.025, depth, height), wood, 0.002) for dx in (-width / 2, width / 2)]
    parts.append(((0.0, depth / 2, height / 2), (width, 0.01, height), wood, 0.0))
    boards = max(3, round(height / 0.36))
    levels = [0.06 + number * (height - 0.08) / boards for number in range(boards + 1)]
    parts += [((0.0, 0.0, level), (width, depth, 0.022), wood, 0.002) for level in levels]
    for level in levels[:-1]:
        at = -width / 2 + 0.03
        while at < width / 2 - 0.1:
            if draw.random() < 0.16:
                gap = float(draw.uniform(0.15, 0.3))
                _stand_on(room, place, at + gap / 2, level + 0.012, gap)
                at += gap
                continue
            thick, tall = float(draw.uniform(0.015, 0.05)), float(draw.uniform(0.17, 0.28))
            cover = plain(_BOOKS[int(draw.integers(len(_BOOKS)))], 0.6)
            deep = float(draw.uniform(0.13, 0.2))
            middle = (at + thick / 2, 0.1 - deep / 2, level + 0.011 + tall / 2)
            parts.append((middle, (thick - 0.002, deep, tall), cover, 0.0))
            at += thick
    room.add(place, parts)
    _stand_on(room, place, 0.0, levels[-1] + 0.012, 0.35)


def _stand_on(
    room: Room, place: tuple[float, float, float], along: float, level: float, room_m: float
) -> None:
    x, y, yaw = place
    room.prop(_ON_BOARDS, (x + math.cos(yaw) * along, y + math.sin(yaw) * along, level), min(room_m, 0.3))


def put_cabinet(room: Room, height: float = 0.75) -> None:
    """A sideboard with doors and things on it."""
    draw = room.draw
    width, depth = float(draw.uniform(0.9, 1.9)), 0.42
    place = room.against_wall(width, depth, height)
    if place is None:
        return
    front = grained(draw, WOODS[int(draw.integers(len(WOODS)))])
    if draw.random() < 0.4:
        front = plain(WALLS[int(draw.integers(len(WALLS)))], 0.4)
    parts = [((0.0, 0.0, 0.05 + height / 2), (width, depth - 0.03, height - 0.1), front, 0.004)]
    doors = round(width / 0.45)
    for number in range(doors):
        middle = -width / 2 + (number + 0.5) * width / doors
        door = (width / doors - 0.012, 0.02, height - 0.13)
        parts.append(((middle, -depth / 2, 0.05 + height / 2), door, front, 0.003))
    dark = plain((0.05, 0.05, 0.05), 0.4)
    parts += [((dx, 0.0, 0.05), (0.04, 0.3, 0.1), dark, 0.0) for dx in (-width / 2 + 0.1, width / 2 - 0.1)]
    room.add(place, parts)
    for along in np.arange(-width / 2 + 0.2, width / 2 - 0.1, 0.38):
        if draw.random() < 0.7:
            _stand_on(room, place, float(along), height, 0.45)


def put_table(
    room: Room, width: float, depth: float, height: float, place: tuple[float, float, float]
) -> None:
    """A board on four legs, with things on it."""
    wood = grained(room.draw, WOODS[int(room.draw.integers(len(WOODS)))])
    parts = [((0.0, 0.0, height - 0.018), (width, depth, 0.036), wood, 0.006)]
    parts += [
        ((dx, dy, height / 2 - 0.02), (0.055, 0.055, height - 0.04), wood, 0.005)
        for dx in (-width / 2 + 0.06, width / 2 - 0.06)
        for dy in (-depth / 2 + 0.06, depth / 2 - 0.06)
    ]
    room.add(place, parts)
    for along in np.arange(-width / 2 + 0.18, width / 2 - 0.1, 0.4):
        if room.draw.random() < 0.65:
            _stand_on(room, place, float(along), height, 0.35)


def put_rug(room: Room, x: float, y: float) -> None:
    """A rug about this place, in two of three rooms."""
    if room.draw.random() < 0.65:
        cloth = woven(room.draw, CLOTHS[int(room.draw.integers(len(CLOTHS)))])
        size = (float(room.draw.uniform(1.6, 2.6)), float(room.draw.uniform(1.2, 1.8)), 0.014)
        room.add((x, y, 0.0), [((0.0, 0.0, 0.007), size, cloth, 0.0)])
