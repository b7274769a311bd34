"""What hangs on walls and ceilings and stands about in any room: pictures, curtains, lamps, plants."""

import math

import numpy as np

from pairbridge.datagen.lighting.indoor.room_plan import Room
from pairbridge.datagen.lighting.indoor.room_surfaces import CLOTHS, plain
from pairbridge.datagen.scene.specs import SurfaceSpec

_ON_FLOORS = ("potted_plant", "guitar", "box", "watering_can")
# Radiance of a shaded lamp, in the unit of a clear sky of about 3: some three times its brightness.
_LAMP = 9.0


def hang_pictures(room: Room) -> None:
    """Framed pictures on walls, at eye level."""
    draw = room.draw
    for wall in range(4):
        for _ in range(int(draw.integers(0, 3))):
            width, height = float(draw.uniform(0.3, 0.9)), float(draw.uniform(0.3, 0.8))
            along = float(draw.uniform(0.5, room.length(wall) - 0.5))
            busy = any(
                w.wall == wall and abs(w.middle_m - along) < (w.width_m + width) / 2 + 0.2
                for w in room.windows
            )
            x, y, yaw = room.on_wall(wall, along, 0.015)
            beside = any(
                math.hypot(block.at[0] - x, block.at[1] - y) < 0.75 and block.at[2] + block.size[2] / 2 > 1.2
                for block in room.blocks
            )
            if busy or beside:
                continue
            frame = plain((0.04, 0.035, 0.03) if draw.random() < 0.6 else (0.5, 0.4, 0.25), 0.4)
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
            board = plain((0.75, 0.74, 0.7), 0.6)
            room.add(
                (x, y, yaw),
                [
                    ((0.0, 0.0, middle), (width + 0.16, 0.03, height + 0.16), frame, 0.003),
                    ((0.0, -0.008, middle), (width + 0.11, 0.02, height + 0.11), board, 0.0),
                    ((0.0, -0.011, middle), (width, 0.02, height), picture, 0.0),
                ],
            )


def stand_about(room: Room) -> None:
    """Things on the floor along the walls."""
    for _ in range(int(room.draw.integers(1, 4))):
        place = room.against_wall(0.5, 0.5, 0.4)
        if place:
            room.prop(_ON_FLOORS, (place[0], place[1], 0.0), 1.1)


def hang_curtains(room: Room) -> None:
    """Cloth in folds beside some windows."""
    draw = room.draw
    if draw.random() < 0.4:
        return
    colour = CLOTHS[int(draw.integers(len(CLOTHS)))] if draw.random() < 0.5 else (0.66, 0.64, 0.6)
    cloth = plain(colour, 0.9)
    for window in room.windows:
        top = window.sill_m + window.height_m + 0.12
        foot = 0.03 if window.sill_m < 0.6 else window.sill_m - 0.15
        for side in (-1, 1):
            for fold in range(6):
                along = window.middle_m + side * (window.width_m / 2 + 0.22 - 0.05 * fold)
                x, y, yaw = room.on_wall(window.wall, along, 0.09 + 0.025 * (fold % 2))
                middle = (0.0, 0.0, (top + foot) / 2)
                room.add((x, y, yaw), [(middle, (0.055, 0.05, top - foot), cloth, 0.022)])
        x, y, yaw = room.on_wall(window.wall, window.middle_m, 0.1)
        rod = (
            (0.0, 0.0, top + 0.02),
            (window.width_m + 0.7, 0.025, 0.025),
            plain((0.1, 0.1, 0.1), 0.3),
            0.01,
        )
        room.add((x, y, yaw), [rod])


def hang_lamps(room: Room, hour: str) -> None:
    """Lamps at the ceiling and on the floor, lit as the hour asks for."""
    draw = room.draw
    # Along the colours of glowing bodies from 2,700 to 4,500 K, which are never pink.
    green = float(draw.uniform(0.66, 0.88))
    warm = np.array([1.0, green, green**2.6])
    lit = hour != "day" or draw.random() < 0.3
    glow = tuple(float(value) for value in _LAMP * float(draw.uniform(0.6, 1.8)) * warm) if lit else None
    shade = plain((0.75, 0.72, 0.66), 0.8)
    dark = plain((0.05, 0.05, 0.05), 0.35)
    across = (
        room.wide / 2 + float(draw.uniform(-0.4, 0.4)),
        room.deep / 2 + float(draw.uniform(-0.4, 0.4)),
    )
    if draw.random() < 0.75:
        if draw.random() < 0.5:
            radius, drop = float(draw.uniform(0.12, 0.24)), float(draw.uniform(0.3, 0.75))
            room.lamp("ball", (*across, room.high - drop), (2 * radius,) * 3, shade, glow)
            cord = ((0.0, 0.0, room.high - (drop - radius) / 2), (0.012, 0.012, drop - radius), dark, 0.0)
            room.add((*across, 0.0), [cord])
        else:
            width = float(draw.uniform(0.3, 0.5))
            room.lamp("cylinder", (*across, room.high - 0.05), (width, width, 0.09), shade, glow)
    if draw.random() < 0.7 or hour == "evening":
        place = room.against_wall(0.5, 0.5, 1.6)
        if place:
            x, y, _ = place
            room.add((x, y, 0.0), [((0.0, 0.0, 0.015), (0.3, 0.3, 0.03), dark, 0.0)], "cylinder")
            room.add((x, y, 0.0), [((0.0, 0.0, 0.72), (0.025, 0.025, 1.4), dark, 0.0)], "cylinder")
            room.lamp("cylinder", (x, y, 1.55), (0.36, 0.36, 0.28), shade, glow)
