"""What a Blender process can be asked, and what it remembers between requests. Needs bpy."""

import dataclasses
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from datagen.blender import scene, sky, world
from datagen.blender.passes import enable_passes, render_to
from datagen.blender.protocol import CameraSpec, ObjectSpec, SkySpec, from_json
from datagen.blender.settings import RenderSettings


class OutOfOrder(Exception):
    """A request that needs another one before it."""


class Session:
    """One method per request of `BlenderClient`; each returns the JSON of its reply."""

    def __init__(self, settings: RenderSettings, threads: int, image_path: str) -> None:
        self._settings = settings
        self._threads = threads
        self._image_path = image_path
        self._vertices: np.ndarray | None = None

    def open(self) -> dict[str, Any]:
        scene.reset(self._settings, self._threads)
        return {}

    def load_object(self, obj: dict[str, Any]) -> dict[str, Any]:
        self._reset()
        spec = from_json(ObjectSpec, obj)
        info, self._vertices = scene.load(
            dataclasses.replace(spec, path=None if spec.path is None else Path(spec.path))
        )
        world.build_world(self._settings)
        enable_passes()
        return dataclasses.asdict(info)

    def set_camera(self, camera: dict[str, Any], size_WH: list[int]) -> dict[str, Any]:
        if self._vertices is None:
            raise OutOfOrder("no object is loaded")
        pose = scene.place_camera(self._vertices, from_json(CameraSpec, camera), tuple(size_WH))
        return dataclasses.asdict(pose)

    def render(self, environment_path: str, rotation_rad: float, seed: int, film: str) -> dict[str, Any]:
        if self._vertices is None or bpy.context.scene.camera is None:
            raise OutOfOrder("no object is loaded, or it has no camera yet")
        world.set_lighting(Path(environment_path), rotation_rad)
        bpy.context.scene.cycles.seed = seed
        bpy.context.scene.render.film_transparent = film == "transparent"
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

    def _reset(self) -> None:
        self._vertices = None
        scene.reset(self._settings, self._threads)
