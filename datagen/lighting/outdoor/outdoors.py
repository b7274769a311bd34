"""Outdoor maps: Blender's physical sky with clouds before it, a skyline and a ground that the sky lights.

What lights and what is seen are one: the disc of the sun has its real power, times what the clouds before it
let through; grounds and walls have the radiance albedo x irradiance / pi.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pairbridge.datagen.core.random_draws import weighted
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.imaging.filters import smooth_step
from pairbridge.datagen.lighting.equirect import equirect_directions
from pairbridge.datagen.lighting.outdoor.clouds import Veil, cirrus_veil, cloud_veil, overcast_veil
from pairbridge.datagen.lighting.outdoor.noise_fields import NoiseField, wrapped_blur
from pairbridge.datagen.lighting.outdoor.outdoor_grounds import ground_albedo
from pairbridge.datagen.lighting.outdoor.skyline import paint_skyline
from pairbridge.datagen.lighting.outdoor.skyline_canvas import SkyLight
from pairbridge.datagen.lighting.outdoor.stand_draws import draw_stand

# Frequencies of weather: suns with hard shadows and closed covers both have to be common in training.
_WEATHER = {"clear": 0.25, "cumulus": 0.35, "broken": 0.2, "overcast": 0.2}
_PLACES = {"open": 0.3, "park": 0.2, "suburb": 0.15, "street": 0.2, "square": 0.15}
# The ground about the camera, and what it goes over into.
_GROUNDS = {
    "open": {"grass": 3, "dry_grass": 2, "sand": 2, "snow": 1, "gravel": 1, "soil": 1},
    "park": {"grass": 3, "gravel": 1, "paving": 1, "dry_grass": 1},
    "suburb": {"grass": 2, "asphalt": 2, "concrete": 1},
    "street": {"asphalt": 3, "cobbles": 1, "concrete": 1},
    "square": {"paving": 3, "cobbles": 1, "concrete": 1},
}
_BESIDE = {"open": "dry_grass", "park": "grass", "suburb": "grass", "street": "paving", "square": "paving"}
_SUN_RADIUS_RAD = math.radians(0.2725)


@dataclass(frozen=True, slots=True)
class OutdoorMap:
    """`pixels` (H, W, 3) float32 linear radiance, `bare` the same without the sun's disc; `light` is what it
    was lit by, JSON-able."""

    pixels: np.ndarray
    bare: np.ndarray
    light: dict[str, Any]


def draw_outdoor(draw: np.random.Generator) -> dict[str, Any]:
    """Parameters of an outdoor map, JSON-able: of the sky, its clouds, the place and the ground."""
    weather = weighted(draw, _WEATHER)
    place = weighted(draw, _PLACES)
    # Low suns are drawn as often as high ones: they are the lights with colour and direction.
    elevation_deg = float(3 + 62 * draw.beta(1.1, 1.4))
    sky = {
        "sun_elevation_rad": math.radians(elevation_deg),
        "sun_rotation_rad": float(draw.uniform(0, math.tau)),
        "altitude_m": float(draw.uniform(0, 800)),
        "air": float(draw.uniform(0.8, 1.3)),
        "dust": float(draw.uniform(0.3, 3.0)),
        "ozone": float(draw.uniform(0.7, 1.2)),
    }
    coverage = {
        "clear": 0.0,
        "cumulus": float(draw.uniform(0.12, 0.45)),
        "broken": float(draw.uniform(0.5, 0.8)),
        "overcast": 1.0,
    }[weather]
    clouds = {
        "coverage": coverage,
        "base_m": float(draw.uniform(900, 1800)),
        "depth_m": float(draw.uniform(350, 900)) * (0.6 if weather == "broken" else 1.0),
        "cell_m": float(draw.uniform(700, 1500)),
        "slope": float(draw.uniform(2.4, 3.0)),
        "extinction_per_m": float(draw.uniform(0.012, 0.03)),
        "transmission": float(draw.uniform(0.14, 0.4)),
        "contrast": float(draw.uniform(0.05, 0.22)),
        "cirrus": float(draw.uniform(0.03, 0.25)) if weather != "overcast" and draw.random() < 0.6 else 0.0,
    }
    kinds = {kind: weight for kind, weight in _GROUNDS[place].items()}
    return {
        "camera_height_m": float(draw.uniform(1.2, 1.8)),
        "weather": weather,
        "sky": sky,
        "clouds": clouds,
        "place": place,
        "ground": weighted(draw, kinds),
        "visibility_m": float(math.exp(draw.uniform(math.log(3000), math.log(30000)))),
        "seed": int(draw.integers(2**31)),
    }


def sun_direction(sky: dict[str, Any]) -> np.ndarray:
    """The unit vector (3,) to the sun of a sky's parameters; Blender turns it clockwise from +Y."""
    elevation, azimuth = sky["sun_elevation_rad"], math.pi / 2 - sky["sun_rotation_rad"]
    level = math.cos(elevation)
    return np.array([level * math.cos(azimuth), level * math.sin(azimuth), math.sin(elevation)])


