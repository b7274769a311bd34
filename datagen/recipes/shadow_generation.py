"""An object on the ground under one lamp: the picture without its shadow becomes the picture with it.

    source = F + (1 - a) G        target = the render

in linear light, for each lamp of a group: F is the object's own part of the render (so
lit and self-shadowed as in the target), a its alpha, and G the ground alone under the same lamp. Uniform
surroundings fill the shadow. Inside the object, and where neither its edge nor its effect is (the regions
that differ with and without the object, grown by `effect_dilation`), the source is the target, to the byte.

`light.png` is the grey light map of the lamp (`pairbridge.datagen.lighting.light_maps`): the amplitude is
its intensity as a
share of the recipe's strongest, the variance its size. `meta.json` states the lamp in camera coordinates.
"""

import math
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.random_draws import Fraction, Range, RangeOf, Weights, log_uniform
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imaging.compositing import alpha_to_mask, over_linear, own_part
from pairbridge.datagen.imaging.effect_masks import blended, effect_regions, seen_difference
from pairbridge.datagen.imaging.quality import Gates, check_effect, check_foreground, check_render
from pairbridge.datagen.lighting.environment_maps import lamp_map, stored_light
from pairbridge.datagen.lighting.ground_projection import faded_ground
from pairbridge.datagen.lighting.light_maps import MapLight, encode_light_map
from pairbridge.datagen.recipes.base import sample_meta
from pairbridge.datagen.recipes.object_draws import draw_scene_objects, require_objects
from pairbridge.datagen.recipes.scene_draws import (
    ElevationAboveGround,
    Fill,
    RenderedConfig,
    camera_record,
    draw_azimuths,
    draw_camera,
    draw_group_finish,
    finished,
    lamp_record,
    lamp_spec,
    load_scene,
    materials_of,
    place_camera,
    placed_record,
    plan_scene,
    planned_cut,
    with_materials,
)
from pairbridge.datagen.recipes.stored_fields import (
    SurfaceField,
    declared,
    plate_of,
    stored,
    surface_makers,
    with_stored,
)
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.scene.placements import far_lamp, upper_hemisphere
from pairbridge.datagen.scene.specs import (
    CameraPose,
    ReceiverSpec,
    RenderedPasses,
    SurfaceSpec,
)
from pairbridge.datagen.scene.surface_draws import ground_surface
from pairbridge.datagen.scene.viewpoints import CameraDraws, Composition
from pairbridge.datagen.shards.fields import Roles, light_map_field
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.shards.sample import Pair


class ShadowCameraDraws(CameraDraws):
    """A camera that cuts no object, unless it is asked to."""

    composition: Weights[Composition] = Field(default_factory=lambda: {"centred": 0.5, "thirds": 0.5})
    """Relative weights of compositions: in the middle give or take `offset`; on a line of thirds, no larger
    than the frame holds there; or cut by one side of the frame. By default none is: its shadow needs the
    frame."""


