"""The room of a removal group in its renders: with all of its objects, and without some of them."""

import dataclasses

import numpy as np

from pairbridge.datagen.imaging.compositing import over_linear
from pairbridge.datagen.lighting.environment_maps import lamp_map
from pairbridge.datagen.recipes.scene_draws import LitConfig, lamp_spec, place_camera, place_lighting
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.scene.specs import RenderedPasses
from pairbridge.datagen.shards.layout import GroupSpec


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One render, and what it shows with the surroundings: linear (H, W, 3)."""

    passes: RenderedPasses
    picture: np.ndarray


class RenderedRoom:
    """The loaded scene of one group, seen by its camera. What was rendered once is kept: pairs share it."""

    def __init__(self, spec: GroupSpec, workbench: Workbench, config: LitConfig) -> None:
        params = spec.params
        self._workbench = workbench
        self._seed = params["cycles_seed"]
        self.pose = place_camera(params["camera"], params, workbench, [params["lighting"]])
        self._lighting = place_lighting(params["lighting"], config, workbench)
        # Blender is given the lighting as it is in its file, and the lamps in the same units.
        self._lamps = tuple(lamp_spec(lamp, 1 / self._lighting.factor) for lamp in params["lamps"])
        self._surroundings = self._lighting.behind(self.pose, tuple(params["size_WH"]))
        self._shots: dict[tuple[int, ...], Shot] = {}
        self._outlines: dict[int, np.ndarray] = {}

    def shot(self, hidden: tuple[int, ...]) -> Shot:
        """A render without the `hidden` objects, normalised."""
        if hidden not in self._shots:
            self._workbench.phase("render")
            passes = self._workbench.blender.render(
                environment_path=self._lighting.copy, seed=self._seed, lamps=self._lamps, hidden=hidden
            )
            picture = over_linear(passes.rgba, self._surroundings) * np.float32(self._lighting.factor)
            self._shots[hidden] = Shot(passes, picture)
        return self._shots[hidden]

    def outline(self, index: int) -> np.ndarray:
        """Coverage (H, W) of one object, whatever stands before it."""
        if index not in self._outlines:
            self._workbench.phase("render")
            self._outlines[index] = self._workbench.blender.silhouette(index, seed=self._seed)
        return self._outlines[index]

    def light(self) -> np.ndarray:
        """The environment map of the lighting and the lamps, normalised as a shot is."""
        seen = self._lighting.in_camera(self.pose)
        for lamp in self._lamps:
            seen = seen + lamp_map(lamp, self.pose.camera_to_world)
        return self._lighting.factor * seen
