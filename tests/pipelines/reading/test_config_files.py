"""Configuration files: what a typo, a wrong value or a hostile file says, and what relative paths mean."""

import sys
from pathlib import Path

import pytest

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.yaml_text import parse
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.pipelines.reading.config_files import find_config, load_config, shipped_names

GOOD = """\
name: tiny
seed: 3
assets:
  photos: [pictures]
render:
  samples: 16
recipes:
  swap:
    kind: relighting_swap
    groups: {train: 2}
"""


@pytest.fixture
def config_file(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "tiny.yaml"
        path.write_text(text)
        return path

    return write


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, DatasetConfig, overrides)
    return str(caught.value)


def test_a_good_file_becomes_a_frozen_value(config_file) -> None:
    config = load_config(config_file(GOOD), DatasetConfig)
    assert (config.name, config.seed, config.render.samples) == ("tiny", 3, 16)
    assert config.recipes["swap"].groups == {"train": 2}


def test_relative_asset_paths_start_from_the_folder_of_the_file(config_file, tmp_path, monkeypatch) -> None:
    path = config_file(GOOD)
    monkeypatch.chdir("/")
    assert load_config(path, DatasetConfig).assets.photos == ((tmp_path / "pictures").resolve(),)


def test_the_link_that_makes_an_environments_interpreter_is_kept(config_file, tmp_path, monkeypatch) -> None:
    (tmp_path / "renderer" / "bin").mkdir(parents=True)
    (tmp_path / "renderer" / "bin" / "python").symlink_to(sys.executable)
    text = GOOD.replace("samples: 16", "python: renderer/bin/python")
    monkeypatch.chdir("/")
    assert load_config(config_file(text), DatasetConfig).render.python == tmp_path / "renderer/bin/python"


def test_relative_paths_of_an_override_start_from_the_working_directory(
    config_file, tmp_path, monkeypatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = load_config(config_file(GOOD), DatasetConfig, ["assets.objects=[meshes]"])
    assert config.assets.objects == (elsewhere.resolve() / "meshes",)
    assert config.assets.photos == ((tmp_path / "pictures").resolve(),)


@pytest.mark.parametrize(
    ("written", "line", "nearest"),
    [
        ("  sampels: 8", 7, "did you mean 'samples'?"),
        ("  seed_of_render: 8", 7, "valid here: "),
        ("  seed: 8", 7, "valid here: "),
    ],
)
def test_an_unknown_key_names_file_line_and_nearest_key(config_file, written, line, nearest) -> None:
    message = refusal(config_file(GOOD.replace("  samples: 16", f"  samples: 16\n{written}")))
    assert f"tiny.yaml, line {line}: unknown key 'render.{written.split(':')[0].strip()}'" in message
    assert nearest in message


def test_an_unknown_key_of_a_recipe_is_looked_up_among_the_keys_of_its_kind(config_file) -> None:
    message = refusal(config_file(GOOD + "    pairs_per_grup: 1\n"))
    assert "line 11: unknown key 'recipes.swap.pairs_per_grup'; did you mean 'pairs_per_group'?" in message


def test_a_key_at_the_wrong_level_says_where_it_belongs(config_file) -> None:
    assert "it belongs under render" in refusal(config_file(GOOD + "max_bounces: 4\n"))


def test_a_missing_key_and_an_unknown_kind_are_named_with_their_line(config_file) -> None:
    assert "the key 'name' is missing" in refusal(config_file(GOOD.replace("name: tiny\n", "")))
    message = refusal(config_file(GOOD.replace("relighting_swap", "relighting_swop")))
    assert "line 8" in message
    assert "relighting_swap" in message


def test_a_wrong_value_names_the_line_and_the_value(config_file) -> None:
    message = refusal(config_file(GOOD.replace("samples: 16", "samples: many")))
    assert "line 6: render.samples" in message
    assert "'many'" in message


def test_all_problems_are_reported_at_once(config_file) -> None:
    message = refusal(config_file(GOOD.replace("samples: 16", "samples: 0").replace("seed: 3", "sed: 3")))
    assert "render.samples" in message
    assert "did you mean 'seed'?" in message


def test_an_override_replaces_adds_and_is_blamed_for_its_own_mistakes(config_file) -> None:
    path = config_file(GOOD)
    config = load_config(
        path, DatasetConfig, ["render.samples=64", "view.exposure=1.5", "recipes.swap.groups.test=4"]
    )
    assert (config.render.samples, config.view.exposure) == (64, 1.5)
    assert config.recipes["swap"].groups == {"train": 2, "test": 4}
    assert "--set render.sampels=3: unknown key 'render.sampels'; did you mean 'samples'?" in refusal(
        path, "render.sampels=3"
    )
    assert "the file" not in refusal(path, "name.inner=3")
    assert "name has no entry 'inner'" in refusal(path, "name.inner=3")
    assert "not of the form" in refusal(path, "samples")


def test_an_override_reaches_into_lists(config_file) -> None:
    path = config_file(GOOD.replace("{train: 2}", "{train: 2}\n    fov_deg: [20, 30]"))
    config = load_config(path, DatasetConfig, ["recipes.swap.fov_deg.1=40"])
    assert config.recipes["swap"].fov_deg == (20, 40)
    assert "address" in refusal(path, "recipes.swap.fov_deg.7=40")


def test_scalars_follow_yaml_1_2() -> None:
    text = "a: 4e-5\nb: yes\nc: 2024-01-01\nd: null\ne: '7'\nf: 0x1f\n"
    value = parse(text, name="x", folder=Path()).value
    assert value == {"a": 4e-5, "b": "yes", "c": "2024-01-01", "d": None, "e": "7", "f": 31}
    assert isinstance(value["a"], float)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, "tag"),
        ("a: !secret x\n", 1, "tag"),
        ("a: &x [1]\nb: *x\n", 1, "anchor"),
        ("a: 1\na: 2\n", 2, "second time"),
        ("? [1, 2]\n: 3\n", 1, "no text"),
        ("a: 1\n b: 2\n", 2, "not valid YAML"),
        ("a: 1\n---\nb: 2\n", 2, "not valid YAML"),
    ],
)
def test_what_is_not_plain_data_is_refused_with_its_line(text, line, what) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        parse(text, name="x.yaml", folder=Path())
    assert f"x.yaml, line {line}" in str(caught.value)


def test_a_file_that_is_absent_binary_empty_or_a_list_is_refused(tmp_path: Path) -> None:
    for name, data in (("binary", b"\xff\xfe\x00"), ("empty", b""), ("list", b"- 1\n")):
        (tmp_path / name).write_bytes(data)
    for name in ("absent", "binary", "empty", "list"):
        with pytest.raises(ConfigError):
            load_config(tmp_path / name, DatasetConfig)


def test_a_config_is_found_by_path_and_by_shipped_name(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "demo.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    assert find_config("datasets", "demo.yaml").resolve() == tmp_path.resolve() / "demo.yaml"
    assert find_config("datasets", "demo").name == "demo.yaml"
    assert find_config("datasets", "demo").resolve() != tmp_path.resolve() / "demo.yaml"
    assert "demo" in shipped_names("datasets")
    with pytest.raises(ConfigError, match="did you mean 'demo'"):
        find_config("datasets", "dmo")
