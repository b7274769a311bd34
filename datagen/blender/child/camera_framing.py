"""Where a camera must stand so that an object fills its frame: closed forms on the vertices, free of bpy.

For a camera at depth -d that is moved by c to the side, a vertex (x, z) projects to u = (x - c) / (z + d).
The bounds -t + o <= u <= t + o, linear in c and d, give the smallest distance

    d = (A + B) / 2t,  c = A - (o + t) d,  with A = max(x - (o + t) z), B = max(-x - (t - o) z).

Both axes are solved, the larger distance is taken, and the looser axis is centred at that distance. Where a
share b of the object is to lie beyond the frame's side at u = h, the sideways move solves
(1 - b) max u + b min u = h instead, at the distance of an object in the middle.
"""

import math

import numpy as np

from pairbridge.datagen.scene.specs import CameraPose, CameraSpec

# Where the lens is focused, between the nearest vertex (0) and the farthest (1): at what faces the camera, as
# people focus, with more that is sharp behind than before.
FOCUS = 1 / 3

# A camera never stands closer than this to the nearest vertex, in radii of the object.
CLOSEST = 0.05


# Around what is rendered of a picture: the pixel filter reaches one pixel, and the denoiser is to see that
# there is nothing beside the object.
MARGIN_PX = 8


def frame(
    vertices: np.ndarray, camera: CameraSpec, size_WH: tuple[int, int]
) -> tuple[CameraPose, float, float]:
    """The pose for `camera`, and the smallest and largest depth of `vertices` (N, 3) seen from it."""
    width, height = size_WH
    right, up, forward = _axes(camera)
    x, y, z = vertices @ right, vertices @ up, vertices @ forward
    half_x = math.tan(camera.fov_x_rad / 2)
    half_y = half_x * height / width
    spans = (half_x * camera.fill, half_y * camera.fill)
    offsets = (2 * half_x * camera.offset[0], 2 * half_y * camera.offset[1])
    # A cut object is as far away as if it were whole.
    offsets = tuple(0.0 if cut else offset for offset, cut in zip(offsets, camera.beyond, strict=True))
    distance = max(
        _tightest(x, z, spans[0], offsets[0]), _tightest(y, z, spans[1], offsets[1]), CLOSEST - z.min()
    )
    position = (
        _placed(x, z, distance, offsets[0], camera.beyond[0], half_x) * right
        + _placed(y, z, distance, offsets[1], camera.beyond[1], half_y) * up
        - distance * forward
    )
    matrix = np.eye(4)
    matrix[:3] = np.stack([right, up, -forward, position], axis=1)
    pose = CameraPose(
        camera_to_world=tuple(map(tuple, matrix.tolist())),
        fov_x_rad=camera.fov_x_rad,
        distance=float(distance),
        defocus=camera.defocus,
        focus_distance=float(distance + (1 - FOCUS) * z.min() + FOCUS * z.max()),
    )
    return pose, float(z.min() + distance), float(z.max() + distance)


def nearest_ground(pose: CameraPose, size_WH: tuple[int, int]) -> float:
    """Smallest depth at which the frame sees the plane z = 0, infinite where it does not."""
    matrix = np.array(pose.camera_to_world)
    half_x = math.tan(pose.fov_x_rad / 2)
    half_y = half_x * size_WH[1] / size_WH[0]
    corners = np.array([(x, y, -1.0) for x in (-half_x, half_x) for y in (-half_y, half_y)])
    # Depth to a plane is smallest at a corner: its inverse is linear over the frame.
    fall = -(corners @ matrix[:3, :3].T)[:, 2]
    with np.errstate(divide="ignore"):
        depths = matrix[2, 3] / fall
    seen = depths[depths > 0]
    return float(seen.min()) if len(seen) else math.inf


