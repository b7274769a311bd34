"""What a worker asks Blender: one process, started lazily, asked one thing at a time, replaced when
needed."""

import dataclasses
import math
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.assets.object_rules import AddonConfig, ObjectRules
from pairbridge.datagen.blender.blender_errors import (
    BlenderCrashed,
    BlenderRequestFailed,
    BlenderTimedOut,
    BlenderUnavailable,
)
from pairbridge.datagen.blender.confinement import Grants, folders_beyond, gpu_grants
from pairbridge.datagen.blender.exr_passes import read_alpha, read_passes, read_radiance
from pairbridge.datagen.blender.interpreter import LINES
from pairbridge.datagen.blender.panorama import join, plan_panorama
from pairbridge.datagen.blender.process import BlenderLog, BlenderProcess, Died, Hung
from pairbridge.datagen.blender.render_devices import one_at_a_time
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.core.errors import AssetError, FileUnreadable, PairbridgeError
from pairbridge.datagen.core.extras import install_command
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.scene.interior_specs import InteriorSpec
from pairbridge.datagen.scene.specs import (
    CameraPose,
    CameraSpec,
    CatcherSpec,
    LampSpec,
    LoadedScene,
    ObjectInfo,
    ObjectSpec,
    PlacedObject,
    RenderedPasses,
    SceneSpec,
    SkySpec,
    from_json,
)

DEFAULT_RULES = ObjectRules()

# Of a texel of an environment map that is baked, at most.
_BAKED_SAMPLES = 16

ReceiverRole = Literal["shown", "holdout"]


class ProcessLimits(FrozenModel):
    """How long Blender may take, how much memory, and what it may reach."""

    confinement: Literal["on", "off"] = "on"
    """Blender's process reads the folders of objects and its own installation, writes its scratch folder and
    has no network, as far as the kernel can hold it to that (docs/security.md). Off is for the driver of a
    GPU that does not work so, and for files you trust."""

    request_timeout_s: PositiveFloat = 120.0
    """Timeout of one request to Blender in seconds, times the objects that it loads; set it far above the
    slowest object you have. A render has `megasample_timeout_s` on top."""
    megasample_timeout_s: NonNegativeFloat = 30.0
    """What a million samples (pixels x samples per pixel) add to the timeout of a render, in seconds. One CPU
    core takes 1 to 5 (docs/benchmarks/render.md); a GPU that hangs is noticed sooner with less."""
    start_timeout_s: PositiveFloat = 60.0
    """Timeout from starting Blender's process to its first answer, in seconds."""
    warm_up_timeout_s: PositiveFloat = 600.0
    """Timeout of a GPU's first render, which compiles kernels, in seconds; one worker of a machine warms up
    at a time."""
    recycle_rss_mib: PositiveInt = 4096
    """Memory in MiB above which Blender's process is replaced between groups, because it leaks."""

    def timeout_s(self, *, objects: int = 1, samples: int = 0) -> float:
        """Of a request that loads this many objects, or takes this many samples in all pixels together."""
        return self.request_timeout_s * max(objects, 1) + self.megasample_timeout_s * samples / 1e6


