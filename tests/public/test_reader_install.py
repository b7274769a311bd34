"""The wheel without extras: what reads works, and what needs more names the extra by a command."""

import subprocess
import sys
from pathlib import Path

import pytest

from pairbridge.datagen.core.extras import MODULES
from tests.public.wheel_install import Installed, build_wheel, reader_environment
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("wheel")]

# A plan of families under studio light: neither bpy's environment maps nor scikit-image's photographs.
OWN = """
name: mine
seed: 1
lightings: {width: 512, rigs: {train: 8}}
recipes:
  relight:
    kind: relighting_swap
    groups: {train: 2}
    lightings_per_group: 2
    lighting_kinds: {rig: 1.0}
"""
READ = """
import pairbridge, sys
dataset = pairbridge.open_dataset("data", recipe="relight", size=(16, 16))
pair = dataset.pair(0)
assert (pair.source.shape, pair.source.dtype, pair.mask.shape) == ((16, 16, 3), "uint8", (16, 16))
assert pairbridge.verify("data", decode=True).findings == ()
assert pairbridge.load_config("dataset", "demo").name
for attempt in (lambda: dataset[0], lambda: pairbridge.fit, lambda: pairbridge.load_model,
                lambda: pairbridge.generate("demo", "out"), lambda: pairbridge.webdataset_pipeline("data")):
    try:
        attempt()
    except pairbridge.ConfigError as error:
        assert "[" in error.remedy and "install" in error.remedy, error
    else:
        raise SystemExit("something that needs an extra went on without it")
print(len(dataset), *(set(sys.modules) & {"torch", "ray", "scipy", "matplotlib"}))
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    wheel = build_wheel(tmp_path_factory.mktemp("wheel"))
    return reader_environment(wheel, tmp_path_factory.mktemp("reader") / "venv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("read")
    recipes = {"relight": TinyRecipe(groups={"train": 3}), "other": TinyRecipe(groups={"test": 1})}
    TinyDataset(recipes=recipes).write(folder / "data")
    (folder / "mix.yaml").write_text("sources:\n  - {name: it, path: data, recipe: relight}\n")
    (folder / "mine.yaml").write_text(OWN)
    return folder


def test_no_module_of_an_extra_is_there(reader: Installed) -> None:
    names = sorted({name for modules in MODULES.values() for name in modules} | {"scipy"})
    look = f"from importlib.util import find_spec; print(*[n for n in {names!r} if find_spec(n)])"
    done = subprocess.run([reader.bin / "python", "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    assert "torch" in names
    assert sys.prefix not in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ("--version",),
        ("doctor",),
        ("config", "list"),
        ("config", "show", "dataset", "render"),
        ("plan", "mine.yaml"),
        ("generate", "mine.yaml", "--out", "made", "--dry-run"),
        ("status", "data"),
        ("verify", "data", "--decode"),
        ("inspect", "data"),
        ("inspect", "data", "--page", "page"),
        ("mix", "mix.yaml"),
        ("export", "data", "--to", "folders", "--out", "plain"),
        ("weights", "list"),
    ],
    ids=" ".join,
)
def test_a_reader_s_command_works(reader: Installed, folder: Path, command: tuple[str, ...]) -> None:
    done = reader.run(folder, "pairbridge", *command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_python_reads_pairs_as_arrays(reader: Installed, folder: Path) -> None:
    done = reader.run(folder, "python", "-c", READ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["6"]


@pytest.mark.parametrize(
    ("extras", "command"),
    [
        ("generate", ("generate", "mine.yaml", "--out", "made")),
        ("generate", ("plan", "mine.yaml", "--cost")),
        ("train", ("train", "demo", "--mix", "demo", "--run", "run")),
        ("train,report", ("evaluate", "demo", "--run", "run")),
        ("generate,train,report", ("run", "demo", "--dry-run")),
        ("generate,train,report", ("sweep", "relighting-small")),
        ("train", ("config", "show", "training")),
        ("train", ("translate", "model", "a.png", "--out", "b.png")),
        ("train,app", ("app", "model")),
        ("train,onnx", ("export-model", "model", "--to", "onnx")),
        ("hf", ("export", "data", "--to", "hf", "--out", "parquet")),
        ("models", ("weights", "fetch", "BiRefNet")),
        ("render", ("plan", "demo")),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_command_that_needs_more_says_which_extra(
    reader: Installed, folder: Path, extras: str, command: tuple[str, ...]
) -> None:
    done = reader.run(folder, "pairbridge", *command)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    # The wheel's own address, as pip noted it; that environment has no pip.
    assert f"uv pip install --python {reader.bin / 'python'} 'pairbridge[{extras}] @ file:" in done.stderr
