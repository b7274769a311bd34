"""How sure a classifier is of each image, and how many classes it finds in a set (Salimans et al., arXiv
1606.03498):

    IS = exp( mean_x KL( p(y | x) || p(y) ) ),    p(y) = mean_x p(y | x)

from 1, where every image is classified alike, to the number of classes. It compares with no target. The mean
is over the whole set, where the published code takes ten parts of 50,000 images; small sets score lower.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass(slots=True)
class ClassProbabilities:
    """Running sums over images, which are added batch by batch: of p(y | x), (K,), and of sum_y p log p."""

    count: int = 0
    total: np.ndarray = field(default_factory=lambda: np.zeros(0))
    certainty: float = 0.0

    def add(self, logits: np.ndarray) -> None:
        """(n, K), of which p(y | x) is the softmax."""
        logs = np.asarray(logits, np.float64)
        logs = logs - logs.max(axis=1, keepdims=True)
        logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
        if not self.count:
            self.total = np.zeros(logs.shape[1])
        self.count += len(logs)
        self.total = self.total + np.exp(logs).sum(axis=0)
        self.certainty += float((np.exp(logs) * logs).sum())

    @property
    def score(self) -> float:
        """IS. Raises ValueError without an image."""
        if not self.count:
            raise ValueError("an empty set of images has no inception score")
        of_set = self.total / self.count
        found = of_set[of_set > 0]
        return float(np.exp(self.certainty / self.count - found @ np.log(found)))
