"""Writes rooms with a Blender of its own: a furnished one as .glb and .blend, one with a marked place, one
with things of its own beside that, and a cupboard in which nothing has space. Run as a script with the folder
to write to.
"""

import sys
from pathlib import Path

import bpy


def box(name: str, low: tuple[float, float, float], high: tuple[float, float, float], colour) -> None:
    corners = [(x, y, z) for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], faces)
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (*colour, 1)
    material.node_tree.nodes["Principled BSDF"].inputs["Roughness"].default_value = 0.6
    mesh.materials.append(material)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new(name, mesh))


def shell(width: float, depth: float, height: float) -> None:
    """Floor, ceiling and walls 10 cm thick around (0, 0); a window of half the wall's width in +y."""
    x, y, t = width / 2, depth / 2, 0.1
    box("floor", (-x, -y, -t), (x, y, 0), (0.35, 0.2, 0.1))
    box("ceiling", (-x, -y, height), (x, y, height + t), (0.8, 0.8, 0.8))
    box("west", (-x - t, -y, 0), (-x, y, height), (0.6, 0.65, 0.6))
    box("east", (x, -y, 0), (x + t, y, height), (0.6, 0.65, 0.6))
    box("south", (-x, -y - t, 0), (x, -y, height), (0.7, 0.6, 0.5))
    box("parapet", (-x, y, 0), (x, y + t, 0.35 * height), (0.7, 0.6, 0.5))
    box("lintel", (-x, y, 0.85 * height), (x, y + t, height), (0.7, 0.6, 0.5))
    box("jamb", (-x, y, 0), (-x / 2, y + t, height), (0.7, 0.6, 0.5))
    box("jamb2", (x / 2, y, 0), (x, y + t, height), (0.7, 0.6, 0.5))


def lamp(place: tuple[float, float, float], watts: float) -> None:
    light = bpy.data.lights.new("lamp", "POINT")
    light.energy, light.shadow_soft_size = watts, 0.15
    item = bpy.data.objects.new("lamp", light)
    item.location = place
    bpy.context.scene.collection.objects.link(item)


def fresh() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


def main(folder: Path) -> None:
    fresh()
    shell(4.0, 5.0, 2.6)
    box("table top", (-0.8, -0.6, 0.72), (0.8, 0.6, 0.75), (0.5, 0.33, 0.18))
    for number, (x, y) in enumerate(((-0.75, -0.55), (0.7, -0.55), (-0.75, 0.5), (0.7, 0.5))):
        box(f"leg{number}", (x, y, 0), (x + 0.05, y + 0.05, 0.72), (0.5, 0.33, 0.18))
    lamp((0.9, -1.2, 2.2), 80.0)
    bpy.ops.export_scene.gltf(filepath=str(folder / "room.glb"), export_lights=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "room.blend"))
    place = bpy.data.objects.new("Place.001", None)
    place.location = (0.2, 0.0, 0.76)
    bpy.context.scene.collection.objects.link(place)
    bpy.ops.export_scene.gltf(filepath=str(folder / "marked.glb"), export_lights=True)
    # Beside the place a cup, and a saucer that carries a cube.
    box("cup", (0.34, -0.02, 0.75), (0.38, 0.02, 0.83), (0.05, 0.2, 0.7))
    box("saucer", (-0.02, -0.04, 0.75), (0.06, 0.04, 0.76), (0.7, 0.7, 0.6))
    box("cube", (0.0, -0.02, 0.76), (0.04, 0.02, 0.8), (0.7, 0.1, 0.05))
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "own.blend"))
    bpy.data.objects["cup"].name = "removable cup"
    bpy.ops.export_scene.gltf(filepath=str(folder / "own.glb"), export_lights=True)
    fresh()
    shell(0.5, 0.5, 0.4)
    bpy.ops.export_scene.gltf(filepath=str(folder / "cupboard.glb"))
    print("written")


main(Path(sys.argv[1]))
