"""How people hold cameras: lens, composition, roll, side and focus, drawn as a CameraSpec's parameters.

Focal lengths are 35-mm equivalents, so they state the angle of the frame's diagonal, whatever its aspect:
tan(fov_x / 2) = (D / 2 f) W / sqrt(W² + H²), with D = 43.3 mm. Defocus is the circle of confusion of a point
at infinity as a fraction of the frame's width: a lens with an aperture of the diameter A, focused at the
distance d, has A / (2 d tan(fov_x / 2)). That of a point at the depth z is the same times |z - d| / z.

How far away a camera is follows from what fills its frame: an object of the bounding radius r that takes the
share f of the tighter side is r / (f tan(fov / 2)) away. What is farther than a hand reaches is looked at
from where eyes are, so the elevation of what stands follows from its size and the lens: chairs are seen from
above with a wide lens, from the side with a long one.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import Field, PositiveFloat

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.random_draws import Fraction, Range, RangeOf, Weights, log_uniform, weighted

Composition = Literal["centred", "thirds", "cut"]
COMPOSITIONS: tuple[Composition, ...] = get_args(Composition)

# Of the 36 x 24 mm frame that focal lengths are equivalent to.
_DIAGONAL_MM = math.hypot(36, 24)
# Zooms and crops: focal lengths spread by this factor around their names.
_ZOOM = 1.06
# Distance of the lines of thirds from the middle, and how well people hit them, as fractions of a side.
_THIRD, _AIM = 1 / 6, 0.03
# What a composition off the middle leaves free between the object and the frame's border.
_MARGIN = 0.02
# Sides that a frame cuts, (right, up): people and tall things are cut below, seldom above.
_CUTS: dict[tuple[int, int], float] = {(-1, 0): 0.3, (1, 0): 0.3, (0, -1): 0.3, (0, 1): 0.1}
# A texel that is enlarged bilinearly is a tent, whose spread is 1 / sqrt(6) of the texel; a disc's is a
# quarter of its diameter. This many texels of blur hide that there are texels.
_DISC_PER_TEXEL = 4 / math.sqrt(6)
# Heights above the floor, in metres, that eyes are at, and that a camera is lowered to by who sits or kneels.
_EYES_M: Range = (1.4, 1.65)
_LOWERED_M: Range = (0.5, 1.2)
_LOWERED = 0.6
# Heights that are drawn until one suits the recipe.
_TRIES = 8
# Most of what is smaller than the first stands on a table, of the usual height.
_TABLE_TOPS_M, _ON_A_TABLE, _TABLE_M = 0.6, 0.7, 0.74
# Of a bounding sphere in lengths of the longest side: a long box and a cube, and what is between.
_RADIUS = 0.6
# What is nearer is photographed at arm's length, from any angle.
_REACH_M = 0.7

Defocus = Annotated[float, Field(gt=0, le=0.2)]


class CameraDraws(FrozenModel):
    """How the camera is held; beside it the recipe's `elevation_deg`, `fill` and `offset`."""

    focal_mm: Annotated[dict[PositiveFloat, PositiveFloat], Field(min_length=1)] = Field(
        default_factory=lambda: {26.0: 0.4, 35.0: 0.2, 50.0: 0.25, 85.0: 0.15}
    )
    """Focal lengths as 35-mm equivalents in mm, and the relative weight of each; drawn within 6 % of them.
    Most photographs are taken with a phone's main camera (24 to 28 mm), portraits and products with 50 to 85.
    A recipe's `fov_deg` takes its place."""
    composition: Weights[Composition] = Field(
        default_factory=lambda: {"centred": 0.35, "thirds": 0.5, "cut": 0.15}
    )
    """Relative weights of compositions: in the middle give or take `offset`; on a line of thirds, no larger
    than the frame holds there; or cut by one side of the frame, as `cut` says."""
    cut: RangeOf[Annotated[float, Field(gt=0, le=0.45)]] = (0.08, 0.3)
    """Share of the objects' width or height that lies beyond the frame where the composition cuts them."""
    front_share: Fraction = 0.65
    """Fraction of scenes that show the front of their first object whose catalogue entry states a `front`; in
    the rest every side is as likely. A scene of an object without a front is one of the rest."""
    front_spread_deg: float = Field(40.0, ge=0, le=180)
    """Standard deviation of the angle between that front and the camera, in degrees: three quarters views."""
    held_share: Fraction = 0.7
    """Fraction of scenes with a ground and real sizes whose camera is held as high as people hold it: farther
    away than an arm at the height of eyes, or lower by who sits or kneels, within the recipe's range of
    elevations. The rest draw that range uniformly, and so does what is smaller or on no ground."""
    roll_deg: float = Field(1.2, ge=0, le=15)
    """Standard deviation of the camera's roll in degrees: hands hold a horizon within one or two."""
    defocus: RangeOf[Defocus] | None = (0.003, 0.04)
    """Depth of field: diameter of the circle of confusion at infinity as a fraction of the frame's width,
    log-uniform, from a phone at arm's length (0.003) to a portrait lens (0.04 and more). Never below what
    explains a background whose environment map has fewer texels than the picture has pixels. Null: a
    pinhole, everything sharp and such backgrounds soft."""


