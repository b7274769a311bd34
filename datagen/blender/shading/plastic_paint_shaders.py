"""Shaders of paint, plastics, rubber, wax and skin."""

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.shading.pattern_nodes import patterned
from pairbridge.datagen.blender.shading.shader_nodes import Graph, Socket, Value
from pairbridge.datagen.blender.shading.surface_nodes import dimmed, dusted, scattering, uneven, worn_edges


def painted(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    tone = g.blend(g.noise(place, 3.0), m.colour, dimmed(m.colour, 0.88))
    colour: Value = patterned(g, m.decoration, rest, tone, place)
    roughness: Value = uneven(g, g.noise(place, m.scale), m.roughness)
    normal = g.bump(g.noise(place, 90.0, 1.0), m.bump)
    worn = worn_edges(g, m, place)
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
    colour, roughness = dusted(g, m, place, colour, roughness)
    g.finish(
        base_color=colour,
        roughness=roughness,
        normal=normal,
        coat_weight=coat,
        coat_roughness=m.coat_roughness,
    )


def car_paint(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    colour: Value = patterned(g, m.decoration, rest, m.colour, place)
    roughness: Value = m.roughness
    if m.finish == "metallic":
        flake = g.cells(place, m.scale)
        sparkle, _, _ = g.axes(flake.outputs["Color"])
        colour = g.blend(g.math("MULTIPLY", g.step(sparkle, 0.5, 1.0), 0.6), colour, m.accent)
        roughness = g.lerp(sparkle, 0.7 * m.roughness, 1.2 * m.roughness)
        g.finish(metallic=0.4)
    colour, roughness = dusted(g, m, place, colour, roughness)
    g.finish(
        base_color=colour,
        roughness=roughness,
        coat_weight=m.coat,
        coat_roughness=m.coat_roughness,
        coat_normal=g.bump(g.noise(place, 40.0, 1.0), m.bump),
    )


def plastic(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    smudge = g.noise(place, 6.0, 3.0)
    tone = g.blend(g.math("MULTIPLY", smudge, 0.3), m.colour, dimmed(m.colour, 0.85))
    colour: Value = patterned(g, m.decoration, rest, tone, place)
    worn = worn_edges(g, m, place)
    if worn is not None:
        colour = g.blend(g.math("MULTIPLY", worn, 0.6), colour, m.accent)
    colour, roughness = dusted(g, m, place, colour, uneven(g, smudge, m.roughness))
    g.finish(base_color=colour, roughness=roughness)
    if m.bump:
        g.finish(normal=g.bump(g.noise(place, m.scale, 2.0), m.bump))


def translucent_plastic(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    cloud = g.noise(place, m.scale, 2.0)
    g.finish(
        base_color=patterned(g, m.decoration, rest, g.blend(cloud, m.colour, dimmed(m.colour, 0.93)), place),
        roughness=uneven(g, cloud, m.roughness),
    )
    scattering(g, m, (1.0, 1.0, 1.0))


def wax(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    cloud = g.noise(place, m.scale, 3.0, 0.4)
    g.finish(
        base_color=patterned(g, m.decoration, rest, g.blend(cloud, m.colour, m.accent), place),
        roughness=uneven(g, cloud, m.roughness),
        normal=g.bump(cloud, m.bump),
    )
    scattering(g, m, (1.0, 0.75, 0.5))


def skin(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    blotch = g.math("MULTIPLY", g.step(g.noise(place, 8.0, 4.0), 0.4, 0.7), m.wear)
    pores = g.cells(place, m.scale).outputs["Distance"]
    g.finish(
        base_color=patterned(g, m.decoration, rest, g.blend(blotch, m.colour, m.accent), place),
        roughness=uneven(g, g.noise(place, 10.0, 3.0), m.roughness),
        normal=g.bump(g.math("MINIMUM", pores, 0.4), m.bump),
    )
    # Mean free paths in red, green and blue, relative to red's, as measured of skin.
    scattering(g, m, (1.0, 0.37, 0.19))


def rubber(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    dust = g.noise(place, m.scale, 5.0)
    g.finish(
        base_color=g.blend(g.math("MULTIPLY", g.step(dust, 0.45, 0.75), m.wear), m.colour, m.accent),
        roughness=uneven(g, dust, m.roughness),
        normal=g.bump(g.noise(place, 80.0, 2.0), m.bump),
    )
