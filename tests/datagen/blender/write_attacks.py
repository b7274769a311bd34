"""Run in a fresh interpreter: writes objects that reach for files outside their folder, or want to run code.

python write_attacks.py FOLDER

FOLDER/objects holds them, a square each; FOLDER/secret holds what they reach for, all of it magenta or a cube
of 24 faces. A script that runs leaves FOLDER/trace.
"""

import json
import sys
from pathlib import Path

import bpy

MAGENTA = (1.0, 0.0, 1.0, 1.0)
SQUARE = ((0, 0, 0), (2, 0, 0), (2, 2, 0), (0, 2, 0))
OBJ_SQUARE = "v 0 0 0\nv 2 0 0\nv 2 0 -2\nv 0 0 -2\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"


def main(root: Path) -> None:
    objects, secret = root / "objects" / "it", root / "secret"
    objects.mkdir(parents=True)
    secret.mkdir()
    write_secrets(secret)
    write_texts(objects, secret)
    write_gltf(objects, secret)
    write_usd(objects)
    write_blends(objects, secret, root / "trace")


def write_secrets(secret: Path) -> None:
    image = bpy.data.images.new("secret", 8, 8)
    image.pixels.foreach_set(list(MAGENTA) * 64)
    image.filepath_raw, image.file_format = str(secret / "picture.png"), "PNG"
    image.save()
    (secret / "paint.mtl").write_text("newmtl paint\nKd 1 0 1\n")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.mesh.primitive_cube_add()
    bpy.context.object.name = "grown"
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.subdivide(number_cuts=1)
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.wm.obj_export(filepath=str(secret / "cube.obj"), export_materials=False)
    bpy.ops.wm.usd_export(filepath=str(secret / "cube.usda"), root_prim_path="/cube", export_materials=False)
    bpy.ops.wm.save_as_mainfile(filepath=str(secret / "cube.blend"))


def write_texts(objects: Path, secret: Path) -> None:
    face = "usemtl paint\nf 1/1 2/2 3/3 4/4\n"
    for name, picture in (
        ("map-above", "../../secret/picture.png"),
        ("map-absolute", str(secret / "picture.png")),
        ("map-etc", "/etc/passwd"),
    ):
        (objects / f"{name}.obj").write_text(f"mtllib {name}.mtl\n{OBJ_SQUARE}{face}")
        (objects / f"{name}.mtl").write_text(f"newmtl paint\nKd 1 1 1\nmap_Kd {picture}\n")
    (objects / "library-above.obj").write_text(f"mtllib ../../secret/paint.mtl\n{OBJ_SQUARE}{face}")


def write_gltf(objects: Path, secret: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    square(picture=bpy.data.images.load(str(secret / "picture.png")))
    bpy.ops.export_scene.gltf(filepath=str(objects / "image.gltf"), export_format="GLTF_SEPARATE")
    for picture in objects.glob("*.png"):
        picture.unlink()
    for name, uri in (
        ("image-above", "../../secret/picture.png"),
        ("image-encoded", "..%2F../secret/picture.png"),
    ):
        gltf = json.loads((objects / "image.gltf").read_text())
        gltf["images"] = [{"uri": uri, "mimeType": "image/png"}]
        (objects / f"{name}.gltf").write_text(json.dumps(gltf))
    # A buffer may be any file that is long enough: its bytes would be the shape.
    gltf["buffers"][0]["uri"] = "../../secret/cube.blend"
    del gltf["images"], gltf["textures"]
    del gltf["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    (objects / "buffer-above.gltf").write_text(json.dumps(gltf))
    (objects / "image.gltf").unlink()


def write_usd(objects: Path) -> None:
    square = """def Mesh "square"
{
    int[] faceVertexCounts = [4]
    int[] faceVertexIndices = [0, 1, 2, 3]
    point3f[] points = [(0, 0, 0), (2, 0, 0), (2, 2, 0), (0, 2, 0)]
}
"""
    cube = "@../../secret/cube.usda@"
    for name, arc in (("reference", "references"), ("payload", "payload")):
        more = f'def Xform "more" (\n    prepend {arc} = {cube}</cube>\n)\n{{\n}}\n'
        (objects / f"{name}.usda").write_text(f'#usda 1.0\n(\n    upAxis = "Z"\n)\n{square}{more}')
    (objects / "sublayer.usda").write_text(
        f'#usda 1.0\n(\n    subLayers = [{cube}]\n    upAxis = "Z"\n)\n{square}'
    )


def write_blends(objects: Path, secret: Path, trace: Path) -> None:
    run = f"open({str(trace)!r}, 'w')"
    bpy.ops.wm.read_factory_settings(use_empty=True)
    square()
    bpy.data.texts.new("start.py").write(run)
    bpy.data.texts["start.py"].use_module = True
    save(objects / "script.blend")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    curve = square().driver_add("location", 0)
    curve.driver.type, curve.driver.expression = "SCRIPTED", f"(1, {run})[0]"
    save(objects / "driver.blend")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    square(picture=bpy.data.images.load(str(secret / "picture.png")))
    save(objects / "picture.blend")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    square()
    with bpy.data.libraries.load(str(secret / "cube.blend"), link=True) as (_, wanted):
        wanted.objects = ["grown"]
    bpy.context.scene.collection.objects.link(wanted.objects[0])
    save(objects / "library.blend")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    imports(square(), str(secret / "cube.obj"))
    save(objects / "nodes.blend")


def imports(item: bpy.types.Object, path: str) -> None:
    """Have the object's geometry nodes add what they read from `path`, each time they are evaluated."""
    tree = bpy.data.node_groups.new("reads", "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    start, end = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    reader = tree.nodes.new("GeometryNodeImportOBJ")
    reader.inputs["Path"].default_value = path
    join, real = tree.nodes.new("GeometryNodeJoinGeometry"), tree.nodes.new("GeometryNodeRealizeInstances")
    tree.links.new(start.outputs[0], join.inputs[0])
    tree.links.new(reader.outputs[0], join.inputs[0])
    tree.links.new(join.outputs[0], real.inputs[0])
    tree.links.new(real.outputs[0], end.inputs[0])
    item.modifiers.new("reads", "NODES").node_group = tree


def square(picture: bpy.types.Image | None = None) -> bpy.types.Object:
    mesh = bpy.data.meshes.new("square")
    mesh.from_pydata(SQUARE, [], [(0, 1, 2, 3)])
    mesh.uv_layers.new()
    if picture is not None:
        material = bpy.data.materials.new("painted")
        material.use_nodes = True
        node = material.node_tree.nodes.new("ShaderNodeTexImage")
        node.image = picture
        surface = material.node_tree.nodes["Principled BSDF"]
        material.node_tree.links.new(node.outputs["Color"], surface.inputs["Base Color"])
        mesh.materials.append(material)
    item = bpy.data.objects.new("square", mesh)
    bpy.context.scene.collection.objects.link(item)
    return item


def save(path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(path), relative_remap=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    print("written")
