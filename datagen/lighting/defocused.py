"""What a camera sees of a lighting behind its scene, as blurred as its lens leaves what is infinitely far."""

import math

import cv2
import numpy as np

from pairbridge.datagen.lighting.equirect import Environment, background
from pairbridge.datagen.scene.specs import CameraPose

# Points along a side of a pixel at which the edge of a disc is sampled.
_FINE = 8
# A disc smaller than this is within its pixel.
_SEEN_PX = 0.5


def defocused_background(
    environment: Environment, pose: CameraPose, size_WH: tuple[int, int], rotation_rad: float
) -> np.ndarray:
    """`equirect.background` for a pose, convolved in linear light with the disc of its defocus: (H, W, 3)
    float32. So it agrees with what Cycles' thin lens makes of things that far away.
    """
    camera_to_world = np.array(pose.camera_to_world)
    width, height = size_WH
    diameter_px = pose.defocus * width
    reach = math.ceil(diameter_px / 2)
    if diameter_px < _SEEN_PX:
        return background(environment, camera_to_world, pose.fov_x_rad, size_WH, rotation_rad)
    # What lies beyond the frame is blurred into it.
    wide_WH = (width + 2 * reach, height + 2 * reach)
    fov_x_rad = 2 * math.atan(math.tan(pose.fov_x_rad / 2) * wide_WH[0] / width)
    seen = background(environment, camera_to_world, fov_x_rad, wide_WH, rotation_rad)
    # In double precision: OpenCV convolves by transforms, and a sun is 1e5 times what is beside it.
    blurred = cv2.filter2D(seen.astype(np.float64), -1, disc(diameter_px), borderType=cv2.BORDER_REFLECT)
    return np.maximum(blurred[reach:-reach, reach:-reach], 0).astype(np.float32)


def defocused_ground(picture: np.ndarray, depth: np.ndarray, pose: CameraPose) -> np.ndarray:
    """A sharp picture (H, W, 3) of a ground of planar `depth` (H, W), 0 where it is infinitely far, with the
    defocus of `pose`: each pixel from the two nearest of a few discs. A plane hides nothing of itself, so no
    depth is lost between them; beyond the frame the picture is its mirror image.
    """
    widest_px = pose.defocus * picture.shape[1]
    if widest_px < _SEEN_PX:
        return picture
    away = np.where(depth > 0, np.abs(depth - pose.focus_distance) / np.where(depth > 0, depth, 1), 1)
    # Nearer than half of what is sharp, the ground would be softer than what is infinitely far.
    diameters_px = widest_px * np.minimum(away, 1.5)
    discs_px = [0.0, *np.geomspace(1, max(1.5 * widest_px, 1.01), 6)]
    exact = picture.astype(np.float64)
    result = np.zeros_like(exact)
    for number, disc_px in enumerate(discs_px):
        # A tent of shares over the discs: 1 at its own diameter, 0 at its neighbours'.
        tent = np.interp(diameters_px, discs_px, np.eye(len(discs_px))[number])[..., None]
        if tent.any():
            blurred = (
                cv2.filter2D(exact, -1, disc(disc_px), borderType=cv2.BORDER_REFLECT) if disc_px else exact
            )
            result += tent * blurred
    return np.maximum(result, 0).astype(np.float32)


def disc(diameter_px: float) -> np.ndarray:
    """A disc of this diameter around the middle of a square of odd side, float64, of the sum 1; its edge is
    averaged over each pixel.
    """
    side = 2 * math.ceil(diameter_px / 2) + 1
    at = (np.arange(side * _FINE) + 0.5) / _FINE - side / 2
    inside = np.hypot(at[:, None], at[None, :]) <= diameter_px / 2
    kernel = inside.reshape(side, _FINE, side, _FINE).mean(axis=(1, 3))
    return kernel / kernel.sum()
