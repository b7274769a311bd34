"""The Blender child process itself: its start, its pipes, its shared image, its folders, its log, its end.

It is its own process group, so that a hang ends with everything it started; it dies with the thread that
started it (PR_SET_PDEATHSIG), and when its request pipe closes.
"""

import contextlib
import dataclasses
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pairbridge.datagen.assets.object_rules import AddonConfig, ObjectRules
from pairbridge.datagen.blender.confinement import Grants
from pairbridge.datagen.blender.interpreter import command_of, environment_of
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.blender.wire import decode_line, encode_line

TAIL_BYTES = 2000

# Cycles prints some twenty lines a render; a million renders would fill a disk.
LIMIT_BYTES = 16 << 20


class Hung(Exception):
    """No reply came in time; the process still runs."""


class Died(Exception):
    """The reply pipe closed: the process ended, or is about to."""


class BlenderProcess:
    """The process, its two pipes, its shared image and its folders."""

    def __init__(
        self,
        settings: RenderSettings,
        scratch_dir: Path,
        log_path: Path,
        threads: int,
        object_rules: ObjectRules,
        addons: Sequence[AddonConfig],
        grants: Grants | None,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="blender-", dir=scratch_dir))
        # What is handed over is read there, and only there: it may be a link to a file that others use.
        self._given = self._folder / "given"
        for place in (self._folder / "user", self._folder / "scratch", self._given):
            place.mkdir()
        self._environment: tuple[Path, Path] | None = None
        self._num_environments = 0
        self._image_fd = os.memfd_create("pairbridge-image")
        self.image_path = f"/proc/self/fd/{self._image_fd}"
        requests_read, self._requests_fd = os.pipe()
        self._replies_fd, replies_write = os.pipe()
        self._buffer = b""
        # A user's own preferences would change results; temporary files go where we remove them.
        environment = environment_of(settings.python) | {
            "BLENDER_USER_RESOURCES": str(self._folder / "user"),
            "TMPDIR": str(self._folder / "scratch"),
        }
        command = [
            *command_of(settings.python),
            "--requests-fd",
            str(requests_read),
            "--replies-fd",
            str(replies_write),
        ]
        command += ["--image-fd", str(self._image_fd), "--parent-pid", str(os.getpid())]
        command += ["--threads", str(threads), "--settings", settings.model_dump_json()]
        command += ["--object-rules", object_rules.model_dump_json()]
        for addon in addons:
            command += ["--addon", addon.model_dump_json()]
        if grants is not None:
            path = self._folder / "grants.json"
            dataclasses.replace(
                grants,
                read=(*grants.read, str(self._given)),
                write=(*grants.write, str(self._folder / "user"), str(self._folder / "scratch")),
            ).write_to(path)
            command += ["--grants", str(path)]
        try:
            with open(log_path, "ab") as log:
                self._process = subprocess.Popen(
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

    @property
    def pid(self) -> int:
        """Process id, and process group id."""
        return self._process.pid

    def send(self, message: dict[str, Any]) -> None:
        """Hand over a request. Raises Died if nobody reads it."""
        # An answer that fails to be written must not leave the previous image to be read.
        os.ftruncate(self._image_fd, 0)
        line = memoryview(encode_line(message))
        try:
            while line:
                line = line[os.write(self._requests_fd, line) :]
        except BrokenPipeError:
            raise Died from None

    def receive(self, timeout_s: float) -> dict[str, Any]:
        """The next reply. Raises Hung after `timeout_s`, Died when none will come."""
        deadline_s = time.monotonic() + timeout_s
        poller = select.poll()
        poller.register(self._replies_fd, select.POLLIN)
        while b"\n" not in self._buffer:
            left_ms = 1000 * (deadline_s - time.monotonic())
            if left_ms <= 0 or not poller.poll(left_ms):
                raise Hung
            data = os.read(self._replies_fd, 1 << 16)
            if not data:
                raise Died
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return decode_line(line)

    def hand_over(self, environment_path: Path) -> Path:
        """Where the process reads this environment map, for it sees no folder of such. Raises OSError."""
        if self._environment is None or self._environment[0] != environment_path:
            # Another folder each time: Blender keeps the image of a path that it is given again.
            self._num_environments += 1
            folder = self._given / str(self._num_environments)
            folder.mkdir()
            inside = folder / environment_path.name
            whole = environment_path.resolve(strict=True)
            try:
                os.link(whole, inside)
            except OSError:  # another file system, one without hard links, or a file of somebody else's
                shutil.copyfile(whole, inside)
            if self._environment is not None:
                shutil.rmtree(self._environment[1].parent)
            self._environment = environment_path, inside
        return self._environment[1]

    def rss_mib(self) -> int:
        """Resident memory now."""
        resident_pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return resident_pages * os.sysconf("SC_PAGE_SIZE") >> 20

    def cause_of_death(self) -> str:
        """The signal's name or "exit N". The pipe closes a moment before the process can be waited for."""
        try:
            code = self._process.wait(10)
        except subprocess.TimeoutExpired:
            return "a closed pipe while it lives"
        return signal.Signals(-code).name if code < 0 else f"exit {code}"

    def end(self) -> None:
        """Close the request pipe, which ends an idle process; `kill` it if it is not gone within a second."""
        os.close(self._requests_fd)
        self._requests_fd = -1
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self.kill()

    def kill(self) -> None:
        """Kill the group if it lives, reap it, give back its pipes, memory and folders. Call it once."""
        # Once it is reaped, its id may belong to somebody else.
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._release()

    def _release(self) -> None:
        for fd in (self._requests_fd, self._replies_fd, self._image_fd):
            if fd >= 0:
                os.close(fd)
        shutil.rmtree(self._folder, ignore_errors=True)


class BlenderLog:
    """The file that takes what Blender prints, beside what its worker appends there: its tail is read, and it
    is kept short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self) -> int:
        """Bytes now, 0 before the first line."""
        return self.path.stat().st_size if self.path.exists() else 0

    def tail(self, since: int) -> str:
        """The last lines of what was written after the first `since` bytes."""
        with open(self.path, "rb") as stream:
            stream.seek(max(since, self.size() - TAIL_BYTES))
            return stream.read().decode(errors="replace").strip() or "(it printed nothing)"

    def limit(self) -> None:
        """Cut the file to its tail when it is longer than LIMIT_BYTES; writers append, so it may shrink."""
        if self.size() > LIMIT_BYTES:
            tail = self.tail(0)
            os.truncate(self.path, 0)
            with open(self.path, "a") as stream:
                stream.write(f"(older lines were dropped at {LIMIT_BYTES} bytes)\n{tail}\n")
