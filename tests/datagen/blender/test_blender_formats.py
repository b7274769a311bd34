"""Objects in every format, as Blender writes them: sound ones load with their colour, others are named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.assets.object_rules import AddonConfig, ObjectRules
from pairbridge.datagen.blender.blender_errors import BlenderUnavailable
from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec

pytestmark = pytest.mark.render

VIEW = CameraSpec(azimuth_rad=0.6, elevation_rad=0.4, fov_x_rad=0.7)
# Texture of (.1, .6, .2) as display values, and the same as a linear colour.
TEXTURE, PLAIN = (0.01, 0.319, 0.033), (0.1, 0.6, 0.2)
SPECULAR = 0.08  # what the glossy coat adds to the denoiser's albedo, at most


@pytest.mark.parametrize(
    ("suffix", "colour"),
    [
        (".glb", TEXTURE),
        (".obj", TEXTURE),
        (".fbx", TEXTURE),
        (".usda", TEXTURE),
        (".usdc", TEXTURE),
        (".usdz", TEXTURE),
        (".blend", TEXTURE),
        (".ply", PLAIN),
        (".stl", (0.8, 0.8, 0.8)),
    ],
)
def test_every_format_loads_with_its_size_and_colour(
    blender: BlenderClient, written: Path, suffix: str, colour: tuple[float, float, float]
) -> None:
    info = blender.load_object(ObjectSpec(path=written / f"box{suffix}"))
    assert info.radius == pytest.approx(np.linalg.norm((3, 1, 2)) / 2, rel=1e-5)
    assert info.num_faces in (6, 12)
    blender.set_camera(VIEW, (24, 24))
    passes = blender.render(environment_path=written / "soft.exr", seed=1)
    seen = passes.albedo[passes.rgba[..., 3] > 0.99].mean(axis=0)
    np.testing.assert_allclose(seen, colour, atol=SPECULAR)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *(
            (f"gone/box{suffix}", "missing_texture")
            for suffix in (".blend", ".fbx", ".gltf", ".obj", ".usda")
        ),
        *((f"large/box{end}", "texture_too_large") for end in (".blend", ".fbx", ".gltf", ".usda")),
        ("scripts/text.blend", "script"),
        ("scripts/driver.blend", "script"),
        ("scenes/empty.blend", "no_geometry"),
        ("scenes/linked.blend", "missing_library"),
    ],
)
def test_what_would_not_look_as_its_author_saw_it_is_refused_by_name(
    blender: BlenderClient, written: Path, name: str, fault: str
) -> None:
    with pytest.raises(AssetError) as refused:
        blender.load_object(ObjectSpec(path=written / name))
    assert refused.value.fault == fault
    assert name.rpartition("/")[2] in refused.value.cause
    assert not (written / "ran").exists()


@pytest.mark.parametrize("name", ["scripts/note.blend", "scripts/arithmetic.blend", "scenes/moved.blend"])
def test_a_blend_with_a_note_plain_arithmetic_or_unrendered_things_is_used(
    blender: BlenderClient, written: Path, name: str
) -> None:
    info = blender.load_object(ObjectSpec(path=written / name))
    # A copy 1000 away lies in a collection that its scene does not render.
    assert info.radius == pytest.approx(np.linalg.norm((3, 1, 2)) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        (ObjectRules(max_faces=5), "too_many_faces"),
        pytest.param(ObjectRules(radius=(1e-3, 1.0)), "size", marks=pytest.mark.long),
        pytest.param(ObjectRules(max_texture_side=3), "texture_too_large", marks=pytest.mark.long),
    ],
)
def test_limits_are_those_of_the_configuration(
    open_client: Callable[..., BlenderClient], written: Path, rules: ObjectRules, fault: str
) -> None:
    client = open_client(object_rules=rules)
    with pytest.raises(AssetError, match="object_rules") as refused:
        client.load_object(ObjectSpec(path=written / "box.glb"))
    assert refused.value.fault == fault
    client.close()


ADDON = """
bl_info = {"name": "Cubes", "blender": (4, 2, 0), "category": "Import-Export"}
import bpy

class IMPORT_OT_cubes(bpy.types.Operator):
    bl_idname = "import_scene.cubes"
    bl_label = "Import cubes"
    filepath: bpy.props.StringProperty()

    def execute(self, context):
        for number in range(int(open(self.filepath).read())):
            bpy.ops.mesh.primitive_cube_add(location=(3 * number, 0, 0))
        return {"FINISHED"}

def register():
    bpy.utils.register_class(IMPORT_OT_cubes)

def unregister():
    bpy.utils.unregister_class(IMPORT_OT_cubes)
"""
MANIFEST = """
schema_version = "1.0.0"
id = "{id}"
version = "1.0.0"
name = "Cubes"
tagline = "Reads cubes"
maintainer = "A test"
type = "add-on"
blender_version_min = "4.2.0"
license = ["SPDX:GPL-3.0-or-later"]
"""


@pytest.mark.parametrize("form", ["file", pytest.param("folder", marks=pytest.mark.long), "extension"])
def test_an_addon_reads_its_own_format_object_after_object(
    open_client: Callable[..., BlenderClient], tmp_path: Path, form: str
) -> None:
    path = tmp_path / ("cube_reader.py" if form == "file" else "cube_reader")
    if form == "file":
        path.write_text(ADDON)
    else:
        path.mkdir()
        (path / "__init__.py").write_text(ADDON)
    if form == "extension":
        (path / "blender_manifest.toml").write_text(MANIFEST.format(id="cube_reader"))
    (tmp_path / "two.cubes").write_text("2")
    (tmp_path / "three.cubes").write_text("3")
    client = open_client(addons=(AddonConfig(path=path, imports={".cubes": "import_scene.cubes"}),))
    assert client.load_object(ObjectSpec(path=tmp_path / "two.cubes")).num_faces == 12
    assert client.load_object(ObjectSpec(path=tmp_path / "three.cubes")).num_faces == 18
    (tmp_path / "none.cubes").write_text("many")
    with pytest.raises(AssetError) as refused:
        client.load_object(ObjectSpec(path=tmp_path / "none.cubes"))
    assert refused.value.fault == "damaged"
    client.close()


@pytest.mark.parametrize(
    "content",
    [
        "raise ValueError('not today')",
        pytest.param("x = 1", marks=pytest.mark.long),
        pytest.param(None, marks=pytest.mark.long),
    ],
)
def test_an_addon_that_cannot_be_enabled_stops_the_run(
    open_client: Callable[..., BlenderClient], tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "broken_reader.py"
    if content is not None:
        path.write_text(content)
    client = open_client(addons=(AddonConfig(path=path),))
    with pytest.raises(BlenderUnavailable, match="broken_reader"):
        client.load_object(ObjectSpec(family="mug", seed=1))
