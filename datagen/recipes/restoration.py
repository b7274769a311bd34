"""A degraded image becomes the image: super-resolution, deblurring, denoising, JPEG and holes.

    target = a crop of a photograph, or a rendered view
    source = the target, degraded as `pairbridge.datagen.imaging.degradations` says

The mask is what was degraded: the whole image, or the hole. Where targets are renders, the scene is one of
the recipe `geometry`.
"""

from typing import Any, Literal

import numpy as np
from pydantic import Field

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.random_draws import Weights, weighted
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imaging.degradations import (
    DegradationKind,
    SecondOrderConfig,
    degrade,
    draw_second_order,
    hole_box,
)
from pairbridge.datagen.imaging.quality import Gates
from pairbridge.datagen.recipes.base import each_pair, sample_meta
from pairbridge.datagen.recipes.geometry import Geometry, GeometryConfig, ViewsConfig
from pairbridge.datagen.recipes.photo_crops import PhotoRecipeConfig, crop_box, plan_crop, take_crop
from pairbridge.datagen.recipes.scene_draws import load_scene
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.shards.fields import Roles
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.shards.sample import Pair

KINDS: tuple[DegradationKind, ...] = ("second_order", "bicubic4", "pooled4", "jpeg5", "jpeg10", "centre_hole")


class RestorationConfig(PhotoRecipeConfig):
    """Each group is one photograph or rendered scene, `pairs_per_group` views of it, each degraded once."""

    kind: Literal["restoration"] = "restoration"
    """Selects this recipe."""
    gates: Gates = Gates(mask=(0.02, 1.0))
    """Filters. All of an image may be degraded, so the mask may be full."""
    targets_from: Weights[Literal["photo", "render"]] = Field(default_factory=lambda: {"photo": 1.0})
    """Relative weights of photographs and rendered scenes as targets."""
    degradations: Weights[DegradationKind] = Field(default_factory=lambda: {"second_order": 1.0})
    """Relative weights of degradations."""
    second_order: SecondOrderConfig = SecondOrderConfig()
    """Parameters of the degradation `second_order`."""
    scene: ViewsConfig = ViewsConfig()
    """Scenes of rendered targets, as in the recipe `geometry`."""


class Restoration:
    """The recipe; see the module's docstring."""

    kind = "restoration"
    fields = ("mask.png", "meta.json", "source.png", "target.png")
    roles = Roles()

    def __init__(self, config: RestorationConfig) -> None:
        self.config = config
        shared = {name: getattr(config, name) for name in ("size_WH", "pairs_per_group", "gates")}
        # Clean targets: what a camera adds is a degradation here.
        self._scenes = Geometry(GeometryConfig(**config.scene.model_dump(), **shared, finish=None))

    def check(self, catalogue: Catalogue, split: Split) -> None:
        """Raise CatalogueError unless the split has what the targets are taken from."""
        if self.config.targets_from.get("photo", 0) > 0:
            catalogue.require("photo", split, self.kind)
        if self.config.targets_from.get("render", 0) > 0:
            self._scenes.check(catalogue, split)

    def plan(
        self, seed: int, recipe_id: str, split: Split, group: int, catalogue: Catalogue
    ) -> dict[str, Any]:
        """Where the targets come from, and for each pair its crop or view and its degradation."""
        draw = rng(seed, recipe_id, split, group)
        # Spawned in this order for ever: a new stream goes to the end, and moves nothing in the others.
        of_target, of_crops, of_degradations = draw.spawn(3)
        shares = {name: self.config.targets_from.get(name, 0.0) for name in ("render", "photo")}
        rendered = weighted(of_target, shares) == "render"
        planned: dict[str, Any] = {
            "pairs": [
                {
                    "crop": plan_crop(of_crops, self.config.crop),
                    "flip": bool(of_crops.random() < self.config.flip),
                    **self._plan_degradation(of_degradations),
                }
                for _ in range(self.config.pairs_per_group)
            ]
        }
        if rendered:
            return planned | {"scene": self._scenes.plan(seed, recipe_id, split, group, catalogue)}
        choices = catalogue.of("photo", split)
        return planned | {"photo": choices[of_target.integers(len(choices))].id}

    def make(self, spec: GroupSpec, workbench: Workbench) -> list[Pair | Rejected]:
        """Crop the photograph or render the views, and degrade each."""
        scene = spec.params.get("scene")
        if scene:
            load_scene(scene, workbench)
        else:
            workbench.phase("load")
            photo = workbench.photo(spec.params["photo"])

        def pair(number: int) -> Pair:
            if scene:
                seen = self._scenes.see(scene, number, workbench)
                target, assets, record = seen.image, seen.assets, {"scene": seen.record}
            else:
                target, box = self._crop(photo, spec.params["pairs"][number])
                assets, record = [("photograph", spec.params["photo"])], {"box_xywh": list(box)}
            return self._pair(spec, number, target, assets, record, workbench)

        return each_pair(len(spec.params["pairs"]), pair)

    def _crop(self, photo: np.ndarray, pair: dict[str, Any]) -> tuple[np.ndarray, tuple[int, ...]]:
        size = self.config.size_WH
        box = crop_box(pair["crop"], photo.shape[1::-1], size, max_enlargement=self.config.max_enlargement)
        return take_crop(photo, box, size, pair["flip"]), box

    def _pair(
        self,
        spec: GroupSpec,
        number: int,
        target: np.ndarray,
        assets: list[tuple[str, str]],
        record: dict[str, Any],
        workbench: Workbench,
    ) -> Pair:
        workbench.phase("degrade")
        pair = spec.params["pairs"][number]
        source = degrade(target, pair["degradation"], pair["parameters"], pair["noise_seed"])
        mask = np.full(target.shape[:2], 255, np.uint8)
        filled = {}
        if pair["degradation"] == "centre_hole":
            # A mix may put noise into the hole.
            filled = {"fill_seed": pair["noise_seed"]}
            y, x, height, width = hole_box(*mask.shape)
            mask[:] = 0
            mask[y : y + height, x : x + width] = 255
        meta = sample_meta(
            spec,
            number,
            workbench,
            assets=assets,
            mask_source="where the image is degraded",
            relighter="none",
            params={**pair, **filled, **record},
        )
        return {"source.png": source, "target.png": target, "mask.png": mask, "meta.json": meta}

    def _plan_degradation(self, draw: np.random.Generator) -> dict[str, Any]:
        kind = weighted(draw, {kind: self.config.degradations.get(kind, 0.0) for kind in KINDS})
        parameters = draw_second_order(draw, self.config.second_order) if kind == "second_order" else {}
        return {"degradation": kind, "parameters": parameters, "noise_seed": int(draw.integers(2**31))}
