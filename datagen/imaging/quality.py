"""Quality gates: a pair that is useless to train on is rejected, with the gate's name and value, and redrawn.

Each gate is a deterministic function of pixels with a limit in the recipe's `gates`. The default limits are
wide on purpose: they catch failures (an empty frame, a black or burnt object, a missing texture), not taste.
`pairbridge.datagen.dataset.redraw` applies `check_pair` to every pair of every recipe; recipes that render
call `check_render` and `check_foreground` beside it, on what only they have.
"""

import numpy as np
from pydantic import NonNegativeFloat

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.random_draws import Fraction, RangeOf
from pairbridge.datagen.shards.sample import Pair

# Below this many 2x2 blocks a standard deviation says little.
_MIN_BLOCKS = 64
# The median of |x| of a standard normal variable.
_MEDIAN_OF_NORMAL = 0.6745


class Gates(FrozenModel):
    """Limits of the quality gates; brackets hold the names under which refused pairs are counted. Fractions
    are of pixels, levels are 8 bit.
    """

    coverage: RangeOf[NonNegativeFloat] = (0.02, 0.95)
    """Least and largest fraction of the frame that a rendered object covers [too_small, too_large]. Below, it
    is a speck; above, there is no background to disagree with."""
    border: Fraction = 0.03
    """Largest fraction of the frame's border pixels that a rendered object covers [cut_by_border], where the
    composition does not cut it."""
    border_of_cuts: Fraction = 0.45
    """The same where it does (`camera.composition`): an object that fills one side covers a quarter."""
    mask: RangeOf[NonNegativeFloat] = (0.001, 0.999)
    """Least and largest fraction of the frame that a mask covers, for every pair with a mask [mask_empty,
    mask_full]."""
    magenta: Fraction = 0.02
    """Largest fraction of an object that is pure magenta, which Blender paints where a texture is missing
    [missing_texture]."""
    black: Fraction = 0.85
    """Largest fraction of foreground pixels whose every channel is at most 4 [black]."""
    blown: Fraction = 0.6
    """Largest fraction of foreground pixels whose every channel is at least 250 [blown]; one channel alone
    there is colour."""
    black_frame: Fraction = 0.98
    """Largest fraction of black pixels in a whole frame, source and target [black_frame]; an object before a
    dark studio is no failure."""
    blown_frame: Fraction = 0.9
    """Largest fraction of blown pixels in a whole frame, source and target [blown_frame]."""
    level: RangeOf[NonNegativeFloat] = (6.0, 248.0)
    """Least and largest mean level of a foreground [black, blown]."""
    contrast: NonNegativeFloat = 1.5
    """Least standard deviation of foreground luminance [no_shading]; below it a silhouette is filled with one
    value."""
    noise: NonNegativeFloat = 15.0
    """Largest standard deviation of pixel noise in the target, under its mask where it has one [noisy]. It is
    the median of the diagonal differences of 2x2 blocks, blind to edges and shading; bundled photographs have
    0.5 to 3.5, at any size."""
    difference: NonNegativeFloat = 0.5
    """Least mean absolute difference of source and target, under the mask where there is one [too_alike]."""


def check_pair(pair: Pair, gates: Gates) -> None:
    """Raise Rejected unless a pair is worth keeping; fields that its recipe does not make are not judged.

    Looks at `source.png`, `target.png` (uint8 (H, W, 3)) and `mask.png` (uint8 (H, W)).
    """
    mask = pair.get("mask.png")
    if mask is not None:
        _check_mask(mask, gates)
    images = {role: pair[f"{role}.png"] for role in ("source", "target") if f"{role}.png" in pair}
    for role, image in images.items():
        black, blown = _black(image), _blown(image)
        if black > gates.black_frame:
            raise Rejected(
                f"{black:.3f} of the {role} is black", remedy="raise `view.exposure`", gate="black_frame"
            )
        if blown > gates.blown_frame:
            raise Rejected(
                f"{blown:.3f} of the {role} is blown", remedy="lower `view.exposure`", gate="blown_frame"
            )
    if "target" in images:
        _check_noise(images["target"], mask, gates)
    if len(images) == 2:
        _check_difference(images["source"], images["target"], mask, gates)


