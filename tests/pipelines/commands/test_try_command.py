"""`pairbridge try`: pairs of one file of the user's, on a page, and nothing else."""

import json
import os
import re

import pytest

from tests.datagen.blender.asset_files import write_glb, write_lighting
from tests.support.broken_photographs import png, scene

SMALL = [
    *("--set", "render.samples=2"),
    *(
        setting
        for recipe in ("relighting", "removal", "shadow", "photo-relighting", "photo-removal")
        for setting in ("--set", f"recipes.{recipe}.size_WH=[48, 48]")
    ),
]


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_glb(tmp_path / "parcel.glb")
    write_lighting(tmp_path / "room.exr", seed=3, sun=200.0)
    (tmp_path / "someone.png").write_bytes(png(scene("someone")))
    # Of a single file nobody meant its folder.
    (tmp_path / "broken.glb").write_bytes(b"glTF")
    (tmp_path / "broken.hdr").write_bytes(b"nothing")


def shown(page: str) -> list[dict]:
    with open(page) as stream:
        text = stream.read()
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])[
        "pairs"
    ]


@pytest.mark.long
@pytest.mark.render
def test_an_object_a_map_and_a_photograph_make_pairs_of_every_kind(pairbridge) -> None:
    arguments = ("parcel.glb", "--hdri", "room.exr", "--photo", "someone.png")
    before = set(os.listdir())
    status, out, err = pairbridge("try", *arguments, *SMALL)
    assert status == 0, err
    assert "page: try-parcel/index.html" in out
    assert set(os.listdir()) - before == {"try-parcel"}
    pairs = shown("try-parcel/index.html")
    made = {pair["recipe"]: set(pair["assets"]) for pair in pairs}
    assert made.keys() >= {"relighting", "removal", "shadow", "photo-removal"}
    assert "parcel" in made["relighting"] & made["removal"] & made["shadow"]
    assert "someone" in made["photo-removal"]
    lit = {asset for pair in pairs if pair["recipe"] == "relighting" for asset in pair["assets"]}
    assert "room" in lit
    for field in (field for pair in pairs for field in pair["fields"]):
        assert os.path.getsize(f"try-parcel/{field['file']}") > 0


def test_a_photograph_alone_needs_no_blender_and_a_page_is_not_overwritten(pairbridge) -> None:
    for name in ("try-someone", "try-someone-2"):
        status, out, err = pairbridge("try", "someone.png", *SMALL)
        assert status == 0, err
        assert f"page: {name}/index.html" in out
    assert {pair["recipe"] for pair in shown("try-someone/index.html")} <= {
        "photo-relighting",
        "photo-removal",
    }


def test_what_cannot_be_tried_is_named(pairbridge) -> None:
    cases = {
        "nowhere.glb": "nowhere.glb is neither a folder nor a file",
        "broken.glb": "broken.glb cannot be used: ",
        "table.csv": "table.csv is no asset",
    }
    for name, said in cases.items():
        status, _, err = pairbridge("try", name)
        assert (status, said in err) == (1, True), err
    status, _, err = pairbridge("try", "parcel.glb", "--hdri", "someone.png")
    assert (status, "someone.png is no hdri" in err) == (1, True), err
    assert not [name for name in os.listdir() if name.startswith("try-")]