def draw_viewpoint(
    draw: np.random.Generator, config: CameraDraws, *, fill: float, size_WH: tuple[int, int]
) -> dict[str, Any]:
    """The parameters of a CameraSpec that `config` has to say, for objects that take `fill` of the frame:
    {"fov_x_rad", "roll_rad", "defocus"} and, unless they are in the middle, {"fill", "offset", "beyond"}.
    """
    # Apart, so that one key's draws move no other's.
    of_lens, of_roll, of_focus, of_composition = draw.spawn(4)
    focal_mm = weighted(of_lens, dict(sorted(config.focal_mm.items()))) * log_uniform(
        of_lens, (1 / _ZOOM, _ZOOM)
    )
    return {
        "fov_x_rad": field_of_view(focal_mm, size_WH),
        "roll_rad": math.radians(config.roll_deg * of_roll.standard_normal()),
        "defocus": log_uniform(of_focus, config.defocus) if config.defocus else 0.0,
        **_composed(of_composition, config, fill),
    }


def held_elevation(
    draw: np.random.Generator,
    *,
    size_m: float,
    fill: float,
    fov_x_rad: float,
    size_WH: tuple[int, int],
    within_rad: Range,
) -> float | None:
    """Elevation, in radians, of a camera that somebody holds before things of `size_m` on a floor or a table;
    None where they are so near that the hand may be anywhere, or where no height is `within_rad`.
    """
    tighter = math.tan(fov_x_rad / 2) * min(1.0, size_WH[1] / size_WH[0])
    distance_m = _RADIUS * size_m / (fill * tighter)
    if distance_m < _REACH_M:
        return None
    for lowered, on_table, place in draw.random((_TRIES, 3)).tolist():
        low, high = _LOWERED_M if lowered < _LOWERED else _EYES_M
        support_m = _TABLE_M if size_m < _TABLE_TOPS_M and on_table < _ON_A_TABLE else 0.0
        above_m = low + (high - low) * place - support_m - size_m / 2
        if math.sin(within_rad[0]) <= above_m / distance_m <= math.sin(within_rad[1]):
            return math.asin(above_m / distance_m)
    return None


def field_of_view(focal_mm: float, size_WH: tuple[int, int]) -> float:
    """Horizontal field of view, in radians, of a 35-mm equivalent focal length in a frame of this aspect."""
    return 2 * math.atan(_DIAGONAL_MM / 2 / focal_mm * size_WH[0] / math.hypot(*size_WH))


def least_defocus(map_width: int, fov_x_rad: float, width: int) -> float:
    """The least defocus that explains how soft an environment map, `map_width` texels around, is behind a
    picture `width` pixels wide; 0 where each pixel has a texel of its own.
    """
    texels_across = map_width * fov_x_rad / math.tau
    return _DISC_PER_TEXEL / texels_across if texels_across < width else 0.0


def _composed(draw: np.random.Generator, config: CameraDraws, fill: float) -> dict[str, Any]:
    composition = weighted(draw, _in_order(config.composition))
    if composition == "centred":
        return {}
    if composition == "cut":
        right, up = weighted(draw, _CUTS)
        share = draw.uniform(*config.cut)
        aside = float(draw.uniform(-0.1, 0.1))
        offset = [0.0 if right else aside, 0.0 if up else aside]
        # What is cut is near, but whole along the side that cuts it.
        return {
            "fill": min(fill * float(draw.uniform(1.0, 1.3)), _room(offset)),
            "offset": offset,
            "beyond": [right * float(share), up * float(share)],
        }
    # One of the four crossings, or the middle of one of the two upright lines.
    offset = [
        float(side * _THIRD + _AIM * min(max(draw.standard_normal(), -2), 2))
        for side in (draw.choice((-1, 1)), draw.choice((-1, 0, 1), p=(0.4, 0.4, 0.2)))
    ]
    return {"fill": min(fill * float(draw.uniform(0.6, 1.0)), _room(offset)), "offset": offset}


def _room(offset: list[float]) -> float:
    """The largest `fill` of what is whole at this offset."""
    return 1 - 2 * max(map(abs, offset)) - 2 * _MARGIN


def _in_order(weights: Mapping[Composition, float]) -> dict[Composition, float]:
    return {name: weights[name] for name in COMPOSITIONS if weights.get(name, 0) > 0}