class ShadowGenerationConfig(RenderedConfig):
    """Lengths are in radii of the object's bounding sphere; the object stands above the origin."""

    kind: Literal["shadow_generation"] = "shadow_generation"
    """Selects this recipe."""
    pairs_per_group: PositiveInt = 2
    """Pairs of one scene: each has a lamp of its own."""
    gates: Gates = Gates(difference=0.0, coverage=(0.004, 0.95))
    """Filters. The object is the same in source and target, so the ground is compared instead
    (`smallest_shadow`); thin objects in long frames cover little."""
    elevation_deg: RangeOf[ElevationAboveGround] = (12.0, 55.0)
    """Elevation of the camera, in degrees within (0, 90)."""
    fill: RangeOf[Fill] = (0.35, 0.55)
    """Fraction of the frame's tighter side that the object spans, within (0, 1.5]; the rest is room for the
    shadow."""
    offset: Range = (-0.1, 0.1)
    """Displacement of a centred object from the middle of the frame, as a fraction of width and height; drawn
    for each axis."""
    camera: ShadowCameraDraws = ShadowCameraDraws()
    """Lens, composition, side, roll and depth of field of the camera. No object is cut: its shadow needs the
    frame."""
    lamp_elevation_deg: RangeOf[Annotated[float, Field(gt=0, le=90)]] = (25.0, 80.0)
    """Elevation of lamps above the ground, in degrees within (0, 90]; directions are uniform over this zone.
    """
    lamp_distance: RangeOf[Annotated[float, Field(ge=3)]] = (5.0, 9.0)
    """Distance, in object radii and at least 3, from which a lamp of `lamp_diameter` looks as large as this
    one: the two are the softness of its shadow. The lamp itself hangs so far away that its light is parallel
    and reaches all of the ground."""
    lamp_diameter: RangeOf[PositiveFloat] = (0.15, 4.0)
    """Diameter of lamps seen from `lamp_distance`, in object radii, log-uniform: from a hard shadow to a very
    soft one."""
    intensity: RangeOf[PositiveFloat] = (0.5, 1.2)
    """Intensity of lamps: the radiance of white ground that faces one."""
    ambient: Range = (0.12, 0.35)
    """Radiance of the surroundings, equal from everywhere; it fills the shadow."""
    ground_reach: RangeOf[PositiveFloat] | None = (20.0, 120.0)
    """Distances from the camera, in radii of the object, between which the ground goes over into the
    surroundings, as paper does behind a product; null: it ends at the horizon, in a straight line."""
    textured: Fraction = 0.5
    """Fraction of groups on a floor, procedural or of your materials; the rest stand on white board."""
    effect_threshold: PositiveFloat = 0.02
    """Least difference between the renders with and without the object that counts as its effect, as a
    fraction of white in the finished picture."""
    effect_dilation: NonNegativeFloat = 0.02
    """Growth of the effect's region, as a fraction of the shorter side, over which the two fade into each
    other; outside it source and target are equal."""
    store: tuple[SurfaceField | Literal["plate", "foreground", "light_target"], ...] = ()
    """Further fields that the renders hold; see docs/scenes.md."""
    smallest_shadow: NonNegativeFloat = 0.005
    """Fraction of the frame that the shadow covers at least; a pair with less is refused."""


