"""An object under a lighting of the catalogue becomes the same object under one to three coloured lamps.

The lamps of a group are rendered apart, each white and of strength 1, so that light adds up afterwards:

    source = over(view(f fg_lighting))        target = over(view(sum_i c_i fg_i + e f fg_lighting))

with c_i = intensity x colour of lamp i and a little e of the old light, which keeps the unlit side from being
black, drawn anew for each pair: one render for each lamp and one of the
source give any number of mixes (`pairs_per_group`), and a mix costs no render. Both lie on a flat background,
as cut-outs do at test time: behind the view transform, so that white is 255; what a camera adds (`finish`)
stays on the object. A mix that looks like its object
with the lamps off, or like an earlier mix of its group, is refused (gate `bland`): its lamps are behind.

`light.png` is the RGB light map of the mix (`pairbridge.datagen.lighting.light_maps`): each lamp's amplitude
is c_i as a share of the recipe's strongest. `meta.json` states the lamps in camera coordinates.
"""

import colorsys
import dataclasses
import math
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.random_draws import Fraction, Range, RangeOf, log_uniform, whole_number
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imaging.compositing import alpha_to_mask
from pairbridge.datagen.imaging.quality import Gates, check_foreground, check_mix, check_render
from pairbridge.datagen.lighting.environment_maps import lamp_map, stored_light
from pairbridge.datagen.lighting.light_maps import MapLight, encode_light_map
from pairbridge.datagen.recipes.base import each_pair, sample_meta
from pairbridge.datagen.recipes.object_draws import draw_scene_objects
from pairbridge.datagen.recipes.scene_draws import (
    LitConfig,
    camera_record,
    draw_azimuths,
    draw_camera,
    draw_group_finish,
    draw_turned_lighting,
    finished,
    lamp_record,
    lamp_spec,
    load_scene,
    place_camera,
    place_lighting,
    placed_record,
    plan_scene,
    planned_cut,
)
from pairbridge.datagen.recipes.stored_fields import (
    SurfaceField,
    declared,
    stored,
    surface_makers,
    with_stored,
)
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.scene.placements import upper_hemisphere
from pairbridge.datagen.scene.specs import CameraPose, RenderedPasses
from pairbridge.datagen.shards.fields import Roles, light_map_field
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.shards.sample import Pair


