"""The one scene of a Blender process: reset, settings, the placed objects and their camera. Needs bpy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import bpy
import numpy as np

from pairbridge.datagen.assets.object_formats.far_origin import check_shape_kept
from pairbridge.datagen.assets.object_rules import ObjectRules
from pairbridge.datagen.blender.child.camera_framing import frame, nearest_ground, seen_box
from pairbridge.datagen.blender.child.passes import set_part
from pairbridge.datagen.blender.child.receivers import build_catcher, build_receiver
from pairbridge.datagen.blender.families import build
from pairbridge.datagen.blender.imported.evaluated_geometry import evaluated
from pairbridge.datagen.blender.imported.mesh_files import import_file
from pairbridge.datagen.blender.render_devices import check_kept, devices_to_use
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.blender.shading.shaders import MATERIAL_CLASS
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.scene.object_sizes import at_scale, settled_sizes
from pairbridge.datagen.scene.settle import Settled, Surface, settle
from pairbridge.datagen.scene.specs import (
    OBJECT_NAME,
    RECEIVER_REACH,
    CameraPose,
    CameraSpec,
    LoadedScene,
    ObjectInfo,
    ObjectSpec,
    PlacedObject,
    ReceiverSpec,
    SceneSpec,
)

# Custom properties: the number of a scene's object, and what a file does not want rendered.
NUMBER = "pairbridge_number"
HIDDEN_IN_FILE = "pairbridge_hidden"
DROPPED_TYPES = frozenset({"LIGHT", "CAMERA", "LIGHT_PROBE", "SPEAKER"})


def reset(settings: RenderSettings, threads: int) -> None:
    """An empty scene with every render setting applied, on the asserted device."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    # Scripts in files stay text, whatever a later default says.
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False
    scene = bpy.context.scene
    # Importers evaluate animation before we drop it: frame 0 is where a glTF's first key lies.
    scene.frame_set(0)
    _apply_render(scene.render, threads)
    scene.render.engine = "CYCLES"
    _choose_device(scene, settings.device)
    _apply_cycles(scene.cycles, settings)
    # The multilayer file holds scene-linear values; the view transform is ours, in NumPy.
    scene.display_settings.display_device = "sRGB"
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.exposure = 0.0
    scene.view_settings.gamma = 1.0


def _apply_render(render: bpy.types.RenderSettings, threads: int) -> None:
    render.threads_mode = "FIXED"
    render.threads = threads
    # Keeps the BVH between lightings of one object; a reset comes before the next object, because it pins
    # the old.
    render.use_persistent_data = True
    render.film_transparent = True
    render.dither_intensity = 0.0
    render.resolution_percentage = 100
    render.pixel_aspect_x = render.pixel_aspect_y = 1.0
    render.use_border = False
    render.use_compositing = False
    render.use_sequencer = False
    render.use_motion_blur = False
    render.use_simplify = False
    render.use_freestyle = False


def _apply_cycles(cycles: bpy.types.PropertyGroup, settings: RenderSettings) -> None:
    cycles.samples = settings.samples
    cycles.use_adaptive_sampling = settings.adaptive_sampling
    cycles.time_limit = 0.0
    cycles.use_animated_seed = False
    cycles.sampling_pattern = "TABULATED_SOBOL"
    cycles.use_denoising = True
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    cycles.denoising_quality = settings.denoiser_quality.upper()
    cycles.denoising_prefilter = settings.denoiser_prefilter.upper()
    cycles.denoising_use_gpu = settings.device != "cpu"
    cycles.max_bounces = settings.max_bounces
    cycles.diffuse_bounces = settings.diffuse_bounces
    cycles.glossy_bounces = settings.glossy_bounces
    cycles.transmission_bounces = settings.transmission_bounces
    cycles.volume_bounces = settings.volume_bounces
    cycles.transparent_max_bounces = settings.transparent_bounces
    cycles.min_light_bounces = 0
    cycles.min_transparent_bounces = 0
    cycles.light_sampling_threshold = 0.01
    cycles.sample_clamp_direct = settings.clamp_direct
    cycles.sample_clamp_indirect = settings.clamp_indirect
    cycles.blur_glossy = settings.glossy_blur
    cycles.caustics_reflective = settings.reflective_caustics
    cycles.caustics_refractive = settings.refractive_caustics
    cycles.use_light_tree = settings.light_tree
    cycles.use_guiding = False
    cycles.use_fast_gi = False
    cycles.pixel_filter_type = settings.pixel_filter
    cycles.filter_width = settings.pixel_filter_width
    cycles.film_exposure = 1.0
    cycles.film_transparent_glass = False
    # One tile, whatever the image's size.
    cycles.use_auto_tile = False


