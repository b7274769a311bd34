"""An object's whole outline, as if nothing else were there. Needs bpy."""

from collections.abc import Iterator
from contextlib import contextmanager

import bpy

from pairbridge.datagen.blender.child import receivers
from pairbridge.datagen.blender.child import scene_builder as scene


@contextmanager
def silhouettes_alone(index: int) -> Iterator[None]:
    """Object `index` alone, without bounces or denoiser: alpha costs little more than its camera rays."""
    setup = bpy.context.scene
    bounces = setup.cycles.max_bounces
    scene.hide_objects([number for number in range(len(scene.roots())) if number != index])
    # Not hidden: with persistent data, lamps stay dark when hidden planes return. Receivers lie behind and
    # below the objects, so what they hold out is empty.
    receivers.hold_out(True)
    setup.cycles.max_bounces = 0
    setup.cycles.use_denoising = False
    setup.render.film_transparent = True
    try:
        yield
    finally:
        setup.cycles.use_denoising = True
        setup.cycles.max_bounces = bounces