def seen_box(vertices: np.ndarray, pose: CameraPose, size_WH: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of a picture that can show `vertices` (N, 3) and what lies between them: left, top, right and
    bottom in pixels, the last two exclusive, with room for the pixel filter, the denoiser and the blur of a
    lens. At least one pixel, within the frame.
    """
    width, height = size_WH
    to_camera = np.linalg.inv(np.array(pose.camera_to_world))
    x, y, z = (vertices @ to_camera[:3, :3].T + to_camera[:3, 3]).T
    intrinsics = pose.intrinsics(size_WH)
    across = intrinsics[0, 2] + intrinsics[0, 0] * x / -z
    down = intrinsics[1, 2] - intrinsics[1, 1] * y / -z
    blur = 0.0
    if pose.aperture_radius > 0:
        blur = intrinsics[0, 0] * pose.aperture_radius * np.abs(1 / -z - 1 / pose.focus_distance)
    left, top = ((end - blur).min() - MARGIN_PX for end in (across, down))
    right, bottom = ((end + blur).max() + MARGIN_PX for end in (across, down))
    left, top = (int(np.clip(math.floor(end), 0, most - 1)) for end, most in ((left, width), (top, height)))
    right, bottom = (
        int(np.clip(math.ceil(end), low + 1, most))
        for end, low, most in ((right, left, width), (bottom, top, height))
    )
    return left, top, right, bottom


def _axes(camera: CameraSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right, up and forward of a camera."""
    cos_az, sin_az = math.cos(camera.azimuth_rad), math.sin(camera.azimuth_rad)
    cos_el, sin_el = math.cos(camera.elevation_rad), math.sin(camera.elevation_rad)
    forward = -np.array([cos_el * cos_az, cos_el * sin_az, sin_el])
    level = np.array([-sin_az, cos_az, 0.0])
    upright = np.cross(level, forward)
    cos_roll, sin_roll = math.cos(camera.roll_rad), math.sin(camera.roll_rad)
    return cos_roll * level - sin_roll * upright, cos_roll * upright + sin_roll * level, forward


def _tightest(x: np.ndarray, z: np.ndarray, half_span: float, offset: float) -> float:
    high = (x - (offset + half_span) * z).max()
    low = (-x - (half_span - offset) * z).max()
    return (high + low) / (2 * half_span)


def _placed(
    x: np.ndarray, z: np.ndarray, distance: float, offset: float, beyond: float, half: float
) -> float:
    """The sideways move that centres the projection on `offset`, or puts `beyond` of it past the side."""
    if beyond == 0:
        return _centred(x, z, distance, offset)
    return math.copysign(1, beyond) * _cut(x * math.copysign(1, beyond), z + distance, abs(beyond), half)


def _cut(x: np.ndarray, depth: np.ndarray, share: float, half: float) -> float:
    """The move c for which `share` of the projection of (x - c) / depth lies above `half`: the weighted mean
    of its ends falls in c and is piecewise linear, and Newton's steps end on the piece that holds the root.
    """
    move = 0.0
    for _ in range(64):
        seen = (x - move) / depth
        top, low = seen.argmax(), seen.argmin()
        excess = (1 - share) * seen[top] + share * seen[low] - half
        if abs(excess) <= 1e-12:
            break
        move += excess / ((1 - share) / depth[top] + share / depth[low])
    return float(move)


def _centred(x: np.ndarray, z: np.ndarray, distance: float, offset: float) -> float:
    """The sideways move that centres the projection on `offset` at a given distance.

    The half span s that just holds the object solves A(s) + B(s) = 2 s d, convex and falling in s: Newton's
    steps from 0 rise to the root and end after a few, because the function is piecewise linear.
    """
    half_span = 0.0
    for _ in range(64):
        top = x - (offset + half_span) * z
        bottom = -x - (half_span - offset) * z
        first, last = top.argmax(), bottom.argmax()
        excess = top[first] + bottom[last] - 2 * half_span * distance
        if excess <= 1e-12:
            break
        half_span += excess / (z[first] + z[last] + 2 * distance)
    return float(top[first] - (offset + half_span) * distance)
