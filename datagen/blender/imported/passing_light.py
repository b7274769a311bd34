"""Glass of files lets light pass: straight through, for shadow rays and for light on its way to what is matt.

Caustics are off, so what is behind a refracting shader (an eye behind its cornea, a room behind its panes)
would be black. Embedded glass does the same (`surface_nodes.lets_light_pass`). Needs bpy.
"""

from collections.abc import Iterable

import bpy

_REFRACTING = ("BSDF_GLASS", "BSDF_REFRACTION")
# What a face lets through of what it does not mirror, a mean over directions.
_THROUGH = 0.92
_DONE = "pairbridge_passes"


def let_light_pass(trees: Iterable[bpy.types.ShaderNodeTree]) -> None:
    """In these trees, of materials and of groups, mix a transparent shader into those that refract."""
    for tree in trees:
        for node in list(tree.nodes):
            share = node.inputs["Transmission Weight"] if node.type == "BSDF_PRINCIPLED" else None
            refracts = node.type in _REFRACTING or (share and (share.is_linked or share.default_value > 0))
            # Of a scene of several files each one's import comes by here.
            if refracts and _DONE not in node:
                node[_DONE] = True
                _pass_straight(tree, node, share)


def _pass_straight(
    tree: bpy.types.ShaderNodeTree, shader: bpy.types.Node, share: bpy.types.NodeSocket | None
) -> None:
    taken = [link.to_socket for link in shader.outputs[0].links]
    path = tree.nodes.new("ShaderNodeLightPath").outputs
    straight = _math(tree, "MAXIMUM", path["Is Shadow Ray"], path["Is Diffuse Ray"])
    if share is not None:
        straight = _math(tree, "MULTIPLY", straight, share)
    # A wall has two faces, each of which takes a root of its colour.
    root, dimmed = tree.nodes.new("ShaderNodeGamma"), tree.nodes.new("ShaderNodeVectorMath")
    _give(tree, shader.inputs["Base Color" if share is not None else "Color"], root.inputs["Color"])
    root.inputs["Gamma"].default_value = 0.5
    dimmed.operation = "SCALE"
    tree.links.new(root.outputs[0], dimmed.inputs[0])
    dimmed.inputs["Scale"].default_value = _THROUGH
    clear, mix = tree.nodes.new("ShaderNodeBsdfTransparent"), tree.nodes.new("ShaderNodeMixShader")
    tree.links.new(dimmed.outputs[0], clear.inputs["Color"])
    tree.links.new(straight, mix.inputs["Fac"])
    tree.links.new(shader.outputs[0], mix.inputs[1])
    tree.links.new(clear.outputs[0], mix.inputs[2])
    for socket in taken:
        tree.links.new(mix.outputs[0], socket)


def _math(
    tree: bpy.types.ShaderNodeTree, operation: str, first: bpy.types.NodeSocket, second: bpy.types.NodeSocket
) -> bpy.types.NodeSocket:
    node = tree.nodes.new("ShaderNodeMath")
    node.operation = operation
    for value, written in ((first, node.inputs[0]), (second, node.inputs[1])):
        _give(tree, value, written)
    return node.outputs[0]


def _give(tree: bpy.types.ShaderNodeTree, value: bpy.types.NodeSocket, written: bpy.types.NodeSocket) -> None:
    """Link an output, or what an input has."""
    if value.is_output:
        tree.links.new(value, written)
    elif value.links:
        tree.links.new(value.links[0].from_socket, written)
    else:
        written.default_value = value.default_value