class ShadowGeneration:
    """The recipe; see the module's docstring."""

    kind = "shadow_generation"
    fields = ("light.png", "mask.png", "meta.json", "source.png", "target.png")
    roles = Roles(conditions={"light": "light"})

    def __init__(self, config: ShadowGenerationConfig) -> None:
        self.config = config
        self.fields = with_stored(type(self).fields, config.store)
        self.declares = {"light.png": light_map_field(1), **declared(config.store)}

    def check(self, catalogue: Catalogue, split: Split) -> None:
        """Raise CatalogueError unless the split has an object."""
        require_objects(catalogue, split, self.kind)

    def plan(
        self, seed: int, recipe_id: str, split: Split, group: int, catalogue: Catalogue
    ) -> dict[str, Any]:
        """Object, ground, camera and lamps of one group."""
        config = self.config
        draw = rng(seed, recipe_id, split, group)
        # Spawned in this order for ever: a new stream goes to the end, and moves nothing in the others.
        of_object, of_ground, of_camera, of_lamps, of_size, of_sizes, of_materials = draw.spawn(7)
        of_viewpoint, of_finish = draw.spawn(2)
        placed = {
            **draw_scene_objects(of_object, of_sizes, catalogue, split, config, 1)[0],
            "yaw_rad": float(of_object.uniform(0, math.tau)),
            "standing": True,
        }
        textured = bool(of_ground.random() < config.textured)
        grounds = [ReceiverSpec(surface=ground_surface(of_ground) if textured else _board(of_ground))]
        if textured:
            grounds = with_materials(of_materials, grounds, catalogue, split, config.materials_share)
        scene = plan_scene(draw, of_size, config, [placed], grounds)
        azimuths = draw_azimuths(of_viewpoint, config, [placed], catalogue)
        return scene | {
            "camera": draw_camera(
                of_camera, of_viewpoint, config, scene["size_WH"], azimuth_rad=azimuths, standing=[placed]
            ),
            "finish": draw_group_finish(of_finish, config),
            "ambient": float(of_lamps.uniform(*config.ambient)),
            "lamps": [self._lamp(lamp) for lamp in of_lamps.spawn(config.pairs_per_group)],
        }

    def make(self, spec: GroupSpec, workbench: Workbench) -> list[Pair | Rejected]:
        """Two renders for each lamp: the scene, and the ground without the object."""
        load_scene(spec.params, workbench)
        pose = place_camera(spec.params["camera"], spec.params, workbench)
        return [self._pair(spec, number, pose, workbench) for number in range(len(spec.params["lamps"]))]

    def _pair(self, spec: GroupSpec, number: int, pose: CameraPose, workbench: Workbench) -> Pair | Rejected:
        params, config = spec.params, self.config
        lamp = params["lamps"][number]

        def render(**parts: Any) -> RenderedPasses:
            return workbench.blender.render(
                environment_path=workbench.uniform_light,
                seed=params["cycles_seed"],
                strength=params["ambient"],
                lamps=(lamp_spec(lamp),),
                **parts,
            )

        workbench.phase("render")
        whole, bare = render(), render(hidden=(0,))
        workbench.phase("compose")
        # Beyond the ground lie the surroundings, of one radiance.
        whole_rgb, bare_rgb = (over_linear(passes.rgba, params["ambient"]) for passes in (whole, bare))
        alpha = np.minimum(whole.coverage.sum(axis=0), 1)
        own = np.concatenate([own_part(whole_rgb, alpha), alpha[..., None]], axis=-1)
        check_render(own, whole.albedo, config.gates, cut=planned_cut(params["camera"]))
        whole_rgb, bare_rgb = (
            faded_ground(picture, before, params["ambient"], pose, config.ground_reach)
            for picture, before in ((whole_rgb, own), (bare_rgb, np.zeros_like(own)))
        )
        developed = finished(params, workbench.view)
        target = developed.apply(whole_rgb)
        mask = alpha_to_mask(alpha)
        difference = seen_difference(whole_rgb, bare_rgb, workbench.view)
        effect = effect_regions(difference, alpha > 0, config.effect_threshold)
        reach = round(config.effect_dilation * min(mask.shape))
        unshadowed = developed.apply(over_linear(own, bare_rgb))
        # Before denoising the object's own pixels are equal in both renders, so they are the target's too.
        source = np.where(mask[..., None] < 255, blended(unshadowed, target, effect, reach), target)
        try:
            check_foreground(target, mask, "target", config.gates)
            check_effect(effect & (mask == 0), config.smallest_shadow)
        except Rejected as refused:
            return refused
        light = lamp_record(lamp, lamp["colour"], config.intensity[1], pose)
        size_WH = tuple(params["size_WH"])
        makers = surface_makers(whole, pose, params, workbench) | {
            "plate": lambda: plate_of(target, whole_rgb, bare_rgb, alpha, developed),
            "foreground": lambda: np.where(own[..., 3:] > 0, developed.apply(own[..., :3]), np.uint8(0)),
            "light_target": lambda: stored_light(
                params["ambient"] + lamp_map(lamp_spec(lamp), pose.camera_to_world)
            ),
        }
        shared = ("objects", "receivers", "camera", "size_WH", "cycles_seed", "ambient", "finish")
        meta = sample_meta(
            spec,
            number,
            workbench,
            assets=[("object", params["objects"][0]["id"]), *materials_of(params)],
            mask_source="rendered alpha",
            relighter="rendered",
            params={
                **{name: params[name] for name in shared},
                **camera_record(pose, params),
                **placed_record(workbench),
                "lights": [light],
            },
        )
        return {
            "source.png": source,
            "target.png": target,
            "mask.png": mask,
            "light.png": encode_light_map([MapLight.from_params(light)], size_WH, grey=True),
            "meta.json": meta,
            **stored(config.store, makers),
        }

    def _lamp(self, draw: np.random.Generator) -> dict[str, Any]:
        config = self.config
        direction = upper_hemisphere(draw, config.lamp_elevation_deg)
        distance = draw.uniform(*config.lamp_distance)
        return {
            **far_lamp(direction, log_uniform(draw, config.lamp_diameter) / distance),
            "colour": [float(draw.uniform(*config.intensity))] * 3,
        }


def _board(draw: np.random.Generator) -> SurfaceSpec:
    """White board."""
    level = float(draw.uniform(0.6, 0.85))
    return SurfaceSpec(kind="plain", colour=(level,) * 3, accent=(level,) * 3, roughness=0.9)
