"""A room with several objects, and the same room without one of them: source and target of a removal pair.

One render shows all of a group's objects; for each pair one of them is taken out and the room is rendered
again with the same seed. Source and target go through one exposure, metered on the target. What the object
does to the picture beyond itself (shadow, reflection, bounced light) is found by difference before denoising;
outside that effect, grown by `effect_dilation`, the shipped source is the target, to the byte, so that noise
and the denoiser leave nothing there to learn. The target is the render as it is.

| field | what |
|---|---|
| `mask.png` | the region to remove, 0 or 255: every pixel the object is seen in, grown by `mask_grow` |
| `visible.png` | share of each pixel in which the object is seen |
| `amodal.png` | its whole outline, as if nothing stood before it |
| `effect.png` | 255 where it changes the picture, itself included: few whole regions |

`source.png` still shows the object; readers fill the region to remove with noise
(`pairbridge.datagen.imaging.fill`).
"""

import dataclasses
import math
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.core.errors import CatalogueError, Rejected
from pairbridge.datagen.core.random_draws import Fraction, Range, RangeOf, log_uniform, whole_number
from pairbridge.datagen.core.seeds import rng, seed31
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.imaging.compositing import alpha_to_mask, over_linear
from pairbridge.datagen.imaging.effect_masks import blended, effect_regions, seen_difference
from pairbridge.datagen.imaging.filters import grown
from pairbridge.datagen.imaging.quality import check_foreground, check_removable
from pairbridge.datagen.lighting.exposure import key_factor
from pairbridge.datagen.recipes.base import each_pair, sample_meta
from pairbridge.datagen.recipes.object_draws import draw_object
from pairbridge.datagen.recipes.scene_draws import (
    ElevationAboveGround,
    Fill,
    LitConfig,
    camera_record,
    draw_camera,
    draw_turned_lighting,
    lamp_spec,
    load_scene,
    place_camera,
    place_lighting,
    plan_scene,
)
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.scene.placements import far_lamp, scattered, upper_hemisphere
from pairbridge.datagen.scene.specs import ReceiverSpec, RenderedPasses
from pairbridge.datagen.scene.surface_draws import ground_surface, wall_surface
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.shards.sample import Pair

# Lamps stand within these angles of the camera's azimuth, and of the direction that each wall faces.
_LAMP_ASIDE_RAD = 1.1
_LAMP_TO_WALL_RAD = math.radians(75)


