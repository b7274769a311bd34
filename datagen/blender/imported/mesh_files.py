"""Objects from files. Broken ones raise in Blender or come back empty; both end as AssetError. Needs bpy.

Out of a .blend they are appended, never opened, so that none of its settings or scripts runs. A file that
wants to run Python (a text that registers itself, a driver beyond plain arithmetic) is refused: with scripts
off it would not look as its author saw it.
"""

import math
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from pairbridge.datagen.assets.object_files import check_object_file, companions, default_up
from pairbridge.datagen.assets.object_formats.file_references import can_be_read, check_readable
from pairbridge.datagen.assets.object_formats.unusable_objects import importer_reason, unusable
from pairbridge.datagen.assets.object_rules import ObjectRules, UpAxis
from pairbridge.datagen.blender.imported import usd_files
from pairbridge.datagen.blender.imported.imported_materials import settle_materials
from pairbridge.datagen.core.errors import AssetError, FileUnreadable

# Area of all faces over the square of the extent: below it lie only lines and points, to rounding.
LEAST_AREA = 1e-10
# The property of a binary FBX that states its axis.
_FBX_UP = re.compile(
    rb"S\x06\0\0\0UpAxisS\x03\0\0\0intS\x07\0\0\0IntegerS\0\0\0\0I([\0-\x02]\0\0\0)", re.DOTALL
)
# The text that Rigify leaves in the file of every rig that it makes: panels alone, nothing that is rendered.
_RIGIFY_PANEL = re.compile(r"^rig_id = ", re.MULTILINE)
_USD = frozenset({".usd", ".usda", ".usdc", ".usdz"})
# Of Blender's importers: the axes of a file, which differ from its own where y is up.
_FORWARD = {"y": "NEGATIVE_Z", "z": "Y"}


def import_file(
    path: Path, rules: ObjectRules, operators: Mapping[str, str], up: UpAxis | None
) -> float | None:
    """Add the objects of a file to the scene, and check their images and faces. Returns how many metres long
    a unit of what was added is, None where neither the file nor its format says so.

    `operators` maps the suffixes of add-ons to their import operators. `up` is the axis of the file that is
    up; None means what the file states, or the default of its format. The caller checks that there is
    geometry: a broken OBJ comes back empty without a word.

    Raises FileUnreadable where this process cannot read one of the files, which neither Blender nor the
    libraries that it reads with tell from damage.
    """
    try:
        try:
            return _import_checked(path, rules, operators, up)
        except AssetError:
            for name in (path.name, *companions(path)):
                check_readable(path.parent / name)
            raise
    except OSError as error:
        raise FileUnreadable.of(Path(error.filename or path), error) from error


def _import_checked(
    path: Path, rules: ObjectRules, operators: Mapping[str, str], up: UpAxis | None
) -> float | None:
    mended = check_object_file(path, rules)
    meshes_before, objects_before = set(bpy.data.meshes), set(bpy.data.objects)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in mended.items():
            Path(folder, name).write_bytes(content)
        try:
            metres = _import(path, Path(folder), Path(folder, path.name) if mended else path, operators, up)
        except (RuntimeError, OSError, AttributeError) as error:
            # Operators raise RuntimeError with their report, and often with a traceback before it.
            raise unusable(path, "damaged", importer_reason(str(error))) from error
        meshes = [mesh for mesh in bpy.data.meshes if mesh not in meshes_before]
        settle_materials(path, meshes, rules)
    _check_area(path, meshes)
    added = [item for item in bpy.data.objects if item not in objects_before]
    _stand_up(path, added, up, operators)
    return metres


def _import(
    path: Path, folder: Path, readable: Path, operators: Mapping[str, str], up: UpAxis | None
) -> float | None:
    """Have Blender read `readable`, which is the file at `path` or a copy of it in `folder`; returns the
    metres of a unit, as `import_file` does.
    """
    name, suffix = str(readable), path.suffix.lower()
    axis = up or default_up(path)
    match suffix:
        case suffix if suffix in operators:
            room, _, operator = operators[suffix].partition(".")
            getattr(getattr(bpy.ops, room), operator)(filepath=name)
        case ".glb" | ".gltf":
            # Bones are drawn as spheres in a collection of their own unless told otherwise.
            bpy.ops.import_scene.gltf(filepath=name, disable_bone_shape=True)
        case ".obj":
            bpy.ops.wm.obj_import(filepath=name, up_axis=axis.upper(), forward_axis=_FORWARD[axis])
        case ".fbx":
            bpy.ops.import_scene.fbx(filepath=name, use_anim=False, use_custom_props=False)
        case ".ply":
            bpy.ops.wm.ply_import(filepath=name, up_axis=axis.upper(), forward_axis=_FORWARD[axis])
        case ".stl":
            bpy.ops.wm.stl_import(filepath=name, up_axis=axis.upper(), forward_axis=_FORWARD[axis])
        case suffix if suffix in _USD:
            name = str(usd_files.with_pictures(path, folder))
            bpy.ops.wm.usd_import(filepath=name, import_cameras=False, import_lights=False)
        case ".blend":
            return _append_blend(path)
        case suffix:
            raise unusable(path, "unknown_format", f"{suffix or 'no suffix'} is no format of an object")
    # glTF is in metres; FBX and USD state their unit, which these importers convert to metres.
    return 1.0 if suffix in _USD | {".glb", ".gltf", ".fbx"} - operators.keys() else None


