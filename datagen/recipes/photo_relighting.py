"""A photograph whose subject was relit becomes the photograph as it is.

    source = the photograph with its foreground relit for another background, pasted back in its place
    target = the untouched photograph

Both are one crop. The background is the same in both, and whatever the matting model or the relighter did
wrong appears in the source alone (arXiv 2503.07535, in-the-wild relighting). The other background is a second
photograph of the same split, with its own foreground left in or smoothed away (`background`), or a view into
a lighting.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.random_draws import Coverage, Weights
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imaging.pasting import ForegroundMethod, method_record, paste_relit
from pairbridge.datagen.imaging.quality import check_foreground
from pairbridge.datagen.models.matting import GrabCutConfig, MattingConfig
from pairbridge.datagen.models.provenance import recorded, tool_name
from pairbridge.datagen.models.relighting import (
    ColourTransferConfig,
    RelighterConfig,
    ToRelight,
)
from pairbridge.datagen.recipes.base import sample_meta
from pairbridge.datagen.recipes.photo_backgrounds import (
    BACKGROUND_KINDS,
    BackgroundKind,
    OtherForeground,
    plan_background,
    show_background,
)
from pairbridge.datagen.recipes.photo_crops import (
    Box,
    PhotoRecipeConfig,
    crop_box,
    plan_crop,
    subject_box,
    take_alpha,
    take_crop,
)
from pairbridge.datagen.recipes.relit_pairs import check_structure, make_relit
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.shards.fields import Roles
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.shards.sample import Pair


class PhotoRelightingConfig(PhotoRecipeConfig):
    """Each group is one photograph and `pairs_per_group` crops and relightings of it."""

    kind: Literal["photo_relighting"] = "photo_relighting"
    """Selects this recipe."""
    background_from: Weights[BackgroundKind] = Field(default_factory=lambda: {"photo": 0.5, "hdri": 0.5})
    """Relative weights of what the foreground is relit for: another photograph, or a view into an environment
    map of some kind. Each kind named here must exist in every split the recipe has groups in."""
    background_from_of_split: dict[Split, Weights[BackgroundKind]] = Field(default_factory=dict)
    """Weights for single splits, in place of `background_from`: for example, for a split of one photograph.
    """
    matting: MattingConfig = GrabCutConfig()
    """The matting model that finds the foreground."""
    relighter: RelighterConfig = ColourTransferConfig()
    """The model that relights the foreground."""
    foreground_colour: ForegroundMethod = "blur_fusion"
    """Estimator of the foreground's own colour at soft edges, where the photograph shows it mixed with the
    background. `multilevel` is pymatting's and needs the extra `matting`."""
    coverage: Coverage = (0.04, 0.9)
    """Least and largest fraction of the crop that the foreground covers, within (0, 1]."""
    background: OtherForeground = "as_is"
    """What happens to the other photograph's own foreground: it stays, or its place is filled with smooth
    colours."""
    min_change: NonNegativeFloat = 4.0
    """Least mean difference between source and target over the foreground, in 8-bit levels; below it a pair
    teaches to change nothing, and is refused."""
    min_structure: float = Field(0.4, ge=-1, le=1)
    """Least structural similarity (the structure term of SSIM) of the relit foreground with the photograph,
    within [-1, 1]; below it edges drifted, and the pair is refused."""

    def weights(self, split: Split) -> dict[BackgroundKind, float]:
        """The weight of each kind of background in one split, in a fixed order, zeros left out."""
        weights = self.background_from_of_split.get(split, self.background_from)
        return {kind: weights[kind] for kind in BACKGROUND_KINDS if weights.get(kind, 0) > 0}


@dataclass(frozen=True, slots=True, eq=False)
class _Crop:
    """One pair before it is relit: its target, its mask, and what it is to be relit for."""

    box: Box
    target: np.ndarray
    mask: np.ndarray
    coverage: float
    behind: np.ndarray
    background_foreground: str


