"""Material descriptions to Blender materials. Runs in the Blender child.

The shader of every kind reads the part's own texture coordinates (`Mesh.rest`), so patterns follow a part
wherever it was moved.
"""

import bpy

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import CLASSES, sharpest
from pairbridge.datagen.blender.shading.glass_liquid_shaders import glass, liquid, pane
from pairbridge.datagen.blender.shading.mineral_metal_shaders import (
    ceramic,
    clay,
    metal,
    mirror,
    rusty_metal,
    soil,
    stone,
)
from pairbridge.datagen.blender.shading.plastic_paint_shaders import (
    car_paint,
    painted,
    plastic,
    rubber,
    skin,
    translucent_plastic,
    wax,
)
from pairbridge.datagen.blender.shading.shader_nodes import Graph
from pairbridge.datagen.blender.shading.textile_shaders import fabric, leather, plush, velvet
from pairbridge.datagen.blender.shading.wood_paper_shaders import cardboard, leaf, paper, veneer, wood

REST_ATTRIBUTE = "rest"
# Custom property of a material: the roughness of `material_kinds.sharpest`, which its nodes do not tell.
SHARPEST = "pairbridge_sharpest"
# Another: its class.
MATERIAL_CLASS = "pairbridge_class"


def shade(name: str, material: Material) -> bpy.types.Material:
    """A new Blender material for the description."""
    target = bpy.data.materials.new(name)
    graph = Graph(target)
    rest = graph.attribute(REST_ATTRIBUTE)
    place = graph.affine(rest, (1.0, 1.0, 1.0), material.offset)
    SHADERS[material.kind](graph, material, rest, place)
    if material.translucent:
        # What Principled shows is thin: some of the light that meets its back comes out here.
        graph.also(material.translucent, "BsdfTranslucent", material.colour)
    target[SHARPEST] = sharpest(material)
    target[MATERIAL_CLASS] = CLASSES[material.kind]
    return target


SHADERS = {
    build.__name__: build
    for build in (
        painted,
        car_paint,
        plastic,
        translucent_plastic,
        wax,
        skin,
        ceramic,
        clay,
        metal,
        mirror,
        rusty_metal,
        wood,
        veneer,
        fabric,
        velvet,
        plush,
        leather,
        paper,
        cardboard,
        leaf,
        stone,
        rubber,
        soil,
        pane,
        glass,
        liquid,
    )
} | {"sheer": fabric, "coloured_glass": glass}