def _choose_device(scene: bpy.types.Scene, device: str) -> None:
    """Render on `device` and nothing else; to be called after every reset, which drops the preferences."""
    preferences = bpy.context.preferences.addons["cycles"].preferences
    if device == "cpu":
        preferences.compute_device_type = "NONE"
        scene.cycles.device = "CPU"
        return
    try:
        preferences.compute_device_type = device.upper()
        # Also fills `devices`, which is empty until it is asked for.
        preferences.get_devices_for_type(device.upper())
        listed = list(preferences.devices)
    except (TypeError, ValueError):
        # This build of Blender does not know the kind.
        listed = []
    for entry, wanted in zip(listed, devices_to_use(device, [entry.type for entry in listed]), strict=True):
        entry.use = wanted
    scene.cycles.device = "GPU"
    # An entry may be left of a card that is gone; Cycles itself knows whether one that is used is there.
    used = [entry.type for entry in preferences.devices if entry.use]
    check_kept(device, preferences.compute_device_type, used if preferences.has_active_device() else [])


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """How objects are read from files: the limits, and the import operators of add-ons by suffix."""

    rules: ObjectRules
    operators: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Imported:
    """One object of a scene as its file or family has it, before it has a place."""

    added: list[bpy.types.Object]
    vertices: np.ndarray  # (N, 3), world
    triangles: np.ndarray  # (M, 3), indices
    centre: np.ndarray
    radius: float
    num_meshes: int
    num_faces: int
    metres: float | None  # of a unit of `vertices`, as the file states it

    @property
    def longest(self) -> float:
        return float(np.ptp(self.vertices, axis=0).max())

    @property
    def stated_m(self) -> float | None:
        """The length of the longest side in metres."""
        return None if self.metres is None else self.metres * self.longest


def load(scene: SceneSpec, source: ObjectSource) -> tuple[LoadedScene, np.ndarray]:
    """Put `scene` into the fresh scene; the evaluated vertices (N, 3) of all its objects where they stand."""
    imported = [_import(placed, source) for placed in scene.objects]
    sizes = settled_sizes(scene, [one.stated_m for one in imported], source.rules.believed_m)
    unit_m = None
    if sizes[0].size_m is not None:
        unit_m = sizes[0].size_m * imported[0].radius / imported[0].longest / scene.objects[0].radius
    places = _settled(sizes, imported, unit_m) if unit_m else _as_planned(scene.objects, imported)
    vertices = []
    for number, (one, place) in enumerate(zip(imported, places, strict=True)):
        _place(number, one.added, place)
        vertices.append(place.world(one.vertices))
    every = np.concatenate(vertices)
    for number, receiver in enumerate(scene.receivers):
        build_receiver(number, at_scale(_cleared(receiver, every, unit_m, places), unit_m))
    infos = [
        ObjectInfo(
            num_meshes=one.num_meshes,
            num_vertices=len(one.vertices),
            num_faces=one.num_faces,
            radius=one.radius,
            centre=tuple(one.centre.tolist()),
            extent=tuple(np.ptp(one.vertices, axis=0).tolist()),
            size_m=size.size_m,
            size_from=size.size_from,
            materials=_material_classes(one.added),
            pose=place.pose,
            relation=place.relation,
            of=place.of,
            gap_mm=1000 * place.gap * unit_m if place.gap is not None else None,
            ground_mm=1000 * float(there[:, 2].min()) * unit_m
            if unit_m and scene.objects[0].standing
            else None,
        )
        for one, size, place, there in zip(imported, sizes, places, vertices, strict=True)
    ]
    if scene.catches:
        build_catcher()
    bounds = (tuple(every.min(axis=0).tolist()), tuple(every.max(axis=0).tolist()))
    return LoadedScene(objects=tuple(infos), bounds=bounds, metres_per_unit=unit_m), every


