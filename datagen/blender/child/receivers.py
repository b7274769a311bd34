"""Grounds and walls: large planes with procedural materials, one function per kind of surface, or with the
user's maps. Needs bpy.

Patterns lie in the plane's own xy, so they are the same whatever stands on it and wherever the camera is.
"""

import math

import bpy
import mathutils

from pairbridge.datagen.blender.child.scene_collections import collection_of
from pairbridge.datagen.blender.imported.mapped_materials import mapped_material
from pairbridge.datagen.blender.shading.shader_nodes import Graph, Socket, Value
from pairbridge.datagen.scene.specs import MAPPED, CatcherSpec, ReceiverSpec, SurfaceSpec
from pairbridge.datagen.scene.specs import RECEIVER_REACH as FAR

COLLECTION = "receivers"
CATCHER = "catcher"
# Corners of the disc that catches shadows.
_CORNERS = 64

Colour = tuple[float, float, float]


def build_receiver(number: int, receiver: ReceiverSpec) -> None:
    """Add one plane. Its surface's pattern lies in its local xy; its local z points to the objects."""
    name = f"receiver{number}"
    mesh = bpy.data.meshes.new(name)
    # A wall starts at its foot: what would lie below the ground could only cost time.
    low = -FAR if receiver.azimuth_rad is None else 0.0
    corners = [(-FAR, low, 0.0), (FAR, low, 0.0), (FAR, FAR, 0.0), (-FAR, FAR, 0.0)]
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    plane = bpy.data.objects.new(name, mesh)
    if receiver.azimuth_rad is not None:
        azimuth, distance = receiver.azimuth_rad, receiver.distance
        plane.location = (distance * math.cos(azimuth), distance * math.sin(azimuth), 0.0)
        plane.rotation_euler = (math.pi / 2, 0.0, azimuth - math.pi / 2)
    if receiver.surface.kind == MAPPED:
        material, aspect = mapped_material(f"{name}.surface", receiver.surface)
        _lay_out(mesh, receiver.surface, aspect)
    else:
        material = dress(f"{name}.surface", receiver.surface)
    mesh.materials.append(material)
    collection_of(COLLECTION).objects.link(plane)


def _lay_out(mesh: bpy.types.Mesh, surface: SurfaceSpec, aspect: float) -> None:
    """Texture coordinates that put a picture on every cell, `aspect` times as high as wide. The pattern is
    turned by them and not by nodes: they say which way a normal map's axes lie."""
    cos, sin = math.cos(surface.turn_rad), math.sin(surface.turn_rad)
    layer = mesh.uv_layers.new(name="cells")
    for corner, loop in zip(layer.data, mesh.loops, strict=True):
        x, y, _ = mesh.vertices[loop.vertex_index].co
        across, along = cos * x - sin * y, sin * x + cos * y
        corner.uv = (
            across / surface.cell + surface.offset[0],
            along / (surface.cell * aspect) + surface.offset[1],
        )


def hold_out(held_out: bool) -> None:
    """Whether the receivers are cut out of the picture; they go on to reflect light and to take shadows.

    Objects stand before them, so nothing of the picture lies behind, and rays of the camera may pass: a
    holdout would shade every pixel of the ground to find that it is empty.
    """
    for plane in collection_of(COLLECTION).objects:
        # Writing an equal value would have Cycles synchronise it again.
        if plane.visible_camera == held_out:
            plane.visible_camera = not held_out


def build_catcher() -> None:
    """Add the ground that only takes shadows; `set_catcher` says where it is and what it looks like."""
    mesh = bpy.data.meshes.new(CATCHER)
    turns = [math.tau * number / _CORNERS for number in range(_CORNERS)]
    mesh.from_pydata([(math.cos(turn), math.sin(turn), 0.0) for turn in turns], [], [tuple(range(_CORNERS))])
    disc = bpy.data.objects.new(CATCHER, mesh)
    disc.is_shadow_catcher = True
    material = bpy.data.materials.new(CATCHER)
    graph = Graph(material)
    from_map = graph.node(
        "VectorMath",
        {0: graph.node("NewGeometry", {}).outputs["Position"]},
        operation="SUBTRACT",
    )
    from_map.name = "from_map"
    seen = graph.node("TexEnvironment", {"Vector": from_map.outputs[0]}, projection="EQUIRECTANGULAR")
    seen.name = "seen"
    albedo = graph.node("VectorMath", {0: seen.outputs["Color"]}, operation="MULTIPLY")
    albedo.name = "albedo"
    limited = graph.node("VectorMath", {0: albedo.outputs[0]}, operation="MINIMUM")
    limited.name = "limited"
    # A photograph's ground is matte: what it reflects is in the photograph already.
    diffuse = graph.node("BsdfDiffuse", {"Color": limited.outputs[0]})
    output = material.node_tree.get_output_node("CYCLES")
    material.node_tree.links.new(diffuse.outputs[0], output.inputs["Surface"])
    material.node_tree.nodes.remove(graph.surface)
    mesh.materials.append(material)
    bpy.context.scene.collection.objects.link(disc)


