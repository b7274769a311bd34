"""A trained bridge or flow as a path that can be guided (pairbridge.training.guidance.guided_images).

    from a source that it sees, sigma > 0   x = (1 - t) x0 + t x1 + c_t n: DBIM with eta 0, n drawn
    from a source otherwise                 x = t x1 + (1 - t) n, n the source that the point implies
    from noise                              x = t x1 + (1 - t) n, the image inverted to its noise

The second is the posterior step without fresh noise, Euler's step of the field. At sigma 0 that is the flow
itself; with the small sigma of LBM it leaves out noise that a model which does not see its source could not
tell from the target.
"""

from collections.abc import Mapping

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.bridge.sample_loop import check_grid
from pairbridge.training.bridge.samplers import uniform_grid
from pairbridge.training.bridge.timesteps import Timesteps
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.condition_specs import SOURCE
from pairbridge.training.guidance.guidance_equations import GuidedModel, follow, invert
from pairbridge.training.guidance.guided_images import ImagePath
from pairbridge.training.guidance.guided_models import bridge_model, flow_model

# The times between which a flow from noise is inverted: an image counts as the point at the second.
_NOISIEST, _CLEANEST = 0.02, 0.98


def translation_path(
    model: TranslationModel,
    sources: np.ndarray,
    masks: np.ndarray | None,
    conditions: Mapping[str, np.ndarray],
    *,
    steps: int,
    strength: float = 1.0,
    generator: torch.Generator | list[torch.Generator],
) -> ImagePath:
    """The path of `steps` evaluations from uint8 (B, H, W, 3) sources, as `TranslationModel.predict_batch`
    takes them with their masks and conditions. strength: how far back to its noise a flow from noise is
    taken. generator: of the batch, or one for each image.

    Raises ConfigError where the model was not trained for `steps`, or a mask or condition is missing or does
    not fit.
    """
    config = model.config
    if config.bridge.sigma is None:
        raise ConfigError(
            f"the model's bridge is no Brownian one (bridge.kind: {config.bridge.kind})",
            consequence="guidance needs to know how much of a point is noise",
            remedy="guide a model with bridge.kind brownian",
        )
    latents, seen = model.prepare(sources, masks, conditions)
    if config.bridge.start == "noise":
        times = _from_noise(steps, strength, config.timesteps)
        guided = flow_model(model.field(seen))
        start, stored = invert(guided, latents, times)
    else:
        times = uniform_grid(steps)
        check_grid(times, config.timesteps)
        guided, start = _from_source(model, latents, seen, generator), latents
        _, stored = follow(guided, start, times)
    height, width = sources.shape[1:3]
    return ImagePath(
        model=guided,
        times=times,
        start=start,
        stored=stored,
        decode=lambda latents: model.decode(latents)[..., :height, :width],
        cell=model.autoencoder.factor,
        keeps_outside=config.outside_mask == "keep",
    )


def _from_source(
    model: TranslationModel,
    x0: Tensor,
    seen: Mapping[str, Tensor],
    generator: torch.Generator | list[torch.Generator],
) -> GuidedModel:
    config = model.config
    sees_source = any(one.field == SOURCE for one in config.denoiser.conditions)
    if not sees_source or not config.bridge.sigma:
        return flow_model(model.field(seen))
    boot = randn_tensor(x0.shape, generator, x0.device)
    return bridge_model(model.field(seen), x0, config.bridge.sigma, boot)


def _from_noise(steps: int, strength: float, timesteps: Timesteps) -> list[float]:
    """Evenly spaced from 1 - strength to the clean end; at 0 nothing of the image would be left."""
    first = max(1 - strength, _NOISIEST)
    times = [_CLEANEST - (_CLEANEST - first) * k / max(steps - 1, 1) for k in reversed(range(steps))]
    untrained = [round(t, 4) for t in times if not timesteps.trained(t)]
    if untrained or first >= _CLEANEST:
        raise ConfigError(
            f"the path would ask the network at t = {untrained}, where it was never trained"
            if untrained
            else f"strength {strength:g} takes the image nowhere",
            consequence="the result would be an extrapolation that looks like a result",
            remedy=f"train with timesteps.kind uniform and a cap of {_CLEANEST}, and take strengths of 0.1 or"
            " more",
        )
    return times
