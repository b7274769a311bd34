"""A Blender process shared by the tests of one module, and the files they load."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.render_settings import RenderSettings
from tests.datagen.blender.asset_files import box_vertices, write_glb, write_lighting, write_obj

SETTINGS = RenderSettings(samples=16)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with box.obj, two.glb, soft.exr and sunny.exr."""
    folder = tmp_path_factory.mktemp("assets")
    write_obj(folder / "box.obj", box_vertices((3, 1, 2)), material="Kd 0.5 0.5 0.5\nKs 0 0 0")
    write_glb(folder / "two.glb")
    write_lighting(folder / "soft.exr", 1)
    write_lighting(folder / "sunny.exr", 2, sun=500.0)
    return folder


@pytest.fixture(scope="session")
def written_by(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A new folder with soft.exr and what a script of this room writes with a Blender of its own."""

    def run(script: str) -> Path:
        folder = tmp_path_factory.mktemp(Path(script).stem)
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name(script)), str(folder)],
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.stdout.rstrip().endswith("written"), done.stderr[-3000:]
        write_lighting(folder / "soft.exr", 1)
        return folder

    return run


@pytest.fixture(scope="session")
def written(written_by: Callable[[str], Path]) -> Path:
    """What write_formats.py writes."""
    return written_by("write_formats.py")


@pytest.fixture(scope="module")
def open_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., BlenderClient]]:
    """A factory of clients that all end with the module."""
    opened = []

    def factory(settings: RenderSettings = SETTINGS, **options) -> BlenderClient:
        folder = tmp_path_factory.mktemp("worker")
        options = {"threads": 1, "limits": ProcessLimits()} | options
        # Tests have folders of their own below this one: with it, none needs a process of its own.
        options = {"object_folders": (tmp_path_factory.getbasetemp(),)} | options
        opened.append(BlenderClient(settings, scratch_dir=folder, log_path=folder / "blender.log", **options))
        return opened[-1]

    yield factory
    for client in opened:
        client.close()


@pytest.fixture(scope="module")
def blender(open_client: Callable[..., BlenderClient]) -> BlenderClient:
    return open_client()
