"""One Blender process of one worker: started lazily, asked one thing at a time, killed and replaced when
needed.

The process is its own process group, so that a hang ends with everything it started; it dies with the
thread that started it (PR_SET_PDEATHSIG), and when its request pipe closes. Use a client from one thread
that outlives it.
"""

import contextlib
import dataclasses
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import datagen
from datagen.blender.errors import (
    BlenderCrashed,
    BlenderRequestFailed,
    BlenderTimedOut,
    BlenderUnavailable,
)
from datagen.blender.exr import read_passes, read_radiance
from datagen.blender.panorama import join, plan_panorama
from datagen.blender.protocol import (
    CameraPose,
    CameraSpec,
    ObjectInfo,
    ObjectSpec,
    RenderedPasses,
    SkySpec,
    decode_line,
    encode_line,
    from_json,
)
from datagen.blender.settings import RenderSettings
from datagen.environment import write_exr
from datagen.errors import AssetError

LOG_TAIL_BYTES = 2000

# Cycles prints some twenty lines a render; a million renders would fill a disk. Checked between objects.
LOG_LIMIT_BYTES = 16 << 20


class BlenderClient:
    """Requests to a Blender child process. A context manager; no process runs before the first request.

    Every request raises BlenderTimedOut after `request_timeout_s`, BlenderCrashed when the process dies,
    AssetError when a file is broken, BlenderUnavailable when bpy or the requested GPU is missing,
    BlenderRequestFailed for anything else that Blender refuses. After a time-out or a crash the next
    `load_object` or `bake_sky` starts a fresh process; `load_object` also does once the process has grown
    past `recycle_rss_mib`.

    `scratch_dir` takes Blender's temporary and preference folders, removed at the end of each process; the
    caller removes what is left after a kill of the worker itself. `log_path` is appended to and cut at 16
    MiB.
    """

    def __init__(
        self,
        settings: RenderSettings,
        *,
        scratch_dir: Path,
        log_path: Path,
        threads: int,
        request_timeout_s: float,
        start_timeout_s: float = 60,
        recycle_rss_mib: int = 4096,
    ) -> None:
        self._settings = settings
        self._scratch_dir = Path(scratch_dir)
        self._log_path = Path(log_path)
        self._threads = threads
        self._request_timeout_s = request_timeout_s
        self._start_timeout_s = start_timeout_s
        self._recycle_rss_mib = recycle_rss_mib
        self._child: _Child | None = None
        self._object: str | None = None

    def __enter__(self) -> "BlenderClient":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process (and process group) id of the running child."""
        return self._child.process.pid if self._child else None

    def load_object(self, obj: ObjectSpec) -> ObjectInfo:
        """Replace the scene by `obj`, scaled to the unit bounding sphere at the origin; forgets the camera.

        The sphere is centred on the bounding box. Lights, cameras and animation of a file are dropped.
        Raises AssetError for a file that is missing, unreadable or without finite visible geometry, or
        whose images are.
        """
        if self._child and self._child.rss_mib() > self._recycle_rss_mib:
            self.close()
        self._limit_log()
        self._object = obj.name
        return from_json(ObjectInfo, self._request("load_object", obj=dataclasses.asdict(obj)))

    def set_camera(self, camera: CameraSpec, size_WH: tuple[int, int]) -> CameraPose:
        """Place the camera for the loaded object and set the size of the next renders, in pixels."""
        reply = self._request("set_camera", camera=dataclasses.asdict(camera), size_WH=list(size_WH))
        return from_json(CameraPose, reply)

    def render(self, *, environment_path: Path, rotation_rad: float, seed: int) -> RenderedPasses:
        """The object alone, lit by the equirectangular image at `environment_path`, on transparent film.

        `seed` in [0, 2**31) is Cycles'. Equal requests give bit-equal arrays on a CPU, whatever was asked
        before; with equal seed, camera and object, alpha, depth and normal are bit-equal under every
        lighting.
        """
        start_s = time.perf_counter()
        self._request(
            "render",
            environment_path=str(environment_path),
            rotation_rad=rotation_rad,
            seed=seed,
            film="transparent",
        )
        return read_passes(self._child.image_path, start_s)

    def render_opaque(self, *, environment_path: Path, rotation_rad: float, seed: int):
        """The object in front of the visible environment: (H, W, 3) float32 linear, as Cycles sees it.

        The truth that a composite of `render` over a resampled background is measured against.
        """
        self._request(
            "render",
            environment_path=str(environment_path),
            rotation_rad=rotation_rad,
            seed=seed,
            film="opaque",
        )
        return read_radiance(self._child.image_path)

    def bake_sky(self, sky: SkySpec, width: int, out_path: Path) -> None:
        """Write `sky` as an equirectangular EXR of `width` x `width`/2 float32, linear; equal skies, equal
        bytes.

        The lower half is what the sky model gives below the horizon (black). Forgets the loaded object.
        """
        self._object = None
        plan = plan_panorama(sky, width)
        self._request("bake_sky", sky_spec=dataclasses.asdict(plan.sky), width=width)
        coarse = read_radiance(self._child.image_path)
        self._request("bake_sun", window=list(plan.window))
        write_exr(Path(out_path), join(plan, coarse, read_radiance(self._child.image_path)))

    def close(self) -> None:
        """End the process, politely for a second and then not."""
        if self._child:
            self._child.end()
            self._child = None

    def _request(self, operation: str, **arguments: Any) -> dict[str, Any]:
        if self._child is None:
            self._start()
        log_start = self._log_size()
        try:
            self._child.send({"operation": operation, **arguments})
            reply = self._child.receive(self._request_timeout_s)
        except _Hung:
            self._child.kill()
            self._child = None
            raise BlenderTimedOut(
                phase=operation, timeout_s=self._request_timeout_s, log_tail=self._log_tail(log_start)
            ) from None
        except _Died:
            cause = self._child.cause_of_death()
            self._child = None
            raise BlenderCrashed(signal=cause, phase=operation, log_tail=self._log_tail(log_start)) from None
        except BaseException:
            # Ctrl-C while waiting: the answer would be taken for the next request's.
            self._child.kill()
            self._child = None
            raise
        if "error" in reply:
            self._raise(operation, reply["error"])
        return reply["result"]

    def _start(self) -> None:
        log_start = self._log_size()
        self._child = _Child(self._settings, self._scratch_dir, self._log_path, self._threads)
        try:
            reply = self._child.receive(self._start_timeout_s)
        except _Hung:
            self._child.kill()
            self._child = None
            raise BlenderTimedOut(
                phase="start", timeout_s=self._start_timeout_s, log_tail=self._log_tail(log_start)
            ) from None
        except _Died:
            cause = self._child.cause_of_death()
            self._child = None
            if cause.startswith("SIG"):
                raise BlenderCrashed(
                    signal=cause, phase="start", log_tail=self._log_tail(log_start)
                ) from None
            raise BlenderUnavailable(
                f"Blender cannot start ({cause}); last lines of its log:\n{self._log_tail(log_start)}",
                consequence="nothing can be rendered on this machine",
                remedy="run `pairbridge doctor`: it names the missing package or system library",
            ) from None
        except BaseException:
            self._child.kill()
            self._child = None
            raise
        if "error" in reply:
            self.close()
            self._raise("start", reply["error"])

    def _raise(self, operation: str, error: dict[str, str]) -> None:
        kind = error.pop("kind")
        if kind == "asset":
            raise AssetError(**error)
        if kind == "unavailable":
            raise BlenderUnavailable(**error)
        raise BlenderRequestFailed(
            f"Blender refused {operation} of {self._object or 'no object'}: {error['cause']}",
            consequence="nothing of this request was kept; the process goes on",
            remedy=f"see {self._log_path} for the traceback",
        )

    def _log_size(self) -> int:
        return self._log_path.stat().st_size if self._log_path.exists() else 0

    def _log_tail(self, start: int) -> str:
        with open(self._log_path, "rb") as log:
            log.seek(max(start, self._log_size() - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace").strip() or "(it printed nothing)"

    def _limit_log(self) -> None:
        if self._log_size() > LOG_LIMIT_BYTES:
            # Writers append, so the file may shrink under them.
            tail = self._log_tail(0)
            os.truncate(self._log_path, 0)
            with open(self._log_path, "a") as log:
                log.write(f"(older lines were dropped at {LOG_LIMIT_BYTES} bytes)\n{tail}\n")


class _Hung(Exception):
    """No reply in time."""


class _Died(Exception):
    """The reply pipe closed."""


class _Child:
    """The process, its two pipes, its shared image and its folders."""

    def __init__(self, settings: RenderSettings, scratch_dir: Path, log_path: Path, threads: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="blender-", dir=scratch_dir))
        (self._folder / "user").mkdir()
        self._image_fd = os.memfd_create("pairbridge-image")
        self.image_path = f"/proc/self/fd/{self._image_fd}"
        requests_read, self._requests_fd = os.pipe()
        self._replies_fd, replies_write = os.pipe()
        self._buffer = b""
        # An empty preferences folder, because a user's own changes results; a temporary folder that we
        # remove.
        environment = os.environ | {
            "BLENDER_USER_RESOURCES": str(self._folder / "user"),
            "TMPDIR": str(self._folder),
            "PYTHONPATH": os.pathsep.join(
                [str(Path(datagen.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
            ).rstrip(os.pathsep),
        }
        command = [sys.executable, "-m", "datagen.blender.server"]
        command += ["--requests-fd", str(requests_read), "--replies-fd", str(replies_write)]
        command += ["--image-fd", str(self._image_fd), "--parent-pid", str(os.getpid())]
        command += ["--threads", str(threads), "--settings", settings.model_dump_json()]
        try:
            with open(log_path, "ab") as log:
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    pass_fds=(requests_read, replies_write, self._image_fd),
                    start_new_session=True,
                )
        except BaseException:
            os.close(requests_read)
            os.close(replies_write)
            self._release()
            raise
        os.close(requests_read)
        os.close(replies_write)

    def send(self, message: dict[str, Any]) -> None:
        # An answer that fails to be written must not leave the previous image to be read.
        os.ftruncate(self._image_fd, 0)
        line = memoryview(encode_line(message))
        try:
            while line:
                line = line[os.write(self._requests_fd, line) :]
        except BrokenPipeError:
            raise _Died from None

    def receive(self, timeout_s: float) -> dict[str, Any]:
        deadline_s = time.monotonic() + timeout_s
        poller = select.poll()
        poller.register(self._replies_fd, select.POLLIN)
        while b"\n" not in self._buffer:
            left_ms = 1000 * (deadline_s - time.monotonic())
            if left_ms <= 0 or not poller.poll(left_ms):
                raise _Hung
            data = os.read(self._replies_fd, 1 << 16)
            if not data:
                raise _Died
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return decode_line(line)

    def rss_mib(self) -> int:
        resident_pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return resident_pages * os.sysconf("SC_PAGE_SIZE") >> 20

    def cause_of_death(self) -> str:
        """The signal's name or "exit N". The pipe closes a moment before the process can be waited for."""
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            # It closed its pipe and lives: nothing but a kill ends that.
            self.kill()
            return "a closed pipe"
        self.kill()
        return signal.Signals(-code).name if code < 0 else f"exit {code}"

    def end(self) -> None:
        os.close(self._requests_fd)
        self._requests_fd = -1
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        self.kill()

    def kill(self) -> None:
        """Kill the whole group, reap the process, give back its memory and folders."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._release()

    def _release(self) -> None:
        for fd in (self._requests_fd, self._replies_fd, self._image_fd):
            if fd >= 0:
                os.close(fd)
        shutil.rmtree(self._folder, ignore_errors=True)
