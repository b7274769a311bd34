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


def disc(diameter_px: float) -> np.ndarray:
    """A disc of this diameter around the middle of a square of odd side, float64, of the sum 1; its edge is
    averaged over each pixel.
    """
    side = 2 * math.ceil(diameter_px / 2) + 1
    at = (np.arange(side * _FINE) + 0.5) / _FINE - side / 2
    inside = np.hypot(at[:, None], at[None, :]) <= diameter_px / 2
    kernel = inside.reshape(side, _FINE, side, _FINE).mean(axis=(1, 3))
    return kernel / kernel.sum()
