"""Shaders of glass and liquids."""

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.shading.shader_nodes import Graph, Socket
from pairbridge.datagen.blender.shading.surface_nodes import lets_light_pass, scattering, uneven


def pane(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    haze = g.noise(place, 5.0, 3.0)
    g.finish(
        base_color=g.blend(haze, m.colour, m.accent),
        roughness=uneven(g, haze, m.roughness),
        coat_weight=m.coat,
        coat_roughness=m.coat_roughness,
    )


def glass(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    g.finish(base_color=m.colour, roughness=m.roughness, transmission_weight=1.0, ior=m.ior)
    if m.bump:
        g.finish(normal=g.bump(g.noise(place, m.scale, 1.0), m.bump))
    lets_light_pass(g, m)


def liquid(g: Graph, m: Material, rest: Socket, place: Socket) -> None:
    if m.transmission:
        glass(g, m, rest, place)
        return
    # A paler rim, as of foam, where it touches the cup would need its shape; clouds are all it gets.
    cloud = g.step(g.noise(place, 4.0, 3.0), 0.5, 0.75)
    g.finish(base_color=g.blend(cloud, m.colour, m.accent), roughness=m.roughness, ior=m.ior)
    if m.scatter:
        scattering(g, m, (1.0, 0.9, 0.7))