def outdoor_map(params: dict[str, Any], clear_sky: np.ndarray) -> OutdoorMap:
    """The map of `params` over `clear_sky` (H, W, 3): the physical sky with its sun, black below."""
    height, width, _ = clear_sky.shape
    directions = equirect_directions(width, height)
    areas = solid_angles(width, height)
    sun = sun_direction(params["sky"])
    disc, sky = split_sun(clear_sky, directions, sun)
    half = height // 2
    power = (disc * areas).sum(axis=(0, 1))
    above = directions[:half]
    mean_sky = _level_irradiance(sky[:half], above, areas[:half]) / math.pi
    through_sun = 1.0
    for veil in _veils(params, above, sun, power, mean_sky):
        sky[:half] = sky[:half] * veil.through + veil.glow
        through_sun *= veil.sun
    haze = _haze(sky, half)
    _blend_into_haze(sky, haze, above, params["visibility_m"])
    light = SkyLight(
        sun=sun,
        sun_irradiance=power * through_sun,
        sky_irradiance=_level_irradiance(sky[:half], above, areas[:half]),
        haze=haze,
        clearness_m=params["visibility_m"],
    )
    stand = draw_stand(rng(params["seed"], "stand"), params["place"], params["camera_height_m"])
    sky[half:] = _ground(params, directions[half:], stand, light)
    without_sun = paint_skyline(sky, stand, light, rng(params["seed"], "skyline"))
    # The sun last: what stands before it hides it.
    bare = np.abs(without_sun - sky).max(axis=2, keepdims=True) == 0
    shining = disc * np.float32(through_sun) * bare
    image = np.maximum(without_sun + shining, 0).astype(np.float32)
    seen = float((shining * areas).sum() / max(float((disc * areas).sum()), 1e-12))
    return OutdoorMap(
        image,
        np.maximum(without_sun, 0).astype(np.float32),
        {
            "sun_direction": [float(value) for value in sun],
            "sun_irradiance": [float(value) for value in power * seen],
            "sun_transmittance": float(through_sun),
        },
    )


def solid_angles(width: int, height: int) -> np.ndarray:
    """Steradians of each texel of an equirectangular image, (H, 1, 1)."""
    edges = np.sin(np.linspace(math.pi / 2, -math.pi / 2, height + 1))
    return (-np.diff(edges) * (math.tau / width))[:, None, None]


