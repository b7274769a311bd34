"""Tasks: what is translated into what, and with it the metric that decides and the baselines to beat."""

from enum import StrEnum

from pairbridge.training.data.targets import TargetKind


class Task(StrEnum):
    RELIGHTING = "relighting"
    CONTROLLABLE_RELIGHTING = "controllable_relighting"
    REMOVAL = "removal"
    SHADOW = "shadow"
    RESTORATION = "restoration"
    DEPTH = "depth"
    NORMALS = "normals"

    @property
    def judged_by(self) -> str:
        """The one metric that decides which baseline is the best and whether the model beats it."""
        others = {
            Task.SHADOW: "psnr",
            Task.RESTORATION: "psnr",
            Task.DEPTH: "abs_rel",
            Task.NORMALS: "mean_angle",
        }
        return others.get(self, "foreground_psnr")

    @property
    def has_foreground(self) -> bool:
        """Whether the mask says where the pair's change lies. A shadow falls outside its object."""
        return self in (Task.RELIGHTING, Task.CONTROLLABLE_RELIGHTING, Task.REMOVAL)

    @property
    def target(self) -> TargetKind:
        """What its pairs lead to."""
        return {Task.DEPTH: TargetKind.DEPTH, Task.NORMALS: TargetKind.NORMAL}.get(self, TargetKind.IMAGE)

    @property
    def is_geometry(self) -> bool:
        """Whether the target is no image."""
        return self in (Task.DEPTH, Task.NORMALS)
