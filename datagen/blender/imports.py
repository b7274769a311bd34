"""Objects from files. Broken ones raise in Blender or come back empty; both end as AssetError. Needs bpy."""

from pathlib import Path

import bpy

from datagen.errors import AssetError


def import_file(path: Path) -> None:
    """Add the objects of a .glb, .gltf or .obj file to the scene, and check their images.

    The caller checks the geometry: a broken OBJ comes back empty without a word.
    """
    if not path.is_file():
        raise _broken(path, "there is no such file")
    if path.stat().st_size == 0:
        raise _broken(path, "it is empty")
    try:
        _import(path)
    except RuntimeError as error:
        # Operators raise RuntimeError with their report, and often with a traceback before it.
        raise _broken(path, str(error).strip().splitlines()[-1]) from error
    _check_images(path)


def _import(path: Path) -> None:
    match path.suffix.lower():
        case ".glb" | ".gltf":
            # Bones are drawn as spheres in a collection of their own unless told otherwise.
            bpy.ops.import_scene.gltf(filepath=str(path), disable_bone_shape=True)
        case ".obj":
            bpy.ops.wm.obj_import(filepath=str(path))
        case suffix:
            raise _broken(path, f"{suffix or 'no suffix'} is not one of .glb, .gltf, .obj")


def _check_images(path: Path) -> None:
    """A missing texture does not raise: it renders purple."""
    for image in bpy.data.images:
        if image.users and image.source in ("FILE", "TILED") and 0 in image.size[:]:
            raise _broken(path, f"its texture {image.filepath or image.name} is missing or damaged")


def _broken(path: Path, why: str) -> AssetError:
    return AssetError(
        f"object {path} cannot be loaded: {why}",
        consequence="every group that draws it is quarantined; the rest of the dataset is made",
        remedy="repair, replace or remove the file",
    )