class ControllableRelightingConfig(LitConfig):
    """Lengths are in radii of the object's bounding sphere, which floats at the origin."""

    kind: Literal["controllable_relighting"] = "controllable_relighting"
    """Selects this recipe."""
    pairs_per_group: PositiveInt = 4
    """Pairs of one group: mixes of its lamps in other colours and intensities."""
    gates: Gates = Gates(blown_frame=1.0)
    """Filters. Around a small object nearly all of the frame is white paper, which is not blown; of the
    object itself `blown` is asked."""
    lamps: RangeOf[PositiveInt] = (1, 3)
    """Least and largest number of lamps."""
    lamp_elevation_deg: RangeOf[Annotated[float, Field(ge=0, le=90)]] = (0.0, 90.0)
    """Elevation of lamps, in degrees within [0, 90]; directions are uniform over this zone of the sphere."""
    lamp_distance: float = Field(4.0, ge=2)
    """Distance of every lamp, in object radii, at least 2."""
    lamp_diameter: RangeOf[PositiveFloat] = (0.3, 4.0)
    """Diameter of lamps in object radii, log-uniform: the larger, the softer the light."""
    intensity: RangeOf[PositiveFloat] = (0.4, 1.5)
    """Intensity of lamps: the radiance of a white surface that faces one."""
    saturation: RangeOf[Fraction] = (0.0, 0.85)
    """Saturation of a lamp's colour in linear light, within [0, 1]; its hue is uniform."""
    ambient: Range = (0.03, 0.12)
    """Fraction of the source's light that stays in the target, so that unlit sides are not black."""
    background: Fraction = 1.0
    """Linear grey level behind the object, within [0, 1], whatever the exposure; 1 is white, 255 in the
    pictures."""
    store: tuple[SurfaceField | Literal["light_source", "light_target"], ...] = ()
    """Further fields that the renders hold; see docs/scenes.md."""
    smallest_difference: NonNegativeFloat = 4.0
    """Least mean difference of the object, in levels of 255, between the target, the targets of the group's
    earlier pairs, and the target with its lamps off; a pair with less is refused [bland]."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Shots:
    """A group's pictures, uint8: the source, and for each mix its target and the same with its lamps off.
    `passes` are the source's, `light` makes its environment map.
    """

    source: np.ndarray
    targets: list[np.ndarray]
    unlit: list[np.ndarray]
    mask: np.ndarray
    passes: RenderedPasses
    pose: CameraPose
    factor: float
    light: Callable[[], np.ndarray]


class ControllableRelighting:
    """The recipe; see the module's docstring."""

    kind = "controllable_relighting"
    fields = ("light.png", "mask.png", "meta.json", "source.png", "target.png")
    roles = Roles(conditions={"light": "light"})

    def __init__(self, config: ControllableRelightingConfig) -> None:
        self.config = config
        self.fields = with_stored(type(self).fields, config.store)
        self.declares = {"light.png": light_map_field(3), **declared(config.store)}

    def check(self, catalogue: Catalogue, split: Split) -> None:
        """Raise CatalogueError unless the split has an object, and lightings for the source."""
        self.config.check_assets(catalogue, split, self.kind)

    def plan(
        self, seed: int, recipe_id: str, split: Split, group: int, catalogue: Catalogue
    ) -> dict[str, Any]:
        """Object, camera, lamps and the mixes of one group."""
        config = self.config
        draw = rng(seed, recipe_id, split, group)
        # Spawned in this order for ever: a new stream goes to the end, and moves nothing in the others.
        of_object, of_camera, of_lamps, of_mixes, of_source, of_size, of_sizes = draw.spawn(7)
        of_viewpoint, of_finish = draw.spawn(2)
        count = whole_number(of_lamps, config.lamps)
        placed = {
            **draw_scene_objects(of_object, of_sizes, catalogue, split, config, 1)[0],
            "yaw_rad": float(of_object.uniform(0, math.tau)),
        }
        scene = plan_scene(draw, of_size, config, [placed])
        azimuths = draw_azimuths(of_viewpoint, config, [placed], catalogue)
        return scene | {
            "camera": draw_camera(of_camera, of_viewpoint, config, scene["size_WH"], azimuth_rad=azimuths),
            "finish": draw_group_finish(of_finish, config),
            "lighting": draw_turned_lighting(of_source, catalogue, split, config),
            "lamps": [self._lamp(of_lamps) for _ in range(count)],
            "mixes": [self._mix(of_mixes, count) for _ in range(config.pairs_per_group)],
        }

    def make(self, spec: GroupSpec, workbench: Workbench) -> list[Pair | Rejected]:
        """One render under the lighting, one for each lamp; then sums."""
        params, config = spec.params, self.config
        load_scene(params, workbench)
        pose = place_camera(params["camera"], params, workbench)
        lighting = place_lighting(params["lighting"], config, workbench)
        workbench.phase("render")
        lit = workbench.blender.render(environment_path=lighting.copy, seed=params["cycles_seed"])
        check_render(lit.rgba, lit.albedo, config.gates, cut=planned_cut(params["camera"]))
        lamps = [
            workbench.blender.render(
                environment_path=lighting.copy,
                seed=params["cycles_seed"],
                strength=0.0,
                lamps=(lamp_spec(lamp),),
            ).rgba
            for lamp in params["lamps"]
        ]
        workbench.phase("compose")
        developed = finished(params, workbench.view)
        exposed = lit.rgba * np.array([lighting.factor] * 3 + [1], np.float32)

        def on_paper(colours: list[list[float]], lighting_gain: float) -> np.ndarray:
            """The object under the lamps in these colours. Light adds up; alpha is the same under each."""
            mixed = exposed * np.array([lighting_gain] * 3 + [1], np.float32)
            for rgba, colour in zip(lamps, colours, strict=True):
                mixed[..., :3] += rgba[..., :3] * np.array(colour, np.float32)
            return developed.apply_on_paper(mixed, config.background)

        off = [[0.0] * 3] * len(lamps)
        shots = _Shots(
            source=on_paper(off, 1.0),
            targets=[on_paper(mix["colours"], mix["ambient"]) for mix in params["mixes"]],
            unlit=[on_paper(off, mix["ambient"]) for mix in params["mixes"]],
            mask=alpha_to_mask(lit.rgba[..., 3]),
            passes=lit,
            pose=pose,
            factor=lighting.factor,
            light=cache(lambda: lighting.factor * lighting.in_camera(pose)),
        )
        return each_pair(len(params["mixes"]), lambda number: self._pair(spec, number, shots, workbench))

    def _pair(self, spec: GroupSpec, number: int, shots: "_Shots", workbench: Workbench) -> Pair:
        params, config = spec.params, self.config
        mix, target, mask = params["mixes"][number], shots.targets[number], shots.mask
        check_foreground(shots.source, mask, "source", config.gates)
        check_foreground(target, mask, "target", config.gates)
        others = [shots.unlit[number], *shots.targets[:number]]
        check_mix(target, others, mask, config.smallest_difference)
        lights = [
            lamp_record(lamp, colour, config.intensity[1], shots.pose)
            for lamp, colour in zip(params["lamps"], mix["colours"], strict=True)
        ]
        shared = ("objects", "camera", "size_WH", "cycles_seed", "finish")
        meta = sample_meta(
            spec,
            number,
            workbench,
            assets=[
                ("object", params["objects"][0]["id"]),
                ("lighting of the source", params["lighting"]["id"]),
            ],
            mask_source="rendered alpha",
            relighter="rendered",
            params={
                **{name: params[name] for name in shared},
                **camera_record(shots.pose, params),
                **placed_record(workbench),
                "lighting": {**params["lighting"], "factor": shots.factor},
                "ambient": mix["ambient"],
                "lights": lights,
            },
        )

        def lamps() -> np.ndarray:
            """The lamps are white and of strength 1; the mix says their colours."""
            return sum(
                np.array(colour) * lamp_map(lamp_spec(lamp), shots.pose.camera_to_world)
                for lamp, colour in zip(params["lamps"], mix["colours"], strict=True)
            )

        makers = surface_makers(shots.passes, shots.pose, params, workbench) | {
            "light_source": lambda: stored_light(shots.light()),
            "light_target": lambda: stored_light(mix["ambient"] * shots.light() + lamps()),
        }
        map_lights = [MapLight.from_params(light) for light in lights]
        return {
            "source.png": shots.source,
            "target.png": target,
            "mask.png": mask,
            "light.png": encode_light_map(map_lights, tuple(params["size_WH"]), grey=False),
            "meta.json": meta,
            **stored(config.store, makers),
        }

    def _lamp(self, draw: np.random.Generator) -> dict[str, Any]:
        return {
            "direction": list(upper_hemisphere(draw, self.config.lamp_elevation_deg)),
            "distance": self.config.lamp_distance,
            "diameter": log_uniform(draw, self.config.lamp_diameter),
            "colour": [1.0, 1.0, 1.0],
        }

    def _mix(self, draw: np.random.Generator, num_lamps: int) -> dict[str, Any]:
        return {
            "colours": [self._colour(draw) for _ in range(num_lamps)],
            "ambient": float(draw.uniform(*self.config.ambient)),
        }

    def _colour(self, draw: np.random.Generator) -> list[float]:
        """intensity x colour of one lamp in one mix; the brightest channel is the intensity."""
        hue, saturation = draw.uniform(), draw.uniform(*self.config.saturation)
        intensity = draw.uniform(*self.config.intensity)
        # Saturation of linear light: a display colour of 0.85 would be nearly monochromatic.
        return [float(intensity * channel) for channel in colorsys.hsv_to_rgb(hue, saturation, 1.0)]
