"""Material descriptions to Cycles node trees, one function per kind. Runs in the Blender child.

Every function reads the part's own texture coordinates (`Mesh.rest`), so patterns follow a part wherever it
was moved.
"""

import math

import bpy
import numpy as np

from pairbridge.datagen.blender.shading.materials import CLASSES, Decoration, Material, sharpest
from pairbridge.datagen.blender.shading.palette import LIGHTEST
from pairbridge.datagen.blender.shading.prints import Print, print_pixels
from pairbridge.datagen.blender.shading.shader_nodes import Graph, Socket, Value

REST_ATTRIBUTE = "rest"
UV_ATTRIBUTE = "flat"
# Custom property of a material: the roughness of `materials.sharpest`, which its nodes do not tell.
SHARPEST = "pairbridge_sharpest"
# Another: its class.
MATERIAL_CLASS = "pairbridge_class"

_DUST = (0.27, 0.22, 0.17)


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


def painted(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    tone = g.blend(g.noise(place, 3.0), m.colour, _dimmed(m.colour, 0.88))
    colour: Value = _decorated(g, m.decoration, rest, tone, place)
    roughness: Value = _uneven(g, g.noise(place, m.scale), m.roughness)
    normal = g.bump(g.noise(place, 90.0, 1.0), m.bump)
    worn = _worn_edges(g, m, place)
    if m.wear:
        threshold = 0.70 - 0.12 * m.wear
        patches = g.step(g.noise(place, m.scale, 5.0, 0.4), threshold, threshold + 0.015)
        worn = patches if worn is None else g.math("MAXIMUM", worn, patches)
    coat: Value = m.coat
    if worn is not None:
        colour = g.blend(worn, colour, m.accent)
        roughness = g.math("MAXIMUM", roughness, g.math("MULTIPLY", worn, 0.45))
        normal = g.bump(worn, -0.003, normal)
        coat = g.lerp(worn, m.coat, 0.0)
    colour, roughness = _dusted(g, m, place, colour, roughness)
    g.finish(
        base_color=colour,
        roughness=roughness,
        normal=normal,
        coat_weight=coat,
        coat_roughness=m.coat_roughness,
    )


def car_paint(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    colour: Value = _decorated(g, m.decoration, rest, m.colour, place)
    roughness: Value = m.roughness
    if m.finish == "metallic":
        flake = g.cells(place, m.scale)
        sparkle, _, _ = g.axes(flake.outputs["Color"])
        colour = g.blend(g.math("MULTIPLY", g.step(sparkle, 0.5, 1.0), 0.6), colour, m.accent)
        roughness = g.lerp(sparkle, 0.7 * m.roughness, 1.2 * m.roughness)
        g.finish(metallic=0.4)
    colour, roughness = _dusted(g, m, place, colour, roughness)
    g.finish(
        base_color=colour,
        roughness=roughness,
        coat_weight=m.coat,
        coat_roughness=m.coat_roughness,
        coat_normal=g.bump(g.noise(place, 40.0, 1.0), m.bump),
    )


def plastic(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    smudge = g.noise(place, 6.0, 3.0)
    tone = g.blend(g.math("MULTIPLY", smudge, 0.3), m.colour, _dimmed(m.colour, 0.85))
    colour: Value = _decorated(g, m.decoration, rest, tone, place)
    worn = _worn_edges(g, m, place)
    if worn is not None:
        colour = g.blend(g.math("MULTIPLY", worn, 0.6), colour, m.accent)
    colour, roughness = _dusted(g, m, place, colour, _uneven(g, smudge, m.roughness))
    g.finish(base_color=colour, roughness=roughness)
    if m.bump:
        g.finish(normal=g.bump(g.noise(place, m.scale, 2.0), m.bump))


def translucent_plastic(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    cloud = g.noise(place, m.scale, 2.0)
    g.finish(
        base_color=_decorated(
            g, m.decoration, rest, g.blend(cloud, m.colour, _dimmed(m.colour, 0.93)), place
        ),
        roughness=_uneven(g, cloud, m.roughness),
    )
    _scattering(g, m, (1.0, 1.0, 1.0))


def wax(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    cloud = g.noise(place, m.scale, 3.0, 0.4)
    g.finish(
        base_color=_decorated(g, m.decoration, rest, g.blend(cloud, m.colour, m.accent), place),
        roughness=_uneven(g, cloud, m.roughness),
        normal=g.bump(cloud, m.bump),
    )
    _scattering(g, m, (1.0, 0.75, 0.5))


def skin(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    blotch = g.math("MULTIPLY", g.step(g.noise(place, 8.0, 4.0), 0.4, 0.7), m.wear)
    pores = g.cells(place, m.scale).outputs["Distance"]
    g.finish(
        base_color=_decorated(g, m.decoration, rest, g.blend(blotch, m.colour, m.accent), place),
        roughness=_uneven(g, g.noise(place, 10.0, 3.0), m.roughness),
        normal=g.bump(g.math("MINIMUM", pores, 0.4), m.bump),
    )
    # Mean free paths in red, green and blue, relative to red's, as measured of skin.
    _scattering(g, m, (1.0, 0.37, 0.19))


def ceramic(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    pooled = g.noise(place, m.scale * 0.5, 3.0, 0.5)
    colour: Value = g.blend(g.step(pooled, 0.3, 0.7), m.colour, _dimmed(m.colour, 0.72))
    relief = g.bump(g.noise(place, m.scale, 1.0), m.bump)
    if m.finish == "speckled":
        spots = g.cells(place, m.scale * 5.0).outputs["Distance"]
        sizes = g.noise(place, m.scale * 2.5, 1.0)
        colour = g.blend(g.step(g.math("DIVIDE", spots, sizes), 0.42, 0.30), colour, m.accent)
    elif m.finish == "crackled":
        cracks = g.cells(place, m.scale * 1.6, "DISTANCE_TO_EDGE").outputs["Distance"]
        colour = g.blend(g.step(cracks, 0.035, 0.005), colour, _dimmed(m.colour, 0.35))
    elif m.finish == "reactive":
        flow = g.noise(g.affine(place, (1.0, 1.0, 0.35), (0.0, 0.0, 0.0)), m.scale, 4.0, 1.2)
        colour = g.blend(g.step(flow, 0.42, 0.62), colour, m.accent)
    elif m.finish == "dipped":
        _, _, z = g.axes(rest)
        edge = g.math("ADD", z, g.math("MULTIPLY", g.noise(place, m.scale * 0.6, 2.0), 0.22))
        colour = g.blend(g.step(edge, m.wear + 0.105, m.wear + 0.125), colour, m.accent)
    g.finish(
        base_color=_decorated(g, m.decoration, rest, colour, place),
        roughness=_uneven(g, pooled, m.roughness),
        normal=relief,
        coat_weight=m.coat,
        coat_roughness=m.coat_roughness,
    )


def clay(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    mottle = g.noise(place, m.scale, 5.0, 0.6)
    grain = g.noise(place, 55.0, 3.0)
    colour = g.blend(g.math("MULTIPLY", g.step(mottle, 0.4, 0.65), m.wear), m.colour, m.accent)
    colour = g.blend(g.step(grain, 0.62, 0.5), _dimmed(m.colour, 0.7), colour)
    colour, roughness = _dusted(g, m, place, _decorated(g, m.decoration, rest, colour, place), m.roughness)
    g.finish(base_color=colour, roughness=roughness, normal=g.bump(grain, m.bump, g.bump(mottle, m.bump)))


def metal(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    smudge = g.noise(place, m.scale * 0.5, 4.0, 0.5)
    tarnish = g.math("MULTIPLY", g.step(smudge, 0.48, 0.68), m.wear)
    colour: Value = g.blend(tarnish, m.colour, m.accent)
    roughness: Value = g.math("ADD", _uneven(g, smudge, m.roughness), g.math("MULTIPLY", tarnish, 0.2))
    if m.finish == "brushed":
        # Brush strokes run around the part's axis: noise that is fine along z and long across it.
        strokes = g.noise(g.affine(place, (3.0, 3.0, 160.0), (0.0, 0.0, 0.0)), 1.0, 2.0)
        roughness = g.math("MULTIPLY", roughness, g.lerp(strokes, 0.6, 1.4))
        colour = g.blend(g.step(strokes, 0.35, 0.65), colour, g.blend(0.16, colour, m.accent))
        g.finish(normal=g.bump(strokes, m.bump))
    elif m.finish == "rough":
        g.finish(normal=g.bump(g.noise(place, 70.0, 3.0), m.bump))
    elif m.finish == "hammered":
        g.finish(normal=g.bump(g.cells(place, m.scale * 1.6).outputs["Distance"], m.bump))
    dust = _dust(g, m, place)
    colour = _decorated(g, m.decoration, rest, colour, place)
    if dust is None:
        g.finish(base_color=colour, roughness=roughness, metallic=1.0)
        return
    colour, roughness = _dusted(g, m, place, colour, roughness)
    g.finish(base_color=colour, roughness=roughness, metallic=g.lerp(dust, 1.0, 0.0))


def mirror(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    g.finish(base_color=m.colour, roughness=m.roughness, metallic=1.0)


def rusty_metal(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    patches = g.noise(place, m.scale, 6.0, 0.6)
    edge = 0.66 - 0.28 * m.wear
    rust = g.step(patches, edge, edge + 0.08)
    grain = g.noise(place, 60.0, 4.0)
    tone = g.blend(g.step(grain, 0.35, 0.65), m.accent, _dimmed(m.accent, 0.45))
    g.finish(
        base_color=g.blend(rust, _decorated(g, m.decoration, rest, m.colour, place), tone),
        roughness=g.math("ADD", g.math("MULTIPLY", rust, 0.9 - m.roughness), m.roughness),
        metallic=g.math("SUBTRACT", 1.0, rust),
        normal=g.bump(g.math("MULTIPLY", rust, g.lerp(grain, 0.4, 1.0)), m.bump),
    )


def wood(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    # Rings about an axis off the part: boards are cut beside the heart, so that grain shows arcs, not
    # targets.
    stretched = g.affine(place, (1.0, 1.0, 0.1), (0.0, 0.0, 0.0))
    warp = g.noise(stretched, 5.0, 3.0)
    x, y, _ = g.axes(
        g.affine(rest, (1.0, 1.0, 1.0), (0.35 + 0.02 * m.offset[0], 0.9 + 0.02 * m.offset[1], 0.0))
    )
    radius = g.math("SQRT", g.math("ADD", g.math("MULTIPLY", x, x), g.math("MULTIPLY", y, y)))
    phase = g.math("FRACT", g.math("MULTIPLY", g.math("MULTIPLY_ADD", warp, 0.22, radius), m.scale))
    # Early wood fades slowly into late wood, which ends sharply at the winter.
    ring = g.math("MULTIPLY", g.math("POWER", phase, 2.5), g.step(phase, 1.0, 0.93))
    fibre = g.noise(g.affine(place, (1.0, 1.0, 0.025), (0.0, 0.0, 0.0)), 150.0, 2.0)
    grain = g.math("ADD", g.math("MULTIPLY", ring, 0.75 * m.wear), g.lerp(fibre, -0.35, 0.55))
    colour = g.blend(g.step(grain, -0.15, 0.85), m.colour, m.accent)
    cloud = g.noise(stretched, 2.0, 1.0)
    colour = g.blend(g.step(cloud, 0.35, 0.75), colour, g.blend(0.35, colour, m.accent))
    colour, roughness = _dusted(
        g, m, place, _decorated(g, m.decoration, rest, colour, place), _uneven(g, fibre, m.roughness)
    )
    g.finish(
        base_color=colour,
        roughness=roughness,
        normal=g.bump(grain, m.bump),
        coat_weight=m.coat,
        coat_roughness=m.coat_roughness,
    )


def veneer(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    scan = _flat_picture(g, m)
    light, _, _ = g.axes(scan)
    g.finish(
        base_color=_decorated(g, m.decoration, rest, scan, place),
        roughness=_uneven(g, light, m.roughness),
        normal=g.bump(light, m.bump),
        coat_weight=m.coat,
        coat_roughness=m.coat_roughness,
    )


def paper(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    sheet: Value = m.colour if m.print is None else _flat_picture(g, m)
    crumple = g.noise(place, 6.0, 3.0, 0.5)
    g.finish(
        base_color=_decorated(g, m.decoration, rest, sheet, place),
        roughness=m.roughness,
        normal=g.bump(crumple, 6.0 * m.bump, g.bump(g.noise(place, 120.0, 2.0), 0.3 * m.bump)),
    )


def cardboard(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    board = _flat_picture(g, m)
    light, _, _ = g.axes(board)
    colour: Value = _decorated(g, m.decoration, rest, board, place)
    worn = _worn_edges(g, m, place)
    if worn is not None:
        colour = g.blend(worn, colour, _dimmed(m.colour, 1.25))
    g.finish(base_color=colour, roughness=m.roughness, normal=g.bump(light, m.bump))


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
        base_color=_decorated(g, m.decoration, rest, tone, place),
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
        base_color=_decorated(g, m.decoration, rest, colour, place),
        roughness=1.0,
        normal=g.bump(g.noise(place, 180.0, 2.0), m.bump),
        sheen_weight=1.0,
        sheen_roughness=0.3,
        sheen_tint=_dimmed(m.colour, 2.0),
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
        base_color=_decorated(g, m.decoration, rest, colour, place),
        roughness=1.0,
        normal=g.bump(depth, -m.bump),
        sheen_weight=0.8,
        sheen_roughness=0.5,
        sheen_tint=_dimmed(m.colour, 1.6),
    )
    g.feed(g.surface.inputs["Specular IOR Level"], 0.05)


def leather(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    wavy = g.noise(place, m.scale * 0.5, 2.0)
    pores = g.cells(place, m.scale, "DISTANCE_TO_EDGE").outputs["Distance"]
    creases = g.noise(g.affine(place, (1.0, 2.5, 1.0), (0.0, 0.0, 0.0)), 7.0, 5.0, 1.0)
    dark = g.math("MULTIPLY", g.step(pores, 0.12, 0.0), 0.6)
    worn = g.math("MULTIPLY", g.step(creases, 0.5, 0.72), m.wear)
    colour = g.blend(worn, m.colour, _dimmed(m.colour, 1.6))
    colour = g.blend(dark, colour, m.accent)
    edges = _worn_edges(g, m, place)
    if edges is not None:
        colour = g.blend(g.math("MULTIPLY", edges, 0.7), colour, g.blend(0.5, m.colour, (0.4, 0.33, 0.25)))
    g.finish(
        base_color=_decorated(g, m.decoration, rest, colour, place),
        roughness=_uneven(g, wavy, m.roughness),
        normal=g.bump(g.math("MINIMUM", pores, 0.18), m.bump * 2, g.bump(creases, m.bump)),
        coat_weight=m.coat,
        coat_roughness=m.coat_roughness,
    )


def leaf(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    across, along, number = g.axes(rest)
    side = g.math("ABSOLUTE", across)
    midrib = g.step(side, 0.11, 0.04)
    slant = g.math("SUBTRACT", g.math("MULTIPLY", along, m.scale), g.math("MULTIPLY", side, 1.6))
    vein = g.math("MULTIPLY", g.step(g.math("PINGPONG", slant, 0.5), 0.09, 0.02), 0.55)
    cloud = g.noise(g.affine(place, (0.6, 2.5, 1.0), (0.0, 0.0, 0.0)), 2.0, 3.0)
    # The number of the leaf moves it a little between its plant's dark and light leaves.
    age = g.noise(g.vector(number, 0.0, m.offset[0]), 3.7, 0.0)
    colour: Value = g.blend(g.step(age, 0.25, 0.75), _dimmed(m.colour, 0.65), _dimmed(m.colour, 1.35))
    colour = g.blend(g.step(cloud, 0.3, 0.75), colour, _dimmed(m.colour, 0.8))
    if m.finish == "edged":
        colour = g.blend(g.step(g.math("MULTIPLY_ADD", cloud, 0.5, side), 0.92, 1.0), colour, m.accent)
    elif m.finish == "banded":
        band = g.math("ADD", g.math("MULTIPLY", along, m.scale * 1.3), g.math("MULTIPLY", cloud, 3.0))
        colour = g.blend(
            g.math("MULTIPLY", g.step(g.math("PINGPONG", band, 0.5), 0.2, 0.34), 0.55), colour, m.accent
        )
    elif m.finish == "mottled":
        colour = g.blend(g.step(g.noise(place, 5.0, 3.0, 1.0), 0.56, 0.62), colour, m.accent)
    rib = g.math("MAXIMUM", midrib, vein)
    g.finish(
        base_color=g.blend(g.math("MULTIPLY", rib, 0.45), colour, m.accent),
        roughness=_uneven(g, cloud, m.roughness),
        normal=g.bump(rib, -m.bump),
        coat_weight=m.coat,
        coat_roughness=m.coat_roughness,
    )


def stone(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    grain = g.noise(place, 40.0, 3.0)
    colour: Value = g.blend(g.math("MULTIPLY", grain, 0.3), m.colour, _dimmed(m.colour, 0.7))
    if m.finish == "marble":
        veins = g.noise(place, m.scale, 5.0, 1.8)
        thin = g.step(g.math("ABSOLUTE", g.math("SUBTRACT", veins, 0.5)), 0.035, 0.0)
        cloud = g.step(g.noise(place, m.scale * 0.6, 3.0, 1.0), 0.4, 0.75)
        colour = g.blend(g.math("MULTIPLY", cloud, 0.35), colour, m.accent)
        colour = g.blend(g.math("MULTIPLY", thin, 0.7), colour, m.accent)
    elif m.finish == "terrazzo":
        edge = g.cells(place, m.scale, "DISTANCE_TO_EDGE").outputs["Distance"]
        chips = g.cells(place, m.scale).outputs["Color"]
        pick, shade_, _ = g.axes(chips)
        chip = g.math("MULTIPLY", g.step(edge, 0.10, 0.13), g.step(pick, 0.45, 0.47))
        chip_colour = g.blend(g.step(shade_, 0.4, 0.6), m.accent, g.blend(0.6, m.accent, (0.75, 0.7, 0.62)))
        colour = g.blend(chip, colour, chip_colour)
    else:
        pits = g.cells(place, m.scale * 1.5).outputs["Distance"]
        stain = g.noise(place, 4.0, 5.0)
        colour = g.blend(g.step(stain, 0.35, 0.7), colour, _dimmed(m.colour, 0.68))
        g.finish(normal=g.bump(grain, m.bump, g.bump(g.step(pits, 0.08, 0.16), m.bump)))
    g.finish(base_color=_decorated(g, m.decoration, rest, colour, place), roughness=m.roughness)


def rubber(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    dust = g.noise(place, m.scale, 5.0)
    g.finish(
        base_color=g.blend(g.math("MULTIPLY", g.step(dust, 0.45, 0.75), m.wear), m.colour, m.accent),
        roughness=_uneven(g, dust, m.roughness),
        normal=g.bump(g.noise(place, 80.0, 2.0), m.bump),
    )


def soil(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    crumbs = g.cells(place, m.scale)
    tone, grit, _ = g.axes(crumbs.outputs["Color"])
    colour = g.blend(tone, _dimmed(m.colour, 0.6), _dimmed(m.colour, 1.3))
    colour = g.blend(g.step(grit, 0.88, 0.9), colour, m.accent)
    height = g.math("SUBTRACT", g.noise(place, 9.0, 4.0), crumbs.outputs["Distance"])
    g.finish(base_color=colour, roughness=m.roughness, normal=g.bump(height, m.bump))


def pane(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    haze = g.noise(place, 5.0, 3.0)
    g.finish(
        base_color=g.blend(haze, m.colour, m.accent),
        roughness=_uneven(g, haze, m.roughness),
        coat_weight=m.coat,
        coat_roughness=m.coat_roughness,
    )


def glass(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    g.finish(base_color=m.colour, roughness=m.roughness, transmission_weight=1.0, ior=m.ior)
    if m.bump:
        g.finish(normal=g.bump(g.noise(place, m.scale, 1.0), m.bump))
    _lets_light_pass(g, m)


def liquid(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    if m.transmission:
        glass(g, m, rest, place)
        return
    # A paler rim, as of foam, where it touches the cup would need its shape; clouds are all it gets.
    cloud = g.step(g.noise(place, 4.0, 3.0), 0.5, 0.75)
    g.finish(base_color=g.blend(cloud, m.colour, m.accent), roughness=m.roughness, ior=m.ior)
    if m.scatter:
        _scattering(g, m, (1.0, 0.9, 0.7))


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


def _uneven(g: Graph, pattern: Socket, roughness: float) -> Socket:
    """Roughness that wanders with a pattern in about [0.2, 0.8], smooth surfaces less than rough ones."""
    return g.lerp(pattern, 0.75 * roughness, min(1.25 * roughness, 1.0))


def _scattering(g: Graph, m: Material, radius: tuple[float, float, float]) -> None:
    g.finish(subsurface_weight=1.0, subsurface_radius=radius, subsurface_scale=m.scatter)


def _lets_light_pass(g: Graph, m: Material) -> None:
    """Straight through for shadow rays and for light that goes on to a matt surface, tinted as by one of a
    wall's two faces: caustics are off, and without it glass would throw the shadow of a stone.
    """
    path = g.node("LightPath", {}).outputs
    straight = g.math("MAXIMUM", path["Is Shadow Ray"], path["Is Diffuse Ray"])
    # The face lets through what it does not mirror, a mean over directions.
    tint = tuple(0.92 * math.sqrt(channel) for channel in m.colour)
    g.also(straight, "BsdfTransparent", tint)


def _worn_edges(g: Graph, m: Material, place: Socket) -> Socket | None:
    """1 where edges are rubbed bare, None where nothing is worn."""
    if not m.edges:
        return None
    ragged = g.math("MULTIPLY_ADD", g.noise(place, 14.0, 5.0), 0.12, -0.06)
    edge = 0.56 - 0.035 * m.edges
    return g.step(g.math("ADD", g.pointiness(), ragged), edge, edge + 0.012)


def _dust(g: Graph, m: Material, place: Socket) -> Socket | None:
    """How much dust lies where: in hollows, and in clouds anywhere; None where all is clean."""
    if not m.dirt:
        return None
    hollow = g.step(g.pointiness(), 0.495, 0.45)
    cloud = g.step(g.noise(place, 5.0, 5.0, 0.3), 0.42, 0.72)
    return g.math("MULTIPLY", g.math("MAXIMUM", hollow, g.math("MULTIPLY", cloud, 0.45)), 0.75 * m.dirt)


def _dusted(g: Graph, m: Material, place: Socket, colour: Value, roughness: Value) -> tuple[Value, Value]:
    """The colour and roughness under the dust that the material gathered."""
    dust = _dust(g, m, place)
    if dust is None:
        return colour, roughness
    rest_of = g.math("SUBTRACT", 1.0, dust)
    matt = g.math("MULTIPLY_ADD", rest_of, roughness, g.math("MULTIPLY", dust, 0.9))
    return g.blend(dust, colour, _DUST), matt


def _flat_picture(g: Graph, m: Material) -> Socket:
    """The material's own picture over its sides, `scale` times per unit."""
    place = g.affine(g.attribute(UV_ATTRIBUTE), (m.scale,) * 3, m.offset)
    return g.picture(_image(m.print), place, repeats=True)


def _image(picture: Print) -> bpy.types.Image:
    """The picture as an image that is packed into the file."""
    pixels = print_pixels(picture)
    height, width, _ = pixels.shape
    image = bpy.data.images.new(f"print.{picture.kind}", width, height)
    image.colorspace_settings.name = "sRGB"
    # Blender's first row is the bottom one.
    shown = np.ones((height, width, 4), np.float32)
    shown[..., :3] = pixels[::-1] / np.float32(255)
    image.pixels.foreach_set(shown.ravel())
    image.pack()
    return image


def _dimmed(colour: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    red, green, blue = (min(channel * factor, LIGHTEST) for channel in colour)
    return red, green, blue


def _decorated(g: Graph, d: Decoration | None, rest: Socket, ground: Value, place: Socket) -> Value:
    """`ground` with the decoration's colour over it, or unchanged without one."""
    if d is None:
        return ground
    x, y, z = g.axes(rest)
    if d.kind == "label":
        return _labelled(g, d, (x, y, z), ground)
    if d.around:
        u: Socket = g.math("MULTIPLY", g.math("ARCTAN2", y, x), d.count / math.tau)
    else:
        u = g.math("MULTIPLY", x, d.count)
    v = g.math("MULTIPLY", z, d.rows)
    mask = _pattern(g, d, u, v, place)
    inside = g.math("MULTIPLY", g.math("GREATER_THAN", z, d.low), g.math("LESS_THAN", z, d.high))
    return g.blend(g.math("MULTIPLY", mask, inside), ground, d.colour)


def _labelled(g: Graph, d: Decoration, axes: tuple[Socket, Socket, Socket], ground: Value) -> Value:
    """`ground` with a picture on it, once, its middle at the front."""
    x, y, z = axes
    if d.around:
        # Turned by a quarter, so that the seam of the angle lies at the back.
        angle = g.math("ARCTAN2", x, g.math("MULTIPLY", y, -1.0))
        u: Socket = g.math("MULTIPLY_ADD", angle, d.count / math.tau, 0.5)
        front: Socket | float = 1.0
    else:
        u = g.math("MULTIPLY_ADD", x, d.count, 0.5)
        front = g.math("LESS_THAN", y, 0.0)
    v = g.math("MULTIPLY_ADD", z, 1 / (d.high - d.low), -d.low / (d.high - d.low))
    inside = g.math("MULTIPLY", _within(g, u), _within(g, v))
    shown = g.picture(_image(d.print), g.vector(u, v, 0.0), repeats=False)
    return g.blend(g.math("MULTIPLY", inside, front), ground, shown)


def _within(g: Graph, value: Socket) -> Socket:
    """1 between 0 and 1."""
    return g.math("MULTIPLY", g.math("GREATER_THAN", value, 0.0), g.math("LESS_THAN", value, 1.0))


def _pattern(g: Graph, d: Decoration, u: Socket, v: Socket, place: Socket) -> Socket:
    """Mask (0..1) of the decoration over the surface coordinates u, v, whose cells are one wide and one
    high."""
    half = d.share / 2
    if d.kind == "bands":
        return g.math("LESS_THAN", g.math("FRACT", v), d.share)
    if d.kind == "stripes":
        return g.math("LESS_THAN", g.math("FRACT", u), d.share)
    if d.kind == "checks":
        odd = g.math("ADD", g.math("FLOOR", u), g.math("FLOOR", v))
        return g.math("LESS_THAN", g.math("FRACT", g.math("MULTIPLY", odd, 0.5)), 0.25)
    if d.kind == "waves":
        swing = g.math("MULTIPLY", g.math("SINE", g.math("MULTIPLY", u, math.tau)), 0.2)
        return g.math("LESS_THAN", g.math("FRACT", g.math("ADD", v, swing)), d.share)
    if d.kind == "zigzag":
        return g.math("LESS_THAN", g.math("FRACT", g.math("ADD", v, g.math("PINGPONG", u, 0.5))), d.share)
    if d.kind == "blotches":
        return g.step(g.noise(place, 0.6 * d.rows, 3.0, 0.6), 0.5, 0.52)
    # Dots and flowers sit in the cells' middles, every second row half a cell further.
    shifted = g.math("ADD", u, g.math("MULTIPLY", g.math("FLOORED_MODULO", g.math("FLOOR", v), 2.0), 0.5))
    x = g.math("SUBTRACT", g.math("FRACT", shifted), 0.5)
    y = g.math("SUBTRACT", g.math("FRACT", v), 0.5)
    radius = g.math("SQRT", g.math("ADD", g.math("MULTIPLY", x, x), g.math("MULTIPLY", y, y)))
    if d.kind == "dots":
        return g.math("LESS_THAN", radius, half)
    petals = g.math("COSINE", g.math("MULTIPLY", g.math("ARCTAN2", y, x), 5.0))
    flower = g.math("LESS_THAN", radius, g.math("MULTIPLY_ADD", petals, 0.12, 0.28 + 0.2 * half))
    return g.math("SUBTRACT", flower, g.math("LESS_THAN", radius, 0.09))