class ObjectRemovalConfig(LitConfig):
    """Lengths are in world units, in which a usual object's bounding sphere has the radius 1."""

    kind: Literal["object_removal"] = "object_removal"
    """Selects this recipe."""
    pairs_per_group: PositiveInt = 2
    """Pairs of one scene: each removes one object."""
    objects: RangeOf[PositiveInt] = (4, 6)
    """Least and largest number of objects in a scene."""
    min_distinct_objects: PositiveInt = 3
    """Least number of different families, or of files of yours, in each scene."""
    radius: RangeOf[PositiveFloat] = (0.6, 1.1)
    """Radius of an object's bounding sphere, in world units."""
    gap: Range = (0.0, 0.3)
    """Distance between the bounding spheres of neighbours, in world units."""
    walls: RangeOf[Annotated[int, Field(ge=0, le=2)]] = (1, 2)
    """Least and largest number of walls behind the objects, at most 2; two make a corner."""
    wall_distance: RangeOf[PositiveFloat] = (0.3, 2.5)
    """Distance of walls from the outermost object, in world units."""
    elevation_deg: RangeOf[ElevationAboveGround] = (12.0, 40.0)
    """Elevation of the camera, in degrees within (0, 90)."""
    fill: RangeOf[Fill] = (0.7, 0.9)
    """Fraction of the frame's tighter side that the objects span, within (0, 1.5]."""
    lamp_share: Fraction = 0.5
    """Fraction of groups that a lamp lights beside the environment map."""
    lamp_intensity: Range = (0.3, 1.2)
    """Intensity of that lamp: the radiance of white ground that faces it."""
    lamp_diameter: RangeOf[PositiveFloat] = (0.3, 3.0)
    """Diameter of that lamp, seen from 6 to 10 world units away, log-uniform: the larger, the softer its
    shadows. It hangs so far away that its light is parallel and reaches the whole room."""
    key: PositiveFloat = 0.18
    """Geometric mean luminance that the target is exposed for; 0.18 is a photographer's grey card."""
    effect_threshold: PositiveFloat = 0.02
    """Least difference between the renders with and without the object that counts as its effect, as a
    fraction of white in the finished picture."""
    effect_dilation: NonNegativeFloat = 0.015
    """Growth of the effect's region, as a fraction of the shorter side, over which the two fade into each
    other; outside it source and target are equal."""
    mask_grow: Range = (0.0, 0.03)
    """Growth of the mask around the object, as a fraction of the shorter side; drawn for each pair, from a
    fine to a coarse mask."""
    smallest_visible: NonNegativeFloat = 0.006
    """Least fraction of the frame in which the removed object is seen."""
    most_hidden: Fraction = 0.6
    """Largest fraction of the removed object's outline that other objects may hide."""

    @model_validator(mode="after")
    def _consistent(self) -> "ObjectRemovalConfig":
        if self.pairs_per_group > self.objects[0] or self.min_distinct_objects > self.objects[0]:
            raise ValueError(
                f"{self.pairs_per_group} pairs and {self.min_distinct_objects} distinct objects cannot come "
                f"from a scene of {self.objects[0]}; raise objects"
            )
        return self


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One render, and what it shows with the surroundings: linear (H, W, 3)."""

    passes: RenderedPasses
    picture: np.ndarray


class ObjectRemoval:
    """The recipe; see the module's docstring."""

    kind = "object_removal"
    fields = (
        "amodal.png",
        "effect.png",
        "mask.png",
        "meta.json",
        "source.png",
        "target.png",
        "visible.png",
    )

    def __init__(self, config: ObjectRemovalConfig) -> None:
        self.config = config

    def check(self, catalogue: Catalogue, split: Split) -> None:
        """Raise CatalogueError unless the split has enough distinct objects, and its lightings."""
        self.config.check_assets(catalogue, split, self.kind)
        there = len(catalogue.of("object", split)) + len(catalogue.of("family", split))
        if there < self.config.min_distinct_objects:
            raise CatalogueError(
                f"recipe {self.kind!r} wants {self.config.min_distinct_objects} distinct objects in every "
                f"scene; split {split!r} has {there} families and files",
                consequence="its scenes would repeat one thing",
                remedy=f"add objects, lower `min_distinct_objects`, or set the recipe's groups for "
                f"{split!r} to 0",
            )

    def plan(
        self, seed: int, recipe_id: str, split: Split, group: int, catalogue: Catalogue
    ) -> dict[str, Any]:
        """Room, light and camera of one group, and which objects are removed."""
        config = self.config
        draw = rng(seed, recipe_id, split, group)
        # Spawned in this order for ever: a new stream goes to the end, and moves nothing in the others.
        of_objects, of_room, of_camera, of_light, of_pairs, of_size = draw.spawn(6)
        camera = draw_camera(of_camera, config)
        objects = self._objects(of_objects, catalogue, split)
        removed = of_pairs.permutation(len(objects))[: config.pairs_per_group].tolist()
        room = self._room(of_room, objects, camera["azimuth_rad"])
        return plan_scene(draw, of_size, config, objects, room) | {
            "camera": camera,
            "lighting": draw_turned_lighting(of_light, catalogue, split, config),
            "lamps": self._lamps(of_light, camera["azimuth_rad"], room),
            "pairs": [
                {"removed": index, "mask_grow": float(of_pairs.uniform(*config.mask_grow))}
                for index in removed
            ],
        }

    def make(self, spec: GroupSpec, workbench: Workbench) -> list[Pair | Rejected]:
        """One render of the whole room, one without each removed object, and their outlines."""
        load_scene(spec.params, workbench)
        room = _Room(spec, workbench, self.config)
        full = room.shot(hidden=())
        return each_pair(
            len(spec.params["pairs"]), lambda number: self._pair(spec, number, room, full, workbench)
        )

    def _pair(self, spec: GroupSpec, number: int, room: "_Room", full: Shot, workbench: Workbench) -> Pair:
        params, config = spec.params, self.config
        index = params["pairs"][number]["removed"]
        visible, amodal = full.passes.coverage[index], room.outline(index)
        check_removable(visible, amodal, smallest=config.smallest_visible, most_hidden=config.most_hidden)
        empty = room.shot(hidden=(index,))
        workbench.phase("compose")
        exposure = key_factor(empty.picture, config.key)
        view = workbench.view
        exposed = view.model_copy(update={"exposure": view.exposure * exposure})
        difference = seen_difference(full.picture, empty.picture, exposed)
        effect = effect_regions(difference, visible > 0, config.effect_threshold)
        shorter = min(effect.shape)
        target = exposed.apply(empty.picture)
        reach_px = round(config.effect_dilation * shorter)
        source = blended(exposed.apply(full.picture), target, effect, reach_px)
        grow_px = round(params["pairs"][number]["mask_grow"] * shorter)
        mask = grown(visible > 0, grow_px) * np.uint8(255)
        check_foreground(source, mask, "source", config.gates)
        check_foreground(target, np.full_like(mask, 255), "target", config.gates)
        shared = ("objects", "receivers", "camera", "size_WH", "lighting", "lamps", "cycles_seed")
        meta = sample_meta(
            spec,
            number,
            workbench,
            assets=[
                ("removed object", params["objects"][index]["id"]),
                *(("object", entry["id"]) for at, entry in enumerate(params["objects"]) if at != index),
                ("lighting", params["lighting"]["id"]),
            ],
            mask_source="rendered coverage",
            relighter="rendered",
            params={
                **{name: params[name] for name in shared},
                **camera_record(room.pose, params),
                "removed": index,
                "mask_grow_px": grow_px,
                "exposure": exposure,
                "effect_threshold": config.effect_threshold,
                "fill_seed": seed31(workbench.settings.seed, "fill", spec.keys[number]),
            },
        )
        return {
            "source.png": source,
            "target.png": target,
            "mask.png": mask,
            "visible.png": alpha_to_mask(visible),
            "amodal.png": alpha_to_mask(amodal),
            "effect.png": effect.astype(np.uint8) * 255,
            "meta.json": meta,
        }

    def _objects(self, draw: np.random.Generator, catalogue: Catalogue, split: Split) -> list[dict[str, Any]]:
        config = self.config
        count = whole_number(draw, config.objects)
        ids: list[str] = []
        # Until enough sorts are there, a sort that is there already is drawn again; the catalogue has enough.
        while len(ids) < count:
            drawn = draw_object(draw, catalogue, split, config)
            sorts = {taken.partition(":")[0] for taken in ids}
            if drawn.partition(":")[0] not in sorts or len(sorts) >= config.min_distinct_objects:
                ids.append(drawn)
        radii = draw.uniform(*config.radius, count).tolist()
        places = scattered(draw, radii, float(draw.uniform(*config.gap)))
        return [
            {
                "id": object_id,
                "x": x,
                "y": y,
                "radius": radius,
                "yaw_rad": float(draw.uniform(0, math.tau)),
                "standing": True,
            }
            for object_id, radius, (x, y) in zip(ids, radii, places, strict=True)
        ]

    def _room(
        self, draw: np.random.Generator, objects: list[dict[str, Any]], camera_azimuth_rad: float
    ) -> list[ReceiverSpec]:
        """A ground, and walls that stand behind the objects as the camera sees them."""
        config = self.config
        receivers = [ReceiverSpec(surface=ground_surface(draw))]
        count = whole_number(draw, config.walls)
        away_rad = camera_azimuth_rad + math.pi
        if count == 1:
            azimuths = [away_rad + draw.uniform(-0.5, 0.5)]
        else:
            corner = draw.uniform(0.25, 0.75) * math.pi / 2
            azimuths = [away_rad + corner, away_rad + corner - math.pi / 2]
        surface = wall_surface(draw)
        for azimuth in azimuths[:count]:
            reach = max(
                entry["x"] * math.cos(azimuth) + entry["y"] * math.sin(azimuth) + entry["radius"]
                for entry in objects
            )
            distance = reach + draw.uniform(*config.wall_distance)
            receivers.append(
                ReceiverSpec(surface=surface, azimuth_rad=float(azimuth), distance=float(distance))
            )
        return receivers

    def _lamps(
        self, draw: np.random.Generator, camera_azimuth_rad: float, room: list[ReceiverSpec]
    ) -> list[dict[str, Any]]:
        """None, or one that every wall faces, on the camera's side, in units of the normalised lighting."""
        config = self.config
        if draw.random() >= config.lamp_share:
            return []
        x, y, z = upper_hemisphere(draw, (30, 75))
        # A wall faces away from its own azimuth; a lamp behind one would leave the room in its shadow.
        facing = [wall.azimuth_rad + math.pi for wall in room if wall.azimuth_rad is not None]
        beside = [math.remainder(azimuth - camera_azimuth_rad, math.tau) for azimuth in facing]
        low = max([-_LAMP_ASIDE_RAD, *(angle - _LAMP_TO_WALL_RAD for angle in beside)])
        high = min([_LAMP_ASIDE_RAD, *(angle + _LAMP_TO_WALL_RAD for angle in beside)])
        azimuth = camera_azimuth_rad + draw.uniform(low, high)
        across = math.hypot(x, y)
        direction = (across * math.cos(azimuth), across * math.sin(azimuth), z)
        distance = draw.uniform(6, 10)
        return [
            {
                **far_lamp(direction, log_uniform(draw, config.lamp_diameter) / distance),
                "colour": [float(draw.uniform(*config.lamp_intensity))] * 3,
            }
        ]


