"""The dataset card: front matter the Hub understands, counts from disk, licences rolled up."""

import io
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pairbridge.datagen.assets.licences import strictest_licence
from pairbridge.datagen.dataset.card import write_card
from tests.support.tiny_dataset import TinyDataset, TinyRecipe


def _front_matter(folder: Path) -> dict:
    text = (folder / "README.md").read_text()
    assert text.startswith("---\n")
    return YAML(typ="safe").load(io.StringIO(text.split("---\n")[1]))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return TinyDataset(
        recipes={
            "relight": TinyRecipe(groups={"train": 5, "test": 2}),
            "removal": TinyRecipe(groups={"train": 2}, kind="photo_removal"),
        },
        holes={"relight-train-00000001": "bar | and\nline break", "removal-train-00000000": "too dark"},
    ).write(tmp_path / "d")


def test_front_matter_names_every_recipe_and_split(dataset: Path) -> None:
    front = _front_matter(dataset)
    assert front["license"] == "cc0-1.0"
    assert front["task_categories"] == ["image-to-image"]
    assert front["size_categories"] == ["n<1K"]
    assert "webdataset" in front["tags"]
    assert front["configs"] == [
        {
            "config_name": "relight",
            "data_files": [
                {"split": "train", "path": "shards/train-relight-??????.tar"},
                {"split": "test", "path": "shards/test-relight-??????.tar"},
            ],
        },
        {
            "config_name": "removal",
            "data_files": [{"split": "train", "path": "shards/train-removal-??????.tar"}],
        },
    ]


def test_body_states_counts_fields_and_quarantine(dataset: Path) -> None:
    text = (dataset / "README.md").read_text()
    assert "| relight | relighting_swap | train | 9 | 10 | 1 | 3 of 3 |" in text
    assert "| removal | photo_removal | train | 3 | 4 | 1 | 1 of 1 |" in text
    assert "bar \\| and line break" in text
    assert text.count("Readers replace what the mask covers of the source") == 1
    assert text.count("By default: source `source`, target `target`.") == 1
    assert text.count("By default: source `target`, target `target`.") == 1
    assert "| `mask.png` | mask | uint8 x 1, share |" in text
    assert "| CC0-1.0 | nobody | 3 |" in text


def test_card_is_a_function_of_the_dataset(dataset: Path) -> None:
    before = (dataset / "README.md").read_bytes()
    write_card(dataset)
    assert (dataset / "README.md").read_bytes() == before


@pytest.mark.parametrize(
    ("licences", "strictest"),
    [
        (["CC0-1.0", "CC0-1.0"], "CC0-1.0"),
        (["CC-BY-4.0", "CC0-1.0", "CC-BY-SA-4.0"], "CC-BY-SA-4.0"),
        (["CC-BY-NC-4.0", "Apache-2.0"], "CC-BY-NC-4.0"),
        (["public domain (NASA)", "CC0-1.0"], "CC0-1.0"),
        (["Public domain"], "public domain"),
        (["public domain in some countries", "CC0-1.0"], None),
        (["CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "MIT"], "CC-BY-ND-4.0"),
        (["CC0-1.0", "unspecified"], None),
        ([], None),
    ],
)
def test_the_strictest_licence_wins_and_an_unknown_one_is_not_ranked(licences: list[str], strictest) -> None:
    assert strictest_licence(licences) == strictest
