"""Blender in another environment's Python: found, refused with what to do, and asked for pictures."""

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.blender.blender_errors import BlenderUnavailable
from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.interpreter import LINES, bpy_folder, interpreters_in, other_interpreter
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.manifest import build_manifest, write_manifest
from pairbridge.datagen.dataset.plan import make_plan
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec
from pairbridge.datagen.sourcing.sources import build_catalogue
from tests.datagen.blender.asset_files import write_lighting

VIEW = CameraSpec(azimuth_rad=0.5, elevation_rad=0.3, fov_x_rad=0.6)


def python_with(folder: Path, **versions: str | None) -> Path:
    """Something that answers as an interpreter with these packages does."""
    folder.mkdir(parents=True, exist_ok=True)
    package = folder / "bpy"
    (package / "5.2/datafiles/studiolights/world").mkdir(parents=True)
    found = {
        "python": "3.13.1",
        "versions": {"bpy": "5.2.3", "numpy": "2.5.0", "pydantic": "2.14.0"} | versions,
        "bpy_folders": [str(package)],
    }
    path = folder / "python"
    path.write_text(f"#!/bin/sh\necho '{json.dumps(found)}'\n")
    path.chmod(0o755)
    return path


def refusal(python: Path) -> BlenderUnavailable:
    with pytest.raises(BlenderUnavailable) as caught:
        other_interpreter(python)
    assert str(python) in caught.value.cause
    return caught.value


def test_an_interpreter_that_is_absent_or_no_python_is_refused_with_how_to_make_one(
    tmp_path: Path,
) -> None:
    not_python = tmp_path / "list"
    not_python.write_text("#!/bin/sh\necho nothing of use\n")
    not_python.chmod(0o755)
    for python, why in ((tmp_path / "absent", "No such file"), (not_python, "no Python that works")):
        refused = refusal(python)
        assert why in refused.cause
        assert "python3.13 -m venv" in refused.remedy
        assert "'bpy~=5.2.0' pydantic" in refused.remedy


def test_a_package_that_is_missing_there_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    python = python_with(tmp_path, bpy=None, pydantic=None)
    refused = refusal(python)
    assert "it lacks bpy, pydantic" in refused.cause
    assert refused.remedy == f"{python} -m pip install 'bpy~=5.2.0' pydantic"


@pytest.mark.parametrize("version", ["5.3.0", "4.2.1", "4.50.0"])
def test_a_line_of_blender_that_is_not_known_is_refused(tmp_path: Path, version: str) -> None:
    refused = refusal(python_with(tmp_path, bpy=version))
    assert f"its bpy is {version}" in refused.cause
    assert all(line in refused.cause for line in LINES)


def test_environments_beside_are_found_and_broken_ones_passed_over(tmp_path: Path) -> None:
    for name, version in (("good", "5.2.3"), ("old", "3.6.0")):
        (tmp_path / name / "lib/python3.13/site-packages/bpy").mkdir(parents=True)
        python_with(tmp_path / name / "bin", bpy=version)
    assert [one.executable for one in interpreters_in((tmp_path, tmp_path))] == [tmp_path / "good/bin/python"]


def test_a_dataset_records_the_blender_that_renders_not_its_path_and_refuses_another(tmp_path: Path) -> None:
    recipes = {"removal": {"kind": "photo_removal", "groups": {"train": 1}}}

    def manifest_of(python: Path | None):
        config = DatasetConfig(name="d", recipes=recipes, render={"python": python})
        return build_manifest(make_plan(config, build_catalogue(config.assets, None)))

    ours, other = manifest_of(None), manifest_of(python_with(tmp_path / "a", bpy="5.2.1"))
    assert other.versions["bpy"] == "5.2.1"
    # Neither the configuration nor the plan depends on where the renderer is.
    assert (other.config, other.plan_digest) == (ours.config, ours.plan_digest)
    assert manifest_of(python_with(tmp_path / "b", bpy="5.2.1")) == other
    (tmp_path / "out").mkdir()
    write_manifest(tmp_path / "out", other)
    with pytest.raises(ConfigError, match=r"versions\.bpy"):
        write_manifest(tmp_path / "out", manifest_of(python_with(tmp_path / "c", bpy="4.5.1")))


@pytest.mark.render
def test_the_embedded_hdris_come_with_the_bpy_that_renders(tmp_path: Path) -> None:
    there = build_catalogue(AssetsConfig(), None, bpy_folder=bpy_folder(Path(sys.executable)))
    assert there.digest == build_catalogue(AssetsConfig(), None).digest
    # One without them brings none, whatever this environment has.
    with pytest.raises(Exception, match=r"\.exr"):
        build_catalogue(AssetsConfig(), None, bpy_folder=bpy_folder(python_with(tmp_path)))


@pytest.fixture
def bare_environment(tmp_path: Path) -> Path:
    """The interpreter of an environment that has bpy, NumPy, pydantic and what those need, nothing else."""
    folder = tmp_path / "renderer"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [packages] = folder.glob("lib/python3*/site-packages")
    wanted = ["bpy", "numpy", "pydantic"]
    for name in wanted:
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another Python or system than this one
        for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            os.symlink(distribution.locate_file(top), packages / top)
        needed = [line for line in distribution.requires or () if "extra ==" not in line]
        wanted += [new for line in needed if (new := re.match(r"[\w.-]+", line)[0]) not in wanted]
    return folder / "bin" / "python"


@pytest.mark.render
def test_an_environment_without_pairbridge_and_opencv_renders_the_same_bits(
    tmp_path: Path, bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pairbridge", "cv2", "OpenEXR"):
        look = f"import importlib.util as u, sys; sys.exit(u.find_spec({name!r}) is not None)"
        subprocess.run([bare_environment, "-I", "-c", look], check=True)
    # What leads to this environment's packages is for this environment's Python.
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "numpy.py").write_text("raise ImportError('built for another Python')")
    write_lighting(tmp_path / "soft.exr", 1)
    made = []
    for python in (None, bare_environment):
        if python is not None:
            monkeypatch.setenv("PYTHONPATH", str(trap))
        with BlenderClient(
            RenderSettings(samples=4, python=python),
            scratch_dir=tmp_path,
            log_path=tmp_path / "blender.log",
            threads=1,
            # Its packages are links out of it, which the confinement does not follow.
            limits=ProcessLimits(confinement="off"),
        ) as blender:
            blender.load_object(ObjectSpec(family="mug", seed=1))
            blender.set_camera(VIEW, (24, 24))
            made.append(blender.render(environment_path=tmp_path / "soft.exr", seed=1))
    assert made[0].rgba.max() > 0
    assert made[0].rgba.tobytes() == made[1].rgba.tobytes()
    assert made[0].depth.tobytes() == made[1].depth.tobytes()