class _Room:
    """The loaded scene of one group, seen by its camera."""

    def __init__(self, spec: GroupSpec, workbench: Workbench, config: ObjectRemovalConfig) -> None:
        params = spec.params
        self._workbench = workbench
        self._seed = params["cycles_seed"]
        self.pose = place_camera(params["camera"], params, workbench)
        self._lighting = place_lighting(params["lighting"], config, workbench)
        # Blender is given the lighting as it is in its file, and the lamps in the same units.
        self._lamps = tuple(lamp_spec(lamp, 1 / self._lighting.factor) for lamp in params["lamps"])
        self._surroundings = self._lighting.behind(self.pose, tuple(params["size_WH"]))

    def shot(self, hidden: tuple[int, ...]) -> Shot:
        """A render without the `hidden` objects, normalised."""
        self._workbench.phase("render")
        passes = self._workbench.blender.render(
            environment_path=self._lighting.copy,
            seed=self._seed,
            lamps=self._lamps,
            hidden=hidden,
        )
        factor = np.float32(self._lighting.factor)
        picture = over_linear(passes.rgba, self._surroundings) * factor
        return Shot(passes, picture)

    def outline(self, index: int) -> np.ndarray:
        """Coverage (H, W) of one object, whatever stands before it."""
        self._workbench.phase("render")
        return self._workbench.blender.silhouette(index, seed=self._seed)
