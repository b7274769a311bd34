"""Predictors that are fitted by least squares and see what the model sees: its conditions, light among them.

A model that does not beat them has learned no more than colours, places and averages. Penalties are chosen
on the validation side. Conditions are those of pairs (`pairbridge.training.data.pairs`), as the network has
them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import cv2
import numpy as np

from pairbridge.datagen.imaging.colour import srgb_decode, srgb_encode
from pairbridge.training.data.tensors import image_tensor
from pairbridge.training.networks.irradiance import irradiance_numbers

Conditions = Mapping[str, np.ndarray]
# (source, mask, conditions) -> what the target is taken to be.
Predictor = Callable[[np.ndarray, np.ndarray, Conditions], np.ndarray]
# (source, mask, conditions) -> some numbers of them.
Features = Callable[[np.ndarray, np.ndarray, Conditions], np.ndarray]


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

RIDGE_LAMBDAS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
# Side of what light maps are averaged to before they become features.
_LIGHT_SIDE = 4
# Side of an object that shadows are aligned to, as a share of the picture's.
_ALIGNED_SIDE = 0.3
# Linear light that counts as black.
_DARK = 1e-3
# Kernel widths, in typical distances between light maps.
_WIDTHS = (0.05, 0.1, 0.2, 0.4, 0.8)


def ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """Weights (F, K) from features x (N, F), whose last is a constant and not penalised, to y (N, K)."""
    return solve(x.T @ x, x.T @ y, penalty)


def solve(gram: np.ndarray, moments: np.ndarray, penalty: float) -> np.ndarray:
    """`ridge` from the products x^T x, (F, F), and x^T y, (F, K)."""
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
    fitted = _fitted_to_light(train, validation, _light_and_colours, _best_plane)
    if fitted is None:
        return None

    def predict(source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
        plane = across(mask) @ fitted(source, mask, conditions).reshape(3, 3)
        return rounded(source + mask[..., None] / 255 * plane)

    return predict


def fit_light_colour_ridge(train: Pairs, validation: Pairs) -> Predictor | None:
    """Ridge regression from the light's coefficients, colour statistics of the source and all products of the
    two to one shift of the foreground's colour: what is seen is a colour times a light. None where the
    conditions hold no light.
    """

    def features(source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
        light, colours = light_coefficients(conditions), statistics(source, mask)
        return np.concatenate([light, colours, np.outer(light, colours).ravel()])

    fitted = _fitted_to_light(train, validation, features, best_shift)
    if fitted is None:
        return None
    return lambda source, mask, conditions: rounded(
        source + mask[..., None] / 255 * fitted(source, mask, conditions)
    )


def fit_light_gain_ridge(train: Pairs, validation: Pairs) -> Predictor | None:
    """Ridge regression from the light's coefficients and colour statistics of the source to the logarithm of
    one factor a colour on the foreground's linear light: where the maps of both lights are known, one light
    over the other. None where the conditions hold no light.
    """
    fitted = _fitted_to_light(train, validation, _light_and_colours, _log_gain)
    if fitted is None:
        return None

    def predict(source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
        gain = np.exp(fitted(source, mask, conditions))
        lit = srgb_encode(np.clip(gain * srgb_decode(source / 255), 0, 1)) * 255
        return rounded(source + mask[..., None] / 255 * (lit - source))

    return predict


def _fitted_to_light(
    train: Pairs, validation: Pairs, features: Features, wanted: Callable[[FittingPair], np.ndarray]
) -> Features | None:
    """What a ridge regression takes to be `wanted` of a pair, by its features; None where the conditions hold
    no light.
    """
    if light_coefficients(next(iter(train)).conditions) is None:
        return None

    def rows(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
        found = [(features(one.source, one.mask, one.conditions), wanted(one)) for one in pairs]
        return tuple(np.stack(part) for part in zip(*found, strict=True))

    fitted = StandardisedRidge(*rows(train), *rows(validation))
    return lambda source, mask, conditions: fitted(features(source, mask, conditions))


def _light_and_colours(source: np.ndarray, mask: np.ndarray, conditions: Conditions) -> np.ndarray:
    return np.concatenate([light_coefficients(conditions), statistics(source, mask)])


def _log_gain(pair: FittingPair) -> np.ndarray:
    """(3,): of the mean linear light under the mask, the target's over the source's."""
    m = pair.mask.astype(np.float64) / 255
    target, source = (
        np.tensordot(m, srgb_decode(image / 255), axes=2) / max(m.sum(), 1e-6)
        for image in (pair.target, pair.source)
    )
    return np.log(np.maximum(target, _DARK) / np.maximum(source, _DARK))


def best_shift(pair: FittingPair) -> np.ndarray:
    """The RGB shift s that minimises sum m (target - source - m s)^2, m the mask from 0 to 1."""
    m = pair.mask.astype(np.float64) / 255
    difference = pair.target.astype(np.float64) - pair.source.astype(np.float64)
    return np.tensordot(m**2, difference, axes=2) / max((m**3).sum(), 1e-6)


def across(mask: np.ndarray) -> np.ndarray:
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
    design = across(pair.mask) * weight[..., None]
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
    return lambda source, mask, conditions: rounded(source + change(conditions, best))


def fit_aligned_shadow_ridge(train: Pairs, validation: Pairs) -> Predictor | None:
    """The source plus a change that is linear in the light's coefficients at every place around the object:
    changes are moved and scaled so that the object's middle and area are the same in all, averaged there by
    ridge regression, and moved back. None where the conditions hold no light.
    """
    if light_coefficients(next(iter(train)).conditions) is None:
        return None
    lights = np.stack([light_coefficients(one.conditions) for one in train])
    mean, spread = lights.mean(axis=0), np.maximum(lights.std(axis=0), 1e-6)

    def features(conditions: Conditions) -> np.ndarray:
        return np.append((light_coefficients(conditions) - mean) / spread, 1.0)

    gram, moments = 0.0, 0.0
    for one in train:
        x = features(one.conditions)
        change = _aligned(one.target.astype(np.float32) - one.source, one.mask)
        gram, moments = gram + np.outer(x, x), moments + x[:, None, None, None] * change
    shape = moments.shape[1:]
    fits = {
        penalty: solve(gram, moments.reshape(len(gram), -1), penalty).reshape(-1, *shape)
        for penalty in RIDGE_LAMBDAS
    }

    def predict(penalty: float, one_source: np.ndarray, mask: np.ndarray, x: np.ndarray) -> np.ndarray:
        change = np.tensordot(x, fits[penalty], axes=1).astype(np.float32)
        return rounded(one_source + _aligned(change, mask, back=True))

    errors = dict.fromkeys(fits, 0.0)
    for one in validation:
        x = features(one.conditions)
        for penalty in fits:
            off = predict(penalty, one.source, one.mask, x).astype(np.float64) - one.target
            errors[penalty] += float(np.square(off).mean())
    best = min(errors, key=errors.__getitem__)
    return lambda source, mask, conditions: predict(best, source, mask, features(conditions))


def _aligned(change: np.ndarray, mask: np.ndarray, *, back: bool = False) -> np.ndarray:
    """A change, float32 (H, W, 3), as it were if the mask's middle were the picture's and the root of its
    area `_ALIGNED_SIDE` of the side; `back`: the other way. 0 where nothing is known.
    """
    height, width = mask.shape
    weight = mask.astype(np.float64) / 255
    area = max(float(weight.sum()), 1.0)
    places = np.mgrid[:height, :width]
    row, column = ((weight * of).sum() / area for of in places)
    scale = _ALIGNED_SIDE * min(height, width) / np.sqrt(area)
    matrix = np.array(
        [
            [scale, 0, (width - 1) / 2 - scale * column],
            [0, scale, (height - 1) / 2 - scale * row],
        ]
    )
    flags = cv2.INTER_LINEAR | (cv2.WARP_INVERSE_MAP if back else 0)
    return cv2.warpAffine(change, matrix, (width, height), flags=flags)


def rounded(image: np.ndarray) -> np.ndarray:
    """A picture, uint8, of levels from 0 to 255."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
