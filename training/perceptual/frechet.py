"""Distance of two sets of images by the mean and covariance of their features (FID, arXiv 1706.08500).

Images are uint8 sRGB (H, W, 3). The features are any function of a batch; with those of
`pairbridge.training.perceptual.inception`
the distance is FID. Small sets are biased upwards: compare sets of one size only. SFID and CSFID (FlexIT,
arXiv 2203.04705, as its released code computes them) leave the covariance out, so that few images will do.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

LOCAL_SIDE = 299
LOCAL_MARGIN = 0.1


@dataclass(slots=True)
class FeatureMoments:
    """Running mean and covariance of features, which are added batch by batch, each (n, D)."""

    count: int = 0
    total: np.ndarray = field(default_factory=lambda: np.zeros(0))
    products: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def add(self, features: np.ndarray) -> None:
        x = np.asarray(features, np.float64)
        if not self.count:
            self.total, self.products = np.zeros(x.shape[1]), np.zeros((x.shape[1],) * 2)
        self.count += len(x)
        self.total = self.total + x.sum(axis=0)
        self.products = self.products + x.T @ x

    @property
    def mean(self) -> np.ndarray:
        return self.total / self.count

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased, as in the published figures. Raises ValueError below two samples."""
        if self.count < 2:
            raise ValueError(f"{self.count} images have no covariance; a set distance needs two or more")
        return (self.products - self.count * np.outer(self.mean, self.mean)) / (self.count - 1)


def frechet_distance(a: FeatureMoments, b: FeatureMoments) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)): squared 2-Wasserstein distance of two Gaussians."""
    # (A B)^(1/2) has the trace of (R B R)^(1/2) with R = A^(1/2), which is symmetric: no complex rounding.
    root = _root(a.covariance)
    cross = np.linalg.eigvalsh(root @ b.covariance @ root)
    shift = a.mean - b.mean
    trace = np.trace(a.covariance) + np.trace(b.covariance) - 2 * np.sqrt(np.maximum(cross, 0)).sum()
    return float(shift @ shift + trace)


def mean_distance(a: FeatureMoments, b: FeatureMoments) -> float:
    """|mean_a - mean_b|^2: SFID, the first term of FID alone."""
    return float(np.square(a.mean - b.mean).sum())


@dataclass(slots=True)
class ClassMeans:
    """Running mean of the features of each class: no covariance, of which a class would need one each."""

    counts: Counter[Hashable] = field(default_factory=Counter)
    totals: dict[Hashable, np.ndarray] = field(default_factory=dict)

    def add(self, features: np.ndarray, classes: Sequence[Hashable]) -> None:
        """Features (n, D), and the class of each."""
        for one, row in zip(classes, np.asarray(features, np.float64), strict=True):
            self.counts[one] += 1
            self.totals[one] = self.totals.get(one, 0) + row


def class_mean_distance(a: ClassMeans, b: ClassMeans) -> float:
    """Mean over the classes of a, all of them in b, of |mean_a - mean_b|^2: CSFID."""
    return float(
        np.mean(
            [
                np.square(total / a.counts[one] - b.totals[one] / b.counts[one]).sum()
                for one, total in a.totals.items()
            ]
        )
    )


def local_crop(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What local FID compares: the square around the mask's box, a tenth wider, at 299 x 299 pixels.

    The square is moved inside the image, and cut down to its shorter side; the crop is resized with area
    averaging when it shrinks, else bilinearly. Raises ValueError on an empty mask. (The paper names the
    metric, not the crop: this is ours.)
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise ValueError("local distance of an empty mask is undefined")
    height, width = mask.shape
    extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side = min(round(extent * (1 + 2 * LOCAL_MARGIN)), height, width)
    top = _inside((rows[0] + rows[-1] + 1) / 2, side, height)
    left = _inside((columns[0] + columns[-1] + 1) / 2, side, width)
    crop = image[top : top + side, left : left + side]
    shrinks = side > LOCAL_SIDE
    return cv2.resize(
        crop, (LOCAL_SIDE, LOCAL_SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def _inside(centre: float, side: int, length: int) -> int:
    return int(np.clip(round(centre - side / 2), 0, length - side))


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