def _settled(sizes: list[PlacedObject], imported: list[_Imported], unit_m: float) -> list[Settled]:
    scales = [size.size_m / one.longest / unit_m for size, one in zip(sizes, imported, strict=True)]
    return settle(sizes, [Surface(one.vertices, one.triangles) for one in imported], scales, unit_m)


def _as_planned(objects: Sequence[PlacedObject], imported: list[_Imported]) -> list[Settled]:
    """Objects without sizes, each in the place that its plan has for it."""
    places = []
    for placed, one in zip(objects, imported, strict=True):
        cos, sin = math.cos(placed.yaw_rad), math.sin(placed.yaw_rad)
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        scale = placed.radius / one.radius
        turned = scale * (one.vertices - one.centre) @ turn.T
        height = -turned[:, 2].min() if placed.standing else placed.z
        position = np.array([placed.x, placed.y, height]) - scale * turn @ one.centre
        places.append(Settled(turn=turn, scale=scale, position=position, pose="as filed"))
    return places


def _cleared(
    receiver: ReceiverSpec, vertices: np.ndarray, unit_m: float | None, places: Sequence[Settled]
) -> ReceiverSpec:
    """A wall that keeps its clearance from settled objects, whose places a plan does not know, or stands at
    what leans on it."""
    if unit_m is None or receiver.clearance is None:
        return receiver
    if receiver.azimuth_rad in [place.wall_rad for place in places]:
        receiver = replace(receiver, clearance=0.0)
    towards = np.array([math.cos(receiver.azimuth_rad), math.sin(receiver.azimuth_rad), 0.0])
    return replace(receiver, distance=float((vertices @ towards).max()) + receiver.clearance)


def _import(placed: PlacedObject, source: ObjectSource) -> _Imported:
    before = set(bpy.data.objects)
    metres = _add(placed.object, source)
    _drop_what_is_not_geometry()
    added = [item for item in bpy.data.objects if item not in before]
    vertices, triangles, num_meshes, num_faces = evaluated(added)
    centre, radius = _bounding_sphere(placed.object, vertices, num_faces, source.rules)
    return _Imported(added, vertices, triangles, centre, radius, num_meshes, num_faces, metres)


def _add(obj: ObjectSpec, source: ObjectSource) -> float | None:
    """Add the object; returns how many metres long a unit of it is, None where nothing says so."""
    if obj.path is None:
        build(obj.family, obj.seed)
        return None
    return import_file(Path(obj.path), source.rules, source.operators, obj.up)


def roots() -> list[bpy.types.Object]:
    """The empties that the scene's objects hang under, by number."""
    found = [item for item in bpy.context.scene.objects if item.get(NUMBER) is not None]
    return sorted(found, key=lambda item: item[NUMBER])


def hide_objects(numbers: Sequence[int]) -> None:
    """Take exactly these objects out of the next render; what a file itself hides stays hidden."""
    for root in roots():
        for item in root.children_recursive:
            hidden = root[NUMBER] in numbers or HIDDEN_IN_FILE in item
            # Writing an equal value would have Cycles synchronise the object again.
            if item.hide_render != hidden:
                item.hide_render = hidden