def check_render(rgba: np.ndarray, albedo: np.ndarray, gates: Gates, *, cut: bool = False) -> None:
    """Raise Rejected unless a rendered foreground is finite, well framed and fully textured.

    `rgba` (H, W, 4) float32 premultiplied linear, `albedo` (H, W, 3) float32; `cut` says that the frame is to
    cut the object.
    """
    check_finite(rgba)
    check_framing(rgba[..., 3], gates, cut=cut)
    check_textures(rgba[..., 3], albedo, gates)


def check_finite(rgba: np.ndarray) -> None:
    """Raise Rejected (gate `not_finite`) if a render holds infinities or NaN."""
    if not np.isfinite(rgba).all():
        raise Rejected(
            "the render holds infinities or NaN",
            remedy="a material or lighting divides by zero",
            gate="not_finite",
        )


def check_framing(alpha: np.ndarray, gates: Gates, *, cut: bool = False) -> None:
    """Raise Rejected for an object of alpha (H, W) in [0, 1] that is too small, too large or cut off, by more
    than is meant where the composition is to `cut` it.
    """
    coverage = float(np.clip(alpha, 0, 1).mean())
    low, high = gates.coverage
    if not low <= coverage <= high:
        raise Rejected(
            f"the object covers {coverage:.4f} of the frame, outside {low} to {high}",
            remedy="check the object's size and origin, or the recipe's `fill`",
            gate="too_small" if coverage < low else "too_large",
        )
    border = np.concatenate([alpha[0], alpha[-1], alpha[1:-1, 0], alpha[1:-1, -1]])
    covered, limit = float((border > 0.5).mean()), gates.border_of_cuts if cut else gates.border
    if covered > limit:
        raise Rejected(
            f"the object covers {covered:.3f} of the frame's border, above {limit}",
            remedy="lower the recipe's `fill` or `offset`, or `camera.cut` and the weight of `cut`",
            gate="cut_by_border",
        )


def check_textures(alpha: np.ndarray, albedo: np.ndarray, gates: Gates) -> None:
    """Raise Rejected (gate `missing_texture`) if too much of an object is Blender's magenta."""
    solid = alpha > 0.99
    magenta = (albedo[..., 0] > 0.95) & (albedo[..., 1] < 0.02) & (albedo[..., 2] > 0.95)
    share = float((magenta & solid).sum() / max(int(solid.sum()), 1))
    if share > gates.magenta:
        raise Rejected(
            f"{share:.3f} of the object is pure magenta: a texture is missing",
            remedy="put the textures where the object's file expects them",
            gate="missing_texture",
        )


def check_foreground(image: np.ndarray, mask: np.ndarray, role: str, gates: Gates) -> None:
    """Raise Rejected if the foreground of an 8-bit image is black, blown or without shading.

    `image` uint8 (H, W, 3), `mask` uint8 (H, W), `role` names the image in the reason ("source", "target").
    """
    foreground = image[mask > 127]
    if foreground.size == 0:
        raise Rejected(
            f"the {role}'s mask is empty", remedy="check the object or the matting", gate="mask_empty"
        )
    black, blown = _black(foreground), _blown(foreground)
    level = float(foreground.mean())
    contrast = float(foreground.mean(axis=1).std())
    if black > gates.black or level < gates.level[0]:
        raise Rejected(
            f"the {role}'s foreground is black: {black:.3f} of it, mean level {level:.1f}",
            remedy="raise `view.exposure`, or the recipe's lowest `strength`",
            gate="black",
        )
    if blown > gates.blown or level > gates.level[1]:
        raise Rejected(
            f"the {role}'s foreground is blown: {blown:.3f} of it, mean level {level:.1f}",
            remedy="lower `view.exposure`, or the recipe's highest `strength`",
            gate="blown",
        )
    if contrast < gates.contrast:
        raise Rejected(
            f"the {role}'s foreground has no shading: standard deviation {contrast:.2f} of 255",
            remedy="check the object's materials (pure emission has no shading)",
            gate="no_shading",
        )


def check_effect(effect: np.ndarray, smallest: float) -> None:
    """Raise Rejected (gate `no_effect`) where less than the share `smallest` of the frame changes.

    `effect` is bool (H, W).
    """
    share = float(effect.mean())
    if share < smallest:
        raise Rejected(
            f"only {share:.4f} of the frame changes between source and target, below {smallest}",
            remedy="lower `fill`, so that more of the surroundings is seen, or raise the recipe's light",
            gate="no_effect",
        )


