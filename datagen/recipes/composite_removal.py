"""A photograph into which the subject of another was pasted becomes the photograph.

    source = a crop of a photograph with the cut-out subject of another one in it, relit for its new place
    target = the crop as it is

The target is untouched, and the object is visible, but the source is no photograph: the object throws no
shadow, has no reflection, and its light is what the relighter made of it. `params.composite` of every sample
says so. Rendered pairs (`object_removal`) teach what these cannot.

| field | what |
|---|---|
| `mask.png` | the region to remove, 0 or 255: every pixel the cut-out is seen in, grown by `mask_grow` |
| `visible.png` | its alpha: the share of each pixel in which it is seen |
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.random_draws import Range, RangeOf
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imaging.filters import grown
from pairbridge.datagen.imaging.pasting import (
    ForegroundMethod,
    estimate_foreground,
    method_record,
    paste_relit,
)
from pairbridge.datagen.imaging.quality import check_foreground, check_framing
from pairbridge.datagen.models.matting import GrabCutConfig, MattingConfig
from pairbridge.datagen.models.provenance import recorded, tool_name
from pairbridge.datagen.models.relighting import (
    ColourTransferConfig,
    RelighterConfig,
    ToRelight,
)
from pairbridge.datagen.recipes.base import sample_meta
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
from pairbridge.datagen.shards.fields import HoleContent, Roles
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.shards.sample import Pair

# Room around a subject's bounding box that is cut out with it, of its longer side: its soft edge.
_ROOM = 0.05


class CompositeRemovalConfig(PhotoRecipeConfig):
    """Each group is one photograph and `pairs_per_group` crops of it, with a cut-out pasted into each."""

    kind: Literal["composite_removal"] = "composite_removal"
    """Selects this recipe."""
    matting: MattingConfig = GrabCutConfig()
    """The matting model that cuts subjects out."""
    relighter: RelighterConfig = ColourTransferConfig()
    """The model that relights a cut-out for the photograph that it is pasted into."""
    foreground_colour: ForegroundMethod = "blur_fusion"
    """Estimator of a cut-out's own colour at soft edges, where its photograph shows it mixed with what was
    behind it. `multilevel` is pymatting's and needs the extra `matting`."""
    span: RangeOf[Annotated[float, Field(gt=0, le=1)]] = (0.2, 0.5)
    """Longer side of a cut-out as a fraction, within (0, 1], of the image's shorter side."""
    mask_grow: Range = (0.0, 0.03)
    """Growth of the mask around the cut-out, as a fraction of the shorter side; drawn for each pair."""
    min_structure: float = Field(0.4, ge=-1, le=1)
    """Least structural similarity (the structure term of SSIM) of the relit cut-out with the one of its
    photograph, within [-1, 1]; below it edges drifted, and the pair is refused."""


@dataclass(frozen=True, slots=True, eq=False)
class _Composite:
    """One pair before its cut-out is relit."""

    box: Box
    target: np.ndarray
    pasted: np.ndarray
    alpha: np.ndarray
    place_xywh: Box


