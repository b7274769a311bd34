"""Images through a trained model: what is given is brought into the form that the model was trained on.

A removal model gets its hole filled with seeded noise, a relighting model the foreground cut out and pasted
on the new background; everything else goes in as it is. Outputs are PNG, of the input's size.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Unpack

import numpy as np

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.imaging.pasting import estimate_foreground
from pairbridge.datagen.models.matting import MattingConfig, cut_out, open_matting_model
from pairbridge.pipelines.inference.found_checkpoints import newest_checkpoint, removes
from pairbridge.pipelines.inference.given_light import seen_light
from pairbridge.pipelines.inference.image_files import (
    read_condition,
    read_image,
    read_labels,
    read_mask,
)
from pairbridge.training.bridge.samplers import Sampler
from pairbridge.training.bridge_training.translation_model import DEFAULT_SAMPLER, Sampling, TranslationModel
from pairbridge.training.data.condition_specs import LIGHT, MASK
from pairbridge.training.data.framing import Frame, crop_and_resize
from pairbridge.training.engine.checkpoint import read_state
from pairbridge.training.engine.torch_devices import Precision
from pairbridge.training.published.published_folders import (
    fill_hole,
    is_published,
    load_published,
    translation_of,
)


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model ready to translate. `removes`: its mask is a hole, which is filled with noise before."""

    model: TranslationModel
    removes: bool

    @property
    def label_maps(self) -> frozenset[str]:
        """The conditions that are label maps, by field."""
        return frozenset(one.field for one in self.model.config.denoiser.conditions if one.labels)

    def translate(
        self,
        image: np.ndarray | str | Path,
        mask: np.ndarray | str | Path | None = None,
        *,
        conditions: Mapping[str, np.ndarray | str | Path] = MappingProxyType({}),
        **how: Unpack[Sampling],
    ) -> np.ndarray:
        """`translate_image` of arrays as a TranslationRequest holds them, or of image files.

        mask: 255 on the foreground, or on what is to be removed. conditions: by field, such as light; of a
        label map its numbers (H, W); of an .hdr or .exr file, or as float (H, W, 3), the light by direction
        (`given_light.read_light`).
        """
        request = TranslationRequest(
            image=_given(image, read_image),
            mask=None if mask is None else _given(mask, read_mask),
            conditions={
                field: _given(one, read_labels if field in self.label_maps else read_condition)
                for field, one in conditions.items()
            },
            **how,
        )
        return translate_image(self, request)


@dataclass(frozen=True, slots=True)
class TranslationRequest:
    """One translation. image: uint8 (H, W, 3); mask: uint8 (H, W); conditions, by field: uint8
    images, label maps of whole numbers (H, W), or linear light by direction as `given_light.read_light` has
    it.

    background: put behind the image's foreground, which is `mask` or else what `matting` finds.
    """

    image: np.ndarray
    mask: np.ndarray | None = None
    conditions: dict[str, np.ndarray] = field(default_factory=dict)
    background: np.ndarray | None = None
    matting: MattingConfig | None = None
    steps: int = 1
    seed: int = 0
    sampler: Sampler = DEFAULT_SAMPLER
    guidance: float = 1.0


def request_of(given: Mapping[str, Path | None], **asked: Any) -> TranslationRequest:
    """What is asked of image files by name (`image_files.files_of`); `asked`: further fields."""
    conditions = asked.pop("conditions", {})
    if given[LIGHT]:
        conditions = {**conditions, LIGHT: read_image(given[LIGHT])}
    mask = read_mask(given[MASK]) if given[MASK] else None
    return TranslationRequest(read_image(given["image"]), mask, conditions, **asked)


REFERENCE = "reference"
"""Name of the model that comes with the package (docs/reference_model.md)."""


def open_model(source: str | Path, device: str = "cpu", precision: Precision = "fp32") -> OpenedModel:
    """The model of a published folder, a checkpoint's, or the newest of a run's, on `device` (cpu or cuda)
    for evaluations in `precision`; or the one of the package, `reference` (where no folder has this name).

    Raises ConfigError where there is none or the device is not there, CheckpointError for a damaged one.
    """
    source = Path(source)
    if source == Path(REFERENCE) and not source.exists():
        source = Path(str(files("pairbridge.pipelines") / "models" / REFERENCE))
    if is_published(source):
        pipeline = load_published(source, device)
        return OpenedModel(translation_of(pipeline, precision), removes=pipeline.config.bridge["removes"])
    checkpoint = newest_checkpoint(source)
    model = TranslationModel.load(checkpoint, device, precision)
    return OpenedModel(model, removes=removes(read_state(checkpoint)))


