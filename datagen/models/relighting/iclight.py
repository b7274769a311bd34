"""IC-Light as a relighter: Zhang, Rao, Agrawala, "Scaling In-the-Wild Training for Diffusion-based
Illumination Harmonization" (ICLR 2025), in the two published forms fbc and fc.

First pass: from noise (fbc), or from an image of the light (fc). Second pass: the result enlarged, encoded,
half noised, denoised again with conditions encoded at the larger size. The result has the photograph's size
and its geometry; what it shows outside the foreground is IC-Light's own and is not pasted.

One instance holds one network pair, and a worker one instance: 860 M + 84 M weights. In half precision
1.9 GB of GPU memory, and with activations about 6 GB for one image at 512 x 512 and 16 GB at 1024 x 1024
(lllyasviel/IC-Light#43); batches multiply what is beyond the weights. In float32 twice that. With
`loaded: in_turn` either network is on the GPU, never both. Loading takes 3.4 GB of host memory for the merge.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError, Rejected
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.models.relighting import iclight_images as pixels
from pairbridge.datagen.models.relighting.detail import transfer_detail
from pairbridge.datagen.models.relighting.iclight_sampling import from_image, from_noise, stochastic_solver
from pairbridge.datagen.models.relighting.iclight_settings import IcLightConfig, IcLightFcConfig
from pairbridge.datagen.models.relighting.iclight_weights import LATENT_CHANNELS, load_models
from pairbridge.datagen.models.relighting.relighter import ToRelight
from pairbridge.datagen.models.torch_runtime import fixed_threads

_SIDES = ("left", "right", "top", "bottom")


class IcLight:
    """A `BatchRelighter`; see the module's docstring. Loads its weights when it is made."""

    is_stand_in = False

    def __init__(self, config: IcLightConfig) -> None:
        self.config = config
        self.name = config.kind.replace("iclight_", "ic-light-")
        self.batch = config.batch
        self._models = load_models(config)
        self.revision = self._models.revision

    def relight(self, image: np.ndarray, alpha: np.ndarray, background: np.ndarray, seed: int) -> np.ndarray:
        """See `Relighter.relight`. Raises Rejected where the networks gave NaN."""
        (relit,) = self.relight_batch([ToRelight(image, alpha, background, seed)])
        if isinstance(relit, Rejected):
            raise relit
        return relit

    def relight_batch(self, requests: Sequence[ToRelight]) -> list[np.ndarray | Rejected]:
        """`relight` for images of one size, in one batch. Raises ConfigError when memory runs out.

        On one device, the result is a function of the requests in their order.
        """
        with fixed_threads(self.config.cpu_threads), torch.no_grad():
            try:
                levels = self._run(requests)
            except torch.OutOfMemoryError as error:
                raise ConfigError(
                    f"the GPU has too little memory to relight {len(requests)} images of "
                    f"{requests[0].image.shape[1]}x{requests[0].image.shape[0]} at once",
                    consequence="the run stops; what was committed is whole",
                    remedy="lower the relighter's `batch` or `resolution`, set `second_pass: null`, or "
                    "`loaded: in_turn`; `precision: half` halves the need",
                ) from error
        return [self._finish(request, made) for request, made in zip(requests, levels, strict=True)]

    def _run(self, requests: Sequence[ToRelight]) -> list[np.ndarray]:
        """float32 (H, W, 3) in 0..255 for each request, at the last pass's size."""
        config, models = self.config, self._models
        height, width = requests[0].image.shape[:2]
        size = pixels.working_size((width, height), config.resolution)
        generators = [torch.Generator().manual_seed(request.seed) for request in requests]
        scheduler = stochastic_solver(config.beta_schedule)
        shared = {"steps": config.steps, "guidance": config.guidance, "generators": generators}
        grey = [pixels.grey_behind(request.image, request.alpha) for request in requests]

        conditions = self._conditions(requests, grey, size)
        light = self._light(requests, size)
        with models.at_work(models.unet) as unet:
            network = (unet, scheduler)
            if light is None:
                latents = from_noise(*network, conditions, models.text, channels=LATENT_CHANNELS, **shared)
            else:
                strength = config.light_strength
                latents = from_image(*network, light, conditions, models.text, strength=strength, **shared)
        if config.second_pass is not None:
            size = pixels.enlarged(size, config.second_pass.scale)
            first = [pixels.resized(image, size) for image in pixels.to_uint8(self._decode(latents))]
            latents = self._encode(first)
            conditions = self._conditions(requests, grey, size)
            with models.at_work(models.unet) as unet:
                strength = config.second_pass.strength
                latents = from_image(
                    unet, scheduler, latents, conditions, models.text, strength=strength, **shared
                )
        return pixels.to_levels(self._decode(latents))

    def _conditions(
        self, requests: Sequence[ToRelight], grey: Sequence[np.ndarray], size_WH: tuple[int, int]
    ) -> Tensor:
        """(B, 4 or 8, h, w): the foreground's latent, then for fbc the background's."""
        images = [pixels.resized(image, size_WH) for image in grey]
        if not isinstance(self.config, IcLightFcConfig):
            images += [pixels.cover_crop(request.background, size_WH) for request in requests]
        # In one batch, as the demonstrations do: its size can pick the kernel, and that the last bits.
        return torch.cat(self._encode(images).chunk(len(images) // len(grey)), dim=1)

    def _light(self, requests: Sequence[ToRelight], size_WH: tuple[int, int]) -> Tensor | None:
        """The latents that fc starts from; None starts from noise."""
        config = self.config
        if not isinstance(config, IcLightFcConfig) or config.light == "none":
            return None
        if config.light == "background":
            return self._encode([pixels.cover_crop(request.background, size_WH) for request in requests])
        return self._encode([pixels.slope(light_side(config, request.seed), size_WH) for request in requests])

    def _encode(self, images: list[np.ndarray]) -> Tensor:
        """Scaled latents, float32: the posterior's mode and not a sample of it, so nothing random enters."""
        models = self._models
        with models.at_work(models.vae) as vae:
            given = pixels.to_tensor(images).to(models.device, vae.dtype)
            return (vae.encode(given).latent_dist.mode() * vae.config.scaling_factor).float()

    def _decode(self, latents: Tensor) -> Tensor:
        models = self._models
        with models.at_work(models.vae) as vae:
            return vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample

    def _finish(self, request: ToRelight, levels: np.ndarray) -> np.ndarray | Rejected:
        if not np.isfinite(levels).all():
            return Rejected(
                f"{self.name} gave infinities or NaN",
                remedy="set the relighter's precision to fp32",
                gate="relighter_failed",
            )
        height, width = request.image.shape[:2]
        relit = pixels.back_to(levels, (width, height))
        if self.config.detail is not None:
            relit = transfer_detail(request.image, relit, request.alpha, self.config.detail)
        return np.rint(relit.clip(0, 255)).astype(np.uint8)


def light_side(config: IcLightFcConfig, seed: int) -> str:
    """The side the light comes from: the configured one, or for `random_side` the seed's."""
    if config.light != "random_side":
        return config.light
    return _SIDES[rng(seed, "ic-light", "side").integers(len(_SIDES))]