def _stand_up(
    path: Path, added: list[bpy.types.Object], up: UpAxis | None, operators: Mapping[str, str]
) -> None:
    """Turn what a reader placed by another axis than `up`, where it cannot be told before it reads."""
    match path.suffix.lower():
        case suffix if up is None or suffix in {".obj", ".ply", ".stl"} - operators.keys():
            return
        case suffix if suffix in operators or suffix == ".blend":
            taken = "z"
        case suffix if suffix in _USD:
            taken = usd_files.stated_up(path)
        case ".fbx":
            stated = _FBX_UP.search(path.read_bytes())
            taken = "xyz"[int.from_bytes(stated[1], "little")] if stated else "y"
        case _:
            taken = default_up(path)
    if taken == up:
        return
    turn = Matrix.Rotation(math.radians(90 if up == "y" else -90), 4, "X")
    for item in added:
        if item.parent is None:
            item.animation_data_clear()
            item.matrix_world = turn @ item.matrix_world


def _check_area(path: Path, meshes: list[bpy.types.Mesh]) -> None:
    """Refuse a file whose faces have no area. Modifiers make area out of nothing: such objects are spared."""
    drawn = [item for item in bpy.context.scene.objects if item.data in meshes and not item.hide_render]
    if not drawn or any(item.modifiers or not item.data.polygons for item in drawn):
        return
    for mesh in {item.data for item in drawn}:
        area = np.empty(len(mesh.polygons), np.float32)
        mesh.polygons.foreach_get("area", area)
        corners = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", corners)
        extent = float(np.ptp(corners.reshape(-1, 3).astype(np.float64), axis=0).max())
        # Written so that NaN is not taken for too little: that has a name of its own.
        if not float(area.sum(dtype=np.float64)) <= LEAST_AREA * extent**2:
            return
    raise unusable(path, "zero_area", "its faces have no area")


def _append_blend(path: Path) -> float | None:
    """Add what the first scene of the file renders, or all of its objects where it has no scene. Returns the
    metres of a unit where that scene has any.
    """
    metres = None
    with bpy.data.libraries.load(str(path), link=False) as (there, wanted):
        wanted.scenes = there.scenes
        wanted.texts = there.texts
        if not there.scenes:
            wanted.objects = there.objects
    for text in wanted.texts:
        if text.use_module and not _RIGIFY_PANEL.search(text.as_string()):
            raise unusable(path, "script", f"its text {text.name!r} is a script that wants to run on opening")
        bpy.data.texts.remove(text)
    if wanted.scenes:
        _link_rendered(wanted.scenes[0].view_layers[0].layer_collection)
        units = wanted.scenes[0].unit_settings
        metres = None if units.system == "NONE" else units.scale_length
        for scene in wanted.scenes:
            bpy.data.scenes.remove(scene)
    else:
        for item in wanted.objects:
            bpy.context.scene.collection.objects.link(item)
    for library in bpy.data.libraries:
        if not can_be_read(Path(bpy.path.abspath(library.filepath))):
            raise unusable(
                path, "missing_library", f"it links to {Path(library.filepath).name}, which is not there"
            )
    for block in (*bpy.data.objects, *bpy.data.meshes, *bpy.data.materials):
        if block.library is not None:
            # What is linked cannot be changed, and a scene's materials are.
            block.make_local()
    # Drivers are evaluated here, and Blender notes those whose expression it refused.
    bpy.context.evaluated_depsgraph_get()
    if bpy.app.autoexec_fail:
        raise unusable(path, "script", f"it wants to run Python: {bpy.app.autoexec_fail_message}")
    return metres


def _link_rendered(layer: bpy.types.LayerCollection) -> None:
    """Link the objects of a layer's collections, leaving out those that its scene does not render."""
    if layer.exclude or layer.collection.hide_render:
        return
    linked = bpy.context.scene.collection.objects
    for item in layer.collection.objects:
        # An object may lie in several collections.
        if item.name not in linked:
            linked.link(item)
    for child in layer.children:
        _link_rendered(child)
