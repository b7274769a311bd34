"""Rooms that maps are rendered of: walls, windows, lamps and furniture, drawn by seed; pure.

Light comes from what the map shows: the windows, behind which lies an outdoor map with its sun, and lamps.
Objects of embedded families that stand about are of the map's own split.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pairbridge.datagen.core.random_draws import weighted
from pairbridge.datagen.lighting.indoor.room_fittings import (
    hang_curtains,
    hang_lamps,
    hang_pictures,
    stand_about,
)
from pairbridge.datagen.lighting.indoor.room_layouts import furnish
from pairbridge.datagen.lighting.indoor.room_plan import Room
from pairbridge.datagen.lighting.indoor.room_surfaces import WALLS, WHITE, floor_rand, plain
from pairbridge.datagen.lighting.outdoor.outdoors import draw_outdoor, sun_direction
from pairbridge.datagen.scene.interior_specs import InteriorSpec, Vector3, Window

_HOURS = {"day": 0.6, "mixed": 0.2, "evening": 0.2}
_ROOMS = {"living": 0.4, "dining": 0.2, "study": 0.2, "bedroom": 0.2}


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
    room = Room(
        draw,
        wide=float(draw.uniform(3.8, 6.8)),
        deep=float(draw.uniform(3.4, 5.6)),
        high=float(draw.uniform(2.45, 3.1)),
        families=params["families"],
    )
    sun = sun_direction(params["outside"]["sky"])
    room.open_windows(sun)
    furnish(room, params["room"])
    hang_pictures(room)
    stand_about(room)
    hang_lamps(room, params["hour"])
    hang_curtains(room)
    evening = {"day": 1.0, "mixed": 0.2, "evening": 0.0025}[params["hour"]]
    return InteriorSpec(
        size=(room.wide, room.deep, room.high),
        camera=(*room.free_place(), params["camera_height_m"]),
        wall=plain(WALLS[int(draw.integers(len(WALLS)))], 0.85),
        floor=floor_rand(draw),
        ceiling=plain(WHITE, 0.9),
        trim=plain(WHITE, 0.45),
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
