"""How sharp the reflections of what is loaded are: decides how wide the lighting's copy is. Needs bpy."""

import bpy

# From here on a surface counts as one that shows its surroundings, rather than a highlight on its own colour.
_REFLECTS = 0.5


def smoothest_roughness() -> float:
    """Smallest roughness of the metals and glasses in the scene, 1 where there are none.

    Looks at numbers in materials alone: a roughness, metallic or transmission that a texture paints counts as
    rough, for nobody knows its smallest value without baking it.
    """
    materials = {
        slot.material
        for item in bpy.context.scene.objects
        for slot in item.material_slots
        if slot.material is not None and slot.material.use_nodes
    }
    found = [_roughness(node) for material in materials for node in material.node_tree.nodes]
    return min((roughness for roughness in found if roughness is not None), default=1.0)


def _roughness(node: bpy.types.Node) -> float | None:
    if node.type in ("BSDF_GLOSSY", "BSDF_GLASS", "BSDF_REFRACTION"):
        return _number(node, "Roughness")
    if node.type != "BSDF_PRINCIPLED":
        return None
    reflects = max(_number(node, "Metallic") or 0.0, _number(node, "Transmission Weight") or 0.0)
    return _number(node, "Roughness") if reflects >= _REFLECTS else None


def _number(node: bpy.types.Node, name: str) -> float | None:
    socket = node.inputs.get(name)
    return None if socket is None or socket.is_linked else float(socket.default_value)
