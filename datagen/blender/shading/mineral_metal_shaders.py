"""Shaders of ceramic, clay, stone, soil and metals."""

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.shading.pattern_nodes import patterned
from pairbridge.datagen.blender.shading.shader_nodes import Graph, Socket, Value
from pairbridge.datagen.blender.shading.surface_nodes import dimmed, dust_share, dusted, uneven


def ceramic(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    pooled = g.noise(place, m.scale * 0.5, 3.0, 0.5)
    colour: Value = g.blend(g.step(pooled, 0.3, 0.7), m.colour, dimmed(m.colour, 0.72))
    relief = g.bump(g.noise(place, m.scale, 1.0), m.bump)
    if m.finish == "speckled":
        spots = g.cells(place, m.scale * 5.0).outputs["Distance"]
        sizes = g.noise(place, m.scale * 2.5, 1.0)
        colour = g.blend(g.step(g.math("DIVIDE", spots, sizes), 0.42, 0.30), colour, m.accent)
    elif m.finish == "crackled":
        cracks = g.cells(place, m.scale * 1.6, "DISTANCE_TO_EDGE").outputs["Distance"]
        colour = g.blend(g.step(cracks, 0.035, 0.005), colour, dimmed(m.colour, 0.35))
    elif m.finish == "reactive":
        flow = g.noise(g.affine(place, (1.0, 1.0, 0.35), (0.0, 0.0, 0.0)), m.scale, 4.0, 1.2)
        colour = g.blend(g.step(flow, 0.42, 0.62), colour, m.accent)
    elif m.finish == "dipped":
        _, _, z = g.axes(rest)
        edge = g.math("ADD", z, g.math("MULTIPLY", g.noise(place, m.scale * 0.6, 2.0), 0.22))
        colour = g.blend(g.step(edge, m.wear + 0.105, m.wear + 0.125), colour, m.accent)
    g.finish(
        base_color=patterned(g, m.decoration, rest, colour, place),
        roughness=uneven(g, pooled, m.roughness),
        normal=relief,
        coat_weight=m.coat,
        coat_roughness=m.coat_roughness,
    )


def clay(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    mottle = g.noise(place, m.scale, 5.0, 0.6)
    grain = g.noise(place, 55.0, 3.0)
    colour = g.blend(g.math("MULTIPLY", g.step(mottle, 0.4, 0.65), m.wear), m.colour, m.accent)
    colour = g.blend(g.step(grain, 0.62, 0.5), dimmed(m.colour, 0.7), colour)
    colour, roughness = dusted(g, m, place, patterned(g, m.decoration, rest, colour, place), m.roughness)
    g.finish(base_color=colour, roughness=roughness, normal=g.bump(grain, m.bump, g.bump(mottle, m.bump)))


def metal(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    smudge = g.noise(place, m.scale * 0.5, 4.0, 0.5)
    tarnish = g.math("MULTIPLY", g.step(smudge, 0.48, 0.68), m.wear)
    colour: Value = g.blend(tarnish, m.colour, m.accent)
    roughness: Value = g.math("ADD", uneven(g, smudge, m.roughness), g.math("MULTIPLY", tarnish, 0.2))
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
    dust = dust_share(g, m, place)
    colour = patterned(g, m.decoration, rest, colour, place)
    if dust is None:
        g.finish(base_color=colour, roughness=roughness, metallic=1.0)
        return
    colour, roughness = dusted(g, m, place, colour, roughness)
    g.finish(base_color=colour, roughness=roughness, metallic=g.lerp(dust, 1.0, 0.0))


def mirror(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    g.finish(base_color=m.colour, roughness=m.roughness, metallic=1.0)


def rusty_metal(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    patches = g.noise(place, m.scale, 6.0, 0.6)
    edge = 0.66 - 0.28 * m.wear
    rust = g.step(patches, edge, edge + 0.08)
    grain = g.noise(place, 60.0, 4.0)
    tone = g.blend(g.step(grain, 0.35, 0.65), m.accent, dimmed(m.accent, 0.45))
    g.finish(
        base_color=g.blend(rust, patterned(g, m.decoration, rest, m.colour, place), tone),
        roughness=g.math("ADD", g.math("MULTIPLY", rust, 0.9 - m.roughness), m.roughness),
        metallic=g.math("SUBTRACT", 1.0, rust),
        normal=g.bump(g.math("MULTIPLY", rust, g.lerp(grain, 0.4, 1.0)), m.bump),
    )


def stone(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    grain = g.noise(place, 40.0, 3.0)
    colour: Value = g.blend(g.math("MULTIPLY", grain, 0.3), m.colour, dimmed(m.colour, 0.7))
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
        colour = g.blend(g.step(stain, 0.35, 0.7), colour, dimmed(m.colour, 0.68))
        g.finish(normal=g.bump(grain, m.bump, g.bump(g.step(pits, 0.08, 0.16), m.bump)))
    g.finish(base_color=patterned(g, m.decoration, rest, colour, place), roughness=m.roughness)


def soil(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    crumbs = g.cells(place, m.scale)
    tone, grit, _ = g.axes(crumbs.outputs["Color"])
    colour = g.blend(tone, dimmed(m.colour, 0.6), dimmed(m.colour, 1.3))
    colour = g.blend(g.step(grit, 0.88, 0.9), colour, m.accent)
    height = g.math("SUBTRACT", g.noise(place, 9.0, 4.0), crumbs.outputs["Distance"])
    g.finish(base_color=colour, roughness=m.roughness, normal=g.bump(height, m.bump))
