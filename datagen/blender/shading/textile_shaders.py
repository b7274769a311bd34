"""Shaders of cloth, pile and leather."""

import math

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.shading.pattern_nodes import patterned
from pairbridge.datagen.blender.shading.shader_nodes import Graph, Socket
from pairbridge.datagen.blender.shading.surface_nodes import dimmed, uneven, worn_edges


def fabric(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    fuzz = g.noise(place, m.scale * 1.5, 2.0)
    cloud = g.noise(place, 5.0, 3.0)
    if m.finish == "felt":
        thread: Socket = fuzz
    else:
        # Three sine waves instead of a projection: a weave appears on faces of any direction, with no seams.
        x, y, z = g.axes(g.affine(place, (m.scale * math.tau,) * 3, (0.0, 0.0, 0.0)))
        if m.finish == "twill":
            x, y = g.math("ADD", x, g.math("ADD", y, z)), g.math("MULTIPLY", g.math("SUBTRACT", y, z), 0.25)
        waves = g.math("ADD", g.math("SINE", x), g.math("ADD", g.math("SINE", y), g.math("SINE", z)))
        thread = g.math("MULTIPLY_ADD", waves, 0.25, 0.5)
    tone = g.blend(g.math("MULTIPLY", g.step(thread, 0.2, 0.8), m.wear), m.colour, m.accent)
    tone = g.blend(g.step(cloud, 0.3, 0.8), tone, g.blend(0.25, tone, m.accent))
    g.finish(
        base_color=patterned(g, m.decoration, rest, tone, place),
        roughness=m.roughness,
        normal=g.bump(fuzz, 0.6 * m.bump, g.bump(thread, m.bump)),
        sheen_weight=0.4,
        sheen_roughness=0.5,
    )
    g.feed(g.surface.inputs["Specular IOR Level"], 0.2)


def velvet(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    brushed = g.step(g.noise(place, m.scale, 3.0, 0.8), 0.4, 0.62)
    colour = g.blend(g.math("MULTIPLY", brushed, m.wear), m.colour, m.accent)
    g.finish(
        base_color=patterned(g, m.decoration, rest, colour, place),
        roughness=1.0,
        normal=g.bump(g.noise(place, 180.0, 2.0), m.bump),
        sheen_weight=1.0,
        sheen_roughness=0.3,
        sheen_tint=dimmed(m.colour, 2.0),
    )
    g.feed(g.surface.inputs["Specular IOR Level"], 0.05)


def plush(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    # Tufts are cells drawn out by noise; hairs are noise within them.
    bent = g.affine(g.noise_vector(place, 0.35 * m.scale), (0.05, 0.05, 0.05), (0.0, 0.0, 0.0))
    bent = g.node("VectorMath", {0: place, 1: bent}, operation="ADD").outputs[0]
    tuft = g.cells(bent, m.scale, "SMOOTH_F1").outputs["Distance"]
    hair = g.noise(bent, 6.0 * m.scale, 3.0)
    depth = g.math("ADD", g.math("MULTIPLY", tuft, 0.7), g.math("MULTIPLY", hair, 0.5))
    colour = g.blend(g.math("MULTIPLY", g.step(depth, 0.35, 0.85), m.wear), m.colour, m.accent)
    g.finish(
        base_color=patterned(g, m.decoration, rest, colour, place),
        roughness=1.0,
        normal=g.bump(depth, -m.bump),
        sheen_weight=0.8,
        sheen_roughness=0.5,
        sheen_tint=dimmed(m.colour, 1.6),
    )
    g.feed(g.surface.inputs["Specular IOR Level"], 0.05)


def leather(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    wavy = g.noise(place, m.scale * 0.5, 2.0)
    pores = g.cells(place, m.scale, "DISTANCE_TO_EDGE").outputs["Distance"]
    creases = g.noise(g.affine(place, (1.0, 2.5, 1.0), (0.0, 0.0, 0.0)), 7.0, 5.0, 1.0)
    dark = g.math("MULTIPLY", g.step(pores, 0.12, 0.0), 0.6)
    worn = g.math("MULTIPLY", g.step(creases, 0.5, 0.72), m.wear)
    colour = g.blend(worn, m.colour, dimmed(m.colour, 1.6))
    colour = g.blend(dark, colour, m.accent)
    edges = worn_edges(g, m, place)
    if edges is not None:
        colour = g.blend(g.math("MULTIPLY", edges, 0.7), colour, g.blend(0.5, m.colour, (0.4, 0.33, 0.25)))
    g.finish(
        base_color=patterned(g, m.decoration, rest, colour, place),
        roughness=uneven(g, wavy, m.roughness),
        normal=g.bump(g.math("MINIMUM", pores, 0.18), m.bump * 2, g.bump(creases, m.bump)),
        coat_weight=m.coat,
        coat_roughness=m.coat_roughness,
    )
