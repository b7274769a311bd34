"""Hypersim (Roberts et al., ICCV 2021): synthetic rooms with their depth, as the authors' download lays them
out.

Depth is stored as the distance to the camera's centre, in HDF5; it is made planar as it is read. Frames that
`metadata_images_split_scene_v1.csv` leaves out of the public release, and their split, are taken from it.
"""

import csv
from pathlib import Path
from typing import Literal

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imports.candidates import Candidate, Found, ReadField, Refused, SidecarPlace
from pairbridge.datagen.imports.field_codecs import Codec, DepthCodec, ImageCodec
from pairbridge.datagen.imports.field_map import FieldFiles, find_pairs
from pairbridge.datagen.imports.pair_layout import DepthLayout
from pairbridge.datagen.shards.fields import FieldStem

_IMAGES = "{scene}/images/scene_{camera}_final_preview/frame.{frame}.tonemap.jpg"
_DEPTHS = "{scene}/images/scene_{camera}_geometry_hdf5/frame.{frame}.depth_meters.hdf5"
_METADATA = "metadata_images_split_scene_v1.csv"
_SPLITS: dict[str, Split] = {"train": "train", "val": "validation", "test": "test"}


class HypersimLayout(DepthLayout):
    """`<root>/ai_001_001/images/scene_cam_00_final_preview/...`; source: tone-mapped image, target: depth."""

    kind: Literal["hypersim"] = "hypersim"
    """Selects this layout."""

    @property
    def codecs(self) -> dict[FieldStem, Codec]:
        depth = DepthCodec(file="hypersim_hdf5", far_m=self.far_m)
        return {"source": ImageCodec(), "target": depth}

    def find(self, root: Path, sidecars: SidecarPlace) -> Found:
        paths = {"source": _IMAGES, "target": _DEPTHS}
        fields = {name: FieldFiles(paths=(paths[name],), codec=self.codecs[name]) for name in paths}
        pairs, refused = find_pairs(root, fields)
        official = _official_splits(root / _METADATA)
        candidates = []
        for pair_id, (values, files) in pairs.items():
            place = (
                values["scene"],
                values["camera"],
                int(values["frame"]) if values["frame"].isdecimal() else -1,
            )
            if official is not None and place not in official:
                refused.append(Refused(pair_id, f"{_METADATA} leaves it out of the public release"))
                continue
            split = None if official is None else official[place]
            candidates.append(Candidate(id=pair_id, group=values["scene"], files=files, split=split))
        return Found(candidates=tuple(candidates), refused=tuple(refused), tars={})

    def refuse(self, candidate: Candidate, read: ReadField) -> str | None:
        return None


def _official_splits(path: Path) -> dict[tuple[str, str, int], Split] | None:
    """{(scene, camera, frame): split} of the frames in the public release, or None without the file."""
    if not path.is_file():
        return None
    with open(path, newline="", encoding="utf-8") as stream:
        try:
            return {
                (row["scene_name"], row["camera_name"], int(row["frame_id"])): _SPLITS[
                    row["split_partition_name"]
                ]
                for row in csv.DictReader(stream)
                if row["included_in_public_release"] == "True"
            }
        except (KeyError, ValueError, TypeError, csv.Error) as error:
            raise ConfigError(
                f"{path} is not Hypersim's table of splits: {type(error).__name__}: {error}",
                consequence="frames withdrawn from the release, and the split of the rest, are not known",
                remedy="download it again from the Hypersim repository, or remove it to split by scene",
            ) from error
