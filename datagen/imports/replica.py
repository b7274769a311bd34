"""Replica (Straub et al., 2019), rendered along trajectories as for NICE-SLAM and its successors.

`<root>/cam_params.json` gives the scale of the 16-bit depth; 6553.5 units a metre without it. There is no
official split: scenes are split by hash unless the import says otherwise.
"""

from pathlib import Path
from typing import Literal

from pydantic import PositiveFloat

from pairbridge.datagen.core.bounded_json import read_json
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.limits import MAX_SIDE_JSON_BYTES
from pairbridge.datagen.imports.candidates import Candidate, Found, ReadField, SidecarPlace
from pairbridge.datagen.imports.field_codecs import Codec, DepthCodec, ImageCodec
from pairbridge.datagen.imports.field_map import FieldFiles, find_pairs
from pairbridge.datagen.imports.pair_layout import DepthLayout
from pairbridge.datagen.shards.fields import FieldStem

_CAMERA = "cam_params.json"


class ReplicaLayout(DepthLayout):
    """`<root>/office0/results/frame000000.jpg` and `depth000000.png`."""

    kind: Literal["replica"] = "replica"
    """Selects this layout."""
    units_per_m: PositiveFloat = 6553.5
    """Values per metre in the depth images."""

    @property
    def codecs(self) -> dict[FieldStem, Codec]:
        depth = DepthCodec(units_per_m=self.units_per_m, far_m=self.far_m)
        return {"source": ImageCodec(), "target": depth}

    def find(self, root: Path, sidecars: SidecarPlace) -> Found:
        self._check_scale(root / _CAMERA)
        fields = {
            "source": FieldFiles(
                paths=tuple(f"{{scene}}/results/frame{{frame}}{end}" for end in (".jpg", ".png")),
                codec=ImageCodec(),
            ),
            "target": FieldFiles(paths=("{scene}/results/depth{frame}.png",), codec=self.codecs["target"]),
        }
        pairs, refused = find_pairs(root, fields)
        candidates = tuple(
            Candidate(id=pair_id, group=values["scene"], files=files)
            for pair_id, (values, files) in pairs.items()
        )
        return Found(candidates=candidates, refused=tuple(refused), tars={})

    def refuse(self, candidate: Candidate, read: ReadField) -> str | None:
        return None

    def _check_scale(self, path: Path) -> None:
        if not path.is_file():
            return
        try:
            scale = float(read_json(path, MAX_SIDE_JSON_BYTES)["camera"]["scale"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ConfigError(
                f"{path} does not state camera.scale: {type(error).__name__}: {error}",
                consequence="depth would have an unknown unit",
                remedy="restore the file, or remove it and give `units_per_m` in the layout",
            ) from error
        if abs(scale - self.units_per_m) > 1e-6 * scale:
            raise ConfigError(
                f"{path} gives {scale} depth units a metre, the import {self.units_per_m}",
                consequence="every depth would be wrong by that factor",
                remedy=f"write `units_per_m: {scale}` in the layout",
            )
