"""Writes one person in the shapes that character add-ons export, with a Blender of its own: body, clothes,
eyes and cards as meshes of one posed armature, each under its own material. Run as a script with the folder
to write to.

mpfb.blend: shaders inside node groups, as MPFB's skins and eyes are, cards by a mixed-in transparent shader,
hair curves, Rigify's panel text, an animation saved in its middle. humgen.blend: a shell of glass before the
eyes, hair of particles, a shape key that a driver sets. character.glb and character.fbx: skin, morph target,
cards by alpha.
"""

import math
import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

SKIN, SHIRT, TROUSERS, IRIS, HAIR, BROW = (
    (0.8, 0.5, 0.4),
    (0.1, 0.6, 0.2),
    (0.1, 0.15, 0.6),
    (0.9, 0.85, 0.1),
    (0.7, 0.05, 0.05),
    (0.6, 0.05, 0.6),
)


def picture(name: str, colour: tuple[float, float, float], *, open_columns: bool = False) -> bpy.types.Image:
    """Of one colour, with `open_columns` transparent in every second quarter."""
    pixels = np.ones((8, 8, 4), np.float32)
    pixels[..., :3] = colour
    if open_columns:
        pixels[:, [0, 1, 4, 5], 3] = 0.0
    image = bpy.data.images.new(name, 8, 8, alpha=True)
    image.pixels.foreach_set(pixels.ravel())
    # A file, since exporters name a picture by its path; in a .blend it is packed.
    image.filepath_raw, image.file_format = str(Path(sys.argv[1], f"{name}.png")), "PNG"
    image.save()
    image.pack()
    return image


def principled(name: str, image: bpy.types.Image, tree: bpy.types.NodeTree | None = None, **inputs):
    """A material whose Principled BSDF, in `tree` or its own, shows `image`; the BSDF, the picture's node."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = tree or material.node_tree
    found = [node for node in tree.nodes if node.type == "BSDF_PRINCIPLED"]
    surface = found[0] if found else tree.nodes.new("ShaderNodeBsdfPrincipled")
    shown = tree.nodes.new("ShaderNodeTexImage")
    shown.image = image
    shown.interpolation = "Closest"
    tree.links.new(shown.outputs["Color"], surface.inputs["Base Color"])
    for key, value in {
        "Roughness": 0.6,
        **{key.replace("_", " "): value for key, value in inputs.items()},
    }.items():
        surface.inputs[key].default_value = value
    return material, surface, shown


def grouped(name: str, image: bpy.types.Image, alpha: float = 1.0, **inputs) -> bpy.types.Material:
    """A material whose only shader is a node group that holds the BSDF, whose `alpha` is the group's."""
    group = bpy.data.node_groups.new(name, "ShaderNodeTree")
    group.interface.new_socket("shaderOutput", in_out="OUTPUT", socket_type="NodeSocketShader")
    group.interface.new_socket("Alpha", in_out="INPUT", socket_type="NodeSocketFloat")
    material, surface, _ = principled(name, image, group, **inputs)
    group.links.new(group.nodes.new("NodeGroupInput").outputs["Alpha"], surface.inputs["Alpha"])
    group.links.new(surface.outputs[0], group.nodes.new("NodeGroupOutput").inputs[0])
    tree = material.node_tree
    tree.nodes.clear()
    node, output = tree.nodes.new("ShaderNodeGroup"), tree.nodes.new("ShaderNodeOutputMaterial")
    node.node_tree = group
    node.inputs["Alpha"].default_value = alpha
    tree.links.new(node.outputs[0], output.inputs["Surface"])
    return material


def card_material(name: str, colour, *, mixed: bool) -> bpy.types.Material:
    """A card with holes: by a transparent shader that is mixed in, or by the BSDF's own alpha."""
    material, surface, shown = principled(name, picture(name, colour, open_columns=True))
    tree = material.node_tree
    if not mixed:
        tree.links.new(shown.outputs["Alpha"], surface.inputs["Alpha"])
        return material
    output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
    mix, clear = tree.nodes.new("ShaderNodeMixShader"), tree.nodes.new("ShaderNodeBsdfTransparent")
    tree.links.new(shown.outputs["Alpha"], mix.inputs["Fac"])
    tree.links.new(clear.outputs[0], mix.inputs[1])
    tree.links.new(surface.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], output.inputs["Surface"])
    return material