def split_sun(sky: np.ndarray, directions: np.ndarray, sun: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sun's disc alone, and the sky with the radiance around the disc in its place."""
    texel = math.pi / sky.shape[0]
    cosine = directions @ sun
    inside = cosine > math.cos(_SUN_RADIUS_RAD + 1.5 * texel)
    ring = ~inside & (cosine > math.cos(_SUN_RADIUS_RAD + 4 * texel)) & (directions[..., 2] > 0)
    around = np.median(sky[ring], axis=0)
    rest = sky.copy()
    rest[inside] = np.minimum(sky[inside], around)
    return sky - rest, rest


def _veils(
    params: dict[str, Any], above: np.ndarray, sun: np.ndarray, power: np.ndarray, mean_sky: np.ndarray
) -> list[Veil]:
    clouds, seed = params["clouds"], params["seed"]
    found = []
    if clouds["cirrus"]:
        found.append(cirrus_veil(rng(seed, "cirrus"), clouds["cirrus"], above, sun, power))
    if params["weather"] == "overcast":
        found.append(overcast_veil(rng(seed, "clouds"), clouds, above, sun, power, mean_sky))
    elif clouds["coverage"]:
        found.append(cloud_veil(rng(seed, "clouds"), clouds, above, sun, power, mean_sky))
    return found


def _level_irradiance(sky: np.ndarray, above: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Irradiance (3,) of level ground under the upper half of a map."""
    return (sky * (above[..., 2:] * areas)).sum(axis=(0, 1))


def _haze(sky: np.ndarray, half: int) -> np.ndarray:
    """Radiance (W, 3) of far air in each direction: the sky just above the horizon, without its spots."""
    rows = max(2, half // 30)
    low = sky[half - rows : half].mean(axis=0)
    return np.maximum(wrapped_blur(low, sky.shape[1] / 24), 0).astype(np.float32)


def _blend_into_haze(sky: np.ndarray, haze: np.ndarray, above: np.ndarray, visibility_m: float) -> None:
    """Clouds far away go over into the air before them."""
    share = np.exp(-above[..., 2:] / math.radians(1.2 + 4000 / visibility_m)) * 0.8
    half = len(above)
    sky[:half] = sky[:half] * (1 - share) + haze * share


def _ground(params: dict[str, Any], below: np.ndarray, stand: Any, light: SkyLight) -> np.ndarray:
    draw = rng(params["seed"], "ground")
    depth = np.maximum(-below[..., 2], 1e-4)
    distance = params["camera_height_m"] / depth
    x, y = distance * below[..., 0], distance * below[..., 1]
    reach = np.hypot(x, y)
    texel = math.tau / below.shape[1]
    # Texels are stretched away from the camera: between the two sides of one, nearer the shorter.
    footprint = (reach + params["camera_height_m"]) * texel / np.maximum(depth, 0.02) ** 0.5
    turn = float(draw.uniform(0, math.tau))
    px, py = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    albedo, slope = ground_albedo(draw, params["ground"], px, py, footprint)
    beside = _beside(draw, params, px, py, stand)
    if beside is not None:
        other, other_slope = ground_albedo(draw, _BESIDE[params["place"]], px, py, footprint)
        share = beside[..., None]
        albedo, slope = albedo * (1 - share) + other * share, slope * (1 - share) + other_slope * share
    slope_x = slope[..., 0] * math.cos(turn) - slope[..., 1] * math.sin(turn)
    slope_y = slope[..., 0] * math.sin(turn) + slope[..., 1] * math.cos(turn)
    normal = np.stack([-slope_x, -slope_y, np.ones_like(slope_x)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    # Half-shadows widen with the distance to what throws them: a metre for a house ten metres high.
    lit = 1 - smooth_step(stand.shade_height(x, y, light.sun), 0.0, 0.25)
    leafy = stand.leaf_shade(x, y, light.sun, NoiseField(draw, 1.8, 256))
    irradiance = light.on(normal, lit * leafy)
    irradiance *= (0.72 + 0.28 * leafy)[..., None]
    radiance = albedo * irradiance / math.pi
    kept = np.exp(-reach / light.clearness_m)[..., None]
    return radiance * kept + light.haze * (1 - kept)


def _beside(
    draw: np.random.Generator, params: dict[str, Any], x: np.ndarray, y: np.ndarray, stand: Any
) -> np.ndarray | None:
    """Where another ground begins, in [0, 1]; None where there is one alone."""
    if params["ground"] in (_BESIDE[params["place"]], "snow", "sand"):
        return None
    edge = NoiseField(draw, 2.2, 256).sample(x / 30, y / 30)
    width = float(draw.uniform(2.0, 5.0))
    aside = float(draw.uniform(-0.8, 0.8)) * width
    soft = 0.05 if params["place"] in ("street", "suburb") else 0.6
    return smooth_step(np.abs(y - aside) - width + soft * edge, -0.15, 0.15)
