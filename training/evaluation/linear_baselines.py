"""Predictors that are fitted by least squares and see what the model sees: its conditions, light among them.

A model that does not beat them has learned no more than colours, places and averages. Penalties are chosen
on the validation side. Conditions are those of pairs (`pairbridge.training.data.pairs`), as the network has
them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import cv2
import numpy as np

from pairbridge.training.data.tensors import image_tensor
from pairbridge.training.networks.irradiance import irradiance_numbers

Conditions = Mapping[str, np.ndarray]
# (source, mask, conditions) -> what the target is taken to be.
Predictor = Callable[[np.ndarray, np.ndarray, Conditions], np.ndarray]


class FittingPair(NamedTuple):
    """source: uint8 (H, W, 3). target: uint8 (H, W, 3), or float32 in [-1, 1] of depth, normals and light.
    mask: uint8 (H, W), 255 = foreground. conditions: what the network sees beside the source, by its name.
    valid: bool (H, W), where the target holds.
    """

    source: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    conditions: Conditions
    valid: np.ndarray


# Pairs of one split, as often as they are asked for.
Pairs = Iterable[FittingPair]

RIDGE_LAMBDAS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)
# Of pixels there are thousands in a picture, and the penalty is on their mean.
PIXEL_LAMBDAS = (1e-6, 1e-4, 1e-2)
# Sides of what light maps and pictures are averaged to before they become features.
_LIGHT_SIDE, _PICTURE_SIDE = 4, 8
# Widths of the surroundings that a pixel's features average over, as shares of the picture's side.
_BLURS = (1 / 32, 1 / 8)
# Kernel widths, in typical distances between light maps.
_WIDTHS = (0.05, 0.1, 0.2, 0.4, 0.8)


def ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """Weights (F, K) from features x (N, F), whose last is a constant and not penalised, to y (N, K)."""
    return _solve(x.T @ x, x.T @ y, penalty)


def _solve(gram: np.ndarray, moments: np.ndarray, penalty: float) -> np.ndarray:
    penalties = np.full(len(gram), penalty)
    penalties[-1] = 0
    return np.linalg.solve(gram + np.diag(penalties), moments)


class StandardisedRidge:
    """Ridge regression on features that have mean 0 and spread 1 on the training side."""

    def __init__(self, x: np.ndarray, y: np.ndarray, x_val: np.ndarray, y_val: np.ndarray) -> None:
        """x, x_val: features (N, F); y, y_val: what to predict, (N, K). The penalty of `RIDGE_LAMBDAS` is the
        one that is best on the latter.
        """
        self._mean, self._std = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
        design, seen = self._design(x), self._design(x_val)
        fits = {penalty: ridge(design, y, penalty) for penalty in RIDGE_LAMBDAS}
        self.penalty = min(fits, key=lambda penalty: np.square(seen @ fits[penalty] - y_val).mean())
        self._weights = fits[self.penalty]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(F,) -> (K,)."""
        return self._design(features[None])[0] @ self._weights

    def _design(self, x: np.ndarray) -> np.ndarray:
        return np.c_[(x - self._mean) / self._std, np.ones(len(x))]