def set_catcher(spec: CatcherSpec, lighting: bpy.types.Image) -> None:
    """Put the ground that takes shadows in place, and give it the look of `lighting` below the horizon."""
    disc = bpy.data.objects[CATCHER]
    disc.matrix_world = mathutils.Matrix.LocRotScale(
        mathutils.Vector((*spec.centre, 0.0)),
        mathutils.Euler((0.0, 0.0, spec.turn_rad)),
        mathutils.Vector((*spec.axes, 1.0)),
    )
    nodes = bpy.data.materials[CATCHER].node_tree.nodes
    nodes["from_map"].inputs[1].default_value = spec.map_centre
    nodes["albedo"].inputs[1].default_value = spec.gain
    nodes["limited"].inputs[1].default_value = (spec.largest_albedo,) * 3
    if nodes["seen"].image != lighting:
        nodes["seen"].image = lighting


def dress(name: str, surface: SurfaceSpec) -> bpy.types.Material:
    """A new material for the description."""
    material = bpy.data.materials.new(name)
    graph = Graph(material)
    place = graph.node(
        "Mapping",
        {
            "Vector": graph.node("TexCoord", {}).outputs["Object"],
            "Location": (*surface.offset, 0.0),
            "Rotation": (0.0, 0.0, surface.turn_rad),
            "Scale": (1 / surface.cell,) * 3,
        },
    ).outputs[0]
    _KINDS[surface.kind](graph, surface, place)
    return material


def plain(g: Graph, s: SurfaceSpec, place: Socket) -> None:
    """Painted board or seamless paper, a little uneven."""
    g.finish(base_color=_mottled(g, s.colour, place, 0.6, 0.97), roughness=s.roughness)


def planks(g: Graph, s: SurfaceSpec, place: Socket) -> None:
    """Boards a cell wide and seven long, each of its own tone, with grain along them."""
    board = _courses(g, s, place, width=7.0, height=1.0, offset=0.37, joint=0.015)
    grain = g.noise(g.affine(place, (0.8, 14.0, 1.0), (0.0, 0.0, 0.0)), 1.6, 4.0, 0.6)
    tone = g.blend(g.lerp(grain, 0.0, 0.7), board.outputs["Color"], _times(s.accent, 0.6))
    relief = g.bump(board.outputs["Fac"], -0.01 * s.cell)
    g.finish(base_color=tone, roughness=g.lerp(grain, s.roughness - 0.05, s.roughness + 0.1), normal=relief)


def tiles(g: Graph, s: SurfaceSpec, place: Socket) -> None:
    """Square tiles with sunken grey joints."""
    tile = _courses(g, s, place, width=1.0, height=1.0, offset=0.0, joint=0.02, mortar=(0.35, 0.34, 0.32))
    glaze = _mottled(g, tile.outputs["Color"], place, 2.0, 0.85)
    joint = tile.outputs["Fac"]
    g.finish(
        base_color=glaze,
        roughness=g.lerp(joint, s.roughness, 0.9),
        normal=g.bump(joint, -0.02 * s.cell),
    )


def bricks(g: Graph, s: SurfaceSpec, place: Socket) -> None:
    """Running bond: every second course shifted by half a brick."""
    brick = _courses(g, s, place, width=1.0, height=0.32, offset=0.5, joint=0.02, mortar=(0.5, 0.48, 0.45))
    rough = g.noise(place, 9.0, 4.0)
    g.finish(
        base_color=g.blend(g.lerp(rough, 0.0, 0.5), brick.outputs["Color"], _times(s.accent, 0.6)),
        roughness=0.85,
        normal=g.bump(rough, 0.02 * s.cell, g.bump(brick.outputs["Fac"], -0.04 * s.cell)),
    )