def glass(name: str) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    shader, output = tree.nodes.new("ShaderNodeBsdfGlass"), tree.nodes.new("ShaderNodeOutputMaterial")
    shader.inputs["IOR"].default_value, shader.inputs["Roughness"].default_value = 1.376, 0.0
    tree.links.new(shader.outputs[0], output.inputs["Surface"])
    return material


def box(low, high):
    corners = [(x, y, z) for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
    return corners, [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


def ball(centre, radius: float, rings: int = 12):
    angles = [math.pi * (ring + 0.5) / rings for ring in range(rings)]
    around = [math.tau * step / (2 * rings) for step in range(2 * rings)]
    corners = [
        (
            centre[0] + radius * math.sin(a) * math.cos(b),
            centre[1] + radius * math.sin(a) * math.sin(b),
            centre[2] + radius * math.cos(a),
        )
        for a in angles
        for b in around
    ]
    wide = len(around)
    faces = [
        (
            row * wide + step,
            (row + 1) * wide + step,
            (row + 1) * wide + (step + 1) % wide,
            row * wide + (step + 1) % wide,
        )
        for row in range(rings - 1)
        for step in range(wide)
    ]
    faces += [tuple(range(wide)), tuple(reversed(range((rings - 1) * wide, rings * wide)))]
    return corners, faces


def part(name: str, shapes: dict, material: bpy.types.Material, rig: bpy.types.Object) -> bpy.types.Object:
    """A mesh of `shapes`, {bone: [(corners, faces)]}, that follows these bones of the rig."""
    corners, faces, groups = [], [], {}
    for bone, pieces in shapes.items():
        for own, sides in pieces:
            first = len(corners)
            corners += own
            faces += [tuple(first + index for index in side) for side in sides]
            groups.setdefault(bone, []).extend(range(first, len(corners)))
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], faces)
    mesh.materials.append(material)
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    layer = mesh.uv_layers.new(name="UVMap")
    for corner, loop in zip(layer.data, mesh.loops, strict=True):
        x, _, z = mesh.vertices[loop.vertex_index].co
        corner.uv = ((x - low[0]) / (high[0] - low[0]), (z - low[2]) / (high[2] - low[2] or 1.0))
    item = bpy.data.objects.new(f"Human.{name}", mesh)
    bpy.context.scene.collection.objects.link(item)
    for bone, members in groups.items():
        item.vertex_groups.new(name=bone).add(members, 1.0, "REPLACE")
    item.parent = rig
    item.modifiers.new("Armature", "ARMATURE").object = rig
    return item


def armature() -> bpy.types.Object:
    rig = bpy.data.objects.new("Human.rig", bpy.data.armatures.new("Human.rig"))
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for name, head, tail in (
        ("spine", (0, 0, 0), (0, 0, 1.4)),
        ("upperarm.L", (0.2, 0, 1.35), (0.8, 0, 1.35)),
        ("upperarm.R", (-0.2, 0, 1.35), (-0.8, 0, 1.35)),
    ):
        bone = rig.data.edit_bones.new(name)
        bone.head, bone.tail = head, tail
        if name != "spine":
            bone.parent = rig.data.edit_bones["spine"]
    bpy.ops.object.mode_set(mode="OBJECT")
    return rig


def lower_arms(rig: bpy.types.Object, angle_rad: float) -> None:
    """From the T that they were modelled in, about the axis that the person looks along."""
    for side, sign in (("L", 1), ("R", -1)):
        bone = rig.pose.bones[f"upperarm.{side}"]
        bone.rotation_mode = "QUATERNION"
        rest = bone.bone.matrix_local.to_3x3()
        turn = Matrix.Rotation(sign * angle_rad, 3, "Y")
        bone.rotation_quaternion = (rest.inverted() @ turn @ rest).to_quaternion()


