"""The light on a scene as a small environment map in camera coordinates: the fields `light_source.npy` and
`light_target.npy`.

A direction in camera coordinates (x right, y up, z towards the camera; a unit vector) lies at

    u = 0.5 + atan2(x, -z) / 2 pi  (to the right),    v = 0.5 - asin(y) / pi  (downwards),

so the middle is where the camera looks, the right half is the light from the right, and a light behind the
camera lies on the left and right edge. A texel holds the radiance that reaches the scene's middle, linear
Rec.709, in the unit of the picture that it lights: rotation, mirroring, exposure, strength and tint of an
environment map are in it. Lamps are discs of their radiance, as large as they look from the world's origin.

Energy is kept in solid angle: whatever is deposited (radiance times solid angle of a texel of the source, of
a piece of a lamp) is shared among the four nearest texels, bilinearly, so that a sun keeps its power and, on
average, its place between them. An environment's shares are balanced as well (`_balanced`): light of one
radiance gives a map of that radiance, which bilinear shares alone miss by 8 % at the poles.

A sample stores a map as 16-bit floats (`stored_light`), of which a step is 0.05 % of the radiance: a sun and
a dark room survive in one file.
"""

import math

import numpy as np

from pairbridge.datagen.lighting.equirect import Environment, equirect_directions, lighting_copy
from pairbridge.datagen.scene.specs import LampSpec, Matrix4

# Width and height of a map, in texels of 5.6 degrees.
MAP_SIZE_WH = (64, 32)
# Width of the copy of a lighting that its map is made from: four texels to one of the map.
_COPY_WIDTH = 4 * MAP_SIZE_WH[0]
# The width from which an environment is averaged, eight points to a texel of the map.
_FINE_WIDTH = 8 * MAP_SIZE_WH[0]
# Alternations after which a map of one radiance is even to 3 % outside the polar rows, and to 10 % in them.
_BALANCINGS = 8
# Points on the disc of a lamp: in the widest lamps (27 degrees of radius) sixty to a texel.
_POINTS_OF_LAMP = 4096


def lighting_map(
    environment: Environment, rotation_rad: float, camera_to_world: Matrix4 | np.ndarray
) -> np.ndarray:
    """float32 (32, 64, 3): a lighting, turned as `lighting_copy` turns it, seen from a camera."""
    return environment_map(lighting_copy(environment, _COPY_WIDTH, rotation_rad), camera_to_world)


def environment_map(pixels: np.ndarray, camera_to_world: Matrix4 | np.ndarray) -> np.ndarray:
    """float32 (32, 64, 3): an equirectangular image in world coordinates, (H, W, 3), seen from a camera.

    `pixels` are as `pairbridge.datagen.lighting.equirect.lighting_copy` gives them, turned already. An image
    narrower than 512 pixels is taken as one of flat texels, as Cycles takes that copy.
    """
    finer = math.ceil(_FINE_WIDTH / pixels.shape[1])
    fine = pixels.repeat(finer, axis=0).repeat(finer, axis=1)
    height, width, _ = fine.shape
    solid_angle = np.broadcast_to(_solid_angles(width, height), (height, width, 1)).reshape(-1)
    texels, shares = _shares(equirect_directions(width, height) @ _rotation(camera_to_world))
    shares = _balanced(texels, shares, solid_angle)
    return _collected(texels, shares, fine.reshape(-1, 3) * solid_angle[:, None])


def lamp_map(lamp: LampSpec, camera_to_world: Matrix4 | np.ndarray) -> np.ndarray:
    """float32 (32, 64, 3): a lamp as it looks from the world's origin, in camera coordinates."""
    distance, radius = math.hypot(*lamp.position), lamp.diameter / 2
    # The power of a Lambertian disc that makes the irradiance pi x colour, over its area and pi.
    radiance = np.array(lamp.colour) * (distance / radius) ** 2
    cos_rim = distance / math.hypot(distance, radius)
    # A spiral: rings of equal solid angle, one point each.
    cosine = 1 - (np.arange(_POINTS_OF_LAMP) + 0.5) / _POINTS_OF_LAMP * (1 - cos_rim)
    turn = np.arange(_POINTS_OF_LAMP) * (math.pi * (3 - math.sqrt(5)))
    sine = np.sqrt(1 - cosine**2)
    local = np.stack([sine * np.cos(turn), sine * np.sin(turn), cosine], axis=-1)
    directions = local @ _frame(np.array(lamp.position) / distance)
    energy = radiance * (math.tau * (1 - cos_rim) / _POINTS_OF_LAMP)
    texels, shares = _shares(directions @ _rotation(camera_to_world))
    return _collected(texels, shares, np.broadcast_to(energy, (_POINTS_OF_LAMP, 3)))


