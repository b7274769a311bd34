"""Patterns, labels and pictures laid over a surface's colour."""

import math

import bpy
import numpy as np

from pairbridge.datagen.blender.materials.material import Decoration, Material
from pairbridge.datagen.blender.materials.prints import Print, print_pixels
from pairbridge.datagen.blender.shading.shader_nodes import Graph, Socket, Value

UV_ATTRIBUTE = "flat"


def flat_picture(g: Graph, m: Material) -> Socket:
    """The material's own picture over its sides, `scale` times per unit."""
    place = g.affine(g.attribute(UV_ATTRIBUTE), (m.scale,) * 3, m.offset)
    return g.picture(_image_of(m.print), place, repeats=True)


def _image_of(picture: Print) -> bpy.types.Image:
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


def patterned(g: Graph, d: Decoration | None, rest: Socket, ground: Value, place: Socket) -> Value:
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
    shown = g.picture(_image_of(d.print), g.vector(u, v, 0.0), repeats=False)
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