class BlenderClient:
    """Requests to a Blender child process. A context manager; no process runs before the first request.

    A process that is to render on a GPU renders a few pixels first, one process of the machine at a time,
    within the limits' `warm_up_timeout_s`: the first use of a card compiles kernels for minutes.

    Every request raises BlenderTimedOut after the limits' `timeout_s`, BlenderCrashed when the process dies,
    AssetError when a file is broken, FileUnreadable when the process cannot read one (which says nothing of
    it), BlenderUnavailable when bpy or the requested GPU is missing, BlenderRequestFailed for anything else
    that Blender refuses. After a time-out or a crash the next `load_scene` or `bake_sky` starts a fresh
    process; `load_scene` also does once the process has grown past `recycle_rss_mib`.

    `scratch_dir` takes Blender's temporary and preference folders, removed at the end of each process; the
    caller removes what is left after a kill of the worker itself. `log_path` is appended to, and cut at
    16 MiB between objects. Use a client from one thread that outlives it: the process dies with the thread.

    What the process reads of files is confined (docs/security.md): below `object_folders`, an object's file
    may name any other of the same folder; of an object from elsewhere, what lies in the file's own folder
    and below, and such a scene gets a process of its own.
    """

    def __init__(
        self,
        settings: RenderSettings,
        *,
        scratch_dir: Path,
        log_path: Path,
        threads: int,
        limits: ProcessLimits,
        object_rules: ObjectRules = DEFAULT_RULES,
        addons: tuple[AddonConfig, ...] = (),
        object_folders: tuple[Path, ...] = (),
    ) -> None:
        self._settings = settings
        self._scratch_dir = Path(scratch_dir)
        self._log = BlenderLog(Path(log_path))
        self._threads = threads
        self._limits = limits
        self._object_rules = object_rules
        self._addons = addons
        # A file that is given alone counts as from elsewhere.
        folders = (Path(place).absolute() for place in object_folders)
        self._object_folders = tuple(folder for folder in folders if not folder.is_file())
        self._readable = self._object_folders
        self._process: BlenderProcess | None = None
        self._object: str | None = None
        self.smoothest = 1.0
        """Smallest roughness of the metals and glasses of the loaded scene; see `settings`."""
        self._num_objects = 0
        self._num_pixels = 0
        self.room: dict[str, Any] | None = None
        self.loaded: LoadedScene | None = None
        """What the last `load_scene` made."""

    def __enter__(self) -> "BlenderClient":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process (and process group) id of the running child."""
        return self._process.pid if self._process else None

    def warm_up(self) -> None:
        """Render a few pixels, as a process that is to render on a GPU does by itself when it starts."""
        if self._process is None:
            self._start()
        # As phase "start": kernels that do not compile say nothing about an object.
        message = {"operation": "warm_up"}
        reply = self._exchange(message, "start", self._limits.warm_up_timeout_s, self._log.size())
        if "error" in reply:
            self.close()
            raise self._refusal("warm_up", reply["error"])

    def load_object(self, obj: ObjectSpec) -> ObjectInfo:
        """`load_scene` for `obj` alone, on nothing, in the unit sphere around the origin."""
        return self.load_scene(SceneSpec(objects=(PlacedObject(object=obj),)))[0]

    def load_scene(self, scene: SceneSpec) -> tuple[ObjectInfo, ...]:
        """Replace what is loaded by `scene`; forgets the camera. One ObjectInfo for each object.

        Lights, cameras and animation of a file are dropped. Raises AssetError for a file that is missing or
        unreadable, lacks an image that it names, or has no finite visible geometry.
        """
        paths = [placed.object.path for placed in scene.objects if placed.object.path is not None]
        paths += [Path(one.surface.material) for one in scene.receivers if one.surface.material is not None]
        paths += [scene.room.path] if scene.room is not None else []
        missing = self._limits.confinement == "on" and folders_beyond(paths, self._readable)
        grown = self._process and self._process.rss_mib() > self._limits.recycle_rss_mib
        if missing or grown:
            self.close()
            self._readable = self._object_folders + folders_beyond(paths, self._object_folders)
        self._log.limit()
        self._object = ", ".join(placed.object.name for placed in scene.objects)
        self._num_objects = len(scene.objects)
        timeout_s = self._limits.timeout_s(objects=self._num_objects)
        reply = self._request("load_scene", timeout_s, scene_spec=dataclasses.asdict(scene))
        self.smoothest = float(reply["smoothest"])
        self.loaded = LoadedScene(
            objects=tuple(from_json(ObjectInfo, info) for info in reply["objects"]),
            bounds=tuple(tuple(corner) for corner in reply["bounds"]),
            metres_per_unit=reply["metres_per_unit"],
        )
        return self.loaded.objects

    def set_camera(self, camera: CameraSpec, size_WH: tuple[int, int]) -> CameraPose:
        """Place the camera for the loaded objects and set the size of the next renders, in pixels. A room
        from a file is then put around the objects; `room` says how, and which of its own objects (`own`) has
        the number after theirs. Raises AssetError where it leaves no view
        to the camera.
        """
        self._num_pixels = math.prod(size_WH)
        timeout_s = self._limits.timeout_s()
        reply = self._request(
            "set_camera", timeout_s, camera=dataclasses.asdict(camera), size_WH=list(size_WH)
        )
        self.room = reply.pop("room")
        # One of the room's own objects may be the last of the scene's.
        own = self.room is not None and self.room.get("own") is not None
        self._num_objects = len(self.loaded.objects) + own
        return from_json(CameraPose, reply)

    def render(
        self,
        *,
        environment_path: Path,
        seed: int,
        strength: float = 1.0,
        lamps: tuple[LampSpec, ...] = (),
        hidden: tuple[int, ...] = (),
        receivers: ReceiverRole = "shown",
        catcher: CatcherSpec | None = None,
    ) -> RenderedPasses:
        """The scene on transparent film, lit by the equirectangular image at `environment_path` (times
        `strength`; 0 is no environment) and by `lamps`. The image's width is to be
        that of the importance map (`RenderSettings.lighting_copy_width_for`) or to divide it: of a wider one
        small suns are missed.

        `hidden` objects, by number, are not there at all. With `receivers` as "holdout" they are there for
        shadows and reflected light, but not in the picture: what is left is the objects' own part of the
        image, premultiplied. A scene that `catches` shadows is given the `catcher` of this light.

        `seed` in [0, 2**31) is Cycles'. Equal requests give bit-equal arrays on a CPU,
        whatever was asked before; with equal seed, camera and scene, alpha, depth and normal are bit-equal
        under every lighting.
        """
        start_s = time.perf_counter()
        self._request(
            "render",
            self._render_timeout_s(),
            environment_path=self._handed_over(environment_path),
            seed=seed,
            film="transparent",
            strength=strength,
            lamps=[dataclasses.asdict(lamp) for lamp in lamps],
            hidden=list(hidden),
            receivers=receivers,
            catcher=None if catcher is None else dataclasses.asdict(catcher),
        )
        return read_passes(self._process.image_path, start_s, self._num_objects)

    def silhouette(self, index: int, *, seed: int) -> np.ndarray:
        """Coverage (H, W) float32 of object `index` as if nothing stood before it: a fraction of a
        render's time."""
        self._request("silhouette", self._render_timeout_s(), index=index, seed=seed)
        return read_alpha(self._process.image_path)

    def render_opaque(self, *, environment_path: Path, seed: int) -> np.ndarray:
        """The scene in front of the visible environment: (H, W, 3) float32 linear, as Cycles sees it.

        The truth that a composite of `render` over a resampled background is measured against.
        """
        self._request(
            "render",
            self._render_timeout_s(),
            environment_path=self._handed_over(environment_path),
            seed=seed,
            film="opaque",
        )
        return read_radiance(self._process.image_path)

    def bake_sky(self, sky: SkySpec, width: int, out_path: Path) -> None:
        """Write `sky` as an equirectangular EXR of `width` x `width`/2 float32, linear.

        Equal skies give equal bytes. The lower half is what the sky model gives below the horizon (black).
        Forgets the loaded object.
        """
        self._object = None
        plan = plan_panorama(sky, width)
        timeout_s = self._bake_timeout_s(width)
        self._request("bake_sky", timeout_s, sky_spec=dataclasses.asdict(plan.sky), width=width)
        coarse = read_radiance(self._process.image_path)
        self._request("bake_sun", timeout_s, window=list(plan.window))
        write_exr(Path(out_path), join(plan, coarse, read_radiance(self._process.image_path)))

    def bake_interior(self, spec: InteriorSpec, outside_path: Path, width: int, out_path: Path) -> None:
        """Write a panorama of the room as an equirectangular EXR of `width` x `width`/2 float32, linear, in
        the unit of the equirectangular image at `outside_path`, which lies outside its windows.

        Equal rooms before equal images give equal bytes on a CPU. Forgets the loaded object.
        """
        self._object = None
        self._request(
            "bake_interior",
            self._bake_timeout_s(width),
            interior_spec=dataclasses.asdict(spec),
            environment_path=self._handed_over(outside_path),
            width=width,
        )
        write_exr(Path(out_path), read_radiance(self._process.image_path))

    def close(self) -> None:
        """End the process, politely for a second and then not."""
        if self._process:
            self._process.end()
            self._process = None

    def _handed_over(self, environment_path: Path) -> str:
        if self._process is None:
            self._start()
        try:
            return str(self._process.hand_over(Path(environment_path)))
        except FileNotFoundError as error:
            raise FileUnreadable.of(Path(environment_path), error) from error

    def _render_timeout_s(self) -> float:
        return self._limits.timeout_s(samples=self._num_pixels * self._settings.samples)

    def _bake_timeout_s(self, width: int) -> float:
        return self._limits.timeout_s(samples=width * width // 2 * _BAKED_SAMPLES)

    def _request(self, operation: str, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        if self._process is None:
            self._start()
        message = {"operation": operation, **arguments}
        reply = self._exchange(message, operation, timeout_s, self._log.size())
        if "error" in reply:
            raise self._refusal(operation, reply["error"])
        return reply["result"]

    def _start(self) -> None:
        printed = self._log.size()
        self._process = BlenderProcess(
            self._settings,
            self._scratch_dir,
            self._log.path,
            self._threads,
            self._object_rules,
            self._addons,
            self._grants(),
        )
        reply = self._exchange(None, "start", self._limits.start_timeout_s, printed)
        if "error" in reply:
            self.close()
            raise self._refusal("start", reply["error"])
        if self._settings.device != "cpu":
            with one_at_a_time():
                self.warm_up()

    def _grants(self) -> Grants | None:
        if self._limits.confinement == "off":
            return None
        gpu = gpu_grants() if self._settings.device != "cpu" else Grants()
        read = (*self._readable, *(addon.path.absolute() for addon in self._addons))
        return dataclasses.replace(gpu, read=tuple(map(str, read)))

    def _exchange(
        self, message: dict[str, Any] | None, phase: str, timeout_s: float, printed: int
    ) -> dict[str, Any]:
        """Send a message, if any, and wait for a reply. Whatever is raised, the process is gone by then."""
        try:
            if message is not None:
                self._process.send(message)
            return self._process.receive(timeout_s)
        except Hung:
            self._drop()
            raise BlenderTimedOut(
                phase=phase, timeout_s=timeout_s, log_tail=self._log.tail(printed)
            ) from None
        except Died:
            cause = self._process.cause_of_death()
            self._drop()
            log_tail = self._log.tail(printed)
            if phase == "start" and not cause.startswith("SIG"):
                raise _unavailable(cause, log_tail) from None
            raise BlenderCrashed(signal=cause, phase=phase, log_tail=log_tail) from None
        except BaseException:
            # Ctrl-C while waiting: the late answer would be taken for the next request's.
            self._drop()
            raise

    def _drop(self) -> None:
        self._process.kill()
        self._process = None

    def _refusal(self, operation: str, error: dict[str, str]) -> PairbridgeError:
        match error:
            case {"kind": "asset", **fields}:
                return AssetError(**fields)
            case {"kind": "unreadable", **fields}:
                return FileUnreadable(**fields)
            case {"kind": "unavailable", **fields}:
                return BlenderUnavailable(**fields)
        return BlenderRequestFailed(
            f"Blender refused {operation} of {self._object or 'nothing'}: {error['cause']}",
            consequence="nothing of this request was kept; the process goes on",
            remedy=f"see {self._log.path} for the traceback",
        )


def _unavailable(cause: str, log_tail: str) -> BlenderUnavailable:
    return BlenderUnavailable(
        f"Blender cannot start ({cause}); last lines of its log:\n{log_tail}",
        consequence="nothing can be rendered on this machine",
        remedy=f"{install_command('render')} (Python {' or '.join(LINES.values())}), or name the Python of"
        " another environment as render.python; `pairbridge doctor` says what is missing",
    )
