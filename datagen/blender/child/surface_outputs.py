"""What shader trees write beside the picture: where a surface is there, its normal, roughness and metallic.

Trees of files are followed through mixed and added shaders, reroutes and node groups, inside of which the
values are computed and handed out by sockets of their own. Needs bpy.
"""

from dataclasses import dataclass

import bpy

from pairbridge.datagen.scene.specs import GEOMETRIC_HITS, GEOMETRIC_NORMAL, SURFACE

# Shaders that have a roughness beside the Principled BSDF's, and those of them that are metal.
_METALS = ("BSDF_GLOSSY", "BSDF_METALLIC")
_REFLECTING = ("BSDF_PRINCIPLED", "BSDF_GLASS", "BSDF_REFRACTION", *_METALS)
# What a group hands out of a shader: added to the name of that shader's socket.
_CLEAR, _FINISH = " (clear)", " (finish)"


@dataclass(frozen=True, slots=True)
class _Shown:
    """Sockets of one tree: the share of light that goes straight on through a shader (alpha is the rest), and
    (roughness, metallic, 0) of what it shows."""

    clear: bpy.types.NodeSocket
    finish: bpy.types.NodeSocket


def write_surface(tree: bpy.types.ShaderNodeTree) -> None:
    """Have a material's tree write the passes GEOMETRIC_NORMAL, GEOMETRIC_HITS and SURFACE."""
    output = tree.get_output_node("CYCLES")
    shown = _shown(tree, output.inputs["Surface"] if output else None)
    # 1 where a camera's ray ends on the surface, 0 where it passes through a hole, by the rule of the depth
    # pass: an alpha of half.
    there = _math(tree, "LESS_THAN", shown.clear, 0.5 + 1e-4)
    geometry = tree.nodes.new("ShaderNodeNewGeometry")
    for name, socket, value in (
        (GEOMETRIC_NORMAL, "Color", _scaled(tree, geometry.outputs["True Normal"], there)),
        (GEOMETRIC_HITS, "Value", there),
        (SURFACE, "Color", _scaled(tree, shown.finish, there)),
    ):
        written = tree.nodes.new("ShaderNodeOutputAOV")
        written.aov_name = name
        tree.links.new(value, written.inputs[socket])


def _shown(tree: bpy.types.ShaderNodeTree, socket: bpy.types.NodeSocket | None) -> _Shown:
    """Of the shader that `socket` takes. What has no roughness of a reflection, as cloth, wax, hair and
    light, counts as matte."""
    link = _link(socket)
    shader = link.from_node if link else None
    match shader.type if shader else "":
        case "GROUP" if shader.node_tree is not None:
            return _of_group(shader, link.from_socket)
        case "MIX_SHADER":
            first, second = (_shown(tree, one) for one in shader.inputs[1:3])
            share = shader.inputs["Fac"]
            return _Shown(
                _blend(tree, share, first.clear, second.clear),
                _blend(tree, share, first.finish, second.finish),
            )
        case "ADD_SHADER":
            first, second = (_shown(tree, one) for one in shader.inputs[:2])
            return _Shown(_math(tree, "ADD", first.clear, second.clear), _finish(tree, None))
        case "BSDF_TRANSPARENT":
            grey = tree.nodes.new("ShaderNodeRGBToBW")
            _copy(tree, shader.inputs["Color"], grey.inputs["Color"])
            return _Shown(grey.outputs[0], _finish(tree, None))
        case "BSDF_PRINCIPLED":
            return _Shown(_math(tree, "SUBTRACT", 1.0, shader.inputs["Alpha"]), _finish(tree, shader))
        case _:
            return _Shown(_math(tree, "ADD", 0.0, 0.0), _finish(tree, shader))


def _link(socket: bpy.types.NodeSocket | None) -> bpy.types.NodeLink | None:
    while socket is not None and socket.is_linked:
        link = socket.links[0]
        if link.from_node.type != "REROUTE":
            return link
        socket = link.from_node.inputs[0]
    return None


