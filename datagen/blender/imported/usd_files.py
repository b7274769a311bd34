"""USD files: the pictures they name on their author's disk, and the axis that is up in them. Needs bpy."""

import sys
from pathlib import Path
from typing import Any

import bpy

from pairbridge.datagen.assets.object_formats.file_references import find_beside


def with_pictures(path: Path, folder: Path) -> Path:
    """The file itself; a copy of it in `folder` where a name in it means another file than Blender would
    look for."""
    if path.suffix.lower() == ".usdz":
        return path  # its pictures are in it
    pxr = _pxr()
    layer = pxr.Sdf.Layer.OpenAsAnonymous(str(path))
    changed = []

    def found(name: str) -> str:
        there = find_beside(path.parent, name) if name else None
        changed.append(there not in (None, str(Path(name))))
        # The copy lies in another folder; names such as tile.<UDIM>.png are no files.
        return str((path.parent / (there or name)).absolute()) if name else name

    pxr.UsdUtils.ModifyAssetPaths(layer, found)
    if not any(changed):
        return path
    layer.Export(str(folder / path.name))
    return folder / path.name


def stated_up(path: Path) -> str:
    """The axis that is up in the file: y or z."""
    pxr = _pxr()
    return pxr.UsdGeom.GetStageUpAxis(pxr.Usd.Stage.Open(str(path), pxr.Usd.Stage.LoadNone)).lower()


def _pxr() -> Any:
    # The wheel brings USD's own Python modules, in a folder that it does not put on the path.
    folder = str(Path(bpy.utils.resource_path("LOCAL"), "python", "lib", f"python3.{sys.version_info[1]}"))
    if f"{folder}/site-packages" not in sys.path:
        sys.path.append(f"{folder}/site-packages")
    import pxr.Sdf
    import pxr.Usd
    import pxr.UsdGeom
    import pxr.UsdUtils

    return pxr