def map_directions() -> np.ndarray:
    """float64 (32, 64, 3): the unit direction of every texel's centre, in camera coordinates."""
    width, height = MAP_SIZE_WH
    azimuth = ((np.arange(width) + 0.5) / width - 0.5) * math.tau
    elevation = (0.5 - (np.arange(height) + 0.5) / height) * math.pi
    level = np.cos(elevation)[:, None]
    up = np.broadcast_to(np.sin(elevation)[:, None], (height, width))
    return np.stack([level * np.sin(azimuth), up, -level * np.cos(azimuth)], axis=-1)


def irradiance(radiance: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Irradiance (..., 3) of unoccluded surfaces with these unit normals (..., 3), in camera coordinates,
    under a map (32, 64, 3). A white diffuse surface has this, over pi, as its radiance.
    """
    height, width, _ = radiance.shape
    energies = (radiance * _solid_angles(width, height)).reshape(-1, 3)
    cosines = np.maximum(normals @ map_directions().reshape(-1, 3).T, 0)
    return cosines @ energies


def stored_light(radiance: np.ndarray) -> np.ndarray:
    """float16 of the same shape, as a sample holds it. A sun that a map is exposed for
    (`pairbridge.datagen.lighting.exposure.normalising_factor`) reaches some thousands in one texel, beside a
    pole ten times that; what is above the largest float16, 65504, is clipped.
    """
    return np.minimum(radiance, np.finfo(np.float16).max).astype(np.float16)


def _shares(directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The four texels (4, N) nearest to each direction (..., 3) in camera coordinates, as flat indices, and
    what each of them gets of it.
    """
    width, height = MAP_SIZE_WH
    x, y, z = directions.reshape(-1, 3).T
    columns = (0.5 + np.arctan2(x, -z) / math.tau) * width - 0.5
    rows = (0.5 - np.arcsin(np.clip(y, -1, 1)) / math.pi) * height - 0.5
    texels, shares = [], []
    for row, of_row in _neighbours(rows):
        inside = np.clip(row, 0, height - 1)
        # Beyond a pole the same row goes on, half a turn further.
        across = np.where(row == inside, 0, width // 2)
        for column, of_column in _neighbours(columns):
            texels.append(inside * width + (column + across) % width)
            shares.append(of_row * of_column)
    return np.array(texels), np.array(shares)


def _balanced(texels: np.ndarray, shares: np.ndarray, solid_angle: np.ndarray) -> np.ndarray:
    """Shares with which light of one radiance, from all of the sphere, fills each texel with that radiance:
    Sinkhorn's alternation between what a point of this `solid_angle` gives and what a texel is to get.
    """
    width, height = MAP_SIZE_WH
    wanted = np.broadcast_to(_solid_angles(width, height)[..., 0], (height, width)).ravel()
    for _ in range(_BALANCINGS):
        got = np.bincount(texels.ravel(), (shares * solid_angle).ravel(), width * height)
        shares = shares * (wanted / got)[texels]
        shares /= shares.sum(axis=0)
    return shares


def _collected(texels: np.ndarray, shares: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """The map (32, 64, 3) of energies (N, 3)."""
    width, height = MAP_SIZE_WH
    channels = [
        np.bincount(texels.ravel(), (shares * channel).ravel(), width * height) for channel in energies.T
    ]
    total = np.stack(channels, axis=-1).reshape(height, width, 3)
    return (total / _solid_angles(width, height)).astype(np.float32)


def _neighbours(places: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two whole numbers around each place, and their linear shares."""
    low = np.floor(places).astype(int)
    return [(low, 1 - (places - low)), (low + 1, places - low)]


def _solid_angles(width: int, height: int) -> np.ndarray:
    """(height, 1, 1): the solid angle of a texel of each row."""
    edges = np.cos(np.linspace(0, math.pi, height + 1))
    return ((edges[:-1] - edges[1:]) * (math.tau / width))[:, None, None]


def _rotation(camera_to_world: Matrix4 | np.ndarray) -> np.ndarray:
    """What rows of world directions are multiplied with, from the right, to get those of the camera."""
    return np.asarray(camera_to_world, np.float64)[:3, :3]


def _frame(axis: np.ndarray) -> np.ndarray:
    """Rows: two unit vectors across `axis`, and the axis."""
    other = np.eye(3)[np.argmin(np.abs(axis))]
    first = np.cross(axis, other)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(axis, first), axis])
