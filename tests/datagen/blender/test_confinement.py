"""Blender's process reads its objects' folders, writes its scratch folder, and reaches nothing else."""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.assets.object_rules import AddonConfig
from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.confinement import Grants
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec, PlacedObject, SceneSpec
from tests.datagen.blender.asset_files import box_vertices, write_obj

pytestmark = pytest.mark.render

VIEW = CameraSpec(azimuth_rad=0.6, elevation_rad=0.9, fov_x_rad=0.7)
# Each by its fault, or by None where it loads without what it reached for.
ATTACKS = {
    "map-above.obj": "missing_texture",
    "map-absolute.obj": "missing_texture",
    "map-etc.obj": "missing_texture",
    "library-above.obj": "missing_material",
    "image-above.gltf": "missing_texture",
    "image-encoded.gltf": "missing_texture",
    "buffer-above.gltf": "missing_buffer",
    "reference.usda": None,
    "payload.usda": None,
    "sublayer.usda": None,
    "script.blend": "script",
    "driver.blend": "script",
    "picture.blend": "missing_texture",
    "library.blend": "missing_library",
    "nodes.blend": None,
}


@pytest.fixture(scope="module")
def attacks(written_by: Callable[[str], Path]) -> Path:
    """What write_attacks.py writes."""
    return written_by("write_attacks.py")


@pytest.fixture(scope="module")
def confined(open_client: Callable[..., BlenderClient], attacks: Path) -> BlenderClient:
    return open_client(object_folders=(attacks / "objects",))


def seen(client: BlenderClient, path: Path, lighting: Path) -> tuple[int, np.ndarray]:
    """Faces of an object, and the albedo (N, 3) of the pixels that show it."""
    info = client.load_object(ObjectSpec(path=path))
    client.set_camera(VIEW, (24, 24))
    passes = client.render(environment_path=lighting, seed=1)
    return info.num_faces, passes.albedo[passes.rgba[..., 3] > 0.99]


@pytest.mark.parametrize("name", ATTACKS)
def test_a_file_that_reaches_beyond_its_folder_leaves_no_trace_and_gets_no_byte_into_a_picture(
    confined: BlenderClient, attacks: Path, name: str
) -> None:
    before = sorted(attacks.rglob("*"))
    path = attacks / "objects" / "it" / name
    if ATTACKS[name] is None:
        num_faces, albedo = seen(confined, path, attacks / "soft.exr")
        assert num_faces == 1
        assert np.ptp(albedo, axis=1).max() < 0.01, "it is not grey"
    else:
        with pytest.raises(AssetError) as caught:
            confined.load_object(ObjectSpec(path=path))
        assert caught.value.fault == ATTACKS[name]
    assert sorted(attacks.rglob("*")) == before


@pytest.mark.parametrize(
    "name", ["map-above.obj", "library-above.obj", "image-encoded.gltf", "payload.usda", "nodes.blend"]
)
def test_the_same_files_show_what_they_reach_for_where_nothing_confines_the_process(
    unconfined: BlenderClient, attacks: Path, name: str
) -> None:
    """The attacks above are real ones."""
    num_faces, albedo = seen(unconfined, attacks / "objects" / "it" / name, attacks / "soft.exr")
    assert num_faces == 25 or np.ptp(albedo, axis=1).min() > 0.9


@pytest.fixture(scope="module")
def unconfined(open_client: Callable[..., BlenderClient]) -> BlenderClient:
    return open_client(limits=ProcessLimits(confinement="off"))


def test_what_lies_in_the_same_source_folder_is_read_above_the_file_too(
    confined: BlenderClient, attacks: Path
) -> None:
    (attacks / "objects" / "textures").mkdir()
    (attacks / "objects" / "textures" / "paint.png").write_bytes(
        (attacks / "secret" / "picture.png").read_bytes()
    )
    path = write_obj(
        attacks / "objects" / "it" / "textured.obj",
        box_vertices((1, 1, 1)),
        material="map_Kd ../textures/paint.png",
    )
    _, albedo = seen(confined, path, attacks / "soft.exr")
    assert np.ptp(albedo, axis=1).min() > 0.9


def test_a_blend_that_links_to_a_library_of_its_own_folder_shows_it(
    open_client: Callable[..., BlenderClient], attacks: Path
) -> None:
    client = open_client(object_folders=(attacks,))
    num_faces, _ = seen(client, attacks / "objects" / "it" / "library.blend", attacks / "soft.exr")
    assert num_faces == 25


def test_an_object_from_elsewhere_gets_a_process_that_reads_its_own_folder_alone(
    open_client: Callable[..., BlenderClient], attacks: Path, tmp_path: Path
) -> None:
    client = open_client(object_folders=())
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "paint.mtl").write_bytes((attacks / "secret" / "paint.mtl").read_bytes())
    first = write_obj(tmp_path / "a" / "box.obj", box_vertices((1, 1, 1)))
    second = tmp_path / "b" / "box.obj"
    second.write_text("mtllib ../a/paint.mtl\nusemtl paint\n" + first.read_text())
    client.load_object(ObjectSpec(path=first))
    with pytest.raises(AssetError, match="paint"):
        client.load_object(ObjectSpec(path=second))
    # Both at once may see each other's folder.
    scene = SceneSpec(objects=tuple(PlacedObject(object=ObjectSpec(path=path)) for path in (first, second)))
    assert len(client.load_scene(scene)) == 2