def check_mix(target: np.ndarray, others: list[np.ndarray], mask: np.ndarray, smallest: float) -> None:
    """Raise Rejected (gate `bland`) where a target looks like one of `others` under its mask: nothing would
    be learnt of the light that tells them apart.

    Images uint8 (H, W, 3), `mask` uint8 (H, W); `smallest` is the least mean absolute difference in levels.
    """
    shown = mask > 127
    change = [float(np.abs(target[shown].astype(np.int16) - other[shown]).mean()) for other in others]
    if min(change) < smallest:
        raise Rejected(
            f"the object differs by {min(change):.2f} levels between mixes of its lamps, below {smallest}",
            remedy="raise `intensity`, or lower `smallest_difference`",
            gate="bland",
        )


def check_removable(visible: np.ndarray, amodal: np.ndarray, *, smallest: float, most_hidden: float) -> None:
    """Raise Rejected (gates `too_small`, `too_hidden`) unless an object is seen in enough of the frame, and
    enough of it.

    Both are coverages (H, W) in [0, 1]; `smallest` is a share of the frame, `most_hidden` one of the object.
    """
    seen, whole = float(visible.mean()), float(amodal.mean())
    if seen < smallest:
        raise Rejected(
            f"the removed object is seen in {seen:.4f} of the frame, below {smallest}",
            remedy="raise `radius` or `fill`, or lower `smallest_visible`",
            gate="too_small",
        )
    if seen < (1 - most_hidden) * whole:
        raise Rejected(
            f"others hide {1 - seen / whole:.2f} of the removed object, above {most_hidden}",
            remedy="raise `elevation_deg` or `gap`, or raise `most_hidden`",
            gate="too_hidden",
        )


def noise_level(image: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Standard deviation of pixel-to-pixel noise in 8-bit levels, by the median over 2x2 blocks.

    The diagonal difference (a - b - c + d) / 2 of a block is free of shading and of straight edges, and for
    white noise has its standard deviation (Donoho and Johnstone's estimator with one Haar level). `image`
    uint8 (H, W, 3); only blocks wholly in `mask` > 127 count. 0 where there are too few of them.
    """
    even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2].astype(np.int32).sum(axis=2)
    diagonal = even[::2, ::2] - even[::2, 1::2] - even[1::2, ::2] + even[1::2, 1::2]
    if mask is not None:
        solid = mask[: even.shape[0], : even.shape[1]] > 127
        diagonal = diagonal[solid[::2, ::2] & solid[::2, 1::2] & solid[1::2, ::2] & solid[1::2, 1::2]]
    if diagonal.size < _MIN_BLOCKS:
        return 0.0
    # The sum of three channels: for grey noise three times its level, for coloured noise the root of three.
    return float(np.median(np.abs(diagonal))) / 2 / 3 / _MEDIAN_OF_NORMAL


def _check_mask(mask: np.ndarray, gates: Gates) -> None:
    share = float((mask > 127).mean())
    low, high = gates.mask
    if not low <= share <= high:
        raise Rejected(
            f"the mask covers {share:.4f} of the frame, outside {low} to {high}",
            remedy="check the object, the matting, or the recipe's mask settings",
            gate="mask_empty" if share < low else "mask_full",
        )


def _check_noise(target: np.ndarray, mask: np.ndarray | None, gates: Gates) -> None:
    noise = noise_level(target, mask)
    if noise > gates.noise:
        raise Rejected(
            f"the target's pixels are noise of {noise:.1f} levels, above {gates.noise}",
            remedy="raise `render.samples`, or the recipe's `gates.noise`",
            gate="noisy",
        )


def _check_difference(source: np.ndarray, target: np.ndarray, mask: np.ndarray | None, gates: Gates) -> None:
    change = np.abs(source.astype(np.int16) - target)
    if mask is not None and (mask > 127).any():
        change = change[mask > 127]
    difference = float(change.mean())
    if difference < gates.difference:
        raise Rejected(
            f"source and target differ by {difference:.2f} levels on average, below {gates.difference}",
            remedy="widen what the recipe varies, or lower its `gates.difference`",
            gate="too_alike",
        )


def _black(pixels: np.ndarray) -> float:
    return float((pixels.max(axis=-1) <= 4).mean())


def _blown(pixels: np.ndarray) -> float:
    return float((pixels.min(axis=-1) >= 250).mean())
