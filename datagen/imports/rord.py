"""RORD (Sagong et al., BMVC 2022): photographs with and without an object, from videos of a fixed camera.

`img/`, `gt/` and `mask/` hold equal stems. In the masks 0 is the object. `gt` is the clean plate: the last
frame of each video, which also lies in `img/`, where nothing is to be removed.
"""

import re
from pathlib import Path
from typing import Literal

from pydantic import NonNegativeInt

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imports.candidates import Candidate, Found, ReadField, SidecarPlace
from pairbridge.datagen.imports.field_codecs import Codec, ImageCodec, MaskCodec
from pairbridge.datagen.imports.field_map import FieldFiles, find_pairs
from pairbridge.datagen.shards.fields import FieldStem, HoleContent, Roles

_SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
}
# A stem without its last number and what stands before it: what the frames of one video share.
_FRAME_NUMBER = re.compile(r"[_-]*\d+\Z")
# Every fifth video is for testing.
_TEST_EVERY = 5


class RordLayout(FrozenModel):
    """`<root>/img|gt|mask/...` or `<root>/<train|val|test>/img|gt|mask/...`."""

    kind: Literal["rord"] = "rord"
    """Selects this layout."""
    mask_folder: str = "mask"
    """Name of the folder of masks."""
    masks: Literal["fine", "coarse"] = "fine"
    """Form of the masks: as they are, or the bounding box of every region. For coarse masks that come with
    the data, name their folder and leave this at fine."""
    dilate_px: NonNegativeInt = 0
    """Growth of the masks in pixels, before bounding boxes are taken."""
    clean_plates: Literal["skip", "keep"] = "skip"
    """What happens to pairs with an empty mask, the clean plate beside itself; kept, they teach to leave an
    image alone."""

    @property
    def roles(self) -> Roles:
        return Roles(hole=HoleContent.NOISE)

    @property
    def codecs(self) -> dict[FieldStem, Codec]:
        mask = MaskCodec(
            foreground="black",
            threshold=128,
            form="box" if self.masks == "coarse" else "as_is",
            dilate_px=self.dilate_px,
            # Clean plates are told apart by their empty masks.
            empty="keep",
        )
        return {"source": ImageCodec(), "target": ImageCodec(), "mask": mask}

    def find(self, root: Path, sidecars: SidecarPlace) -> Found:
        folders = {"source": "img", "target": "gt", "mask": self.mask_folder}
        tops = [f"{name}/" for name in _SPLIT_FOLDERS if (root / name / "img").is_dir()]
        pairs, refused = {}, []
        for top in tops or [""]:
            fields = {
                field: FieldFiles(
                    paths=tuple(f"{folder}/{{id}}{ending}" for ending in (".jpg", ".png")),
                    codec=self.codecs[field],
                )
                for field, folder in folders.items()
            }
            found, bad = find_pairs(root / top, fields)
            for pair_id, (_, files) in found.items():
                moved = {name: ref.model_copy(update={"path": top + ref.path}) for name, ref in files.items()}
                pairs[top + pair_id] = moved
            refused += [type(entry)(top + entry.id, entry.reason) for entry in bad]
        videos = sorted({_video(pair_id) for pair_id in pairs})
        test = set(videos[_TEST_EVERY - 1 :: _TEST_EVERY])
        candidates = tuple(
            Candidate(
                id=pair_id,
                group=_video(pair_id),
                files=pairs[pair_id],
                split=_SPLIT_FOLDERS[pair_id.partition("/")[0]]
                if tops
                else ("test" if _video(pair_id) in test else "train"),
            )
            for pair_id in sorted(pairs)
        )
        return Found(candidates=candidates, refused=tuple(refused), tars={})

    def refuse(self, candidate: Candidate, read: ReadField) -> str | None:
        if self.clean_plates == "skip" and not read("mask").any():
            return "clean plate: its mask is empty, so nothing is to be removed"
        return None


def _video(pair_id: str) -> str:
    folder, _, stem = pair_id.rpartition("/")
    return f"{folder}/{_FRAME_NUMBER.sub('', stem)}".strip("/") or folder or "all"