def translate_image(opened: OpenedModel, request: TranslationRequest) -> np.ndarray:
    """The translation, uint8 (H, W, 3) of the image's size; a function of the request alone.

    Raises ConfigError for what the model cannot do, Rejected where no foreground is found.
    """
    return translate_images(opened, [request])[0]


def translate_images(opened: OpenedModel, requests: Sequence[TranslationRequest]) -> list[np.ndarray]:
    """`translate_image` of requests that are `alike`, in one batch: the same pictures but for last bits (with
    dopri5, for what its tolerance leaves open). Raises as it does.
    """
    first = requests[0]
    images, masks = zip(*(as_trained(opened, request) for request in requests), strict=True)
    outputs = opened.model.translate_batch(
        np.stack(images),
        None if masks[0] is None else np.stack(masks),
        steps=first.steps,
        seed=[request.seed for request in requests],
        sampler=first.sampler,
        guidance=first.guidance,
        conditions={
            name: np.stack([_condition(opened, name, request) for request in requests])
            for name in first.conditions
        },
    )
    return list(outputs)


def alike(request: TranslationRequest) -> Hashable:
    """Requests for which this is equal can be translated as one batch."""
    conditions = sorted((name, image.shape) for name, image in request.conditions.items())
    inputs = request.mask is None, request.background is None, tuple(conditions)
    return request.image.shape, inputs, request.steps, request.sampler.model_dump_json(), request.guidance


def as_trained(opened: OpenedModel, request: TranslationRequest) -> tuple[np.ndarray, np.ndarray | None]:
    """The request's image and mask in the form that the model was trained on. Raises as `translate_image`."""
    check_mask(request)
    image, mask = request.image, request.mask
    if request.background is not None:
        return _paste(request)
    if opened.removes and mask is not None:
        return fill_hole(image, mask, request.seed), mask
    return image, mask


def check_mask(request: TranslationRequest) -> None:
    """Raises ConfigError where the mask is not of the image's size."""
    image, mask = request.image, request.mask
    if mask is not None and mask.shape != image.shape[:2]:
        raise ConfigError(
            f"the mask has shape {mask.shape}, the image {image.shape[:2]}",
            consequence="resizing here would move the edge",
            remedy="bring both to one size",
        )


def _condition(opened: OpenedModel, field: str, request: TranslationRequest) -> np.ndarray:
    """One of the request's conditions as the model takes it; a picture is taken as it is."""
    given = request.conditions[field]
    if given.dtype.kind != "f":
        return given
    configs = {one.field: one for one in opened.model.config.denoiser.conditions}
    if field not in configs or not configs[field].is_radiance:
        raise ConfigError(
            f"{field} is an environment map, and this model "
            + (
                "takes a picture there" if field in configs else f"takes {', '.join(configs) or 'none'} alone"
            ),
            consequence="its values mean nothing to the network",
            remedy="give a PNG file, or a model trained with `encoding: irradiance` of an environment map",
        )
    return seen_light(given, None if configs[field].as_irradiance else request.image.shape[1::-1])


def _paste(request: TranslationRequest) -> tuple[np.ndarray, np.ndarray]:
    """The foreground where it is, on the background cropped to the image's size; and its mask."""
    image, mask = request.image, request.mask
    if mask is None:
        mask = cut_out(open_matting_model(request.matting), image)
    height, width = image.shape[:2]
    behind = crop_and_resize(request.background, Frame((width, height)))
    alpha = mask[..., None].astype(np.float32) / 255
    # The rim's own colours, without the old background that shines through it.
    foreground = estimate_foreground(image, mask)
    return np.rint(behind + alpha * (foreground - behind)).astype(np.uint8), mask


def _given(image: np.ndarray | str | Path, read: Callable[[Path], np.ndarray]) -> np.ndarray:
    return image if isinstance(image, np.ndarray) else read(Path(image))