def test_a_link_to_an_object_is_followed(
    open_client: Callable[..., BlenderClient], attacks: Path, tmp_path: Path
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "objects").mkdir()
    target = write_obj(tmp_path / "store" / "box.obj", box_vertices((1, 1, 1)), material="Kd 1 0 1")
    (tmp_path / "objects" / "box.obj").symlink_to(target)
    (tmp_path / "objects" / "box.mtl").symlink_to(target.with_suffix(".mtl"))
    client = open_client(object_folders=(tmp_path / "objects",))
    _, albedo = seen(client, tmp_path / "objects" / "box.obj", attacks / "soft.exr")
    assert np.ptp(albedo, axis=1).min() > 0.9


def test_every_thread_of_the_process_is_confined(confined: BlenderClient, attacks: Path) -> None:
    seen(confined, write_obj(attacks / "objects" / "box.obj", box_vertices((1, 1, 1))), attacks / "soft.exr")
    tasks = sorted(Path(f"/proc/{confined.pid}/task").iterdir())
    assert len(tasks) > 1, "TBB has threads of its own"
    for task in tasks:
        status = (task / "status").read_text()
        # Landlock needs the first and is asked for in the same breath; 2 is a filter.
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status


# What the add-on below tries, as expressions of Python; each must raise an OSError of this number.
TRIED = {
    "open({outside!r} + '/new', 'w')": errno.EACCES,
    "open({outside!r} + '/mine', 'a')": errno.EACCES,
    "open({outside!r} + '/mine')": errno.EACCES,
    "open('/etc/passwd')": errno.EACCES,
    "os.remove({outside!r} + '/mine')": errno.EACCES,
    "os.rename({outside!r} + '/mine', {outside!r} + '/yours')": errno.EACCES,
    "os.mkdir({outside!r} + '/folder')": errno.EACCES,
    "os.symlink('mine', {outside!r} + '/link')": errno.EACCES,
    "os.truncate({outside!r} + '/mine', 0)": errno.EPERM,
    "os.chmod({outside!r} + '/mine', 0o777)": errno.EPERM,
    "os.utime({outside!r} + '/mine', (0, 0))": errno.EPERM,
    "os.kill({parent}, 0)": errno.EPERM,
    "socket.create_connection(('127.0.0.1', {port}), 1)": errno.EPERM,
    "socket.socket(socket.AF_UNIX).connect('/run/docker.sock')": errno.EPERM,
    "os.execv('/bin/true', ['true'])": errno.EPERM,
    "subprocess.run(['true'])": errno.EPERM,
}


def test_code_in_the_process_writes_its_scratch_folder_and_reaches_no_file_network_or_program(
    open_client: Callable[..., BlenderClient], attacks: Path, tmp_path: Path
) -> None:
    """The code is an add-on's, in its main thread and in one that it starts: as far as hostile code could
    get."""
    outside, addon = tmp_path / "outside", tmp_path / "probe.py"
    outside.mkdir()
    (outside / "mine").write_text("kept")
    with socket.create_server(("127.0.0.1", 0)) as server:
        facts = {"outside": str(outside), "parent": os.getpid(), "port": server.getsockname()[1]}
        lines = [f"    tried({expression.format(**facts)!r})" for expression in TRIED]
        addon.write_text(PROBE.replace("    tried(...)", "\n".join(lines)))
        client = open_client(addons=(AddonConfig(path=addon),), object_folders=())
        client.load_object(ObjectSpec(family="chair", seed=1))
    log = client._log.path.read_text()
    for expression, number in TRIED.items():
        line = f"{expression.format(**facts)} -> {number}\n"
        assert log.count(line) == 2, f"{line}{log[-4000:]}"
    assert log.count("scratch -> written") == 2
    assert [path.name for path in outside.iterdir()] == ["mine"]
    assert (outside / "mine").read_text() == "kept"


PROBE = """
import os, socket, subprocess, tempfile, threading

def tried(expression):
    try:
        eval(expression)
        print(expression, "-> done", flush=True)
    except OSError as error:
        print(expression, "->", error.errno, flush=True)

def probe():
    tried(...)
    with tempfile.NamedTemporaryFile() as stream:
        stream.write(b"x")
        print("scratch -> written", flush=True)

def register():
    if not hasattr(os, "probed"):
        os.probed = True
        probe()
        thread = threading.Thread(target=probe)
        thread.start()
        thread.join()

def unregister():
    pass
"""


def test_a_process_whose_threads_run_already_is_not_called_confined() -> None:
    code = (
        "import threading; from pairbridge.datagen.blender.confinement import Grants, confine\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "confine(Grants())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "confine before they start" in done.stderr


def test_grants_travel_as_they_are(tmp_path: Path) -> None:
    grants = Grants(read=("/a b", "/ü"), write=("/c",), drive=("/dev/nvidia0",))
    grants.write_to(tmp_path / "grants.json")
    assert Grants.read_from(tmp_path / "grants.json") == grants
