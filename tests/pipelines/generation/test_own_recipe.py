"""The recipe of docs/recipes.md, taken from the page as it stands: planned, made by Ray workers, verified."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.shards.reader import open_shards
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.pipelines.cli import main
from pairbridge.pipelines.reading.config_files import load_config

PAGE = Path(__file__).parents[3] / "docs" / "recipes.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The page's two files, saved as it says."""
    (code,) = blocks("python")
    (config,) = blocks("yaml")
    (tmp_path / "vignette.py").write_text(code)
    (tmp_path / "vignette.yaml").write_text(config)
    return tmp_path


@pytest.fixture
def pairbridge(monkeypatch):
    """Run one command in this process; its exit status."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["pairbridge", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run


def load(folder: Path) -> DatasetConfig:
    return load_config(folder / "vignette.yaml", DatasetConfig)


def test_the_page_s_recipe_is_thirty_lines() -> None:
    (code,) = blocks("python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 31


def test_the_page_s_recipe_runs_as_written(folder: Path, pairbridge, ray_address: str) -> None:
    out = folder / "vignettes"
    command = ("generate", folder / "vignette.yaml", "--out", out, "--workers", 2, "--address", ray_address)
    assert pairbridge(*command) in (0, 2)
    assert pairbridge("verify", out, "--decode") == 0
    manifest = DatasetManifest.from_folder(out)
    # The dataset holds the code that made it, and no path of this machine.
    assert manifest.config["recipes"]["vignette"]["code"] == (folder / "vignette.py").read_text()
    assert str(folder) not in (out / "dataset.json").read_text()
    assert manifest.recipes["vignette"].kind == "vignette.py:Vignette"
    changes = []
    for shard in open_shards(out, "vignette", "train"):
        for index in range(len(shard)):
            pair = {field: decode_field(field, data) for field, data in shard.read(index).items()}
            changes.append(pair["target.png"].astype(int) - pair["source.png"])
            assert (changes[-1] >= 0).all()
            assert pair["target.png"].shape == (128, 128, 3)
            assert json.loads(pair["meta.json"]["params"])["photo"] == pair["meta.json"]["assets"][0]["id"]
    assert len(changes) == 12
    assert np.mean(changes, axis=0)[0, 0].mean() > 10 * np.mean(changes, axis=0)[64, 64].mean()


def test_opencv_in_a_worker_takes_no_more_threads_than_the_worker(
    folder: Path, pairbridge, ray_address: str
) -> None:
    code = (folder / "vignette.py").read_text()
    first = "        photo, pair, size ="
    assert first in code
    code = code.replace(first, f"        assert cv2.getNumThreads() == 1, cv2.getNumThreads()\n{first}")
    (folder / "vignette.py").write_text(f"import cv2\n{code}")
    command = ("generate", folder / "vignette.yaml", "--out", folder / "out", "--address", ray_address)
    assert pairbridge(*command, "--workers", 2) in (0, 2)


def test_another_text_is_another_dataset_and_another_place_is_not(folder: Path, tmp_path_factory) -> None:
    before = load(folder)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name in ("vignette.py", "vignette.yaml"):
        (elsewhere / name).write_text((folder / name).read_text())
    assert load(elsewhere).digest == before.digest
    (folder / "vignette.py").write_text((folder / "vignette.py").read_text().replace("0.05", "0.06"))
    assert load(folder).digest != before.digest
    # A config that was read keeps what it read.
    assert "0.05" in before.recipes["vignette"].code


@pytest.mark.long
def test_the_gates_of_the_config_hold_for_it(folder: Path, pairbridge, ray_address: str) -> None:
    out = folder / "out"
    command = ("generate", folder / "vignette.yaml", "--out", out, "--workers", 1, "--address", ray_address)
    assert pairbridge(*command, "--set", "recipes.vignette.gates.difference=200") == 2
    holes = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    assert len(holes) == 18
    assert {hole["gate"] for hole in holes} == {"too_alike"}
    assert verify_dataset(out).ok


@pytest.mark.parametrize(
    ("old", "new", "where", "says"),
    [
        ("vignette.py:Vignette", "vignette.py:Vignete", "vignette.yaml", "no class"),
        ("vignette.py:Vignette", "vignet.py:Vignette", "vignette.yaml", "cannot be read"),
        ("vignette.py:Vignette", "vignette", "vignette.yaml", "nor an entry point"),
        ("strength: [0.6", "strenght: [0.6", "vignette.yaml", "settings.strenght"),
        ("import numpy as np", "import no_such_module", "vignette.py", "cannot be run: ModuleNotFoundError"),
    ],
)
def test_mistakes_are_named_when_the_config_is_read(
    folder: Path, old: str, new: str, where: str, says: str
) -> None:
    text = (folder / where).read_text()
    assert old in text
    (folder / where).write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=re.escape(says)):
        load(folder)


def test_an_installed_recipe_is_found_by_its_entry_point(folder: Path, monkeypatch) -> None:
    package = folder / "site" / "vignettes-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: vignettes\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[pairbridge.recipes]\nvignette = vignettes_module:Vignette\n")
    (folder / "site" / "vignettes_module.py").write_text((folder / "vignette.py").read_text())
    monkeypatch.syspath_prepend(str(folder / "site"))
    text = (folder / "vignette.yaml").read_text()
    (folder / "vignette.yaml").write_text(text.replace("vignette.py:Vignette", "vignette"))
    config = load(folder)
    assert config.recipes["vignette"].code == (folder / "vignette.py").read_text()
    # A machine on which another version is installed must not join in.
    (folder / "site" / "vignettes_module.py").write_text("class Vignette: ...\n")
    with pytest.raises(ConfigError, match="not the one of the config"):
        DatasetConfig.model_validate(config.model_dump())
