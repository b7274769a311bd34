"""Where a photograph's subject probably is, from three classical cues and no learned weights.

- place: subjects stand near the middle, a little below it;
- border contrast: backgrounds look like the frame's sides (after the Mahalanobis border cue of Zhang et al.,
  "Minimum Barrier Salient Object Detection at 80 FPS", ICCV 2015);
- detail: the subject is in focus.

What joins the frame's top and sides without crossing an edge (a sky, a wall) is background for certain
(geodesic distance to the border, after Wei et al., "Geodesic Saliency Using Background Priors", ECCV 2012).
The bottom side is left out there: people and tables are cut by it.
"""

import cv2
import numpy as np

from pairbridge.datagen.imaging.colour import rgb_to_lab

# Spread of the place cue, in shares of width and height, and its middle.
_PLACE_X, _PLACE_Y, _SPREAD_X, _SPREAD_Y = 0.5, 0.55, 0.30, 0.36
# Weights of the cues, chosen by eye on the photographs that scikit-image bundles.
_ALWAYS, _CONTRAST, _DETAIL = 0.1, 0.4, 0.5
# Thickness of the border that stands for the background, as a share of the shorter side.
_BORDER = 0.04
# Variance added to the border's colours (CIELAB units squared): a flat wall must not make noise infinite.
_COLOUR_FLOOR = 9.0
# CIELAB units per pixel that still count as a smooth passage, such as a sky's gradient.
_SMOOTH = 0.8
# Share of the largest geodesic distances below which a pixel belongs to the border's background.
_JOINED = 0.06
# Where even the largest distance (CIELAB units) is below this there is no subject, and none is scaled up.
_LEAST_RELIEF = 30.0
# The same for detail (mean lightness difference to the neighbourhood): photographs in focus have 3 to 5.
_LEAST_DETAIL = 1.0
# Detail above this is never a calm background, even where it touches the border: fur, foliage.
_CALM_DETAIL = 0.4


def foreground_prior(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(prior, background) of a uint8 sRGB image (H, W, 3): float32 (H, W) in 0..1, and bool (H, W).

    `prior` ranks pixels by how likely they show the subject; `background` marks those that surely do not.
    """
    lab = rgb_to_lab(image)
    detail = _detail(lab[..., 0])
    background = (_distance_to_border(lab) < _JOINED) & (detail < _CALM_DETAIL)
    cues = _ALWAYS + _CONTRAST * _border_contrast(lab) + _DETAIL * detail
    prior = cv2.GaussianBlur(_place(*image.shape[:2]) * cues, (0, 0), 3)
    prior = np.where(background, 0.2 * prior, prior).astype(np.float32)
    return prior / prior.max(), background


def _place(height: int, width: int) -> np.ndarray:
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width - _PLACE_X) / _SPREAD_X
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height - _PLACE_Y) / _SPREAD_Y
    return np.exp(-0.5 * (x[None, :] ** 2 + y[:, None] ** 2))


def _border_contrast(lab: np.ndarray) -> np.ndarray:
    smooth = cv2.GaussianBlur(lab, (0, 0), 2)
    thick = max(2, round(_BORDER * min(lab.shape[:2])))
    sides = (smooth[:thick], smooth[:, :thick], smooth[:, -thick:], smooth[-thick:])
    maps = []
    for side in sides:
        colours = side.reshape(-1, 3).astype(np.float64)
        inverse = np.linalg.inv(np.cov(colours.T) + _COLOUR_FLOOR * np.eye(3))
        away = smooth - colours.mean(0)
        distance = np.sqrt(np.einsum("hwi,ij,hwj->hw", away, inverse, away))
        maps.append(distance / max(np.percentile(distance, 99), 1e-6))
    # The largest of the four is dropped: a side that the subject covers is far from the true background.
    return np.clip(np.sort(maps, axis=0)[:3].mean(0), 0, 1).astype(np.float32)


def _detail(lightness: np.ndarray) -> np.ndarray:
    fine = np.abs(lightness - cv2.GaussianBlur(lightness, (0, 0), 1.5))
    # Capped, so that one hard edge does not outweigh an area of texture.
    spread = cv2.GaussianBlur(np.minimum(fine, 6), (0, 0), 0.025 * max(lightness.shape))
    return np.clip(spread / max(np.percentile(spread, 97), _LEAST_DETAIL), 0, 1)


def _distance_to_border(lab: np.ndarray) -> np.ndarray:
    # Of an extra, which GrabCut asked for: a plan knows that model by its settings alone.
    from skimage.graph import MCP_Geometric

    smooth = cv2.GaussianBlur(lab, (0, 0), 1)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    slope = np.sqrt((across**2 + down**2).sum(axis=2))
    height, width = slope.shape
    starts = [(0, x) for x in range(width)]
    starts += [(y, x) for y in range(height) for x in (0, width - 1)]
    # The constant makes the shortest of several smooth paths win, and keeps costs positive.
    distance, _ = MCP_Geometric(np.maximum(slope - _SMOOTH, 0).astype(np.float64) + 0.01).find_costs(starts)
    return np.clip(distance / max(np.percentile(distance, 95), _LEAST_RELIEF), 0, 1)
