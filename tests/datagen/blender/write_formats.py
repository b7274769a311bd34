"""Run in a fresh interpreter: writes one textured box in every format Blender exports, and broken files.

python write_formats.py FOLDER
"""

import os
import shutil
import sys
from pathlib import Path

import bpy

BOX = ((0, 0, 0), (3, 0, 0), (3, 1, 0), (0, 1, 0), (0, 0, 2), (3, 0, 2), (3, 1, 2), (0, 1, 2))
FACES = ((3, 2, 1, 0), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))
COLOUR = (0.1, 0.6, 0.2, 1.0)


def texture(path: Path, width: int, height: int) -> bpy.types.Image:
    image = bpy.data.images.new(path.stem, width, height)
    image.pixels.foreach_set(list(COLOUR) * (width * height))
    image.filepath_raw = str(path)
    image.file_format = "PNG"
    image.save()
    bpy.data.images.remove(image)
    return bpy.data.images.load(str(path))


def box(image: bpy.types.Image | None) -> bpy.types.Object:
    """The box of BOX whose base colour is the image, or COLOUR."""
    bpy.ops.wm.read_factory_settings(use_empty=True) if image is None else None
    mesh = bpy.data.meshes.new("box")
    mesh.from_pydata(BOX, [], FACES)
    uv = mesh.uv_layers.new()
    for loop in uv.data:
        loop.uv = (0.5, 0.5)
    colours = mesh.color_attributes.new("Col", "BYTE_COLOR", "POINT")
    for entry in colours.data:
        entry.color = COLOUR
    material = bpy.data.materials.new("painted")
    material.use_nodes = True
    surface = material.node_tree.nodes["Principled BSDF"]
    surface.inputs["Base Color"].default_value = COLOUR
    if image is not None:
        node = material.node_tree.nodes.new("ShaderNodeTexImage")
        node.image = image
        material.node_tree.links.new(node.outputs["Color"], surface.inputs["Base Color"])
    mesh.materials.append(material)
    item = bpy.data.objects.new("box", mesh)
    bpy.context.scene.collection.objects.link(item)
    bpy.context.view_layer.objects.active = item
    item.select_set(True)
    return item


def empty() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


def save(path: Path, **how) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(path), **how)


def whole(folder: Path) -> None:
    """box.* in every format, materials in it where the format has any."""
    empty()
    box(texture(folder / "green.png", 4, 4))
    base = str(folder / "box")
    bpy.ops.export_scene.gltf(filepath=base + ".glb")
    bpy.ops.export_scene.fbx(filepath=base + ".fbx", path_mode="COPY", embed_textures=True, axis_up="Z")
    bpy.ops.wm.obj_export(filepath=base + ".obj")
    bpy.ops.wm.ply_export(filepath=base + ".ply", export_colors="SRGB")
    bpy.ops.wm.stl_export(filepath=base + ".stl")
    for suffix in (".usda", ".usdc", ".usdz"):
        bpy.ops.wm.usd_export(filepath=base + suffix)
    bpy.data.images["green.png"].pack()
    save(Path(base + ".blend"), compress=True)
    # The same box by nodes that do nothing: what nodes add in a render, nobody knows before.
    (folder / "nodes").mkdir()
    bpy.data.objects["box"].modifiers.new("nodes", "NODES")
    save(folder / "nodes" / "box.blend")


def traits(folder: Path) -> None:
    """box.* in folders: its picture has alpha 0 and the material does not use alpha; its picture's name is
    Windows'."""
    sub = folder / "alpha0"
    sub.mkdir()
    empty()
    picture = bpy.data.images.new("green", 4, 4, alpha=True)
    picture.pixels.foreach_set([*COLOUR[:3], 0.0] * 16)
    picture.filepath_raw, picture.file_format = str(sub / "green.png"), "PNG"
    picture.alpha_mode = "CHANNEL_PACKED"
    picture.save()
    bpy.data.images.remove(picture)
    box(bpy.data.images.load(str(sub / "green.png")))
    base = str(sub / "box")
    bpy.ops.export_scene.gltf(filepath=base + ".glb")
    bpy.ops.export_scene.fbx(filepath=base + ".fbx", path_mode="COPY", embed_textures=True)
    bpy.ops.wm.obj_export(filepath=base + ".obj", path_mode="RELATIVE")
    bpy.ops.wm.usd_export(filepath=base + ".usdc")
    save(Path(base + ".blend"))

    sub = folder / "windows"
    sub.mkdir()
    (sub / "Textures").mkdir()
    empty()
    box(texture(sub / "Textures" / "Green.PNG", 4, 4))
    bpy.ops.wm.usd_export(filepath=str(sub / "box.usda"), export_textures_mode="KEEP")
    text = (sub / "box.usda").read_text()
    (sub / "box.usda").write_text(text.replace("Textures/Green.PNG", "textures\\green.png"))
    assert "textures\\green.png" in (sub / "box.usda").read_text()


def broken(folder: Path) -> None:
    """Files of sound format that must be refused, each in a folder of its own."""
    for name, kind in (("gone", 4), ("large", 8192)):
        sub = folder / name
        sub.mkdir()
        empty()
        box(texture(sub / f"{name}.png", kind, 4))
        bpy.ops.export_scene.fbx(filepath=str(sub / "box.fbx"), path_mode="RELATIVE")
        bpy.ops.wm.usd_export(filepath=str(sub / "box.usda"))
        bpy.ops.wm.obj_export(filepath=str(sub / "box.obj"), path_mode="RELATIVE")
        bpy.ops.export_scene.gltf(filepath=str(sub / "box.gltf"), export_format="GLTF_SEPARATE")
        save(sub / "box.blend")
        if name == "gone":
            for picture in sub.rglob("*.png"):
                picture.unlink()
            shutil.rmtree(sub / "textures", ignore_errors=True)

    sub = folder / "scripts"
    sub.mkdir()
    empty()
    item = box(None)
    text = bpy.data.texts.new("run.py")
    text.write(f"open({str(folder / 'ran')!r}, 'w').close()")
    save(sub / "note.blend")
    text.use_module = True
    save(sub / "text.blend", compress=True)
    bpy.data.texts.remove(text)
    driver = item.driver_add("location", 0).driver
    driver.type, driver.expression = "SCRIPTED", "1 + frame * 0"
    save(sub / "arithmetic.blend")
    driver.expression = "__import__('os').getpid()"
    save(sub / "driver.blend")

    sub = folder / "scenes"
    sub.mkdir()
    empty()
    save(sub / "empty.blend")
    item = box(None)
    away = item.copy()
    away.location.x = 1000
    hidden = bpy.data.collections.new("not rendered")
    hidden.hide_render = True
    bpy.context.scene.collection.children.link(hidden)
    hidden.objects.link(away)
    save(sub / "hidden.blend")
    empty()
    with bpy.data.libraries.load(str(sub / "hidden.blend"), link=True) as (_, wanted):
        wanted.objects = ["box"]
    bpy.context.scene.collection.objects.link(wanted.objects[0])
    save(sub / "linked.blend", relative_remap=False)
    (sub / "hidden.blend").rename(sub / "moved.blend")


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve()
    whole(target)
    broken(target)
    traits(target)
    print("written", flush=True)
    # Leaving bpy's interpreter the usual way can hang.
    os._exit(0)
