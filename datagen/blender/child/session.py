"""What a Blender process can be asked, and what it remembers between requests. Needs bpy."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from pairbridge.datagen.assets.object_rules import AddonConfig, ObjectRules
from pairbridge.datagen.blender.child import interior, sky, world
from pairbridge.datagen.blender.child import receivers as receiver_pool
from pairbridge.datagen.blender.child import scene_builder as scene
from pairbridge.datagen.blender.child.addons import enable, import_operators
from pairbridge.datagen.blender.child.passes import (
    enable_passes,
    is_bounded,
    render_to,
    show_part,
    write_surfaces,
)
from pairbridge.datagen.blender.child.user_rooms import UserRoom, build_room
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.scene.interior_specs import interior_from_json
from pairbridge.datagen.scene.specs import CameraSpec, CatcherSpec, LampSpec, SceneSpec, SkySpec, from_json


class OutOfOrder(Exception):
    """A request that needs another one before it."""


class Session:
    """One method per request of `BlenderClient`; each returns the JSON of its reply."""

    def __init__(
        self,
        settings: RenderSettings,
        threads: int,
        image_path: str,
        rules: ObjectRules,
        addons: tuple[AddonConfig, ...],
    ) -> None:
        self._settings = settings
        self._threads = threads
        self._image_path = image_path
        self._source = scene.ObjectSource(rules, import_operators(addons))
        self._addons = addons
        self._vertices: np.ndarray | None = None
        self._room: UserRoom | None = None
        self._alone_in_frame = False

    def open(self) -> dict[str, Any]:
        self._reset()
        return {}

    def warm_up(self) -> dict[str, Any]:
        """Render next to nothing, so that a GPU's kernels are compiled and in its cache."""
        self._reset()
        world.build_world(self._settings.lighting_copy_width)
        scene.add_cube_and_camera()
        enable_passes(coverage=False)
        bpy.context.scene.cycles.samples = 1
        render_to(self._image_path)
        self._reset()
        return {}

    def load_scene(self, scene_spec: dict[str, Any]) -> dict[str, Any]:
        self._reset()
        spec = from_json(SceneSpec, scene_spec)
        loaded, self._vertices = scene.load(spec, self._source)
        if spec.room is not None:
            room = dataclasses.replace(spec.room, path=Path(spec.room.path))
            self._room = build_room(
                room, self._vertices, loaded.metres_per_unit, len(spec.objects), self._source.rules
            )
        smoothest = world.smoothest_roughness()
        world.build_world(self._settings.lighting_copy_width_for(smoothest))
        write_surfaces()
        surrounded = bool(spec.receivers) or spec.catches or spec.room is not None
        self._alone_in_frame = not surrounded and is_bounded()
        several = len(spec.objects) > 1 or bool(spec.receivers)
        enable_passes(coverage=several or spec.catches or spec.room is not None, catches=spec.catches)
        return dataclasses.asdict(loaded) | {"smoothest": smoothest}

    def set_camera(self, camera: dict[str, Any], size_WH: list[int]) -> dict[str, Any]:
        if self._vertices is None:
            raise OutOfOrder("no scene is loaded")
        pose = scene.place_camera(self._vertices, from_json(CameraSpec, camera), tuple(size_WH))
        room = None if self._room is None else self._room.turn_to(pose, self._vertices, tuple(size_WH))
        return dataclasses.asdict(pose) | {"room": room}

    def render(
        self,
        environment_path: str,
        seed: int,
        film: str,
        strength: float = 1.0,
        lamps: Sequence[dict[str, Any]] = (),
        hidden: Sequence[int] = (),
        receivers: str = "shown",
        catcher: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        self._check_ready()
        world.set_lighting(Path(environment_path), strength, seen=film == "opaque")
        if catcher is not None:
            receiver_pool.set_catcher(from_json(CatcherSpec, catcher), world.lighting())
        world.set_lamps([from_json(LampSpec, lamp) for lamp in lamps])
        scene.hide_objects(hidden)
        receiver_pool.hold_out(receivers == "holdout")
        bpy.context.scene.cycles.seed = seed
        bpy.context.scene.render.film_transparent = film == "transparent"
        show_part(self._alone_in_frame and film == "transparent")
        render_to(self._image_path)
        return {}

    def silhouette(self, index: int, seed: int) -> dict[str, Any]:
        """The outline of object `index`, as if nothing else were there."""
        self._check_ready()
        bpy.context.scene.cycles.seed = seed
        with _alone(index, self._room):
            render_to(self._image_path)
        return {}

    def bake_sky(self, sky_spec: dict[str, Any], width: int) -> dict[str, Any]:
        self._reset()
        sky.build_sky(from_json(SkySpec, sky_spec), width)
        render_to(self._image_path)
        return {}

    def bake_sun(self, window: list[int]) -> dict[str, Any]:
        sky.narrow_to(tuple(window))
        render_to(self._image_path)
        return {}

    def bake_interior(
        self, interior_spec: dict[str, Any], environment_path: str, width: int
    ) -> dict[str, Any]:
        self._reset()
        interior.build_interior(interior_from_json(interior_spec), Path(environment_path), width)
        render_to(self._image_path)
        return {}

    def _check_ready(self) -> None:
        if self._vertices is None or bpy.context.scene.camera is None:
            raise OutOfOrder("no scene is loaded, or it has no camera yet")

    def _reset(self) -> None:
        self._vertices = self._room = None
        scene.reset(self._settings, self._threads)
        enable(self._addons)


@contextmanager
def _alone(index: int, room: UserRoom | None) -> Iterator[None]:
    """Object `index` alone, without bounces or denoiser: alpha costs little more than its camera rays."""
    setup = bpy.context.scene
    bounces = setup.cycles.max_bounces
    scene.hide_objects([number for number in range(len(scene.roots())) if number != index])
    # Not hidden: with persistent data, lamps stay dark when hidden planes return. Receivers lie behind and
    # below the objects, so what they hold out is empty.
    receiver_pool.hold_out(True)
    if room is not None:
        room.show_to_camera(False)
    setup.cycles.max_bounces = 0
    setup.cycles.use_denoising = False
    setup.render.film_transparent = True
    try:
        yield
    finally:
        setup.cycles.use_denoising = True
        setup.cycles.max_bounces = bounces
        if room is not None:
            room.show_to_camera(True)
