"""What a photograph's foreground is relit for: another photograph of its split, or a view into a lighting."""

import math
from typing import Any, Literal

import numpy as np

from pairbridge.datagen.assets.catalogue import LIGHTING_KINDS, Catalogue, LightingKind
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.random_draws import Range, weighted
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.lighting.equirect import background
from pairbridge.datagen.lighting.exposure import normalising_factor
from pairbridge.datagen.models.matting import MattingConfig
from pairbridge.datagen.models.relighting.inpainting import without_foreground
from pairbridge.datagen.recipes.photo_crops import crop_box, plan_crop, take_crop
from pairbridge.datagen.recipes.workbench import Workbench

BackgroundKind = Literal["photo"] | LightingKind
# Whether the other photograph's own foreground stays, or its place is filled with smooth colours.
OtherForeground = Literal["as_is", "inpainted"]

BACKGROUND_KINDS: tuple[BackgroundKind, ...] = ("photo", *LIGHTING_KINDS)

# How a lighting is looked at when it serves as background: about level, with a usual lens.
_ELEVATION_DEG, _FOV_DEG = (-15.0, 15.0), (40.0, 75.0)
# Exposure of a lighting's view; see `pairbridge.datagen.lighting.exposure.normalising_factor`.
_PICTURE_LEVEL, _LIGHT_LIMIT = 0.4, 1.0


def plan_background(
    draw: np.random.Generator,
    catalogue: Catalogue,
    split: Split,
    photo: str,
    kinds: dict[BackgroundKind, float],
    crop: Range,
) -> dict[str, Any]:
    """One background for `photo`, JSON-able: its kind by weight, then which, and how it is seen."""
    picked = weighted(draw, kinds)
    if picked == "photo":
        others = [asset.id for asset in catalogue.of("photo", split) if asset.id != photo]
        return {"kind": "photo", "id": others[draw.integers(len(others))], "crop": plan_crop(draw, crop)}
    lightings = catalogue.lightings(picked, split)
    return {
        "kind": picked,
        "id": lightings[draw.integers(len(lightings))].id,
        "azimuth_rad": float(draw.uniform(0, math.tau)),
        "elevation_rad": math.radians(draw.uniform(*_ELEVATION_DEG)),
        "fov_x_rad": math.radians(draw.uniform(*_FOV_DEG)),
    }


def show_background(
    planned: dict[str, Any],
    size_WH: tuple[int, int],
    treatment: OtherForeground,
    matting: MattingConfig,
    workbench: Workbench,
) -> tuple[np.ndarray, str]:
    """The planned background as uint8 (H, W, 3), and what became of its own foreground.

    The second is `as_is`, `inpainted`, or `none` where there is nothing to take out. Raises AssetError for a
    broken file.
    """
    if planned["kind"] == "photo":
        other, foreground = _other_photo(planned["id"], treatment, matting, workbench)
        # Enlarged as far as it must be: a relighter takes light from a background, not detail.
        box = crop_box(planned["crop"], other.shape[1::-1], size_WH)
        return take_crop(other, box, size_WH, flip=False), foreground
    environment = workbench.environment(planned["id"])
    factor = normalising_factor(environment, picture=_PICTURE_LEVEL, limit=_LIGHT_LIMIT)
    seen = background(
        environment,
        _level_camera(planned["elevation_rad"]),
        planned["fov_x_rad"],
        size_WH,
        planned["azimuth_rad"],
    )
    return workbench.view.apply(seen * np.float32(factor)), "none"


def _other_photo(
    asset_id: str, treatment: OtherForeground, matting: MattingConfig, workbench: Workbench
) -> tuple[np.ndarray, str]:
    other = workbench.photo(asset_id)
    if treatment == "as_is":
        return other, "as_is"
    try:
        alpha = workbench.cutouts.alpha(asset_id, matting)
    except Rejected:
        # A view without a subject is no failure here.
        return other, "none"
    return without_foreground(other, alpha), "inpainted"


def _level_camera(elevation_rad: float) -> np.ndarray:
    """camera_to_world of a camera that looks along +Y, raised by `elevation_rad`, upright."""
    turn = math.pi / 2 + elevation_rad
    matrix = np.eye(4)
    matrix[1:3, 1:3] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    return matrix
