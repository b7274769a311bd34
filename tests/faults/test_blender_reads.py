"""Files that the worker can read and its Blender process cannot: a fault of the machine, not of the file."""

import errno
import os

import cv2
import numpy as np
import pytest
from launching import Launcher
from one_process import made_in_one_process

from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.core.errors import FileUnreadable
from pairbridge.datagen.scene.specs import ObjectSpec
from tests.datagen.blender.asset_files import box_vertices, write_obj
from tests.support.tiny_rendered import tiny_config

pytestmark = pytest.mark.render

FOR_EVER = 10**6


def test_an_object_that_only_blender_cannot_read_is_tried_again_and_no_hole(assets, tmp_path, failing_files):
    config = tiny_config(assets, groups=1, groups_per_shard=1)
    faulty = failing_files.environment(
        assets / "objects" / "shape-", "R", at=1, times=FOR_EVER, how=errno.EIO, command="child/start.py"
    )
    assert made_in_one_process(config, tmp_path / "out", faulty) == (["unreadable"] * 2, [])


@pytest.mark.parametrize("name", ["box.mtl", "red.png"])
def test_a_file_beside_an_object_that_only_blender_cannot_read_is_named(
    tmp_path, failing_files, monkeypatch, name
):
    write_obj(tmp_path / "box.obj", box_vertices((1, 2, 3)), material="map_Kd red.png")
    cv2.imwrite(str(tmp_path / "red.png"), np.full((8, 8, 3), (0, 0, 255), np.uint8))
    (tmp_path / "scratch").mkdir()
    faulty = failing_files.environment(tmp_path / name, "R", at=1, times=FOR_EVER, how=errno.ESTALE)
    for variable, value in faulty.items():
        monkeypatch.setenv(variable, value)
    with (
        BlenderClient(
            RenderSettings(samples=4),
            scratch_dir=tmp_path / "scratch",
            log_path=tmp_path / "blender.log",
            threads=1,
            limits=ProcessLimits(),
        ) as blender,
        pytest.raises(FileUnreadable, match=rf"{name} cannot be read: {os.strerror(errno.ESTALE)}"),
    ):
        blender.load_object(ObjectSpec(path=tmp_path / "box.obj"))


@pytest.mark.long
def test_a_run_whose_blender_cannot_read_an_object_stops_by_name(
    assets, tmp_path, failing_files, monkeypatch
):
    """A driver with a Ray of its own, whose workers have the driver's environment."""
    launcher, out = Launcher(None), tmp_path / "out"
    faulty = failing_files.environment(
        assets / "objects" / "shape-", "R", at=1, times=FOR_EVER, how=errno.EIO, command="child/start.py"
    )
    for name, value in faulty.items():
        monkeypatch.setenv(name, value)
    config = tiny_config(assets, groups=2)
    assert launcher.run(config, out, limits={"unreadable_pause_s": 0.01}) == 1
    assert "shape-" in launcher.log(out)
    assert "cannot be read: Input/output error" in launcher.log(out)
    assert (out / "quarantine.jsonl").read_bytes() == b""
