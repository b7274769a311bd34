"""A trained model as one graph for other runtimes: pictures in, picture out, by one evaluation at t = 0.

What `TranslationModel.translate` does with one step, without a size, a seed or a branch in it: random numbers
are inputs. Pictures are float32 (B, 3, H, W) in [0, 1], of any size; a mask is (B, 1, H, W), 1 on the
foreground or on what to remove.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pairbridge.training.bridge.sample_loop import check_sampler
from pairbridge.training.bridge_training.translation_model import DEFAULT_SAMPLER, TranslationModel
from pairbridge.training.data.condition_specs import MASK, NOISE, SOURCE, ConditionConfig
from pairbridge.training.data.smooth_fill import fill_smoothly
from pairbridge.training.networks.conditions import encode_condition, label_levels
from pairbridge.training.networks.irradiance import logarithm_of

IMAGE = "image"
# Uniform in [0, 1), of the image's shape: what fills a hole.
HOLE_NOISE = "hole_noise"
# Standard normal, (B, channels, h, w) with h and w at least the latent's: where a flow starts.
START_NOISE = "start_noise"
# Coarser grids of a smooth fill; more than the size takes change nothing. Enough for sides of 8192 pixels.
FILL_LEVELS = 13


class OneEvaluation(nn.Module):
    """Inputs in the order of `names`: see `examples` for the shape of each."""

    def __init__(self, model: TranslationModel, *, removes: bool) -> None:
        """removes: whether masks are holes, which are filled. Raises ConfigError for a model that was not
        trained at t = 0.
        """
        super().__init__()
        config = model.config
        check_sampler(DEFAULT_SAMPLER, 1, config.timesteps, bridge=config.bridge, sees_source=True)
        self.config = config
        self.denoiser = model.denoiser
        self.autoencoder = model.autoencoder
        self.multiple = model.autoencoder.factor * config.denoiser.side_multiple
        self.conditions = config.denoiser.conditions
        fields = [one.field for one in self.conditions]
        takes_mask = MASK in fields or removes or config.hole == "smooth" or config.outside_mask == "keep"
        self.names: tuple[str, ...] = (
            IMAGE,
            *([MASK] if takes_mask else []),
            *(field for field in fields if field not in (MASK, SOURCE, NOISE)),
            *([HOLE_NOISE] if removes and config.hole == "noise" else []),
            *([START_NOISE] if config.bridge.start == "noise" else []),
            *([NOISE] if NOISE in fields else []),
        )
        self.eval()

    def forward(self, *tensors: Tensor) -> Tensor:
        given = dict(zip(self.names, tensors, strict=True))
        picture, mask = given[IMAGE], given.get(MASK)
        if HOLE_NOISE in given:
            picture = torch.where(mask > 0, given[HOLE_NOISE], picture)
        source = picture * 2 - 1
        if self.config.hole == "smooth":
            source = fill_smoothly(source, mask, levels=FILL_LEVELS)
        x0 = self.autoencoder.encode(self._padded(source))
        seen = {
            one.field: given[NOISE][..., : x0.shape[-2], : x0.shape[-1]]
            if one.field == NOISE
            else encode_condition(one, {one.field: self._image(one, given)}, x0, self.autoencoder)
            for one in self.conditions
        }
        x = given[START_NOISE][..., : x0.shape[-2], : x0.shape[-1]] if START_NOISE in given else x0
        t = x.new_zeros(x.shape[0])
        latent = self.config.bridge.estimate_target(x, self.denoiser(x, t, seen), t)
        height, width = picture.shape[-2:]
        decoded = self.autoencoder.decode(latent)[..., :height, :width]
        output = (decoded.clamp(-1, 1) + 1) / 2
        return picture + mask * (output - picture) if self.config.outside_mask == "keep" else output

    def _image(self, one: ConditionConfig, given: dict[str, Tensor]) -> Tensor | None:
        """A condition's picture as `encode_condition` takes it."""
        if one.field == SOURCE:
            return None
        if one.classes:
            return given[one.field].to(torch.float32).reshape(-1, 1, 1, 1) / 127.5 - 1
        if one.labels:
            return self._padded(label_levels(given[one.field].to(torch.float32), one.labels))
        if one.as_irradiance:
            return logarithm_of(given[one.field])
        image = given[one.field] if one.field == MASK else given[one.field] * 2 - 1
        if not one.is_whole:
            return self._padded(image)
        padded = [_multiple(side, self.multiple) for side in given[IMAGE].shape[-2:]]
        return F.interpolate(image, padded, mode="bilinear", antialias=True)

    def _padded(self, images: Tensor) -> Tensor:
        """The last row and column repeated: a gather, for padding by a computed width is no graph's."""
        for axis in (-2, -1):
            side = images.shape[axis]
            places = torch.arange(_multiple(side, self.multiple), device=images.device).clamp(max=side - 1)
            images = images.index_select(axis, places)
        return images

    def shapes(self, batch: int, height: int, width: int) -> dict[str, tuple[int, ...]]:
        """Of the inputs for a picture of that size; of latent noise the smallest."""
        cells = [_multiple(side, self.multiple) // self.autoencoder.factor for side in (height, width)]
        fixed = {MASK: (batch, 1, height, width)}
        fixed |= dict.fromkeys((START_NOISE, NOISE), (batch, self.autoencoder.channels, *cells))
        # A map that is resized as a whole has a size of its own.
        fixed |= {one.field: (batch, 3, height + 3, 2 * width) for one in self.conditions if one.is_whole}
        fixed |= {one.field: (batch,) for one in self.conditions if one.classes}
        fixed |= {one.field: (batch, 1, height, width) for one in self.conditions if one.labels}
        return {name: fixed.get(name, (batch, 3, height, width)) for name in self.names}

    def examples(self, batch: int, height: int, width: int) -> dict[str, Tensor]:
        """Random inputs for a picture of that size, always the same ones."""
        generator = torch.Generator().manual_seed(0)
        numbered = {one.field: one.labels or len(one.classes) for one in self.conditions}
        found = {}
        for name, shape in self.shapes(batch, height, width).items():
            if numbered.get(name):
                found[name] = torch.randint(numbered[name], shape, generator=generator)
            elif name in (START_NOISE, NOISE):
                found[name] = torch.randn(shape, generator=generator)
            else:
                drawn = torch.rand(shape, generator=generator)
                found[name] = (drawn > 0.7).float() if name == MASK else drawn
        return found


def _multiple(side: int, of: int) -> int:
    """The next multiple; in a form that an exporter sees to be one."""
    return (side + of - 1) // of * of
