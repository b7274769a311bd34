"""Who may import whom, and what planning code may not do: the rules of docs/architecture.md, enforced."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("datagen", "training", "pipelines", "blender_assets")

# The pure modules of datagen that training may build on.
SHARED_WITH_TRAINING = {
    "pairbridge.datagen.core.atomic_files",
    "pairbridge.datagen.core.json_digest",
    "pairbridge.datagen.imaging.colour",
    "pairbridge.datagen.shards.commit",
    "pairbridge.datagen.core.errors",
    "pairbridge.datagen.imaging.fill",
    "pairbridge.datagen.core.frozen",
    "pairbridge.datagen.imports.import_manifest",
    "pairbridge.datagen.imports.imported",
    "pairbridge.datagen.lighting.light_maps",
    "pairbridge.datagen.dataset.manifest",
    "pairbridge.datagen.shards.mirror",
    "pairbridge.datagen.shards.object_store",
    "pairbridge.datagen.core.user_code",
    "pairbridge.datagen.shards.records",
    "pairbridge.datagen.shards.sample",
    "pairbridge.datagen.core.seeds",
    "pairbridge.datagen.shards.reader",
}
BLENDER_PARENT_SIDE = {"__init__", "client", "errors", "exr", "protocol", "settings"}
TORCH_FREE_DATAGEN = ("datagen/matting/", "datagen/relighting/")

# What makes a plan depend on something other than (config, seed, index), and what to write instead.
NONDETERMINISM = {
    r"\bnp\.random\.(seed|randn?|randint|choice|uniform|normal|permutation|shuffle)\(": "core.seeds.rng",
    r"\brandom\.(seed|random|choice|randint|shuffle|uniform)\(": "core.seeds.rng",
    r"\btime\.time(_ns)?\(|\bdatetime\.now\(|\bdate\.today\(": "the run ledger, never a spec",
    r"\bos\.(listdir|scandir)\(": "sorted(path.iterdir())",
    r"\buuid\.uuid": "pairbridge.datagen.core.seeds",
    r"(?<![\w.])hash\(": "pairbridge.datagen.core.json_digest.digest (builtin hash is salted per process)",
}
RUNS_CODE = {
    r"\bpickle\.loads?\(": "safetensors or JSON",
    r"torch\.load\((?!.*weights_only=True)": "safetensors",
    r"trust_remote_code=True": "code of our own",
    r"allow_pickle=True": "allow_pickle=False",
    r"\byaml\.(unsafe_)?load\(": "pairbridge.pipelines.reading.config_files",
}


def sources(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; rooms are named in full here"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def heads(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("datagen", {"ray", "pipelines", "training"}),
        ("training", {"ray", "pipelines", "bpy", "blender_assets"}),
        ("pipelines", {"bpy"}),
        ("blender_assets", {"ray", "pipelines", "training", "datagen", "bpy", "torch"}),
    ],
)
def test_rooms_import_only_what_they_may(room: str, forbidden: set[str]) -> None:
    offenders = {str(path.relative_to(ROOT)): heads(path) & forbidden for path in sources(room)}
    assert not {path: found for path, found in offenders.items() if found}


def test_only_the_blender_child_imports_bpy() -> None:
    blender = {"bpy", "bmesh", "mathutils"}
    importers = {path.relative_to(ROOT) for path in sources(*ROOMS) if heads(path) & blender}
    assert importers, "nothing imports bpy: has the renderer moved?"
    for path in importers:
        assert path.parts[:2] == ("datagen", "blender"), path
        assert path.stem not in BLENDER_PARENT_SIDE or path.parts[2] == "families", path


def test_training_uses_only_the_pure_modules_of_datagen() -> None:
    for path in sources("training"):
        used = {name for name in imports(path) if name.startswith("datagen.")}
        modules = {".".join(name.split(".")[:2]) for name in used}
        assert modules <= SHARED_WITH_TRAINING, (path.name, modules - SHARED_WITH_TRAINING)


def test_torch_stays_out_of_data_generation_but_for_the_models() -> None:
    for path in sources("datagen"):
        relative = path.relative_to(ROOT).as_posix()
        if not relative.startswith(TORCH_FREE_DATAGEN):
            assert not heads(path) & {"torch", "diffusers", "transformers"}, relative


@pytest.mark.parametrize(
    "modules",
    [
        # A plan must build where neither Blender, Ray nor torch is installed.
        ("pairbridge.datagen.dataset.plan", ("bpy", "ray", "torch")),
        # The trainer and the reader install and run without the render extra.
        ("pairbridge.training.bridge_training.loop", ("bpy", "ray")),
        ("pairbridge.pipelines.cli", ("bpy", "ray", "torch")),
    ],
    ids=lambda pair: pair[0],
)
def test_importing_stays_light(modules: tuple[str, tuple[str, ...]]) -> None:
    module, absent = modules
    code = f"import sys, {module}; print(*[name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", sources(*ROOMS), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_hidden_state_and_no_foreign_code(path: Path) -> None:
    rules = dict(RUNS_CODE)
    if path.relative_to(ROOT).parts[0] in ("datagen", "training"):
        rules |= NONDETERMINISM
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        code = line.partition("#")[0]
        for pattern, instead in rules.items():
            assert not re.search(pattern, code), f"{path.name}:{number}: use {instead}"
    assert path.stem not in ("utils", "helpers"), "name the file for its role"
