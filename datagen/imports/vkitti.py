"""Virtual KITTI 2 (Cabon et al., 2020): synthetic streets with their depth in centimetres.

The sky is 655.35 m away and 16-bit depth ends there; the far plane of 80 m (as in LBM's depth recipe, arXiv
2503.07535, appendix A) makes what lies beyond white and not valid.
"""

from pathlib import Path
from typing import Literal

from pydantic import PositiveFloat

from pairbridge.datagen.imports.candidates import Candidate, Found, ReadField, SidecarPlace
from pairbridge.datagen.imports.field_codecs import Codec, DepthCodec, ImageCodec
from pairbridge.datagen.imports.field_map import FieldFiles, find_pairs
from pairbridge.datagen.imports.pair_layout import DepthLayout
from pairbridge.datagen.shards.fields import FieldStem

_UNITS_PER_M = 100.0
_FRAMES = "{scene}/{variation}/frames"


class VkittiLayout(DepthLayout):
    """`<root>/Scene01/clone/frames/rgb/Camera_0/...`, or the two archives unpacked side by side.

    All weathers and cameras of a scene show the same drive, so a scene belongs to one split.
    """

    kind: Literal["vkitti"] = "vkitti"
    """Selects this layout."""
    far_m: PositiveFloat = 80.0
    """Distance in metres beyond which depth is white and not valid."""
    validation_scenes: tuple[str, ...] = ()
    """Scenes of the validation split."""
    test_scenes: tuple[str, ...] = ("Scene20",)
    """Scenes of the test split."""

    @property
    def codecs(self) -> dict[FieldStem, Codec]:
        depth = DepthCodec(units_per_m=_UNITS_PER_M, far_m=self.far_m)
        return {"source": ImageCodec(), "target": depth}

    def find(self, root: Path, sidecars: SidecarPlace) -> Found:
        images = f"{_FRAMES}/rgb/{{camera}}/rgb_{{frame}}.jpg"
        depths = f"{_FRAMES}/depth/{{camera}}/depth_{{frame}}.png"
        fields = {
            "source": FieldFiles(paths=(images, f"vkitti_2.0.3_rgb/{images}"), codec=ImageCodec()),
            "target": FieldFiles(paths=(depths, f"vkitti_2.0.3_depth/{depths}"), codec=self.codecs["target"]),
        }
        pairs, refused = find_pairs(root, fields)
        candidates = tuple(
            Candidate(
                id=pair_id,
                group=values["scene"],
                files=files,
                split="test"
                if values["scene"] in self.test_scenes
                else "validation"
                if values["scene"] in self.validation_scenes
                else "train",
            )
            for pair_id, (values, files) in pairs.items()
        )
        return Found(candidates=candidates, refused=tuple(refused), tars={})

    def refuse(self, candidate: Candidate, read: ReadField) -> str | None:
        return None
