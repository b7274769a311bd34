"""Photographs with a known answer: rendered, so that alpha and the foreground under another light are exact.

One object under the lightings A and B gives

    photo = view(fg_A + (1 - a) bg_A)     what a camera would see under A: the matting model's and
    relighter's input
    other = view(fg_B + (1 - a) bg_B)     the same under B: what a relighter without fault would give back
    truth = view(fg_B + (1 - a) bg_A)     that foreground pasted back without fault

`truth` is what the recipe `relighting_swap` makes its sources from, so an error against it is the distance
of a relit photograph to a rendered pair. Everything goes through one view transform, in linear light before
it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pairbridge.datagen.imaging.compositing import alpha_to_mask, over_linear
from pairbridge.datagen.imaging.quality import check_foreground

if TYPE_CHECKING:
    from pairbridge.datagen.recipes.relighting_swap import RelightingSwap
    from pairbridge.datagen.recipes.workbench import Workbench
    from pairbridge.datagen.shards.layout import GroupSpec


@dataclass(frozen=True, slots=True, eq=False)
class TrueScene:
    """All images are uint8 (H, W, 3) sRGB, the mask is uint8 (H, W); see the module's docstring."""

    name: str
    subject: str  # the object's id: scenes of one subject are not independent
    photo: np.ndarray
    mask: np.ndarray  # the rendered alpha
    other: np.ndarray
    other_background: np.ndarray  # bg_B alone
    truth: np.ndarray


def render_scenes(spec: "GroupSpec", recipe: "RelightingSwap", workbench: "Workbench") -> list[TrueScene]:
    """One scene for each of the group's ordered pairs (A, B); `strength` and `tint` are not applied.

    Raises Rejected if a gate refuses a render or a photograph, AssetError for a broken asset.
    """
    pairs = spec.params["pairs"]
    needed = sorted({index for pair in pairs for index in (pair["a"], pair["b"])})
    layers = recipe.render_layers(spec, needed, workbench)
    workbench.phase("compose")
    scenes = []
    for name, pair in zip(spec.keys, pairs, strict=True):
        a, b = layers[pair["a"]], layers[pair["b"]]
        scene = TrueScene(
            name=name,
            subject=", ".join(entry["id"] for entry in spec.params["objects"]),
            photo=workbench.view.apply(a.picture()),
            mask=alpha_to_mask(a.foreground[..., 3]),
            other=workbench.view.apply(b.picture()),
            other_background=workbench.view.apply(b.background),
            truth=workbench.view.apply(over_linear(b.foreground, a.background)),
        )
        check_foreground(scene.photo, scene.mask, "photograph", recipe.config.gates)
        check_foreground(scene.truth, scene.mask, "truth", recipe.config.gates)
        scenes.append(scene)
    return scenes