def checks(g: Graph, s: SurfaceSpec, place: Socket) -> None:
    """A chessboard of two colours."""
    board = g.node("TexChecker", {"Vector": place, "Color1": s.colour, "Color2": s.accent, "Scale": 1.0})
    g.finish(base_color=_mottled(g, board.outputs["Color"], place, 1.5, 0.88), roughness=s.roughness)


def stripes(g: Graph, s: SurfaceSpec, place: Socket) -> None:
    """Upright stripes, as of wallpaper and cloth."""
    x, _, _ = g.axes(place)
    wave = g.math("SINE", g.math("MULTIPLY", x, math.tau))
    g.finish(base_color=g.blend(g.step(wave, -0.04, 0.04), s.colour, s.accent), roughness=s.roughness)


def concrete(g: Graph, s: SurfaceSpec, place: Socket) -> None:
    """Cast floor or plaster: clouds, pores and a fine relief."""
    clouds = g.noise(place, 0.8, 6.0, 0.4)
    pores = g.noise(place, 14.0, 3.0)
    tone = g.blend(g.step(clouds, 0.3, 0.7), s.colour, _times(s.colour, 0.86))
    tone = g.blend(g.step(pores, 0.66, 0.74), tone, _times(s.colour, 0.5))
    g.finish(base_color=tone, roughness=g.lerp(clouds, 0.6, 0.9), normal=g.bump(pores, 0.015 * s.cell))


def marble(g: Graph, s: SurfaceSpec, place: Socket) -> None:
    """Polished stone with veins of the second colour."""
    bent = g.noise(place, 0.7, 8.0, 1.6)
    vein = g.math("ABSOLUTE", g.math("SUBTRACT", bent, 0.5))
    tone = g.blend(g.step(vein, 0.035, 0.0), _mottled(g, s.colour, place, 1.1, 0.85), s.accent)
    g.finish(base_color=tone, roughness=s.roughness)


def carpet(g: Graph, s: SurfaceSpec, place: Socket) -> None:
    """Short pile in two close tones."""
    pile = g.noise(place, 40.0, 2.0)
    # Worn in broad patches, not printed: two full colours would look like camouflage.
    patches = g.lerp(g.step(g.noise(place, 0.6, 4.0, 0.8), 0.35, 0.65), 0.0, 0.2)
    tone = g.blend(patches, s.colour, s.accent)
    shadowed = g.blend(g.lerp(pile, 0.0, 0.6), tone, (0.02, 0.02, 0.02))
    g.finish(base_color=shadowed, roughness=0.95, normal=g.bump(pile, 0.03 * s.cell))


_KINDS = {
    build.__name__: build
    for build in (plain, planks, tiles, bricks, checks, stripes, concrete, marble, carpet)
}


def _courses(
    g: Graph,
    s: SurfaceSpec,
    place: Socket,
    *,
    width: float,
    height: float,
    offset: float,
    joint: float,
    mortar: Colour = (0.03, 0.03, 0.03),
) -> bpy.types.Node:
    """Bricks of `width` x `height` cells between the two colours; the output Fac is 1 in the joints."""
    inputs: dict[str | int, Value] = {
        "Vector": place,
        "Color1": s.colour,
        "Color2": s.accent,
        "Mortar": mortar,
        "Scale": 1.0,
        "Mortar Size": joint,
        "Mortar Smooth": 0.2,
        "Bias": 0.0,
        "Brick Width": width,
        "Row Height": height,
    }
    return g.node("TexBrick", inputs, offset=offset, offset_frequency=2, squash=1.0)


def _mottled(g: Graph, colour: Value, place: Socket, scale: float, darkest: float) -> Socket:
    """`colour`, darkened in clouds by up to the factor `darkest`."""
    clouds = g.step(g.noise(place, scale, 4.0, 0.5), 0.35, 0.65)
    return g.blend(clouds, colour, g.blend(1.0, colour, (darkest,) * 3, "MULTIPLY"))


def _times(colour: Colour, factor: float) -> Colour:
    red, green, blue = (channel * factor for channel in colour)
    return red, green, blue
