"""Tasks: what is translated into what, and with it the metric that decides and the baselines to beat."""

from enum import StrEnum

from pairbridge.datagen.shards.fields import FieldKind


class Task(StrEnum):
    RELIGHTING = "relighting"
    CONTROLLABLE_RELIGHTING = "controllable_relighting"
    DELIGHT = "delight"
    ALBEDO = "albedo"
    REMOVAL = "removal"
    REGION = "region"
    INSERTION = "insertion"
    SHADOW = "shadow"
    RESTORATION = "restoration"
    DEPTH = "depth"
    NORMALS = "normals"
    PICTURE = "picture"
    ENVIRONMENT = "environment"

    @property
    def judged_by(self) -> str:
        """The one metric that decides which baseline is the best and whether the model beats it."""
        others = {
            Task.REGION: "iou",
            Task.INSERTION: "psnr",
            Task.SHADOW: "psnr",
            Task.RESTORATION: "psnr",
            Task.DEPTH: "abs_rel",
            Task.NORMALS: "mean_angle",
            Task.PICTURE: "psnr",
            Task.ENVIRONMENT: "log_rmse",
        }
        return others.get(self, "foreground_psnr")

    @property
    def has_foreground(self) -> bool:
        """Whether the mask says where the pair's change lies. A shadow falls outside its object."""
        return self.judged_by == "foreground_psnr"

    @property
    def judges(self) -> tuple[FieldKind, ...]:
        """Kinds of targets that its metrics are of."""
        own = {
            Task.DEPTH: (FieldKind.DEPTH,),
            Task.NORMALS: (FieldKind.NORMAL,),
            Task.ENVIRONMENT: (FieldKind.LIGHT,),
            Task.REGION: (FieldKind.MASK,),
        }
        return own.get(self, (FieldKind.IMAGE, FieldKind.MASK))

    @property
    def makes_pictures(self) -> bool:
        """Whether the target is an image or a mask, in 8 bits; else it has levels in [-1, 1]."""
        return self not in (Task.DEPTH, Task.NORMALS, Task.ENVIRONMENT)
