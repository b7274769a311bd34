"""`import pairbridge`: which names there are, where they come from, and what they cost."""

import ast
import inspect
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import pairbridge

NAMES = [
    "AssetError",
    "Baseline",
    "BridgeProcess",
    "Camera",
    "ConfigError",
    "DatasetConfig",
    "LossTerm",
    "MixConfig",
    "Network",
    "PairDataset",
    "PairbridgeError",
    "Recipe",
    "RelightingPair",
    "Renderer",
    "Sampler",
    "TrainingConfig",
    "View",
    "__version__",
    "fit",
    "generate",
    "load_config",
    "load_model",
    "open_dataset",
    "plan",
    "relighting_pairs",
    "render",
    "train",
    "verify",
    "webdataset_pipeline",
]
HEAVY = {"torch", "ray", "bpy", "diffusers", "cv2", "numpy", "pydantic"}


def test_the_public_names_are_these() -> None:
    assert dir(pairbridge) == NAMES
    assert len(NAMES) <= 30
    assert sorted([*pairbridge.__all__, "__version__"]) == NAMES


def test_type_checkers_see_the_same_names_in_the_same_places() -> None:
    tree = ast.parse(Path(pairbridge.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in block.body
        for alias in node.names
    }
    assert seen == {name: f"pairbridge.{place}" for name, place in pairbridge._PLACES.items()}
    assert sorted(seen) == sorted(pairbridge.__all__)


def test_every_name_is_there_and_says_what_it_is() -> None:
    assert [name for name in pairbridge.__all__ if not inspect.getdoc(getattr(pairbridge, name))] == []


def test_a_path_may_be_a_string_wherever_one_is_taken() -> None:
    taken = {}
    for name in pairbridge.__all__:
        thing = getattr(pairbridge, name)
        if inspect.isfunction(thing):
            for parameter in inspect.signature(thing).parameters.values():
                if "Path" in str(parameter.annotation):
                    taken[f"{name}({parameter.name})"] = str(parameter.annotation)
    assert len(taken) >= 7
    assert not {place for place, annotation in taken.items() if "str" not in annotation}


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'rendr'"):
        _ = pairbridge.rendr


def test_the_version_is_the_installed_one() -> None:
    assert pairbridge.__version__ == metadata.version("pairbridge")


def test_importing_it_costs_nothing() -> None:
    code = (
        "import sys, time; before = time.process_time(); import pairbridge;"
        f"print(time.process_time() - before, *({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, *heavy = done.stdout.split()
    assert float(seconds) < 0.1
    assert heavy == []


# In one process each name is looked at when it has come to those before it.
@pytest.mark.parametrize(
    "names",
    [
        {
            "plan": {"torch", "ray", "bpy"},
            "render": {"torch", "ray", "bpy"},
            "verify": {"torch", "ray", "bpy"},
            "open_dataset": {"ray", "bpy", "diffusers"},
            "train": {"bpy", "ray"},
        },
        {"generate": {"torch", "bpy"}},
    ],
    ids=("without Ray", "with Ray"),
)
def test_a_name_brings_no_more_than_it_needs(names: dict[str, set[str]]) -> None:
    code = (
        "import sys, pairbridge\n"
        f"for name, absent in {names!r}.items():\n"
        "    getattr(pairbridge, name)\n"
        "    print(*(f'{name} brings {one}' for one in absent & set(sys.modules)), end='')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_the_marker_for_type_checkers_is_there() -> None:
    assert Path(pairbridge.__file__).with_name("py.typed").is_file()


def test_a_config_is_a_shipped_name_a_path_or_a_value(tmp_path: Path) -> None:
    value = pairbridge.load_config("dataset", "smoke", ["seed=12"])
    assert isinstance(value, pairbridge.DatasetConfig)
    assert value.seed == 12
    (tmp_path / "mine.yaml").write_text(value.model_dump_json())
    of_value, of_path, of_text = (
        pairbridge.plan(config) for config in (value, tmp_path / "mine.yaml", str(tmp_path / "mine.yaml"))
    )
    assert of_value.digest == of_path.digest == of_text.digest
    shipped = pairbridge.plan("smoke")
    assert shipped.num_pairs == of_value.num_pairs
    assert shipped.digest != of_value.digest
    with pytest.raises(pairbridge.ConfigError, match="did you mean 'smoke'"):
        pairbridge.plan("smok")