class PhotoRelighting:
    """The recipe; see the module's docstring."""

    kind = "photo_relighting"
    fields = ("mask.png", "meta.json", "source.png", "target.png")
    roles = Roles()

    def __init__(self, config: PhotoRelightingConfig) -> None:
        self.config = config

    def check(self, catalogue: Catalogue, split: Split) -> None:
        """Raise CatalogueError unless the split has a photograph and every kind of background it needs."""
        catalogue.require("photo", split, self.kind)
        for kind in self.config.weights(split):
            if kind == "photo":
                catalogue.require("photo", split, self.kind, at_least=2)
            else:
                catalogue.require_lightings(kind, split, self.kind)

    def plan(
        self, seed: int, recipe_id: str, split: Split, group: int, catalogue: Catalogue
    ) -> dict[str, Any]:
        """The photograph, and for each pair its crop, its background and the relighter's seed."""
        draw = rng(seed, recipe_id, split, group)
        # Spawned in this order for ever: a new stream goes to the end, and moves nothing in the others.
        of_photo, of_crops, of_backgrounds, of_relighting = draw.spawn(4)
        photos = catalogue.of("photo", split)
        photo = photos[of_photo.integers(len(photos))].id
        pairs = []
        for _ in range(self.config.pairs_per_group):
            pairs.append(
                {
                    "crop": plan_crop(of_crops, self.config.crop),
                    "flip": bool(of_crops.random() < self.config.flip),
                    "background": plan_background(
                        of_backgrounds, catalogue, split, photo, self.config.weights(split), self.config.crop
                    ),
                    "relight_seed": int(of_relighting.integers(2**31)),
                }
            )
        return {"photo": photo, "pairs": pairs}

    def make(self, spec: GroupSpec, workbench: Workbench) -> list[Pair | Rejected]:
        """Cut the photograph's foreground out once, then relight and paste each crop."""
        workbench.phase("load")
        photo = workbench.photo(spec.params["photo"])
        workbench.phase("cut out")
        alpha = workbench.cutouts.alpha(spec.params["photo"], self.config.matting)
        workbench.phase("load")
        planned = spec.params["pairs"]
        return make_relit(
            len(planned),
            self.config.relighter,
            workbench,
            prepare=lambda number: self._crop(spec, number, photo, alpha, workbench),
            to_relight=lambda number, crop: ToRelight(
                crop.target, crop.mask, crop.behind, planned[number]["relight_seed"]
            ),
            finish=lambda number, crop, relit: self._pair(spec, number, crop, relit, workbench),
        )

    def _crop(
        self, spec: GroupSpec, number: int, photo: np.ndarray, alpha: np.ndarray, workbench: Workbench
    ) -> "_Crop":
        pair = spec.params["pairs"][number]
        size, flip = self.config.size_WH, pair["flip"]
        box = crop_box(
            pair["crop"],
            photo.shape[1::-1],
            size,
            max_enlargement=self.config.max_enlargement,
            subject=subject_box(alpha),
        )
        target, mask = take_crop(photo, box, size, flip), take_alpha(alpha, box, size, flip)
        coverage = float(mask.mean()) / 255
        low, high = self.config.coverage
        if not low <= coverage <= high:
            raise Rejected(
                f"the foreground of photograph {spec.params['photo']} covers {coverage:.3f} of the crop, "
                f"outside {low} to {high}",
                remedy="widen the recipe's `coverage`, or change its `crop`",
                gate="too_small" if coverage < low else "too_large",
            )
        behind, foreground = show_background(
            pair["background"], size, self.config.background, self.config.matting, workbench
        )
        return _Crop(
            box=box,
            target=target,
            mask=mask,
            coverage=coverage,
            behind=behind,
            background_foreground=foreground,
        )

    def _pair(
        self, spec: GroupSpec, number: int, crop: "_Crop", relit: np.ndarray, workbench: Workbench
    ) -> Pair:
        pair, target, mask = spec.params["pairs"][number], crop.target, crop.mask
        matting, relighter = (
            workbench.matting_model(self.config.matting),
            workbench.relighter(self.config.relighter),
        )
        structure = check_structure(target, relit, mask, self.config.min_structure)
        source = paste_relit(target, relit, mask, self.config.foreground_colour)
        change = _mean_change(source, target, mask)
        if change < self.config.min_change:
            raise Rejected(
                f"relighting changed the foreground by {change:.2f} of 255 on average, "
                f"below {self.config.min_change}",
                remedy="lower the recipe's `min_change`, or let its relighter go further",
                gate="too_alike",
            )
        check_foreground(target, mask, "target", self.config.gates)
        check_foreground(source, mask, "source", self.config.gates)
        meta = sample_meta(
            spec,
            number,
            workbench,
            assets=[("photograph", spec.params["photo"]), ("background", pair["background"]["id"])],
            mask_source=tool_name(matting),
            relighter=tool_name(relighter),
            params={
                **pair,
                "crop": {**pair["crop"], "box_xywh": list(crop.box)},
                "background": {**pair["background"], "foreground": crop.background_foreground},
                "coverage": crop.coverage,
                "change": change,
                "structure": structure,
                "foreground_colour": method_record(self.config.foreground_colour),
                "matting": recorded(matting, self.config.matting),
                "relighter": recorded(relighter, self.config.relighter),
            },
        )
        return {"source.png": source, "target.png": target, "mask.png": mask, "meta.json": meta}


def _mean_change(source: np.ndarray, target: np.ndarray, mask: np.ndarray) -> float:
    weight = mask.astype(np.float64)
    difference = np.abs(source.astype(np.int16) - target).mean(axis=2)
    return float((difference * weight).sum() / max(weight.sum(), 1.0))
