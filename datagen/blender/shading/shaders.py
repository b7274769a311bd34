"""Material descriptions to Cycles node trees, one function per kind. Runs in the Blender child.

Every function reads the part's own texture coordinates (`Mesh.rest`), so patterns follow a part wherever it
was moved.
"""

import math

import bpy

from pairbridge.datagen.blender.shading.materials import Decoration, Material
from pairbridge.datagen.blender.shading.shader_nodes import Graph, Socket, Value

REST_ATTRIBUTE = "rest"


def shade(name: str, material: Material) -> bpy.types.Material:
    """A new Blender material for the description."""
    target = bpy.data.materials.new(name)
    graph = Graph(target)
    rest = graph.attribute(REST_ATTRIBUTE)
    place = graph.affine(rest, (1.0, 1.0, 1.0), material.offset)
    SHADERS[material.kind](graph, material, rest, place)
    return target


def painted(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    tone = g.blend(g.noise(place, 3.0), m.colour, _dimmed(m.colour, 0.82))
    colour = _decorated(g, m.decoration, rest, tone, place)
    roughness = g.lerp(g.noise(place, m.scale), m.roughness - 0.06, m.roughness + 0.06)
    peel = g.bump(g.noise(place, 90.0, 1.0), m.bump)
    if m.wear == 0:
        g.finish(base_color=colour, roughness=roughness, normal=peel, coat_weight=m.coat, coat_roughness=0.15)
        return
    patches = g.noise(place, m.scale, 5.0, 0.4)
    threshold = 0.70 - 0.12 * m.wear
    worn = g.step(patches, threshold, threshold + 0.015)
    g.finish(
        base_color=g.blend(worn, colour, m.accent),
        roughness=g.math("MAXIMUM", roughness, g.math("MULTIPLY", worn, 0.6)),
        normal=g.bump(worn, -0.004, peel),
    )


def plastic(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    smudge = g.noise(place, 6.0, 3.0)
    colour = g.blend(g.math("MULTIPLY", smudge, 0.3), m.colour, _dimmed(m.colour, 0.8))
    g.finish(
        base_color=_decorated(g, m.decoration, rest, colour, place),
        roughness=g.lerp(smudge, m.roughness - 0.05, m.roughness + 0.05),
    )
    if m.bump:
        g.finish(normal=g.bump(g.noise(place, m.scale, 2.0), m.bump))


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
        roughness=g.lerp(pooled, m.roughness - 0.02, m.roughness + 0.08),
        normal=relief,
        coat_weight=m.coat,
        coat_roughness=0.15,
    )


def clay(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    mottle = g.noise(place, m.scale, 5.0, 0.6)
    grain = g.noise(place, 55.0, 3.0)
    colour = g.blend(g.math("MULTIPLY", g.step(mottle, 0.4, 0.65), m.wear), m.colour, m.accent)
    colour = g.blend(g.step(grain, 0.62, 0.5), _dimmed(m.colour, 0.7), colour)
    g.finish(
        base_color=_decorated(g, m.decoration, rest, colour, place),
        roughness=m.roughness,
        normal=g.bump(grain, m.bump, g.bump(mottle, m.bump)),
    )


def metal(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    smudge = g.noise(place, m.scale * 0.5, 4.0, 0.5)
    tarnish = g.math("MULTIPLY", g.step(smudge, 0.48, 0.68), m.wear)
    colour: Value = g.blend(tarnish, m.colour, m.accent)
    roughness: Value = g.math(
        "ADD", g.lerp(smudge, m.roughness - 0.06, m.roughness + 0.08), g.math("MULTIPLY", tarnish, 0.2)
    )
    if m.finish == "brushed":
        # Brush strokes run around the part's axis: noise that is fine along z and long across it.
        strokes = g.noise(g.affine(place, (3.0, 3.0, 160.0), (0.0, 0.0, 0.0)), 1.0, 2.0)
        roughness = g.math("ADD", roughness, g.lerp(strokes, -0.08, 0.08))
        colour = g.blend(g.step(strokes, 0.35, 0.65), colour, g.blend(0.16, colour, m.accent))
        g.finish(normal=g.bump(strokes, m.bump))
    elif m.finish == "rough":
        g.finish(normal=g.bump(g.noise(place, 70.0, 3.0), m.bump))
    elif m.finish == "hammered":
        g.finish(normal=g.bump(g.cells(place, m.scale * 1.6).outputs["Distance"], m.bump))
    g.finish(base_color=_decorated(g, m.decoration, rest, colour, place), roughness=roughness, metallic=1.0)


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
    g.finish(
        base_color=_decorated(g, m.decoration, rest, colour, place),
        roughness=g.lerp(fibre, m.roughness - 0.08, m.roughness + 0.1),
        normal=g.bump(grain, m.bump),
        coat_weight=m.coat,
        coat_roughness=0.2,
    )


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


def leather(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    wavy = g.noise(place, m.scale * 0.5, 2.0)
    pores = g.cells(place, m.scale, "DISTANCE_TO_EDGE").outputs["Distance"]
    creases = g.noise(g.affine(place, (1.0, 2.5, 1.0), (0.0, 0.0, 0.0)), 7.0, 5.0, 1.0)
    dark = g.math("MULTIPLY", g.step(pores, 0.12, 0.0), 0.6)
    worn = g.math("MULTIPLY", g.step(creases, 0.5, 0.72), m.wear)
    colour = g.blend(worn, m.colour, _dimmed(m.colour, 1.6))
    colour = g.blend(dark, colour, m.accent)
    g.finish(
        base_color=_decorated(g, m.decoration, rest, colour, place),
        roughness=g.lerp(wavy, m.roughness - 0.08, m.roughness + 0.12),
        normal=g.bump(g.math("MINIMUM", pores, 0.18), m.bump * 2, g.bump(creases, m.bump)),
        coat_weight=m.coat,
        coat_roughness=0.3,
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
        roughness=g.lerp(cloud, m.roughness - 0.06, m.roughness + 0.1),
        normal=g.bump(rib, -m.bump),
        coat_weight=m.coat,
        coat_roughness=0.25,
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
        roughness=g.lerp(dust, m.roughness - 0.08, m.roughness + 0.1),
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
        roughness=g.lerp(haze, m.roughness, m.roughness + 0.1),
        coat_weight=m.coat,
        coat_roughness=0.15,
    )


SHADERS = {
    build.__name__: build
    for build in (
        painted,
        plastic,
        ceramic,
        clay,
        metal,
        wood,
        fabric,
        leather,
        leaf,
        stone,
        rubber,
        soil,
        pane,
    )
}


def _dimmed(colour: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    red, green, blue = (min(channel * factor, 0.85) for channel in colour)
    return red, green, blue


def _decorated(g: Graph, d: Decoration | None, rest: Socket, ground: Value, place: Socket) -> Value:
    """`ground` with the decoration's colour over it, or unchanged without one."""
    if d is None:
        return ground
    x, y, z = g.axes(rest)
    if d.around:
        u: Socket = g.math("MULTIPLY", g.math("ARCTAN2", y, x), d.count / math.tau)
    else:
        u = g.math("MULTIPLY", x, d.count)
    v = g.math("MULTIPLY", z, d.rows)
    mask = _pattern(g, d, u, v, place)
    inside = g.math("MULTIPLY", g.math("GREATER_THAN", z, d.low), g.math("LESS_THAN", z, d.high))
    return g.blend(g.math("MULTIPLY", mask, inside), ground, d.colour)


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