class CompositeRemoval:
    """The recipe; see the module's docstring."""

    kind = "composite_removal"
    fields = ("mask.png", "meta.json", "source.png", "target.png", "visible.png")
    roles = Roles(hole=HoleContent.NOISE)

    def __init__(self, config: CompositeRemovalConfig) -> None:
        self.config = config

    def check(self, catalogue: Catalogue, split: Split) -> None:
        """Raise CatalogueError unless the split has two photographs."""
        catalogue.require("photo", split, self.kind, at_least=2)

    def plan(
        self, seed: int, recipe_id: str, split: Split, group: int, catalogue: Catalogue
    ) -> dict[str, Any]:
        """The photograph, and for each pair its crop, and whose subject is pasted where and how large."""
        draw = rng(seed, recipe_id, split, group)
        # Spawned in this order for ever: a new stream goes to the end, and moves nothing in the others.
        of_photo, of_crops, of_cut_outs, of_seeds = draw.spawn(4)
        photos = catalogue.of("photo", split)
        photo = photos[of_photo.integers(len(photos))].id
        others = [asset.id for asset in photos if asset.id != photo]
        pairs = [
            {
                "crop": plan_crop(of_crops, self.config.crop),
                "flip": bool(of_crops.random() < self.config.flip),
                "cut_out": {
                    "id": others[of_cut_outs.integers(len(others))],
                    "flip": bool(of_cut_outs.random() < self.config.flip),
                    "span": float(of_cut_outs.uniform(*self.config.span)),
                    "x": float(of_cut_outs.random()),
                    "y": float(of_cut_outs.random()),
                },
                "mask_grow": float(of_cut_outs.uniform(*self.config.mask_grow)),
                "relight_seed": int(of_seeds.integers(2**31)),
                "fill_seed": int(of_seeds.integers(2**31)),
            }
            for _ in range(self.config.pairs_per_group)
        ]
        return {"photo": photo, "pairs": pairs}

    def make(self, spec: GroupSpec, workbench: Workbench) -> list[Pair | Rejected]:
        """Cut each subject out and paste it, then relight all of them where they stand."""
        workbench.phase("load")
        photo = workbench.photo(spec.params["photo"])
        planned = spec.params["pairs"]
        return make_relit(
            len(planned),
            self.config.relighter,
            workbench,
            prepare=lambda number: self._composite(planned[number], photo, workbench),
            to_relight=lambda number, one: ToRelight(
                one.pasted, one.alpha, one.target, planned[number]["relight_seed"]
            ),
            finish=lambda number, one, relit: self._pair(spec, number, one, relit, workbench),
        )

    def _composite(self, pair: dict[str, Any], photo: np.ndarray, workbench: Workbench) -> _Composite:
        """The cut-out in its own light, on the crop of the photograph."""
        config, cut_out = self.config, pair["cut_out"]
        size = config.size_WH
        box = crop_box(pair["crop"], photo.shape[1::-1], size, max_enlargement=config.max_enlargement)
        target = take_crop(photo, box, size, pair["flip"])
        workbench.phase("cut out")
        alpha = workbench.cutouts.alpha(cut_out["id"], config.matting)
        check_framing(alpha / np.float32(255), config.gates)
        other = workbench.photo(cut_out["id"])
        around = _with_room(subject_box(alpha), alpha.shape[1::-1])
        scale = cut_out["span"] * min(size) / max(around[2:])
        if scale > config.max_enlargement:
            raise Rejected(
                f"the subject of photograph {cut_out['id']} has {around[2]}x{around[3]} pixels: it would be "
                f"enlarged {scale:.2f} times",
                remedy="use larger photographs, a smaller `span`, or a larger `max_enlargement`",
                gate="too_few_pixels",
            )
        wide, high = (max(1, round(scale * side)) for side in around[2:])
        small = take_alpha(alpha, around, (wide, high), cut_out["flip"])
        colours = estimate_foreground(
            take_crop(other, around, (wide, high), cut_out["flip"]), small, config.foreground_colour
        )
        left, top = round(cut_out["x"] * (size[0] - wide)), round(cut_out["y"] * (size[1] - high))
        there = np.s_[top : top + high, left : left + wide]
        whole = np.zeros(size[::-1], np.uint8)
        whole[there] = small
        pasted = target.copy()
        weight = small[..., None] / np.float32(255)
        pasted[there] = np.rint(target[there] + weight * (colours - target[there])).astype(np.uint8)
        return _Composite(box, target, pasted, whole, (left, top, wide, high))

    def _pair(
        self, spec: GroupSpec, number: int, composite: _Composite, relit: np.ndarray, workbench: Workbench
    ) -> Pair:
        config, pair, alpha = self.config, spec.params["pairs"][number], composite.alpha
        structure = check_structure(composite.pasted, relit, alpha, config.min_structure)
        source = paste_relit(composite.pasted, relit, alpha, config.foreground_colour)
        check_foreground(source, alpha, "source", config.gates)
        grow_px = round(pair["mask_grow"] * min(config.size_WH))
        matting, relighter = workbench.matting_model(config.matting), workbench.relighter(config.relighter)
        meta = sample_meta(
            spec,
            number,
            workbench,
            assets=[("photograph", spec.params["photo"]), ("cut-out", pair["cut_out"]["id"])],
            mask_source=tool_name(matting),
            relighter=tool_name(relighter),
            params={
                **pair,
                "composite": True,
                "crop": {**pair["crop"], "box_xywh": list(composite.box)},
                "cut_out": {**pair["cut_out"], "place_xywh": list(composite.place_xywh)},
                "mask_grow_px": grow_px,
                "structure": structure,
                "foreground_colour": method_record(config.foreground_colour),
                "matting": recorded(matting, config.matting),
                "relighter": recorded(relighter, config.relighter),
            },
        )
        return {
            "source.png": source,
            "target.png": composite.target,
            "mask.png": grown(alpha > 0, grow_px) * np.uint8(255),
            "visible.png": alpha,
            "meta.json": meta,
        }


def _with_room(box: Box, photo_WH: tuple[int, int]) -> Box:
    """`box` with room for a soft edge, as far as the photograph goes."""
    room = round(_ROOM * max(box[2:]))
    left, top = max(box[0] - room, 0), max(box[1] - room, 0)
    right, bottom = (min(box[axis] + box[axis + 2] + room, photo_WH[axis]) for axis in (0, 1))
    return left, top, right - left, bottom - top