def _of_group(node: bpy.types.Node, socket: bpy.types.NodeSocket) -> _Shown:
    """Of the shader that a group hands out by `socket`: computed inside, once for all materials."""
    inner, name = node.node_tree, socket.name
    if name + _CLEAR not in node.outputs:
        output = next(
            (one for one in inner.nodes if one.type == "GROUP_OUTPUT" and one.is_active_output), None
        )
        shown = _shown(inner, output.inputs[socket.identifier] if output else None)
        output = output or inner.nodes.new("NodeGroupOutput")
        for ending, kind, value in (
            (_CLEAR, "NodeSocketFloat", shown.clear),
            (_FINISH, "NodeSocketVector", shown.finish),
        ):
            made = inner.interface.new_socket(name + ending, in_out="OUTPUT", socket_type=kind)
            inner.links.new(value, output.inputs[made.identifier])
    return _Shown(node.outputs[name + _CLEAR], node.outputs[name + _FINISH])


def _finish(tree: bpy.types.ShaderNodeTree, shader: bpy.types.Node | None) -> bpy.types.NodeSocket:
    kind = shader.type if shader else ""
    written = tree.nodes.new("ShaderNodeCombineXYZ")
    written.inputs["X"].default_value = 1.0
    if kind in _REFLECTING:
        _copy(tree, shader.inputs["Roughness"], written.inputs["X"])
    if kind == "BSDF_PRINCIPLED":
        _copy(tree, shader.inputs["Metallic"], written.inputs["Y"])
    elif kind in _METALS:
        written.inputs["Y"].default_value = 1.0
    return written.outputs["Vector"]


def _blend(
    tree: bpy.types.ShaderNodeTree,
    share: bpy.types.NodeSocket,
    first: bpy.types.NodeSocket,
    second: bpy.types.NodeSocket,
) -> bpy.types.NodeSocket:
    """first + share (second - first), of numbers or of vectors."""
    kind = "ShaderNodeVectorMath" if first.type == "VECTOR" else "ShaderNodeMath"
    step, mixed = tree.nodes.new(kind), tree.nodes.new(kind)
    step.operation, mixed.operation = "SUBTRACT", "MULTIPLY_ADD"
    tree.links.new(second, step.inputs[0])
    tree.links.new(first, step.inputs[1])
    tree.links.new(step.outputs[0], mixed.inputs[0])
    _copy(tree, share, mixed.inputs[1])
    tree.links.new(first, mixed.inputs[2])
    return mixed.outputs[0]


def _math(
    tree: bpy.types.ShaderNodeTree, operation: str, *values: float | bpy.types.NodeSocket
) -> bpy.types.NodeSocket:
    """Of numbers, outputs, and what inputs of other nodes have."""
    node = tree.nodes.new("ShaderNodeMath")
    node.operation = operation
    for value, written in zip(values, node.inputs, strict=False):
        if isinstance(value, float):
            written.default_value = value
        elif value.is_output:
            tree.links.new(value, written)
        else:
            _copy(tree, value, written)
    return node.outputs[0]


def _scaled(
    tree: bpy.types.ShaderNodeTree, vector: bpy.types.NodeSocket, factor: bpy.types.NodeSocket
) -> bpy.types.NodeSocket:
    node = tree.nodes.new("ShaderNodeVectorMath")
    node.operation = "SCALE"
    tree.links.new(vector, node.inputs["Vector"])
    tree.links.new(factor, node.inputs["Scale"])
    return node.outputs["Vector"]


def _copy(tree: bpy.types.ShaderNodeTree, read: bpy.types.NodeSocket, written: bpy.types.NodeSocket) -> None:
    """Give one input what another has: its link, or its number."""
    if read.links:
        tree.links.new(read.links[0].from_socket, written)
    else:
        value = read.default_value
        written.default_value = (value,) * 3 if written.type == "VECTOR" else value
