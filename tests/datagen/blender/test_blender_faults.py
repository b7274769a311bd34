"""Broken files, and a Blender that dies or hangs: real signals to the real process."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from pairbridge.datagen.blender import process as log_module
from pairbridge.datagen.blender.blender_errors import (
    BlenderCrashed,
    BlenderRequestFailed,
    BlenderTimedOut,
    BlenderUnavailable,
)
from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.core.errors import AssetError, FileUnreadable
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec
from tests.datagen.blender.asset_files import box_vertices, gltf_of_two_boxes, write_obj

pytestmark = pytest.mark.render

VIEW = CameraSpec(azimuth_rad=0.6, elevation_rad=0.4, fov_x_rad=0.7)


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """An OBJ whose materials are a pipe that nobody writes to: Blender never ends loading it."""
    write_obj(tmp_path / "endless.obj", box_vertices((1, 1, 1)), material="Kd 1 0 0")
    (tmp_path / "endless.mtl").unlink()
    os.mkfifo(tmp_path / "endless.mtl")
    return tmp_path / "endless.obj"


def broken_file(name: str, folder: Path, files: Path) -> Path:
    path = folder / name
    whole = (files / "two.glb").read_bytes()
    match path.stem:
        case "empty":
            path.write_bytes(b"")
        case "truncated":
            path.write_bytes(whole[: len(whole) // 2])
        case "garbage":
            path.write_bytes(bytes(range(256)) * 20)
        case "no-faces":
            write_obj(path, box_vertices((1, 1, 1)), faces=())
        case "not-finite":
            # Importers set NaN coordinates to 0; two nested scales of 1e30 are beyond any float.
            gltf, binary = gltf_of_two_boxes("buffer.bin")
            (folder / "buffer.bin").write_bytes(binary)
            gltf["scenes"][0]["nodes"] = [0]
            gltf["nodes"][0] |= {"scale": [1e30] * 3, "children": [1]}
            gltf["nodes"][1]["scale"] = [1e30] * 3
            path.write_text(json.dumps(gltf))
        case "immense":
            write_obj(path, box_vertices((1e30, 1e30, 1e30)))
        case "a-point":
            write_obj(path, box_vertices((0, 0, 0)))
        case "a-needle":
            write_obj(path, box_vertices((1, 0, 0)))
        case "nan":
            write_obj(path, box_vertices((1, np.nan, 1)))
        case "no-texture":
            write_obj(path, box_vertices((1, 1, 1)), material="map_Kd gone.png")
        case "bad-texture":
            (folder / "bad.png").write_bytes(b"not a picture")
            write_obj(path, box_vertices((1, 1, 1)), material="map_Kd bad.png")
        case "no-buffer":
            path.write_text(json.dumps(gltf_of_two_boxes("gone.bin")[0]))
        case "unknown":
            path.write_bytes(whole)
    return path


@pytest.mark.parametrize(
    ("name", "fault", "cause"),
    [
        ("missing.glb", "missing", "no such file"),
        ("empty.glb", "empty_file", "empty"),
        ("truncated.glb", "truncated", "it ends after"),
        ("garbage.glb", "wrong_suffix", "contents are not those of a .glb file"),
        ("garbage.gltf", "wrong_suffix", "contents are not those of a .gltf file"),
        ("garbage.obj", "wrong_suffix", "contents are not those of a .obj file"),
        ("no-faces.obj", "no_geometry", "8 vertices and 0 faces"),
        ("not-finite.gltf", "not_finite", "not finite"),
        ("nan.obj", "not_finite", "not finite"),
        ("immense.obj", "size", r"radius is 8\.\d+e\+29"),
        ("a-point.obj", "zero_area", "no area"),
        ("a-needle.obj", "zero_area", "no area"),
        ("no-texture.obj", "missing_texture", r"gone\.png is missing"),
        ("bad-texture.obj", "missing_texture", r"bad\.png is damaged"),
        ("no-buffer.gltf", "missing_buffer", r"its buffer gone\.bin is missing"),
        ("unknown.fbx", "wrong_suffix", "it is a binary glTF"),
        ("unknown.max", "unknown_format", r"\.max is no format"),
    ],
)
def test_a_broken_object_is_named_with_its_cause_and_the_process_goes_on(
    blender: BlenderClient, files: Path, tmp_path: Path, name: str, fault: str, cause: str
) -> None:
    blender.load_object(ObjectSpec(path=files / "box.obj"))
    pid = blender.pid
    path = broken_file(name, tmp_path, files)
    with pytest.raises(AssetError, match=cause) as caught:
        blender.load_object(ObjectSpec(path=path))
    assert f"object {tmp_path.name}/{name}" in caught.value.cause
    # What ends in a dataset's records holds no folder of the machine.
    assert str(tmp_path) not in caught.value.cause
    assert caught.value.fault == fault
    with pytest.raises(BlenderRequestFailed, match="no scene is loaded"):
        blender.set_camera(VIEW, (32, 32))
    blender.load_object(ObjectSpec(path=files / "box.obj"))
    assert blender.pid == pid


@pytest.mark.parametrize("content", [b"", b"v/1\x01 nothing", None])
def test_a_broken_lighting_is_named_and_the_next_one_is_used(
    blender: BlenderClient, files: Path, tmp_path: Path, content: bytes | None
) -> None:
    blender.load_object(ObjectSpec(path=files / "box.obj"))
    blender.set_camera(VIEW, (32, 32))
    expected = blender.render(environment_path=files / "soft.exr", seed=1)
    broken = tmp_path / "broken.exr"
    if content is not None:
        broken.write_bytes(content)
    # A file that is not there may be back in a moment.
    with pytest.raises(FileUnreadable if content is None else AssetError, match=r"broken\.exr"):
        blender.render(environment_path=broken, seed=1)
    again = blender.render(environment_path=files / "soft.exr", seed=1)
    assert again.rgba.tobytes() == expected.rgba.tobytes()


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL", "SIGABRT", "SIGBUS"])
def test_a_signal_during_a_load_is_reported_by_name_and_the_next_load_gets_a_new_process(
    blender: BlenderClient, files: Path, endless: Path, name: str
) -> None:
    blender.load_object(ObjectSpec(path=files / "box.obj"))
    pid = blender.pid
    killer = threading.Timer(0.3, os.kill, (pid, getattr(signal, name)))
    killer.start()
    with pytest.raises(BlenderCrashed) as caught:
        blender.load_object(ObjectSpec(path=endless))
    killer.join()
    # Blender that has mapped a file, as 5.2 has from the start, catches SIGBUS, says so and aborts.
    caught_it = name == "SIGBUS" and "Unhandled SIGBUS caught" in caught.value.log_tail
    assert (caught.value.signal, caught.value.phase) == ("SIGABRT" if caught_it else name, "load_scene")
    assert ("scene is the likely cause" in caught.value.consequence) == (name != "SIGKILL")
    assert not psutil.pid_exists(pid)
    blender.load_object(ObjectSpec(path=files / "box.obj"))
    assert blender.pid != pid


def test_after_a_crash_a_render_says_that_the_object_is_gone(blender: BlenderClient, files: Path) -> None:
    blender.load_object(ObjectSpec(path=files / "box.obj"))
    blender.set_camera(VIEW, (32, 32))
    os.kill(blender.pid, signal.SIGSEGV)
    with pytest.raises(BlenderCrashed):
        blender.render(environment_path=files / "soft.exr", seed=1)
    with pytest.raises(BlenderRequestFailed, match="no scene is loaded"):
        blender.render(environment_path=files / "soft.exr", seed=1)


def test_a_hang_and_a_stopped_process_time_out_and_leave_nothing_running(
    open_client: Callable[..., BlenderClient], files: Path, endless: Path
) -> None:
    client = open_client(limits=ProcessLimits(request_timeout_s=2.0))
    client.load_object(ObjectSpec(path=files / "box.obj"))
    hanging = client.pid
    with pytest.raises(BlenderTimedOut, match="load_scene within 2 s"):
        client.load_object(ObjectSpec(path=endless))
    client.load_object(ObjectSpec(path=files / "box.obj"))
    stopped = client.pid
    os.kill(stopped, signal.SIGSTOP)
    with pytest.raises(BlenderTimedOut, match="set_camera within 2 s"):
        client.set_camera(VIEW, (32, 32))
    assert not psutil.pid_exists(hanging)
    assert not psutil.pid_exists(stopped)
    client.load_object(ObjectSpec(path=files / "box.obj"))


def test_a_render_has_time_for_its_samples_and_a_scene_for_its_objects(
    open_client: Callable[..., BlenderClient], files: Path
) -> None:
    limits = ProcessLimits(request_timeout_s=2.0, megasample_timeout_s=20.0)
    assert limits.timeout_s(objects=5) == 10.0
    client = open_client(RenderSettings(samples=50), limits=limits)
    client.load_object(ObjectSpec(path=files / "box.obj"))
    client.set_camera(VIEW, (40, 25))
    os.kill(client.pid, signal.SIGSTOP)
    with pytest.raises(BlenderTimedOut, match="render within 3 s"):
        client.render(environment_path=files / "soft.exr", seed=1)


def test_blender_dies_with_a_killed_parent_even_while_it_is_busy(
    files: Path, endless: Path, tmp_path: Path
) -> None:
    command = [sys.executable, str(Path(__file__).with_name("short_lived_parent.py"))]
    command += [str(tmp_path), str(files / "box.obj"), str(endless)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        time.sleep(0.5)
        assert child.is_running()
        parent.kill()
    child.wait(timeout=5)


def test_close_ends_the_process_and_removes_its_folders(
    open_client: Callable[..., BlenderClient], files: Path, tmp_path: Path
) -> None:
    with BlenderClient(
        RenderSettings(), scratch_dir=tmp_path, log_path=tmp_path / "log", threads=1, limits=ProcessLimits()
    ) as client:
        client.load_object(ObjectSpec(path=files / "box.obj"))
        pid, open_files = client.pid, len(os.listdir("/proc/self/fd"))
        assert list(tmp_path.glob("blender-*"))
    assert not psutil.pid_exists(pid)
    assert not list(tmp_path.glob("blender-*"))
    assert len(os.listdir("/proc/self/fd")) == open_files - 3


def test_a_process_that_has_grown_is_replaced_between_objects(
    open_client: Callable[..., BlenderClient], files: Path
) -> None:
    client = open_client(limits=ProcessLimits(recycle_rss_mib=1))
    client.load_object(ObjectSpec(path=files / "box.obj"))
    first = client.pid
    client.set_camera(VIEW, (32, 32))
    assert client.pid == first
    client.load_object(ObjectSpec(path=files / "box.obj"))
    assert client.pid != first


def test_a_requested_device_that_is_missing_is_an_error_and_not_a_slow_render(
    open_client: Callable[..., BlenderClient], files: Path
) -> None:
    client = open_client(RenderSettings(device="metal"))
    with pytest.raises(BlenderUnavailable, match="'metal'") as caught:
        client.load_object(ObjectSpec(path=files / "box.obj"))
    assert "set render.device to cpu" in caught.value.remedy
    assert client.pid is None


def test_a_bpy_that_cannot_be_imported_points_to_the_doctor(
    open_client: Callable[..., BlenderClient], files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bpy.py").write_text("raise ImportError('libXrender.so.1: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(BlenderUnavailable, match=r"libXrender\.so\.1") as caught:
        open_client().load_object(ObjectSpec(path=files / "box.obj"))
    assert "pairbridge doctor" in caught.value.remedy


def test_the_log_is_cut_between_objects_and_keeps_its_tail(
    open_client: Callable[..., BlenderClient], files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "LIMIT_BYTES", 50_000)
    log = tmp_path / "log"
    log.write_text("x" * 60_000 + "\nlast words\n")
    with BlenderClient(
        RenderSettings(), scratch_dir=tmp_path, log_path=log, threads=1, limits=ProcessLimits()
    ) as client:
        client.load_object(ObjectSpec(path=files / "box.obj"))
    assert log.stat().st_size < 50_000
    assert "last words" in log.read_text()