def dressed(rig: bpy.types.Object, skin: bpy.types.Material, eyes: bpy.types.Material) -> bpy.types.Object:
    """Body, clothes and eyes; returns the body. The person looks along -y, arms out in a T."""
    arms = {
        f"upperarm.{side}": [box((min(a, b), -0.04, 1.31), (max(a, b), 0.04, 1.39))]
        for side, a, b in (("L", 0.2, 0.8), ("R", -0.2, -0.8))
    }
    torso = [box((-0.15, -0.08, 0.0), (0.15, 0.08, 1.42)), ball((0, 0, 1.58), 0.16)]
    body = part("body", {"spine": torso} | arms, skin, rig)
    sleeves = {
        f"upperarm.{side}": [box((min(a, b), -0.06, 1.29), (max(a, b), 0.06, 1.41))]
        for side, a, b in (("L", 0.16, 0.5), ("R", -0.16, -0.5))
    }
    shirt, *_ = principled("shirt", picture("shirt", SHIRT))
    part("shirt01", {"spine": [box((-0.18, -0.11, 0.85), (0.18, 0.11, 1.43))]} | sleeves, shirt, rig)
    trousers, *_ = principled("trousers", picture("trousers", TROUSERS))
    part("trousers01", {"spine": [box((-0.17, -0.1, 0.0), (0.17, 0.1, 0.9))]}, trousers, rig)
    part("high-poly", {"spine": [ball((x, -0.13, 1.6), 0.05) for x in (-0.07, 0.07)]}, eyes, rig)
    return body


def card(rig: bpy.types.Object, material: bpy.types.Material) -> None:
    """Eyebrows and lashes on one plane before the forehead."""
    corners = [(-0.12, -0.2, 1.66), (0.12, -0.2, 1.66), (0.12, -0.2, 1.72), (-0.12, -0.2, 1.72)]
    part("eyebrow001", {"spine": [(corners, [(0, 1, 2, 3)])]}, material, rig)


def curves_hair(body: bpy.types.Object) -> None:
    """Thirty strands upwards from the crown, as Blender's hair curves."""
    data = bpy.data.hair_curves.new("hair")
    data.add_curves([3] * 60)
    places = np.array(
        [
            (0.12 * math.cos(number), 0.12 * math.sin(number), 1.68 + 0.05 * step)
            for number in range(60)
            for step in range(3)
        ],
        np.float32,
    )
    data.points.foreach_set("position", places.ravel())
    radii = data.attributes.new("radius", "FLOAT", "POINT")
    radii.data.foreach_set("value", np.full(180, 0.008, np.float32))
    shader = bpy.data.materials.new("hair")
    shader.use_nodes = True
    tree = shader.node_tree
    tree.nodes.clear()
    hair, output = tree.nodes.new("ShaderNodeBsdfHairPrincipled"), tree.nodes.new("ShaderNodeOutputMaterial")
    hair.parametrization = "COLOR"
    hair.inputs["Color"].default_value = (*HAIR, 1.0)
    tree.links.new(hair.outputs[0], output.inputs["Surface"])
    data.materials.append(shader)
    item = bpy.data.objects.new("Human.hair", data)
    bpy.context.scene.collection.objects.link(item)
    item.parent = body
    data.surface = body


def particle_hair(body: bpy.types.Object) -> None:
    """Hair that grows from the crown, on the modifier that particles are."""
    shader, *_ = principled("hair", picture("hair", HAIR))
    body.data.materials.append(shader)
    crown = [vertex.index for vertex in body.data.vertices if vertex.co.z > 1.7]
    body.vertex_groups.new(name="hair").add(crown, 1.0, "REPLACE")
    body.modifiers.new("hair", "PARTICLE_SYSTEM")
    system = body.particle_systems[0]
    system.vertex_group_density = "hair"
    settings = system.settings
    settings.type, settings.count, settings.hair_length = "HAIR", 400, 0.1
    settings.material, settings.root_radius, settings.tip_radius = 2, 1.0, 1.0
    settings.radius_scale = 0.008


def morph(body: bpy.types.Object) -> bpy.types.ShapeKey:
    """A shape key that makes the head higher by 5 cm."""
    body.shape_key_add(name="Basis")
    key = body.shape_key_add(name="tall")
    for vertex, point in zip(body.data.vertices, key.data, strict=True):
        if vertex.co.z > 1.45:
            point.co.z += 0.05
    return key


def fresh() -> bpy.types.Object:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.frame_set(1)
    return armature()


