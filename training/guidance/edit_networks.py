"""Edit losses in the features of CLIP and DINO, from local folders in the published layouts.

    clip   1 - mean over crops of cos(E_I(crop), E),  E ~ E_T(text) - away E_T(source_text) + kept E_I(source)
    dino   cls: squared distance of the class token to a reference's
           structure: squared distance of the patches' similarities among themselves to the source's

All E of unit length before and after they are added. Their preprocessing is that of the folder's
preprocessor_config.json; a crop is resized to the network's side.
"""

import math
from pathlib import Path
from typing import Literal, NamedTuple, Self

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, model_validator
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer, Dinov2Model, Dinov2WithRegistersModel, ViTModel

from pairbridge.datagen.models.weights.pretrained import load_preprocessor
from pairbridge.training.guidance.edit_scene import EditLossConfig, Scene
from pairbridge.training.networks.local_folders import load_network, read_json, unusable

# By the model_type of config.json. DINO is published without the pooler that ViTModel otherwise has.
_DINO = {
    "vit": (ViTModel, {"add_pooling_layer": False}),
    "dinov2": (Dinov2Model, {}),
    "dinov2_with_registers": (Dinov2WithRegistersModel, {}),
}


class ClipConfig(EditLossConfig):
    kind: Literal["clip"] = "clip"
    """Selects this variant."""
    path: Path
    """Folder of a CLIPModel with its tokenizer and preprocessor_config.json."""
    text: str = Field(min_length=1)
    """Prompt that describes the wanted image."""
    source_text: str | None = None
    """Prompt that describes the image as it is, to point away from. null: none."""
    away: NonNegativeFloat = 0.4
    """Weight of `source_text` against `text`, 0 or more."""
    kept: NonNegativeFloat = 0.2
    """Weight of the source image's own embedding beside the prompts, 0 or more."""
    crops: int = Field(default=8, ge=1)
    """Crops that are compared, at least 1, of 60 to 100 % of the sides and the same at every step: a single
    view is easily fooled. The first is the whole image."""


class DinoConfig(EditLossConfig):
    kind: Literal["dino"] = "dino"
    """Selects this variant."""
    path: Path
    """Folder of a ViTModel (DINO) or Dinov2Model with preprocessor_config.json."""
    compare: Literal["cls", "structure"] = "cls"
    """Features that are compared. cls: the class token. structure: similarities of patches among
    themselves."""
    reference: Path | None = None
    """Image file that the class token is compared with. null: the source."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.compare == "structure" and self.reference is not None:
            raise ValueError("compare: structure is the source's: leave reference out")
        return self


class Preprocessing(NamedTuple):
    """Side in pixels; mean and deviation, (1, 3, 1, 1), of images in [0, 1]."""

    side: int
    mean: Tensor
    std: Tensor

    @classmethod
    def read(cls, folder: Path, side: int, device: torch.device) -> Self:
        found = read_json(folder / "preprocessor_config.json")
        try:
            mean, std = (
                torch.tensor(found[name], dtype=torch.float32, device=device).reshape(1, 3, 1, 1)
                for name in ("image_mean", "image_std")
            )
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise unusable(folder, f"its preprocessor_config.json has no usable {error}") from error
        return cls(side, mean, std)

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 3, side, side), normalised."""
        resized = F.interpolate(images, (self.side, self.side), mode="bilinear", antialias=True)
        return ((resized + 1) / 2 - self.mean) / self.std


class ClipLoss:
    def __init__(
        self, model: CLIPModel, prepare: Preprocessing, towards: Tensor, kept: float, crops: int
    ) -> None:
        """towards: (1, width), the texts' part of the goal."""
        self.model, self.prepare, self.towards, self.kept = model, prepare, towards, kept
        self.windows = _windows(crops)

    @classmethod
    def load(cls, config: ClipConfig, device: torch.device) -> Self:
        """Raises ConfigError for a folder that does not hold one."""
        model = load_network(CLIPModel, config.path).to(device)
        tokenizer = load_preprocessor(CLIPTokenizer, config.path, unusable)

        @torch.no_grad()
        def text(words: str) -> Tensor:
            tokens = tokenizer(words, truncation=True, return_tensors="pt").to(device)
            return F.normalize(model.text_projection(model.text_model(**tokens).pooler_output), dim=1)

        towards = text(config.text)
        if config.source_text:
            towards = towards - config.away * text(config.source_text)
        side = model.config.vision_config.image_size
        prepare = Preprocessing.read(config.path, side, device)
        return cls(model, prepare, towards, config.kept, config.crops)

    def __call__(self, images: Tensor, scene: Scene) -> Tensor:
        with torch.no_grad():
            source = self._embed(scene.source)
        goal = F.normalize(self.towards + self.kept * source, dim=1)
        likeness = [(self._embed(_cut(images, window)) * goal).sum(dim=1) for window in self.windows]
        return 1 - torch.stack(likeness).mean(dim=0)

    def _embed(self, images: Tensor) -> Tensor:
        pooled = self.model.vision_model(self.prepare(images)).pooler_output
        return F.normalize(self.model.visual_projection(pooled), dim=1)


class DinoLoss:
    def __init__(
        self, model: torch.nn.Module, prepare: Preprocessing, compare: str, reference: Tensor | None
    ) -> None:
        """reference: (1, 3, H, W) in [-1, 1]; None: each image's source."""
        self.model, self.prepare, self.compare = model, prepare, compare
        with torch.no_grad():
            self.wanted = None if reference is None else self._features(reference)

    @classmethod
    def load(cls, config: DinoConfig, reference: Tensor | None, device: torch.device) -> Self:
        """Raises ConfigError for a folder that does not hold one."""
        kind = read_json(config.path / "config.json").get("model_type")
        if kind not in _DINO:
            raise unusable(
                config.path, f"its config.json names the type {kind!r}, none of {', '.join(_DINO)}"
            )
        network, options = _DINO[kind]
        model = load_network(network, config.path, **options).to(device)
        prepare = Preprocessing.read(config.path, model.config.image_size, device)
        return cls(model, prepare, config.compare, reference)

    def __call__(self, images: Tensor, scene: Scene) -> Tensor:
        wanted = self.wanted
        if wanted is None:
            with torch.no_grad():
                wanted = self._features(scene.source)
        return (self._features(images) - wanted).square().flatten(1).mean(dim=1)

    def _features(self, images: Tensor) -> Tensor:
        """(B, width) of the class token, or (B, patches, patches)."""
        tokens = self.model(self.prepare(images)).last_hidden_state
        if self.compare == "cls":
            return tokens[:, 0]
        # The class token, and with it any registers, stand before the patches.
        patches = (self.prepare.side // self.model.config.patch_size) ** 2
        unit = F.normalize(tokens[:, -patches:], dim=2)
        return unit @ unit.transpose(1, 2)


def _windows(count: int) -> list[tuple[float, float, float]]:
    """Side, top and left of square windows, as shares of the image."""
    draws = torch.rand(count, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    windows = [(1.0, 0.0, 0.0)]
    for size, top, left in draws[1:].tolist():
        side = 0.6 + 0.4 * size
        windows.append((side, top * (1 - side), left * (1 - side)))
    return windows


def _cut(images: Tensor, window: tuple[float, float, float]) -> Tensor:
    height, width = images.shape[-2:]
    side, top, left = window
    first = math.floor(top * height), math.floor(left * width)
    rows = slice(first[0], first[0] + max(1, round(side * height)))
    columns = slice(first[1], first[1] + max(1, round(side * width)))
    return images[..., rows, columns]
