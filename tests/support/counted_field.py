"""The number of function evaluations (NFE) of a sampler."""

from torch import Tensor

from pairbridge.training.bridge.samplers import FieldFn


class CountedField:
    """A field that counts how often it is evaluated, on a batch of any size: the NFE of a sampler."""

    def __init__(self, field: FieldFn) -> None:
        self._field = field
        self.evaluations = 0

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        self.evaluations += 1
        return self._field(x, t)
