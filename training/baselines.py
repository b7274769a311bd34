"""What a model must beat: doing nothing, moving colour statistics, one predicted colour shift per image.

Images are uint8 sRGB (H, W, 3), masks uint8 (H, W) with 255 = foreground.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from datagen.colour import transfer_colour_statistics

RIDGE_LAMBDAS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)


def colour_transfer(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The foreground with the CIELAB mean and spread of the background; unchanged where there is none."""
    background = mask == 0
    if not background.any() or not mask.any():
        return source
    return transfer_colour_statistics(source, mask, source[background])


@dataclass(frozen=True, slots=True)
class ColourShiftRidge:
    """Ridge regression from colour statistics of a source to one RGB shift of its foreground.

    A model that does not beat it has learned exposure and tint, but no light. Features: mean and standard
    deviation per channel of foreground and background, standardised on the training pairs, and a constant,
    which is not penalised.
    """

    feature_mean: np.ndarray
    feature_std: np.ndarray
    weights: np.ndarray
    penalty: float

    def predict(self, source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The source with its foreground shifted, weighted by the mask."""
        features = (_features(source, mask) - self.feature_mean) / self.feature_std
        shift = np.append(features, 1.0) @ self.weights
        shifted = source + mask[..., None] / 255 * shift
        return np.clip(np.rint(shifted), 0, 255).astype(np.uint8)


Pairs = Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]


def fit_colour_shift_ridge(train: Pairs, validation: Pairs) -> ColourShiftRidge:
    """Fit on (source, target, mask) of the training side; the penalty of `RIDGE_LAMBDAS` best on validation.

    Closed form. Raises ValueError where a side has no pairs.
    """
    x, y = _design(train)
    x_val, y_val = _design(validation)
    mean, std = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    x, x_val = (np.c_[(features - mean) / std, np.ones(len(features))] for features in (x, x_val))
    fits = {penalty: _solve(x, y, penalty) for penalty in RIDGE_LAMBDAS}
    best = min(fits, key=lambda penalty: np.square(x_val @ fits[penalty] - y_val).mean())
    return ColourShiftRidge(feature_mean=mean, feature_std=std, weights=fits[best], penalty=best)


def _solve(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    penalties = np.full(x.shape[1], penalty)
    penalties[-1] = 0
    return np.linalg.solve(x.T @ x + np.diag(penalties), x.T @ y)


def _design(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    rows = [(_features(source, mask), _best_shift(source, target, mask)) for source, target, mask in pairs]
    if not rows:
        raise ValueError("the colour shift ridge needs at least one pair on each side")
    features, shifts = zip(*rows, strict=True)
    return np.stack(features), np.stack(shifts)


def _features(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(12,): mean and standard deviation per channel, foreground then background, 0..255."""
    foreground = mask.astype(np.float64) / 255
    return np.concatenate([_moments(source, foreground), _moments(source, 1 - foreground)])


def _moments(image: np.ndarray, weight: np.ndarray) -> np.ndarray:
    total = max(weight.sum(), 1e-6)
    mean = np.tensordot(weight, image, axes=2) / total
    variance = np.tensordot(weight, np.square(image - mean), axes=2) / total
    return np.concatenate([mean, np.sqrt(variance)])


def _best_shift(source: np.ndarray, target: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The RGB shift s that minimises sum m (target - source - m s)^2, m the mask: the best for `predict`."""
    m = mask.astype(np.float64) / 255
    difference = target.astype(np.float64) - source.astype(np.float64)
    return np.tensordot(m**2, difference, axes=2) / max((m**3).sum(), 1e-6)
