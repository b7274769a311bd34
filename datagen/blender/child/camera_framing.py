"""Where a camera must stand so that an object fills its frame: closed forms on the vertices, free of bpy.

For a camera at depth -d that is moved by c to the side, a vertex (x, z) projects to u = (x - c) / (z + d).
The bounds -t + o <= u <= t + o, linear in c and d, give the smallest distance

    d = (A + B) / 2t,  c = A - (o + t) d,  with A = max(x - (o + t) z), B = max(-x - (t - o) z).

Both axes are solved, the larger distance is taken, and the looser axis is centred at that distance.
"""

import math

import numpy as np

from pairbridge.datagen.scene.specs import CameraPose, CameraSpec

# A camera never stands closer than this to the nearest vertex, in radii of the object.
CLOSEST = 0.05


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
    distance = max(
        _tightest(x, z, spans[0], offsets[0]), _tightest(y, z, spans[1], offsets[1]), CLOSEST - z.min()
    )
    position = (
        _centred(x, z, distance, offsets[0]) * right
        + _centred(y, z, distance, offsets[1]) * up
        - distance * forward
    )
    matrix = np.eye(4)
    matrix[:3] = np.stack([right, up, -forward, position], axis=1)
    pose = CameraPose(
        camera_to_world=tuple(map(tuple, matrix.tolist())),
        fov_x_rad=camera.fov_x_rad,
        distance=float(distance),
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


def _axes(camera: CameraSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right, up and forward of a camera without roll."""
    cos_az, sin_az = math.cos(camera.azimuth_rad), math.sin(camera.azimuth_rad)
    cos_el, sin_el = math.cos(camera.elevation_rad), math.sin(camera.elevation_rad)
    forward = -np.array([cos_el * cos_az, cos_el * sin_az, sin_el])
    right = np.array([-sin_az, cos_az, 0.0])
    return right, np.cross(right, forward), forward


def _tightest(x: np.ndarray, z: np.ndarray, half_span: float, offset: float) -> float:
    high = (x - (offset + half_span) * z).max()
    low = (-x - (half_span - offset) * z).max()
    return (high + low) / (2 * half_span)


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