def place_camera(vertices: np.ndarray, camera: CameraSpec, size_WH: tuple[int, int]) -> CameraPose:
    """Set the scene's only camera and the size of its image."""
    scene = bpy.context.scene
    pose, nearest, farthest = frame(vertices, camera, size_WH)
    if scene.camera is None:
        scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
        scene.collection.objects.link(scene.camera)
    lens = scene.camera.data
    lens.type = "PERSP"
    lens.sensor_fit = "HORIZONTAL"
    lens.angle = pose.fov_x_rad
    lens.shift_x = lens.shift_y = 0.0
    lens.dof.use_dof = pose.aperture_radius > 0
    if lens.dof.use_dof:
        lens.dof.focus_distance = pose.focus_distance
        # Cycles' aperture has the radius lens / 2 / fstop, with the lens in mm in units of 1/1000.
        lens.dof.aperture_fstop = lens.lens * 1e-3 / 2 / pose.aperture_radius
    # Half way to the nearest object, so that a wall or another thing behind the camera's back never matters,
    # but before the ground that the frame's lower edge sees.
    lens.clip_start = min(0.5 * nearest, 0.9 * nearest_ground(pose, size_WH))
    lens.clip_end = 2 * max(farthest, RECEIVER_REACH)
    scene.camera.matrix_world = np.array(pose.camera_to_world).T
    scene.render.resolution_x, scene.render.resolution_y = size_WH
    set_part(seen_box(vertices, pose, size_WH), size_WH)
    return pose


def add_cube_and_camera() -> None:
    """Something to render, eight pixels wide, for a warm-up."""
    scene = bpy.context.scene
    bpy.ops.mesh.primitive_cube_add()
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.location = (0.0, 0.0, 5.0)  # it looks down
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.resolution_x = scene.render.resolution_y = 8


def _drop_what_is_not_geometry() -> None:
    for item in list(bpy.data.objects):
        if item.type in DROPPED_TYPES:
            bpy.data.objects.remove(item)
        else:
            item.animation_data_clear()


def _bounding_sphere(
    obj: ObjectSpec, vertices: np.ndarray, num_faces: int, rules: ObjectRules
) -> tuple[np.ndarray, float]:
    """Centre of the bounding box, and the distance from it to the farthest vertex."""
    name = obj.name if obj.path is None else f"{Path(obj.path).parent.name}/{Path(obj.path).name}"
    if not len(vertices) or not num_faces:
        raise _unusable(
            name, "no_geometry", f"it has {len(vertices)} vertices and {num_faces} faces to render"
        )
    if not np.isfinite(vertices).all():
        raise _unusable(name, "not_finite", "some of its vertices are not finite")
    if obj.path is not None:
        check_shape_kept(Path(obj.path), vertices)
    if num_faces > rules.max_faces:
        why = f"it has {num_faces} faces, above object_rules.max_faces of {rules.max_faces}"
        raise _unusable(name, "too_many_faces", why)
    centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    radius = float(np.linalg.norm(vertices - centre, axis=1).max())
    low, high = rules.radius
    if not low < radius < high:
        raise _unusable(
            name, "size", f"its radius is {radius:g}, outside object_rules.radius of {low:g} to {high:g}"
        )
    return centre, radius


def _material_classes(items: list[bpy.types.Object]) -> tuple[str, ...]:
    """The classes that embedded materials state of themselves."""
    shown = {slot.material for item in items for slot in item.material_slots if slot.material is not None}
    return tuple(sorted({material[MATERIAL_CLASS] for material in shown if MATERIAL_CLASS in material}))


def _place(number: int, items: list[bpy.types.Object], place: Settled) -> None:
    """Hang every root of `items` under one empty that scales, turns and moves the whole.

    Cryptomatte knows an object by the name of its topmost parent.
    """
    root = bpy.data.objects.new(f"{OBJECT_NAME}{number}", None)
    root[NUMBER] = number
    bpy.context.scene.collection.objects.link(root)
    for item in items:
        if item.parent is None:
            item.parent = root
        if item.hide_render:
            item[HIDDEN_IN_FILE] = True
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = place.scale * place.turn, place.position
    root.matrix_world = matrix.T


def _unusable(name: str, fault: str, why: str) -> AssetError:
    return AssetError(
        f"object {name} cannot be used: {why}",
        remedy="open it in Blender to see what is there, then repair, replace or remove it",
        fault=fault,
    )
