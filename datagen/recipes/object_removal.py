"""A room with several objects, and the same room without some of them: source and target of a removal pair.

A group takes its objects out one after the other and renders each state with the same seed. Any two states
are a pair, whose source shows what its target does not: one object or several (`hidden`), so that n renders
give up to n (n - 1) / 2 pairs. In a share of scenes (`twins`) two objects are one and the same, differently
turned; the first pair of such a group removes one of the two, and no pair removes the other. Source and
target go through one exposure, metered on the target. What the objects do to the picture beyond themselves
(shadow, reflection, bounced light) is found by difference before denoising; outside that effect, grown by
`effect_dilation`, the shipped source is the target, to the byte, so that noise and the denoiser leave nothing
there to learn. What a camera adds (`finish`) is the same on both.

| field | what |
|---|---|
| `mask.png` | the region to remove, 0 or 255: every pixel the objects are seen in, grown by `mask_grow` |
| `visible.png` | share of each pixel in which the removed objects are seen |
| `amodal.png` | their whole outlines, as if nothing stood before them |
| `effect.png` | 255 where they change the picture, themselves included: few whole regions |

`source.png` still shows the objects; readers fill the region to remove with noise
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
from pairbridge.datagen.imaging.compositing import alpha_to_mask
from pairbridge.datagen.imaging.effect_masks import blended, effect_regions, effects_by_sign, seen_difference
from pairbridge.datagen.imaging.filters import grown
from pairbridge.datagen.imaging.quality import check_foreground, check_removable
from pairbridge.datagen.lighting.environment_maps import stored_light
from pairbridge.datagen.lighting.exposure import key_factor
from pairbridge.datagen.recipes.base import each_pair, sample_meta
from pairbridge.datagen.recipes.object_draws import draw_objects, draw_rest, radii_by_size
from pairbridge.datagen.recipes.room_views import RenderedRoom
from pairbridge.datagen.recipes.scene_draws import (
    ElevationAboveGround,
    Fill,
    LitConfig,
    camera_record,
    draw_azimuths,
    draw_camera,
    draw_group_finish,
    draw_turned_lighting,
    finished,
    load_scene,
    materials_of,
    placed_record,
    plan_scene,
    planned_receivers,
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
from pairbridge.datagen.scene.arrangements import free_first, lean_on_wall
from pairbridge.datagen.scene.placements import far_lamp, scattered, upper_hemisphere
from pairbridge.datagen.scene.specs import ReceiverSpec
from pairbridge.datagen.scene.surface_draws import ground_surface, wall_surface
from pairbridge.datagen.shards.fields import HoleContent, Roles
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
    """Pairs of one scene. With `hidden` [1, 4] four of its renders give six pairs and five give ten."""
    hidden: RangeOf[PositiveInt] = (1, 1)
    """Least and largest number of objects that a pair removes; each as often as the group's states allow."""
    twins: Fraction = 0.0
    """Fraction of scenes in which one object stands twice, differently turned. Their first pair removes one
    of the two; no pair removes both."""
    objects: RangeOf[PositiveInt] = (4, 6)
    """Least and largest number of objects in a scene."""
    min_distinct_objects: PositiveInt = 3
    """Least number of different families, or of files of yours, in each scene."""
    radius: RangeOf[PositiveFloat] = (0.6, 1.1)
    """Radius of an object's bounding sphere, in world units, with `scale: equal`; real sizes follow from the
    objects, of which the first has the radius 1."""
    size_ratio: float = Field(2.5, ge=1)
    """How many times larger the largest object of a scene may be than its smallest, as far as the catalogue
    has such objects; with `scale: real`. Less than where objects stay: at 4 the smallest takes a sixteenth of
    the largest one's area, and most pairs that would remove it are refused as too small."""
    gap: Range = (0.0, 0.3)
    """Distance between the bounding spheres of neighbours, in world units, with `scale: equal`."""
    walls: RangeOf[Annotated[int, Field(ge=0, le=2)]] = (1, 2)
    """Least and largest number of walls behind the objects, at most 2; two make a corner."""
    scenes_share: Fraction = 0.5
    """Fraction of groups that stand in a room of `assets.scenes`, in splits that have some, in the place of a
    ground and walls. Half, as of objects: rooms of yours are few, and ours are never the same."""
    scene_lights: Fraction = 0.8
    """Fraction of those groups in which the room's own lamps shine; in the others only the environment map
    does, through its windows. Groups of a closed room are refused without them."""
    scene_objects: Fraction = 0.3
    """Fraction of those groups whose last pair removes one of the room's own objects, in place of the
    recipe's: one whose name begins with `removable`, else a small mesh that carries nothing; where the camera
    sees one whole."""
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
    store: tuple[SurfaceField | Literal["plate", "light_target", "effect_shadow", "effect_light"], ...] = ()
    """Further fields that the renders hold; see docs/scenes.md. The light is that outside the room, which
    walls and ground then partly shut out, and the same for source and target. The plate, the room without
    any object, may take one more render of each group."""
    smallest_visible: NonNegativeFloat = 0.006
    """Least fraction of the frame in which the removed object is seen."""
    most_hidden: Fraction = 0.6
    """Largest fraction of the removed object's outline that other objects may hide."""

    @model_validator(mode="after")
    def _consistent(self) -> "ObjectRemovalConfig":
        least = self.objects[0]
        # One of two twins stays to the end.
        taken = least - 1 if self.twins else least
        if self.min_distinct_objects > taken:
            raise ValueError(
                f"{self.min_distinct_objects} distinct objects cannot stand in a scene of {least}"
                f"{' with a twin among them' if self.twins else ''}; raise objects"
            )
        enough = len(pairs_of_states(taken, self.hidden)) >= self.pairs_per_group
        if self.hidden[1] > taken or not enough:
            raise ValueError(
                f"{self.pairs_per_group} pairs that remove {self.hidden[0]} to {self.hidden[1]} objects each "
                f"cannot come from {least}{' of which a twin stays' if self.twins else ''}; raise objects"
            )
        return self


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
    roles = Roles(hole=HoleContent.NOISE)

    def __init__(self, config: ObjectRemovalConfig) -> None:
        self.config = config
        self.fields = with_stored(type(self).fields, config.store)
        self.declares = declared(config.store)

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
        of_objects, of_room, of_camera, of_light, of_pairs, of_size, of_twins, of_hidden, *later = draw.spawn(
            10
        )
        of_sizes, of_materials = later
        of_viewpoint, of_finish, of_users_room = draw.spawn(3)
        twins = bool(of_twins.random() < config.twins)
        objects = self._objects(of_objects, of_sizes, catalogue, split, of_twins if twins else None)
        order = of_pairs.permutation(len(objects)).tolist()
        if twins:
            order = _twins_apart(order, [entry["id"] for entry in objects])
        order = free_first(order, objects)
        scene = plan_scene(draw, of_size, config, objects)
        azimuths = draw_azimuths(of_viewpoint, config, objects, catalogue)
        camera = draw_camera(
            of_camera, of_viewpoint, config, scene["size_WH"], azimuth_rad=azimuths, standing=objects
        )
        room = self._room(of_room, objects, camera["azimuth_rad"])
        room = with_materials(of_materials, room, catalogue, split, config.materials_share)
        lighting = draw_turned_lighting(of_light, catalogue, split, config)
        lamps = self._lamps(of_light, camera["azimuth_rad"], room)
        users_room = self._users_room(of_users_room, catalogue, split)
        if users_room:
            # Our lamps hang far outside of it; it has its own.
            scene |= {"scene": users_room}
            room, lamps = [], []
        walls = [wall.azimuth_rad for wall in room if wall.azimuth_rad is not None]
        return scene | {
            "objects": lean_on_wall(scene["objects"], walls),
            "receivers": planned_receivers(room),
            "camera": camera,
            "finish": draw_group_finish(of_finish, config),
            "lighting": lighting,
            "lamps": lamps,
            "pairs": [
                {
                    "absent": sorted(order[:before]),
                    "removed": sorted(order[before:after]),
                    "mask_grow": float(of_pairs.uniform(*config.mask_grow)),
                }
                for before, after in self._states(of_hidden)
            ],
        }

    def _users_room(
        self, draw: np.random.Generator, catalogue: Catalogue, split: Split
    ) -> dict[str, Any] | None:
        """A room of the user's around the objects, in a share of groups."""
        scenes = catalogue.of("scene", split)
        if not scenes or draw.random() >= self.config.scenes_share:
            return None
        return {
            "id": scenes[draw.integers(len(scenes))].id,
            "lights": bool(draw.random() < self.config.scene_lights),
            "seed": int(draw.integers(2**31)),
            "own": bool(draw.random() < self.config.scene_objects),
        }

    def make(self, spec: GroupSpec, workbench: Workbench) -> list[Pair | Rejected]:
        """One render of each state that a pair needs, and the outlines of what is removed."""
        load_scene(spec.params, workbench)
        room = RenderedRoom(spec, workbench, self.config)
        return each_pair(len(spec.params["pairs"]), lambda number: self._pair(spec, number, room, workbench))

    def _pair(self, spec: GroupSpec, number: int, room: RenderedRoom, workbench: Workbench) -> Pair:
        params, config = spec.params, self.config
        absent, removed = (params["pairs"][number][name] for name in ("absent", "removed"))
        count = len(params["objects"])
        if (workbench.blender.room or {}).get("own") and number == len(params["pairs"]) - 1:
            # The room's own object has the number after the others.
            absent, removed = [], [count]
        full = room.shot(tuple(absent))
        outlines = [room.outline(index) for index in removed]
        for index, outline in zip(removed, outlines, strict=True):
            check_removable(
                full.passes.coverage[index],
                outline,
                smallest=config.smallest_visible,
                most_hidden=config.most_hidden,
            )
        visible = np.minimum(full.passes.coverage[removed].sum(axis=0), 1)
        amodal = 1 - np.prod([1 - outline for outline in outlines], axis=0)
        left = room.shot(tuple(sorted([*absent, *removed])))
        empty = left.picture
        workbench.phase("compose")
        exposure = key_factor(empty, config.key)
        view = workbench.view
        exposed = view.model_copy(update={"exposure": view.exposure * exposure})
        developed = finished(params, exposed)
        difference = seen_difference(full.picture, empty, exposed)
        effect = effect_regions(difference, visible > 0, config.effect_threshold)
        shorter = min(effect.shape)
        target = developed.apply(empty)
        reach_px = round(config.effect_dilation * shorter)
        source = blended(developed.apply(full.picture), target, effect, reach_px)
        grow_px = round(params["pairs"][number]["mask_grow"] * shorter)
        mask = grown(visible > 0, grow_px) * np.uint8(255)
        check_foreground(source, mask, "source", config.gates)
        check_foreground(target, np.full_like(mask, 255), "target", config.gates)
        shadow, light = effects_by_sign(full.picture, empty, effect & (visible == 0))

        def plate() -> np.ndarray:
            bare = room.shot(tuple(sorted({*range(count), *removed}))).picture
            return plate_of(target, empty, bare, left.passes.coverage.max(axis=0), developed)

        # What belongs to the room is no instance.
        labelled = dataclasses.replace(full.passes, coverage=full.passes.coverage[:count])
        makers = surface_makers(labelled, room.pose, params, workbench) | {
            "plate": plate,
            "effect_shadow": lambda: alpha_to_mask(shadow),
            "effect_light": lambda: alpha_to_mask(light),
            "light_target": lambda: stored_light(exposure * room.light()),
        }
        users_room = {"scene": params["scene"]} if "scene" in params else {}
        shared = ("objects", "receivers", "camera", "size_WH", "lighting", "lamps", "cycles_seed", "finish")
        meta = sample_meta(
            spec,
            number,
            workbench,
            assets=[
                *(("removed object", params["objects"][index]["id"]) for index in removed if index < count),
                *(
                    ("object", entry["id"])
                    for at, entry in enumerate(params["objects"])
                    if at not in (*absent, *removed)
                ),
                *materials_of(params),
                *(("room", room["id"]) for room in users_room.values()),
                ("lighting", params["lighting"]["id"]),
            ],
            mask_source="rendered coverage",
            relighter="rendered",
            params={
                **{name: params[name] for name in shared},
                **camera_record(room.pose, params),
                **placed_record(workbench),
                **users_room,
                "absent": absent,
                "removed": removed,
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
            **stored(config.store, makers),
        }

    def _objects(
        self,
        draw: np.random.Generator,
        of_sizes: np.random.Generator,
        catalogue: Catalogue,
        split: Split,
        of_twins: np.random.Generator | None,
    ) -> list[dict[str, Any]]:
        """What stands where; with `of_twins`, one object takes the place of another as well."""
        config = self.config
        count = whole_number(draw, config.objects)
        of_rest, of_wishes = of_sizes.spawn(2)
        least = config.min_distinct_objects
        drawn = draw_objects(draw, of_sizes, of_wishes, catalogue, split, config, count, min_distinct=least)
        radii = radii_by_size(drawn, draw.uniform(*config.radius, count).tolist())
        twins: tuple[int, ...] = ()
        if of_twins is not None:
            sorts = [entry["id"].partition(":")[0] for entry in drawn]
            # Without which enough sorts are left: one at least, since there are more objects than that.
            spare = [
                at
                for at in range(count)
                if len({*sorts[:at], *sorts[at + 1 :]}) >= config.min_distinct_objects
            ]
            copy = spare[of_twins.integers(len(spare))]
            other = int(of_twins.integers(count - 1))
            other += other >= copy
            drawn[copy], radii[copy] = drawn[other], radii[other]
            twins = (copy, other)
        # One of two twins is taken first and the other never: nothing may rest on either.
        drawn = draw_rest(of_rest, catalogue, config, drawn, twins)
        places = scattered(draw, radii, float(draw.uniform(*config.gap)))
        return [
            {
                **entry,
                "x": x,
                "y": y,
                "radius": radius,
                "yaw_rad": float(draw.uniform(0, math.tau)),
                "standing": True,
            }
            for entry, radius, (x, y) in zip(drawn, radii, places, strict=True)
        ]

    def _states(self, draw: np.random.Generator) -> list[tuple[int, int]]:
        """For each pair, how many objects are gone from its source and from its target: as few states as
        give so many pairs, each number of removed objects as often as it can be. The first pair begins with
        all objects.
        """
        config = self.config
        last = config.hidden[1]
        while len(pairs_of_states(last, config.hidden)) < config.pairs_per_group:
            last += 1
        free = pairs_of_states(last, config.hidden)
        chosen: list[tuple[int, int]] = []
        while len(chosen) < config.pairs_per_group:
            left = [pair for pair in free if pair[0] == 0 or chosen]
            counts = sorted({after - before for before, after in left})
            count = counts[draw.integers(len(counts))]
            options = [pair for pair in left if pair[1] - pair[0] == count]
            chosen.append(options[draw.integers(len(options))])
            free.remove(chosen[-1])
        return chosen

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
            clearance = float(draw.uniform(*config.wall_distance))
            receivers.append(
                ReceiverSpec(
                    surface=surface,
                    azimuth_rad=float(azimuth),
                    distance=float(reach) + clearance,
                    clearance=clearance,
                )
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


def pairs_of_states(last: int, hidden: tuple[int, int]) -> list[tuple[int, int]]:
    """The pairs (before, after) of numbers of objects that are gone, up to `last`, between which as many go
    as `hidden` allows.
    """
    return [
        (before, before + count)
        for count in range(hidden[0], hidden[1] + 1)
        for before in range(last - count + 1)
    ]


def _twins_apart(order: list[int], ids: list[str]) -> list[int]:
    """`order` with one of the objects of the same id first and the others last: chance may draw a file that
    is there twice once more.
    """
    first, *others = (index for index in order if ids.count(ids[index]) > 1)
    return [first, *(index for index in order if index not in (first, *others)), *others]
