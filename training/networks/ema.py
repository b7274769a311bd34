"""The moving average of the weights, which is what is evaluated and shipped."""

from collections.abc import Iterable

from diffusers.training_utils import EMAModel
from torch import nn


def make_ema(parameters: Iterable[nn.Parameter], *, half_life_images: int, batch_size: float) -> EMAModel:
    """A float32 average in which a weight counts half after `half_life_images` further images.

    Stated in images, so that a change of batch size keeps its meaning. diffusers ramps the decay up as
    (1 + n) / (10 + n), which forgets the initial weights early in a run.
    """
    return EMAModel(parameters, decay=0.5 ** (batch_size / half_life_images), foreach=True)
