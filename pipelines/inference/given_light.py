"""An environment map of the user's as the light that a model was trained with."""

import math
from pathlib import Path

import numpy as np

from pairbridge.datagen.lighting.environment_maps import lighting_map, stored_light
from pairbridge.datagen.lighting.equirect import load_environment
from pairbridge.datagen.lighting.exposure import LIGHT_LIMIT, PICTURE_LEVEL, normalising_factor
from pairbridge.training.data.targets import light_planes, resized_whole

SUFFIXES = (".hdr", ".exr")
# The axes of a level camera in the world of an equirectangular image, in whose middle +x lies: the picture's
# right is -y, its top +z, and what it looks away from is -x.
_LEVEL_CAMERA = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def read_light(path: Path, turn_deg: float = 0.0) -> np.ndarray:
    """float16 (32, 64, 3): linear radiance by direction in camera coordinates, exposed as a dataset's
    `light_target` is by default, of an equirectangular .hdr or .exr file of any size.

    The camera is level and looks at the middle of the image. turn_deg: turns the surroundings about the
    vertical, clockwise seen from above: at 90, what the camera looked at comes from the right. Raises
    AssetError for a file that is damaged, black or not equirectangular.
    """
    environment = load_environment(path)
    factor = normalising_factor(environment, picture=PICTURE_LEVEL, limit=LIGHT_LIMIT)
    return stored_light(factor * lighting_map(environment, math.radians(turn_deg), _LEVEL_CAMERA))


def seen_light(light: np.ndarray, size_WH: tuple[int, int] | None) -> np.ndarray:
    """Light (H, W, 3) as `TranslationModel` takes it: float32 (h, w, 6), of that size or its own."""
    return light_planes(light if size_WH is None else resized_whole(light, size_WH))