def write_mpfb(folder: Path) -> None:
    rig = fresh()
    skin = grouped("skin", picture("skin", SKIN), Subsurface_Weight=0.3, Subsurface_Scale=0.1)
    body = dressed(rig, skin, grouped("eyes", picture("iris", IRIS), Coat_Weight=1.0))
    shell = grouped("cornea", picture("cornea", (1, 1, 1)), Alpha=0.1, Roughness=0.05)
    group = bpy.data.node_groups["cornea"]
    group.links.remove(
        next(node for node in group.nodes if node.type == "BSDF_PRINCIPLED").inputs["Alpha"].links[0]
    )
    part("cornea", {"spine": [ball((x, -0.135, 1.6), 0.052) for x in (-0.07, 0.07)]}, shell, rig)
    card(rig, card_material("eyebrow001", BROW, mixed=True))
    curves_hair(body)
    # Hidden under the clothes, as MPFB's own mask is: nothing of it is drawn.
    body.vertex_groups.new(name="delete").add(list(range(8)), 1.0, "REPLACE")
    mask = body.modifiers.new("Delete.shirt01", "MASK")
    mask.vertex_group, mask.invert_vertex_group = "delete", True
    text = bpy.data.texts.new("rig_ui.py")
    text.write('import bpy\nrig_id = "abc"\nclass RigUI(bpy.types.Panel):\n    pass\n')
    text.use_module = True
    # Frame 1 has the arms in a T, frame 20 lowered, frame 40 in a T again.
    for frame, angle in ((1, 0.0), (20, 70.0), (40, 0.0)):
        lower_arms(rig, math.radians(angle))
        for bone in list(rig.pose.bones)[1:]:
            bone.keyframe_insert("rotation_quaternion", frame=frame)
    bpy.context.scene.frame_set(20)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "mpfb.blend"))


def write_humgen(folder: Path) -> None:
    rig = fresh()
    skin, *_ = principled("skin", picture("skin", SKIN), Subsurface_Weight=0.3, Subsurface_Scale=0.1)
    eyes, *_ = principled("eyes", picture("iris", IRIS))
    body = dressed(rig, skin, eyes)
    part("cornea", {"spine": [ball((x, -0.135, 1.6), 0.06) for x in (-0.07, 0.07)]}, glass("cornea"), rig)
    card(rig, card_material("eyelashes", BROW, mixed=False))
    particle_hair(body)
    driver = morph(body).driver_add("value").driver
    # An expression that Blender evaluates without Python: 1 for any turn of the arm.
    driver.type, driver.expression = "SCRIPTED", "min(max(abs(turn) * 100, 0), 1)"
    turn = driver.variables.new()
    turn.name, turn.type = "turn", "TRANSFORMS"
    turn.targets[0].id, turn.targets[0].bone_target = rig, "upperarm.L"
    turn.targets[0].transform_type, turn.targets[0].transform_space = "ROT_X", "LOCAL_SPACE"
    turn.targets[0].rotation_mode = "SWING_TWIST_Y"
    lower_arms(rig, math.radians(70))
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "humgen.blend"))


def write_exchange(folder: Path) -> None:
    rig = fresh()
    skin, *_ = principled("skin", picture("skin", SKIN))
    eyes, *_ = principled("eyes", picture("iris", IRIS))
    body = dressed(rig, skin, eyes)
    cornea, *_ = principled("cornea", picture("cornea", (1, 1, 1)), Alpha=0.1)
    part("cornea", {"spine": [ball((x, -0.135, 1.6), 0.052) for x in (-0.07, 0.07)]}, cornea, rig)
    card(rig, card_material("eyebrow001", BROW, mixed=False))
    morph(body).value = 1.0
    lower_arms(rig, math.radians(70))
    bpy.context.view_layer.update()
    bpy.ops.export_scene.gltf(
        filepath=str(folder / "character.glb"), export_rest_position_armature=False, export_yup=True
    )
    bpy.ops.export_scene.fbx(
        filepath=str(folder / "character.fbx"), path_mode="COPY", embed_textures=True, add_leaf_bones=False
    )


def main(folder: Path) -> None:
    for write in (write_mpfb, write_humgen, write_exchange):
        write(folder)
    print("written")


main(Path(sys.argv[1]))
