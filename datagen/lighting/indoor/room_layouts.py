"""How rooms of each use are furnished: to live, dine, work and sleep in."""

import math

from pairbridge.datagen.lighting.indoor.furniture import (
    put_cabinet,
    put_chair,
    put_rug,
    put_shelf,
    put_sofa,
    put_table,
)
from pairbridge.datagen.lighting.indoor.room_plan import Room
from pairbridge.datagen.lighting.indoor.room_surfaces import CLOTHS, WOODS, grained, plain, woven


def furnish(room: Room, use: str) -> None:
    """Put into the room what its use asks for: living, dining, study or bedroom."""
    {"living": _living, "dining": _dining, "study": _study, "bedroom": _bedroom}[use](room)


def _living(room: Room) -> None:
    sofa = put_sofa(room)
    if sofa:
        x, y, yaw = sofa
        front = (x + 1.15 * math.sin(yaw), y - 1.15 * math.cos(yaw))
        put_rug(room, *front)
        if room.take(*front, 1.0, 1.0, gap=0.0):
            put_table(room, 0.95, 0.55, 0.42, (*front, yaw))
    put_cabinet(room, 0.55)
    for _ in range(2):
        put_shelf(room)


def _dining(room: Room) -> None:
    width = float(room.draw.uniform(1.3, 1.9))
    turned = room.draw.random() < 0.5
    x, y = room.wide * float(room.draw.uniform(0.35, 0.65)), room.deep * float(room.draw.uniform(0.38, 0.62))
    yaw = math.pi / 2 if turned else 0.0
    across, deep = (1.9, width) if turned else (width, 1.9)
    put_rug(room, x, y)
    room.take(x, y, across, deep)
    put_table(room, width, 0.85, 0.74, (x, y, yaw))
    for along in (-width / 4, width / 4):
        for side in (-1, 1):
            px, py = along, side * 0.62
            put_chair(
                room,
                x + math.cos(yaw) * px - math.sin(yaw) * py,
                y + math.sin(yaw) * px + math.cos(yaw) * py,
                yaw + (0.0 if side < 0 else math.pi) + float(room.draw.uniform(-0.15, 0.15)),
            )
    put_cabinet(room, 0.85)
    put_shelf(room)


def _study(room: Room) -> None:
    place = room.against_wall(1.5, 0.75, 0.9)
    if place:
        x, y, yaw = place
        put_table(room, 1.5, 0.7, 0.74, place)
        dark = plain((0.02, 0.02, 0.022), 0.2)
        room.add(
            place,
            [
                ((-0.1, 0.15, 1.02), (0.6, 0.03, 0.36), dark, 0.004),
                ((-0.1, 0.17, 0.8), (0.05, 0.03, 0.14), dark, 0.0),
                ((-0.1, 0.15, 0.748), (0.24, 0.18, 0.012), dark, 0.002),
            ],
        )
        put_chair(room, x + 0.62 * math.sin(yaw), y - 0.62 * math.cos(yaw), yaw)
        room.take(x + 0.62 * math.sin(yaw), y - 0.62 * math.cos(yaw), 0.5, 0.5, gap=-0.3)
    for _ in range(3):
        put_shelf(room)
    put_cabinet(room)


def _bedroom(room: Room) -> None:
    width = float(room.draw.choice([1.0, 1.4, 1.8]))
    place = room.against_wall(width, 2.1, 0.9)
    if place:
        wood = grained(room.draw, WOODS[int(room.draw.integers(len(WOODS)))])
        sheet = plain((0.72, 0.72, 0.7), 0.95)
        cover = woven(room.draw, CLOTHS[int(room.draw.integers(len(CLOTHS)))])
        parts = [
            ((0.0, 0.0, 0.2), (width, 2.05, 0.22), wood, 0.01),
            ((0.0, 1.0, 0.5), (width, 0.06, 0.85), wood, 0.01),
            ((0.0, -0.02, 0.4), (width - 0.06, 1.96, 0.2), sheet, 0.06),
            ((0.0, -0.32, 0.47), (width + 0.04, 1.4, 0.12), cover, 0.05),
        ]
        for along in (0.0,) if width < 1.2 else (-width / 4, width / 4):
            parts.append(((along, 0.72, 0.55), (0.6 if width > 1.2 else 0.7, 0.4, 0.14), sheet, 0.065))
        room.add(place, parts)
    put_cabinet(room, 0.8)
    put_shelf(room)
    put_cabinet(room, 0.45)
