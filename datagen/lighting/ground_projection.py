"""The ground of a photographed environment as a plane that objects stand on.

A panorama shows the ground around its camera. Projected from that camera's place, `centre`, onto the plane
z = 0, it becomes a ground with perspective, as ground-projected skyboxes have it: the point g shows the map
in the direction g - centre. Farther away the place that is projected from moves to the place of the picture's
own camera, from which the plane shows the map at infinity: so the horizon is the photograph's, and between
the two there is no seam (`looked_up`).

What the plane does to the light is known without rendering it: a diffuse ground that shows the radiance L
under the irradiance E has the albedo pi L / E (Debevec 1998, "Rendering synthetic objects into real scenes"),
of which a render needs only what objects change. It is a factor, 1 wherever they change nothing.

Units are those of the scene; directions and rotations are those of
`pairbridge.datagen.lighting.equirect`.
"""

import dataclasses
import math

import cv2
import numpy as np

from pairbridge.datagen.imaging.filters import smooth_step, spread
from pairbridge.datagen.lighting.equirect import (
    LUMINANCE,
    Environment,
    equirect_directions,
    sample_directions,
)
from pairbridge.datagen.scene.specs import CameraPose, CatcherSpec

# Heights of the map's camera, in radii of the first object. Lower, an object would fill the photograph's
# foreground; higher, a texel of the ground would be as large as the object. So a watch stands nearer to the
# camera of the photograph than its size says, as if on something.
HEIGHTS = (1.5, 14.0)
# What a picture's point is averaged from, across and down: near the horizon the ground is compressed.
_FINE = (2, 4)
# Heights of the map's camera, beyond where objects stand, between which the map goes to infinity.
_HAND_OVER = (1.0, 16.0)
# Largest albedo of a receiver: photographs hold lamps and glints that no ground reflects.
LARGEST_ALBEDO = 0.9
# Detail finer than the map: deviations of log radiance per octave, as shares of the map's own in its finest.
_DETAIL_SHARE, _DETAIL_RANGE = 1.5, (0.03, 0.2)
_TILE = 256
# A light that casts a shadow of its own: half its width, and its least share of the ground's irradiance.
_SUN_RADIUS_RAD, _SUN_SHARE = math.radians(6.0), 0.08
# The receiver around the objects, in their radii of footprint or height, and the longest shadow on it.
_REACH, _LONGEST_SHADOW = 1.6, 6.0
# The share of the receiver's radius from which its shadow fades to the rim.
_FADE = 0.65
# Differences from 1 that a render's noise and its denoiser make; above the second all is shadow.
_NOTHING, _SHADOW = 0.012, 0.04


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProjectedGround:
    """Where a map's camera was: `centre` (x, y, height above the ground). `beyond` are the distances from the
    picture's camera, along the ground, between which the projection goes over into the map at infinity.
    `seed` is that of the detail.
    """

    centre: tuple[float, float, float]
    rotation_rad: float
    beyond: tuple[float, float]
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.centre[2] > 0 or not 0 < self.beyond[0] < self.beyond[1]:
            raise ValueError(f"a ground is seen from above it, and ends beyond where it begins to: {self}")


def placed_ground(
    pose: CameraPose, *, height: float, stand_off: float, rotation_rad: float, seed: int
) -> ProjectedGround:
    """The ground for a picture: objects stand at the origin, `stand_off` heights of the map's camera away
    from below it, and in the picture's viewing direction, as if whoever took the map had looked at them.
    """
    matrix = np.array(pose.camera_to_world)
    towards = matrix[:2, 3] / max(math.hypot(*matrix[:2, 3]), 1e-9)
    away = math.hypot(*matrix[:2, 3])
    return ProjectedGround(
        centre=(*(stand_off * height * towards).tolist(), height),
        rotation_rad=rotation_rad,
        beyond=tuple(away + share * height for share in _HAND_OVER),
        seed=seed,
    )


