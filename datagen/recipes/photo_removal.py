"""A photograph with a hole full of noise becomes the photograph.

    source = a crop of a photograph, uniform noise where the mask is
    target = the crop as it is

The mask covers what it happens to cover (arXiv 2503.07535, in-the-wild removal): the task is to fill in what
the surroundings suggest. It is strokes, boxes, or the outline of another photograph's subject, which is of
the same split. The reader puts the noise in, from the target, the mask and `fill_seed` in `params`,
because noise does not compress; `store_source: true` writes it out for trainers that cannot.
"""

from typing import Any, Literal

import numpy as np

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imaging.fill import fill_noise
from pairbridge.datagen.imaging.masks import MaskConfig, draw_mask
from pairbridge.datagen.models.matting import GrabCutConfig, MattingConfig
from pairbridge.datagen.models.provenance import recorded, tool_name
from pairbridge.datagen.recipes.base import each_pair, sample_meta
from pairbridge.datagen.recipes.photo_crops import (
    PhotoRecipeConfig,
    crop_box,
    plan_crop,
    take_alpha,
    take_crop,
)
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.shards.fields import HoleContent, Roles
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.shards.sample import Pair


class PhotoRemovalConfig(PhotoRecipeConfig):
    """Each group is one photograph and `pairs_per_group` crops and masks of it."""

    kind: Literal["photo_removal"] = "photo_removal"
    """Selects this recipe."""
    mask: MaskConfig = MaskConfig()
    """The masks: their shapes, size and place."""
    matting: MattingConfig = GrabCutConfig()
    """The matting model. It finds the foreground that `mask.mode: avoid_foreground` avoids, and those whose
    silhouettes become masks."""
    store_source: bool = False
    """Write source.png too, noise included, for trainers that cannot fill the hole as they read."""


class PhotoRemoval:
    """The recipe; see the module's docstring."""

    kind = "photo_removal"

    def __init__(self, config: PhotoRemovalConfig) -> None:
        self.config = config
        source = ("source.png",) if config.store_source else ()
        self.fields: tuple[str, ...] = ("mask.png", "meta.json", *source, "target.png")
        self.roles = Roles(source="source" if config.store_source else "target", hole=HoleContent.NOISE)

    def check(self, catalogue: Catalogue, split: Split) -> None:
        """Raise CatalogueError unless the split has a photograph, and another one where outlines are asked
        for.
        """
        catalogue.require("photo", split, self.kind, at_least=2 if self.config.mask.has_silhouettes else 1)

    def plan(
        self, seed: int, recipe_id: str, split: Split, group: int, catalogue: Catalogue
    ) -> dict[str, Any]:
        """The photograph, and for each pair its crop, the seeds of mask and noise, and where outlines are
        asked for, the photograph that lends one.
        """
        draw = rng(seed, recipe_id, split, group)
        # Spawned in this order for ever: a new stream goes to the end, and moves nothing in the others.
        of_photo, of_crops, of_masks, of_noise, of_outlines = draw.spawn(5)
        photos = catalogue.of("photo", split)
        photo = photos[of_photo.integers(len(photos))].id
        others = [asset.id for asset in photos if asset.id != photo]
        pairs = []
        for _ in range(self.config.pairs_per_group):
            pair = {
                "crop": plan_crop(of_crops, self.config.crop),
                "flip": bool(of_crops.random() < self.config.flip),
                "mask_seed": int(of_masks.integers(2**31)),
                "fill_seed": int(of_noise.integers(2**31)),
            }
            if self.config.mask.has_silhouettes:
                pair["outline_of"] = others[of_outlines.integers(len(others))]
            pairs.append(pair)
        return {"photo": photo, "pairs": pairs}

    def make(self, spec: GroupSpec, workbench: Workbench) -> list[Pair | Rejected]:
        """Crop the photograph and draw the masks."""
        workbench.phase("load")
        photo = workbench.photo(spec.params["photo"])
        alpha = self._foreground(spec.params["photo"], workbench)
        workbench.phase("compose")
        return each_pair(
            len(spec.params["pairs"]), lambda number: self._pair(spec, number, photo, alpha, workbench)
        )

    def _foreground(self, asset_id: str, workbench: Workbench) -> np.ndarray | None:
        """The alpha that masks avoid; None where they need not, or where the photograph has no foreground."""
        if self.config.mask.mode == "any_place":
            return None
        workbench.phase("cut out")
        try:
            return workbench.cutouts.alpha(asset_id, self.config.matting)
        except Rejected:
            # A photograph without a subject is free for masks everywhere; meta.json says that none was found.
            return None

    def _pair(
        self,
        spec: GroupSpec,
        number: int,
        photo: np.ndarray,
        alpha: np.ndarray | None,
        workbench: Workbench,
    ) -> Pair:
        pair = spec.params["pairs"][number]
        size, flip = self.config.size_WH, pair["flip"]
        box = crop_box(pair["crop"], photo.shape[1::-1], size, max_enlargement=self.config.max_enlargement)
        target = take_crop(photo, box, size, flip)
        foreground = None if alpha is None else take_alpha(alpha, box, size, flip)
        mask = draw_mask(
            rng(pair["mask_seed"], "mask"),
            size,
            self.config.mask,
            foreground,
            lambda: workbench.cutouts.alpha(pair["outline_of"], self.config.matting),
        )
        found = {
            "kind": mask.kind,
            "area": mask.area,
            "overlap": mask.overlap,
            "tries": mask.tries,
            "trimmed": mask.trimmed,
        }
        assets = [("photograph", spec.params["photo"])]
        if mask.kind == "silhouettes":
            assets.append(("outline", pair["outline_of"]))
        meta = sample_meta(
            spec,
            number,
            workbench,
            assets=assets,
            mask_source=self._mask_source(workbench),
            relighter="none",
            params={
                **pair,
                "crop": {**pair["crop"], "box_xywh": list(box)},
                "mask": {**found, "settings": self.config.mask.model_dump(mode="json")},
                **self._masker_record(workbench, alpha is not None),
            },
        )
        made: Pair = {"target.png": target, "mask.png": mask.pixels, "meta.json": meta}
        if self.config.store_source:
            made["source.png"] = fill_noise(target, mask.pixels, pair["fill_seed"])
        return made

    def _mask_source(self, workbench: Workbench) -> str:
        """What made the masks of this recipe; the same for all of them, `params` has each one's shape."""
        config = self.config.mask
        drawn = [shape for shape in ("strokes", "boxes") if config.shapes.get(shape, 0) > 0]
        parts = [f"random {' and '.join(drawn)}"] if drawn else []
        if config.has_silhouettes:
            parts.append(
                f"outlines of what {tool_name(workbench.matting_model(self.config.matting))} found elsewhere"
            )
        source = ", ".join(parts)
        if config.mode == "avoid_foreground":
            source += f", clear of what {tool_name(workbench.matting_model(self.config.matting))} found"
        return source

    def _masker_record(self, workbench: Workbench, foreground_found: bool) -> dict[str, Any]:
        """The matting model, where it had a part."""
        record: dict[str, Any] = {}
        if self.config.mask.mode == "avoid_foreground" or self.config.mask.has_silhouettes:
            record["matting"] = recorded(workbench.matting_model(self.config.matting), self.config.matting)
        if self.config.mask.mode == "avoid_foreground":
            record["foreground_found"] = foreground_found
        return record