def statistics(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(12,): mean and standard deviation per channel, foreground then background, 0..255."""
    foreground = mask.astype(np.float64) / 255
    return np.concatenate([_moments(source, foreground), _moments(source, 1 - foreground)])


def _moments(image: np.ndarray, weight: np.ndarray) -> np.ndarray:
    total = max(weight.sum(), 1e-6)
    mean = np.tensordot(weight, image, axes=2) / total
    variance = np.tensordot(weight, np.square(image - mean), axes=2) / total
    return np.concatenate([mean, np.sqrt(variance)])


def light_coefficients(conditions: Conditions) -> np.ndarray | None:
    """The light among the conditions as a few numbers: nine of irradiance per colour of an environment map
    (`pairbridge.training.networks.irradiance`), a light map at 4 x 4. None where there is no light.
    """
    found = [_light(image) for name, image in sorted(conditions.items()) if name.startswith("light")]
    return np.concatenate(found) if found else None


def _light(image: np.ndarray) -> np.ndarray:
    if image.ndim == 3 and image.shape[2] == 6:
        return irradiance_numbers(image_tensor(image[None]))[0].double().numpy()
    small = cv2.resize(image.astype(np.float32), (_LIGHT_SIDE, _LIGHT_SIDE), interpolation=cv2.INTER_AREA)
    return small.ravel().astype(np.float64)


def fit_light_ridge(train: Pairs, validation: Pairs) -> Predictor | None:
    """Ridge regression from the light's coefficients and colour statistics of the source to a shift of the
    foreground's colour that is linear across it: brighter on one side, darker on the other. None where the
    conditions hold no light.
    """
    if light_coefficients(next(iter(train)).conditions) is None:
        return None

    def features(source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
        return np.concatenate([light_coefficients(conditions), statistics(source, mask)])

    def rows(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
        found = [(features(one.source, one.mask, one.conditions), _best_plane(one)) for one in pairs]
        return tuple(np.stack(part) for part in zip(*found, strict=True))

    fitted = StandardisedRidge(*rows(train), *rows(validation))

    def predict(source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
        plane = _across(mask) @ fitted(features(source, mask, conditions)).reshape(3, 3)
        return _picture(source + mask[..., None] / 255 * plane)

    return predict


def _across(mask: np.ndarray) -> np.ndarray:
    """(H, W, 3): 1, and the place across and up the foreground in its own spreads."""
    weight = mask.astype(np.float64) / max(float(mask.sum()), 1e-6)
    planes = [np.ones(mask.shape)]
    for place in np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float64):
        centred = place - (weight * place).sum()
        planes.append(centred / max(np.sqrt((weight * centred**2).sum()), 1.0))
    return np.stack(planes, axis=2)


def _best_plane(pair: FittingPair) -> np.ndarray:
    """(9,): the shift that is linear across the foreground, of least square error where the mask is."""
    weight = pair.mask.astype(np.float64) / 255
    design = _across(pair.mask) * weight[..., None]
    difference = pair.target.astype(np.float64) - pair.source
    gram = np.tensordot(design, design, axes=((0, 1), (0, 1)))
    moments = np.tensordot(design, difference * weight[..., None], axes=((0, 1), (0, 1)))
    return np.linalg.solve(gram + 1e-3 * np.eye(3) * max(gram[0, 0], 1.0), moments).ravel()


def fit_nearest_lights(train: Pairs, validation: Pairs) -> Predictor | None:
    """The source plus the mean of target - source over the training pairs, each the heavier the more its
    light is like the one that is asked for. None where the conditions hold no light.
    """
    pairs = [
        (light_coefficients(one.conditions), one.target.astype(np.float32) - one.source) for one in train
    ]
    if not pairs or pairs[0][0] is None:
        return None
    lights, changes = (np.stack(part) for part in zip(*pairs, strict=True))
    typical = max(float(np.square(lights[:, None] - lights[None]).sum(axis=2).mean()), 1e-9)

    def change(conditions: Conditions, width: float) -> np.ndarray:
        distances = np.square(lights - light_coefficients(conditions)).sum(axis=1) / typical
        weights = np.exp(-(distances - distances.min()) / (2 * width**2))
        return np.tensordot(weights / weights.sum(), changes, axes=1)

    errors = dict.fromkeys(_WIDTHS, 0.0)
    for one in validation:
        for width in _WIDTHS:
            off = one.source + change(one.conditions, width) - one.target
            errors[width] += float(np.square(off).mean())
    best = min(errors, key=errors.__getitem__)
    return lambda source, mask, conditions: _picture(source + change(conditions, best))


def fit_pixel_ridge(
    train: Pairs, validation: Pairs, *, of_foreground: bool = False, is_region: bool = False
) -> Predictor:
    """Ridge regression, pixel by pixel, from the source, aligned conditions (the mask, normals, depth, a
    cut-out), what these are on average around the pixel and in the whole picture, and the place in it.

    of_foreground: fitted where the mask is, and the source elsewhere. is_region: a mask is predicted, marked
    above the level that gives the training pairs the best mean IoU.
    """

    def weight(one: FittingPair) -> np.ndarray:
        return (one.mask / 255.0 if of_foreground else one.valid.astype(np.float64)).ravel()

    gram, moments, total = 0.0, 0.0, 0.0
    for one in train:
        x, w = _pixel_features(one.source, one.conditions), weight(one)
        weighted = x * w[:, None]
        gram, moments = gram + weighted.T @ x, moments + weighted.T @ _levels(one.target).reshape(-1, 3)
        total += w.sum()
    fits = {penalty: _solve(gram / total, moments / total, penalty) for penalty in PIXEL_LAMBDAS}
    errors = dict.fromkeys(fits, 0.0)
    for one in validation:
        x, w = _pixel_features(one.source, one.conditions), weight(one)
        for penalty, weights in fits.items():
            off = np.square(x @ weights - _levels(one.target).reshape(-1, 3)).mean(axis=1)
            errors[penalty] += float((w * off).sum())
    weights = fits[min(errors, key=errors.__getitem__)]

    def levels(source: np.ndarray, conditions: Conditions) -> np.ndarray:
        return (_pixel_features(source, conditions) @ weights).reshape(*source.shape[:2], 3)

    if is_region:
        threshold = _best_threshold(
            [(levels(one.source, one.conditions)[..., 0], one.target) for one in train]
        )

        def region(source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
            marked = levels(source, conditions)[..., :1] > threshold
            return np.repeat(marked, 3, axis=2).astype(np.uint8) * np.uint8(255)

        return region
    if next(iter(train)).target.dtype != np.uint8:
        return lambda source, mask, conditions: levels(source, conditions).clip(-1, 1).astype(np.float32)

    def picture(source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
        made = (levels(source, conditions) + 1) * 127.5
        if of_foreground:
            share = mask[..., None] / 255.0
            made = share * made + (1 - share) * source
        return _picture(made)

    return picture


def _best_threshold(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """The level above which predictions (H, W) in [-1, 1] have the best mean IoU with uint8 (H, W, 3)."""

    def score(threshold: float) -> float:
        found = []
        for levels, target in pairs:
            marked, right = levels > threshold, target[..., 0] >= 128
            found.append((marked & right).sum() / max((marked | right).sum(), 1))
        return float(np.mean(found))

    return max(np.linspace(-0.8, 0.8, 17).tolist(), key=score)


def _pixel_features(source: np.ndarray, conditions: Conditions) -> np.ndarray:
    """(H x W, F), the last of them 1."""
    height, width = source.shape[:2]
    aligned = [image for name, image in sorted(conditions.items()) if _is_aligned(name, image, source)]
    planes = np.concatenate([_levels(image) for image in (source, *aligned)], axis=2).astype(np.float32)
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    around = [cv2.GaussianBlur(planes, (0, 0), share * min(height, width)) for share in _BLURS]
    whole = np.broadcast_to(planes.mean(axis=(0, 1)), planes.shape)
    place = np.stack([x, y, x * x, y * y, x * y, np.ones_like(x)], axis=2)
    stacked = [planes, *(one.reshape(planes.shape) for one in around), whole, place]
    return np.concatenate(stacked, axis=2).reshape(height * width, -1).astype(np.float64)


def _is_aligned(name: str, image: np.ndarray, source: np.ndarray) -> bool:
    return not name.startswith("light") and image.shape[:2] == source.shape[:2]


def _levels(image: np.ndarray) -> np.ndarray:
    """float64 (H, W, C) in [-1, 1]."""
    deep = image if image.ndim == 3 else image[..., None]
    if deep.dtype.kind == "f":
        return deep.astype(np.float64)
    return deep.astype(np.float64) / np.iinfo(deep.dtype).max * 2 - 1


def fit_whole_ridge(train: Pairs, validation: Pairs) -> Predictor:
    """Ridge regression from colour statistics of the source and the source at 8 x 8 to the whole target,
    whose pixels have nothing to do with the source's: an environment map.
    """

    def features(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        small = cv2.resize(source, (_PICTURE_SIDE, _PICTURE_SIDE), interpolation=cv2.INTER_AREA)
        return np.concatenate([statistics(source, mask), small.ravel().astype(np.float64)])

    def rows(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
        found = [(features(one.source, one.mask), _levels(one.target).ravel()) for one in pairs]
        return tuple(np.stack(part) for part in zip(*found, strict=True))

    fitted = StandardisedRidge(*rows(train), *rows(validation))

    def predict(source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
        made = fitted(features(source, mask)).reshape(source.shape)
        return made.clip(-1, 1).astype(np.float32)

    return predict


def _picture(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