def ground_points(rays: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays (..., 3) from `position` meet z = 0: points (..., 2), and whether they do, bool (...)."""
    meets = (rays[..., 2] < -1e-9) & (position[2] > 0)
    along = np.where(meets, position[2] / np.where(meets, -rays[..., 2], 1.0), 0.0)
    return position[:2] + along[..., None] * rays[..., :2], meets


def looked_up(ground: ProjectedGround, position: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The directions (..., 3), not of unit length, in which the map shows ground `points` (..., 2) to a
    camera at `position` (3,): from `centre` near by, from the camera itself beyond.
    """
    share = _handed_over(ground, position, points)[..., None]
    seen_from = (1 - share) * np.array(ground.centre) + share * position
    target = np.concatenate([points, np.zeros_like(points[..., :1])], axis=-1)
    return target - seen_from


def ground_picture(
    environment: Environment, ground: ProjectedGround, pose: CameraPose, size_WH: tuple[int, int]
) -> np.ndarray:
    """What a pinhole camera sees: (H, W, 3) float32 linear, the ground below the horizon, the map above."""
    width, height = size_WH
    contrast = _local_contrast(environment)
    picture = np.empty((height, width, 3), np.float32)
    # In bands: at 1024 pixels the rays of a whole picture would fill 300 MB.
    band = max(1, 2**17 // width)
    for top in range(0, height, band):
        rows = slice(top, min(top + band, height))
        rays = camera_rays(pose, size_WH, rows, _FINE)
        fine = _seen(environment, contrast, ground, pose, rays, width)
        picture[rows] = cv2.resize(fine, (width, rows.stop - top), interpolation=cv2.INTER_AREA)
    return picture


def camera_rays(
    pose: CameraPose, size_WH: tuple[int, int], rows: slice, fine: tuple[int, int] = (1, 1)
) -> np.ndarray:
    """World directions (h, w, 3) with a depth of 1 of `rows` of a picture, `fine` of them a pixel."""
    width, height = size_WH
    half = math.tan(pose.fov_x_rad / 2)
    x = ((np.arange(fine[0] * width) + 0.5) / (fine[0] * width) * 2 - 1) * half
    down = np.arange(fine[1] * rows.start, fine[1] * rows.stop)
    y = (1 - (down + 0.5) / (fine[1] * height) * 2) * half * height / width
    rays = np.empty((len(y), len(x), 3))
    rays[..., 0], rays[..., 1], rays[..., 2] = x[None, :], y[:, None], -1.0
    return rays @ np.array(pose.camera_to_world)[:3, :3].T


def plane_depth(pose: CameraPose, size_WH: tuple[int, int], farthest: float) -> np.ndarray:
    """Planar depth (H, W) float32 of the ground at each pixel's centre, 0 where the frame sees none within
    `farthest` of the camera, along the ground.
    """
    position = np.array(pose.camera_to_world)[:3, 3]
    rays = camera_rays(pose, size_WH, slice(0, size_WH[1]))
    points, meets = ground_points(rays, position)
    meets &= np.linalg.norm(points - position[:2], axis=-1) <= farthest
    return np.where(meets, position[2] / np.where(meets, -rays[..., 2], 1), 0).astype(np.float32)


def upward_irradiance(pixels: np.ndarray) -> np.ndarray:
    """Irradiance (3,) of the unoccluded ground under an equirectangular image (H, W, 3)."""
    return (pixels * _upward_weights(*pixels.shape[:2])).sum(axis=(0, 1), dtype=np.float64)


def receiver_gain(pixels: np.ndarray) -> tuple[float, float, float]:
    """What radiance is to be multiplied with, per channel, to give the albedo of the ground that shows it."""
    irradiance = upward_irradiance(pixels)
    # Channels that hardly light the ground, as under a coloured lamp alone, say nothing of its albedo.
    floor = max(0.05 * float(irradiance.max()), 1e-9)
    red, green, blue = (math.pi / max(float(channel), floor) for channel in irradiance)
    return red, green, blue


def receiver_albedo(radiance: np.ndarray, gain: tuple[float, float, float]) -> np.ndarray:
    """Albedo of a ground that shows `radiance` (..., 3), at most LARGEST_ALBEDO."""
    return np.clip(radiance * np.array(gain, np.float32), 0, np.float32(LARGEST_ALBEDO))


def sun_of(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """The direction (3,) of the small light that does most for the ground under an equirectangular image
    (H, W, 3), and its share of the ground's irradiance, in luminance.
    """
    height, width, _ = pixels.shape
    received = (pixels * LUMINANCE).sum(axis=-1) * _upward_weights(height, width)[..., 0]
    directions = equirect_directions(width, height)
    peak = directions.reshape(-1, 3)[int(received.argmax())]
    near = directions @ peak > math.cos(_SUN_RADIUS_RAD)
    middle = (directions[near] * received[near, None]).sum(axis=0)
    total = float(received.sum(dtype=np.float64))
    share = float(received[near].sum(dtype=np.float64)) / total if total else 0.0
    return middle / max(float(np.linalg.norm(middle)), 1e-12), share


def catcher(
    pixels: np.ndarray, ground: ProjectedGround, bounds: tuple[tuple[float, float, float], ...]
) -> CatcherSpec:
    """The part of the ground that takes shadows, an ellipse around objects with these `bounds` (lowest and
    highest corner) and around the shadow that the sun of `pixels`, the light on them, casts of them.
    """
    low, high = np.array(bounds)
    middle, tall = (low[:2] + high[:2]) / 2, max(float(high[2]), 1e-3)
    footprint = float(np.linalg.norm(high[:2] - low[:2])) / 2
    radius = footprint + _REACH * max(0.7 * footprint, 0.5 * tall)
    sun, share = sun_of(pixels)
    length = 0.0
    if share > _SUN_SHARE:
        length = min(tall * math.hypot(sun[0], sun[1]) / max(float(sun[2]), 1e-3), _LONGEST_SHADOW)
    turn_rad = math.atan2(-sun[1], -sun[0])
    along = np.array([math.cos(turn_rad), math.sin(turn_rad)])
    return CatcherSpec(
        centre=tuple((middle + 0.5 * length * along).tolist()),
        axes=(radius + 0.6 * length, radius),
        turn_rad=turn_rad,
        map_centre=ground.centre,
        gain=receiver_gain(pixels),
        largest_albedo=LARGEST_ALBEDO,
    )


def shadow(caught: np.ndarray, alpha: np.ndarray, spec: CatcherSpec, pose: CameraPose) -> np.ndarray:
    """What objects leave of the light of the ground: the factor (H, W, 3) on its radiance, exactly 1 where
    they change nothing that is seen.

    `caught` (H, W, 3) is the render's denoised factor, which is nothing where objects fill the pixel; `alpha`
    (H, W) is theirs. It goes out towards the rim of the receiver `spec`.
    """
    open_ground = (alpha < 0.02).astype(np.float32)
    factor = spread(caught, open_ground, 1.0)
    position = np.array(pose.camera_to_world)[:3, 3]
    size_WH = (caught.shape[1], caught.shape[0])
    points, meets = ground_points(camera_rays(pose, size_WH, slice(0, size_WH[1])), position)
    inside = np.where(meets, 1 - smooth_step(within(spec, points), _FADE, 0.98), 0)
    difference = factor - 1
    seen = smooth_step(np.abs(difference).max(axis=-1), _NOTHING, _SHADOW)
    return (1 + difference * (inside * seen)[..., None]).astype(np.float32)


def within(spec: CatcherSpec, points: np.ndarray) -> np.ndarray:
    """Where ground points (..., 2) lie in the receiver: 0 in its middle, 1 on its rim."""
    x, y = np.moveaxis(points - np.array(spec.centre), -1, 0)
    cos, sin = math.cos(spec.turn_rad), math.sin(spec.turn_rad)
    return np.hypot((cos * x + sin * y) / spec.axes[0], (cos * y - sin * x) / spec.axes[1])


def fading(pose: CameraPose, size_WH: tuple[int, int], reach: tuple[float, float]) -> np.ndarray:
    """How far a ground has gone over into what lies beyond it, (H, W, 1) float32: 0 within the first distance
    of the camera, along the ground, 1 beyond the second and above the horizon.
    """
    position = np.array(pose.camera_to_world)[:3, 3]
    fine = (1, 4)
    points, meets = ground_points(camera_rays(pose, size_WH, slice(0, size_WH[1]), fine), position)
    away = np.linalg.norm(points - position[:2], axis=-1)
    share = np.where(meets, _log_step(away, reach), 1).astype(np.float32)
    return cv2.resize(share, size_WH, interpolation=cv2.INTER_AREA)[..., None]


def faded_ground(
    picture: np.ndarray,
    foreground: np.ndarray,
    surroundings: np.ndarray | float,
    pose: CameraPose,
    reach: tuple[float, float] | None,
) -> np.ndarray:
    """A picture (H, W, 3) whose ground goes over into the `surroundings` (its shape, or one radiance), behind
    the premultiplied `foreground` (H, W, 4) of what stands on it. None: the ground ends at the horizon.
    """
    if reach is None:
        return picture
    beyond = (1 - np.clip(foreground[..., 3:], 0, 1)) * np.float32(surroundings)
    share = fading(pose, (picture.shape[1], picture.shape[0]), reach)
    ground = np.maximum(picture - foreground[..., :3], 0)
    # Where nothing fades, the very bits of the picture.
    return np.where(share > 0, foreground[..., :3] + ground + share * (beyond - ground), picture)


def _seen(
    environment: Environment,
    contrast: np.ndarray,
    ground: ProjectedGround,
    pose: CameraPose,
    rays: np.ndarray,
    width: int,
) -> np.ndarray:
    position = np.array(pose.camera_to_world)[:3, 3]
    points, meets = ground_points(rays, position)
    directions = np.where(meets[..., None], looked_up(ground, position, points), rays)
    cos, sin = math.cos(ground.rotation_rad), math.sin(ground.rotation_rad)
    turned = directions @ np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    per_pixel = environment.pixels.shape[1] / math.tau * pose.fov_x_rad / (_FINE[0] * width)
    level = max(0, math.floor(math.log2(max(per_pixel, 1))))
    seen = sample_directions(environment.level(level), turned)
    if meets.any():
        amplitude = sample_directions(contrast, turned)[..., 0] * np.where(meets, 1, 0)
        pixel_rad = pose.fov_x_rad / width
        seen = seen * np.exp(_detail(environment, ground, position, points, amplitude, pixel_rad))[..., None]
    return seen.astype(np.float32)


def _detail(
    environment: Environment,
    ground: ProjectedGround,
    position: np.ndarray,
    points: np.ndarray,
    amplitude: np.ndarray,
    pixel_rad: float,
) -> np.ndarray:
    """Deviations of log radiance (h, w) at ground points: octaves of noise from what the map resolves down to
    what the picture does, of the map's own `amplitude` there.
    """
    texel = _footprint(points, np.array(ground.centre), math.tau / environment.pixels.shape[1])
    pixel = _footprint(points, position, pixel_rad)
    strength = amplitude * (1 - _handed_over(ground, position, points))
    total = np.zeros(points.shape[:2], np.float32)
    there = strength > 0
    if not there.any():
        return total
    draw = np.random.default_rng(ground.seed)
    coarsest = math.ceil(math.log2(4 * float(np.median(texel[there]))))
    finest = math.floor(math.log2(1.5 * float(pixel[there].min())))
    for octave in range(coarsest, max(finest, coarsest - 8) - 1, -1):
        wave = 2.0**octave
        tile, turn_rad = draw.standard_normal((_TILE, _TILE), np.float32), draw.uniform(0, math.tau)
        weight = (
            strength * smooth_step(texel, wave / 4, wave / 2) * (1 - smooth_step(pixel, wave / 4, wave / 2))
        )
        if weight.max() < 1e-3:
            continue
        cos, sin = math.cos(turn_rad), math.sin(turn_rad)
        x = (cos * points[..., 0] + sin * points[..., 1]) * (2 / wave)
        y = (cos * points[..., 1] - sin * points[..., 0]) * (2 / wave)
        noise = cv2.remap(
            tile,
            np.mod(x, _TILE).astype(np.float32),
            np.mod(y, _TILE).astype(np.float32),
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_WRAP,
        )
        total += (weight * noise).astype(np.float32)
    return total


def _footprint(points: np.ndarray, eye: np.ndarray, angle_rad: float) -> np.ndarray:
    """Size of what an angle covers of the ground: the geometric mean of across and along."""
    squared = ((points - eye[:2]) ** 2).sum(axis=-1) + eye[2] ** 2
    return angle_rad * squared**0.75 / math.sqrt(eye[2])


def _local_contrast(environment: Environment) -> np.ndarray:
    """Amplitude of detail (H, W, 3) over a map: the deviation of its log luminance in its finest octaves."""
    luminance = (environment.pixels * LUMINANCE).sum(axis=-1)
    log = np.log(np.maximum(luminance, 1e-4 * max(environment.picture_luminance, 1e-6)))
    band = cv2.GaussianBlur(log, (0, 0), 1.0) - cv2.GaussianBlur(log, (0, 0), 4.0)
    deviation = np.sqrt(cv2.GaussianBlur(band**2, (0, 0), 12.0))
    return np.repeat(np.clip(_DETAIL_SHARE * deviation, *_DETAIL_RANGE)[..., None], 3, axis=-1)


def _handed_over(ground: ProjectedGround, position: np.ndarray, points: np.ndarray) -> np.ndarray:
    return _log_step(np.linalg.norm(points - position[:2], axis=-1), ground.beyond)


def _log_step(away: np.ndarray, reach: tuple[float, float]) -> np.ndarray:
    low, high = (math.log(end) for end in reach)
    return smooth_step(np.log(np.maximum(away, 1e-9)), low, high)


def _upward_weights(height: int, width: int) -> np.ndarray:
    """(H, 1, 1): solid angle of a texel of each row times the mean cosine of its angle to +Z; 0 below."""
    edges = np.clip(np.cos(np.linspace(0, math.pi, height + 1)), 0, None)
    # The integral of cos theta sin theta over a row is half the difference of squared cosines.
    return ((edges[:-1] ** 2 - edges[1:] ** 2) / 2 * (math.tau / width))[:, None, None]
