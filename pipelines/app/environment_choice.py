"""Environment maps to choose from in the page: those that come with Blender, or a file."""

import math
from pathlib import Path

import numpy as np

from pairbridge.datagen.imaging.view import ViewTransform
from pairbridge.datagen.lighting.equirect import lighting_copy, load_environment
from pairbridge.datagen.lighting.exposure import LIGHT_LIMIT, PICTURE_LEVEL, normalising_factor
from pairbridge.datagen.sourcing.sources import embedded_assets

_PREVIEW_WIDTH = 512


def embedded_maps() -> dict[str, Path]:
    """The files of the embedded environment maps, by name; none where bpy is not installed."""
    return {asset.id: asset.path for asset in embedded_assets(()) if asset.kind == "hdri"}


def map_preview(path: Path, turn_deg: float) -> np.ndarray:
    """uint8 (256, 512, 3): the map as the model is given it, exposed and turned as `given_light.read_light`
    does. The camera looks at its middle. Raises AssetError for what is no environment map.
    """
    environment = load_environment(path)
    factor = np.float32(normalising_factor(environment, picture=PICTURE_LEVEL, limit=LIGHT_LIMIT))
    turned = lighting_copy(environment, _PREVIEW_WIDTH, math.radians(turn_deg))
    return ViewTransform().apply(factor * turned)
