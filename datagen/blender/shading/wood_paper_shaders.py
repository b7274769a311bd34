"""Shaders of wood, paper, board and leaves."""

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.shading.pattern_nodes import flat_picture, patterned
from pairbridge.datagen.blender.shading.shader_nodes import Graph, Socket, Value
from pairbridge.datagen.blender.shading.surface_nodes import dimmed, dusted, uneven, worn_edges


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
    colour, roughness = dusted(
        g, m, place, patterned(g, m.decoration, rest, colour, place), uneven(g, fibre, m.roughness)
    )
    g.finish(
        base_color=colour,
        roughness=roughness,
        normal=g.bump(grain, m.bump),
        coat_weight=m.coat,
        coat_roughness=m.coat_roughness,
    )


def veneer(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    scan = flat_picture(g, m)
    light, _, _ = g.axes(scan)
    g.finish(
        base_color=patterned(g, m.decoration, rest, scan, place),
        roughness=uneven(g, light, m.roughness),
        normal=g.bump(light, m.bump),
        coat_weight=m.coat,
        coat_roughness=m.coat_roughness,
    )


def paper(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    sheet: Value = m.colour if m.print is None else flat_picture(g, m)
    crumple = g.noise(place, 6.0, 3.0, 0.5)
    g.finish(
        base_color=patterned(g, m.decoration, rest, sheet, place),
        roughness=m.roughness,
        normal=g.bump(crumple, 6.0 * m.bump, g.bump(g.noise(place, 120.0, 2.0), 0.3 * m.bump)),
    )


def cardboard(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    board = flat_picture(g, m)
    light, _, _ = g.axes(board)
    colour: Value = patterned(g, m.decoration, rest, board, place)
    worn = worn_edges(g, m, place)
    if worn is not None:
        colour = g.blend(worn, colour, dimmed(m.colour, 1.25))
    g.finish(base_color=colour, roughness=m.roughness, normal=g.bump(light, m.bump))


def leaf(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    across, along, number = g.axes(rest)
    side = g.math("ABSOLUTE", across)
    midrib = g.step(side, 0.11, 0.04)
    slant = g.math("SUBTRACT", g.math("MULTIPLY", along, m.scale), g.math("MULTIPLY", side, 1.6))
    vein = g.math("MULTIPLY", g.step(g.math("PINGPONG", slant, 0.5), 0.09, 0.02), 0.55)
    cloud = g.noise(g.affine(place, (0.6, 2.5, 1.0), (0.0, 0.0, 0.0)), 2.0, 3.0)
    # The number of the leaf moves it a little between its plant's dark and light leaves.
    age = g.noise(g.vector(number, 0.0, m.offset[0]), 3.7, 0.0)
    colour: Value = g.blend(g.step(age, 0.25, 0.75), dimmed(m.colour, 0.65), dimmed(m.colour, 1.35))
    colour = g.blend(g.step(cloud, 0.3, 0.75), colour, dimmed(m.colour, 0.8))
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
        roughness=uneven(g, cloud, m.roughness),
        normal=g.bump(rib, -m.bump),
        coat_weight=m.coat,
        coat_roughness=m.coat_roughness,
    )
