"""What shaders share: roughness that wanders, worn edges, dust, and light that goes beneath or through."""

import math

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.shading.shader_nodes import Graph, Socket, Value
from pairbridge.datagen.scene.palette import LIGHTEST

_DUST = (0.27, 0.22, 0.17)


def uneven(g: Graph, pattern: Socket, roughness: float) -> Socket:
    """Roughness that wanders with a pattern in about [0.2, 0.8], smooth surfaces less than rough ones."""
    return g.lerp(pattern, 0.75 * roughness, min(1.25 * roughness, 1.0))


def scattering(g: Graph, m: Material, radius: tuple[float, float, float]) -> None:
    g.finish(subsurface_weight=1.0, subsurface_radius=radius, subsurface_scale=m.scatter)


def lets_light_pass(g: Graph, m: Material) -> None:
    """Straight through for shadow rays and for light that goes on to a matt surface, tinted as by one of a
    wall's two faces: caustics are off, and without it glass would throw the shadow of a stone.
    """
    path = g.node("LightPath", {}).outputs
    straight = g.math("MAXIMUM", path["Is Shadow Ray"], path["Is Diffuse Ray"])
    # The face lets through what it does not mirror, a mean over directions.
    tint = tuple(0.92 * math.sqrt(channel) for channel in m.colour)
    g.also(straight, "BsdfTransparent", tint)


def worn_edges(g: Graph, m: Material, place: Socket) -> Socket | None:
    """1 where edges are rubbed bare, None where nothing is worn."""
    if not m.edges:
        return None
    ragged = g.math("MULTIPLY_ADD", g.noise(place, 14.0, 5.0), 0.12, -0.06)
    edge = 0.56 - 0.035 * m.edges
    return g.step(g.math("ADD", g.pointiness(), ragged), edge, edge + 0.012)


def dust_share(g: Graph, m: Material, place: Socket) -> Socket | None:
    """How much dust lies where: in hollows, and in clouds anywhere; None where all is clean."""
    if not m.dirt:
        return None
    hollow = g.step(g.pointiness(), 0.495, 0.45)
    cloud = g.step(g.noise(place, 5.0, 5.0, 0.3), 0.42, 0.72)
    return g.math("MULTIPLY", g.math("MAXIMUM", hollow, g.math("MULTIPLY", cloud, 0.45)), 0.75 * m.dirt)


def dusted(g: Graph, m: Material, place: Socket, colour: Value, roughness: Value) -> tuple[Value, Value]:
    """The colour and roughness under the dust that the material gathered."""
    dust = dust_share(g, m, place)
    if dust is None:
        return colour, roughness
    rest_of = g.math("SUBTRACT", 1.0, dust)
    matt = g.math("MULTIPLY_ADD", rest_of, roughness, g.math("MULTIPLY", dust, 0.9))
    return g.blend(dust, colour, _DUST), matt


def dimmed(colour: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    red, green, blue = (min(channel * factor, LIGHTEST) for channel in colour)
    return red, green, blue
