"""The rules of docs/architecture.md, enforced: rooms, directions, sizes, and what planning code may not do.

`python -m tests.test_architecture` prints the table of rooms that stands on that page.
"""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pytest

from pairbridge.datagen.core.extras import MODULES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
TOPS = ("blender_assets", "datagen", "training", "pipelines", "pairbridge")

# From the bottom up: a room imports only rooms that stand above it in this list, and of another top folder
# only those that its own may see (MAY_SEE). A folder of the house that is not here belongs to no room.
ROOMS = (
    "blender_assets",
    *(
        f"datagen/{room}"
        for room in (
            *("core", "shards", "imaging", "assets/object_formats", "assets", "sourcing"),
            *("scene", "lighting", "lighting/outdoor", "lighting/indoor", "lighting/baking"),
            *(
                "blender/materials",
                "blender/shading",
                "blender/modelling",
                "blender/families",
                "blender",
                "blender/imported",
                "blender/child",
            ),
            *("models/weights", "models", "models/matting", "models/relighting"),
            *("recipes", "dataset", "imports", "exports"),
        )
    ),
    *(
        f"training/{room}"
        for room in (
            *("bridge", "data", "networks", "perceptual", "engine", "trackers"),
            "bridge_training",
            *("distillation", "guidance", "published", "evaluation"),
        )
    ),
    *(
        f"pipelines/{room}"
        for room in (
            "integrations",
            *("reading", "attempts", "pages", "shelves", "workers", "generation", "costing", "checks"),
            *("inference", "judging", "app", "runs", "sweeps", "commands"),
        )
    ),
    "pipelines",
    "pairbridge",
)
MAY_SEE = {
    "blender_assets": (),
    "datagen": ("blender_assets", "datagen"),
    # What a dataset is, and nothing of how one is made; published weights are loaded alike everywhere.
    "training": (
        *("datagen/core", "datagen/shards", "datagen/imaging", "datagen/lighting"),
        "datagen/models/weights",
        *("datagen/dataset", "datagen/imports", "training"),
    ),
    "pipelines": ("datagen", "training", "pipelines"),
    "pairbridge": ("datagen", "training", "pipelines", "pairbridge"),
}

# Files of different roles in one folder, at most. Where a folder holds many instances of one idea, each in a
# file of its own, nobody searches among them.
MOST_FILES = 20
MANY_OF_ONE = {"datagen/blender/families", "datagen/recipes"}

# Top-level modules that only some rooms may import.
HEAVY = {
    "bpy": ("datagen/blender",),
    "bmesh": ("datagen/blender",),
    "mathutils": ("datagen/blender",),
    "torch": ("datagen/models", "training", "pipelines", "pairbridge"),
    "diffusers": ("datagen/models", "training", "pipelines", "pairbridge"),
    "transformers": ("datagen/models", "training", "pipelines"),
    "ray": ("pipelines",),
}
# Foreign modules that a reader's installation has: any file may import them. `markupsafe` comes with jinja2.
READER = frozenset(
    {
        *("numpy", "cv2", "PIL", "OpenEXR", "pydantic", "ruamel", "jinja2", "markupsafe"),
        *("deflate", "fsspec", "psutil", "rich", "safetensors", "typer"),
    }
)
_TRAINER = ("torch", "diffusers", "transformers")
# What else the files of a room may import when they are imported; inside a function, whatever HEAVY allows.
# Who runs them has asked for the extra (`datagen/core/extras.py`).
AT_IMPORT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("datagen/blender/child", "datagen/blender/imported"), ("bpy", "mathutils")),
    **dict.fromkeys(("datagen/blender/modelling", "datagen/blender/shading"), ("bpy",)),
    **dict.fromkeys(("datagen/models", "datagen/models/matting", "datagen/models/relighting"), _TRAINER),
    **{f"training/{room}": _TRAINER for room in ("bridge", "networks", "engine", "guidance", "published")},
    **{
        f"training/{room}": _TRAINER
        for room in ("bridge_training", "distillation", "evaluation", "perceptual")
    },
    **dict.fromkeys(("training/data", "training/trackers"), ("torch",)),
    "pipelines/inference": _TRAINER,
    "pipelines/judging": _TRAINER,
    "pipelines/app": ("gradio",),
    "pipelines/workers": ("ray",),
    "pipelines/generation": ("ray",),
    "pipelines/costing": ("ray",),
    "pipelines/runs": ("ray", "matplotlib", *_TRAINER),
    # Charts of reports; the page of a dataset has none, see `test_importing_stays_light`.
    **dict.fromkeys(("pipelines/pages", "pipelines/sweeps"), ("matplotlib",)),
    # It runs inside ComfyUI.
    "pipelines/integrations": ("comfy", "folder_paths", "torch"),
}
# Parent side of the renderer: it runs where bpy is not installed.
BLENDER_PARENT = "datagen/blender"

# What makes a plan depend on something other than (config, seed, index), and what to write instead.
NONDETERMINISM = {
    r"\bnp\.random\.(seed|randn?|randint|choice|uniform|normal|permutation|shuffle)\(": "core.seeds.rng",
    r"\brandom\.(seed|random|choice|randint|shuffle|uniform)\(": "core.seeds.rng",
    r"\btime\.time(_ns)?\(|\bdatetime\.now\(|\bdate\.today\(": "the run ledger, never a spec",
    r"\bos\.(listdir|scandir)\(": "sorted(path.iterdir())",
    r"\buuid\.uuid": "core.seeds",
    r"(?<![\w.])hash\(": "core.json_digest.digest (builtin hash is salted per process)",
}
RUNS_CODE = {
    r"\bpickle\.loads?\(": "safetensors or JSON",
    r"torch\.load\((?!.*weights_only=True)": "safetensors",
    r"trust_remote_code=True": "code of our own",
    r"allow_pickle=True": "allow_pickle=False",
    r"\byaml\.(unsafe_)?load\(": "pipelines.reading.config_files",
}
# MLflow wants the time of every value that it is sent.
TELLS_THE_TIME = {"training/trackers/mlflow_run.py"}
# A published model's card tells others how they run the pipeline that lies beside it.
SPEAKS_OF_CODE = {"pipelines/inference/publishing.py"}


def sources(*tops: str) -> list[Path]:
    """Python files of the house; configs that are Python are a user's example, not part of it."""
    found = (path for top in tops for path in (ROOT / top).rglob("*.py"))
    return sorted(path for path in found if "configs" not in path.parts)


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts if parts[0] == "pairbridge" else ("pairbridge", *parts))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parent.as_posix()


@cache
def modules() -> Mapping[str, Path]:
    return {module_of(path): path for path in sources(*TOPS)}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def names_imported(node: ast.Import | ast.ImportFrom, path: Path) -> set[str]:
    """Dotted names, those of what is imported from a module included."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    assert node.level == 0, f"{path} imports relatively; rooms are named in full here"
    return {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}


@cache
def imports(path: Path) -> frozenset[str]:
    """All that a file imports, wherever in it: in functions and for types too."""
    nodes = (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Import | ast.ImportFrom))
    return frozenset(name for node in nodes for name in names_imported(node, path))


@cache
def own_imports(path: Path) -> frozenset[str]:
    """The modules of the house among them; of `from package import module` the module."""
    own = {name for name in imports(path) if name in modules() and name != "pairbridge"}
    return frozenset(name for name in own if not any(other.startswith(f"{name}.") for other in own))


def graph_of_files() -> dict[str, set[str]]:
    return {module: set(own_imports(path)) - {module} for module, path in modules().items()}


def graph_of_rooms() -> dict[str, set[str]]:
    graph: dict[str, set[str]] = defaultdict(set)
    for path in modules().values():
        graph[room_of(path)] |= {room_of(modules()[name]) for name in own_imports(path)}
    return {room: seen - {room} for room, seen in graph.items()}


def cycles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node (Tarjan)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in number:
                visit(other)
            if other in stack:
                lowest[node] = min(lowest[node], lowest[other])
        if lowest[node] == number[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in graph:
        if node not in number:
            visit(node)
    return found


def within(room: str, place: str) -> bool:
    return room == place or room.startswith(f"{place}/")


def test_no_import_cycle_between_files() -> None:
    assert cycles(graph_of_files()) == []


def test_no_import_cycle_between_folders() -> None:
    assert cycles(graph_of_rooms()) == []


def test_the_search_for_cycles_finds_them() -> None:
    assert cycles({"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": []}) == [["a", "b", "c"]]


def test_every_file_belongs_to_a_room() -> None:
    homeless = {room_of(path) for path in modules().values()} - set(ROOMS)
    # The tops themselves hold nothing but their docstring.
    bare = {
        top
        for top in ("datagen", "training")
        if [p.name for p in (ROOT / top).glob("*.py")] == ["__init__.py"]
    }
    assert homeless - bare == set()
    assert [room for room in ROOMS if not (ROOT / room).is_dir()] == []


def test_rooms_import_downwards_only() -> None:
    offences = []
    for room, seen in graph_of_rooms().items():
        if room not in ROOMS:
            continue
        for other in seen:
            allowed = any(within(other, place) for place in MAY_SEE[room.partition("/")[0]])
            if not allowed or ROOMS.index(other) >= ROOMS.index(room):
                offences.append(f"{room} imports {other}")
    assert offences == []


def test_no_room_is_too_full() -> None:
    files = {room: len([p for p in (ROOT / room).glob("*.py") if p.name != "__init__.py"]) for room in ROOMS}
    assert {room: n for room, n in files.items() if n > MOST_FILES and room not in MANY_OF_ONE} == {}


def test_each_room_says_what_it_is_for() -> None:
    silent = [room for room in ROOMS if not ast.get_docstring(tree_of(ROOT / room / "__init__.py"))]
    assert silent == []


def test_no_module_name_stands_twice() -> None:
    """Whoever searches a name finds one file. Commands are named as what they call."""
    places = defaultdict(list)
    for path in modules().values():
        if path.stem not in ("__init__", "base") and "commands" not in path.parts:
            places[path.stem].append(path.relative_to(ROOT).as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
    assert not {"utils", "helpers"} & places.keys()


def test_no_class_name_stands_twice() -> None:
    places = defaultdict(list)
    for path in modules().values():
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(ROOT).as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_heavy_modules_stay_in_their_rooms() -> None:
    offences = []
    for path in modules().values():
        room = room_of(path)
        heads = {name.partition(".")[0] for name in imports(path)}
        for heavy, places in HEAVY.items():
            if heavy in heads and not any(within(room, place) for place in places):
                offences.append(f"{path.relative_to(ROOT)} imports {heavy}")
        if room == BLENDER_PARENT and heads & {"bpy", "bmesh", "mathutils"}:
            offences.append(f"{path.relative_to(ROOT)} imports bpy outside the child process")
    assert offences == []
    assert any("bpy" in imports(path) for path in modules().values()), "has the renderer moved?"


def imported_at_once(path: Path) -> set[str]:
    """Heads of the foreign modules that importing a file imports: not in functions, and not for types."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                found.update(name.partition(".")[0] for name in names_imported(child, path))
            elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not (
                isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            ):
                visit(child)

    visit(tree_of(path))
    return found - sys.stdlib_module_names - {"pairbridge"}


def test_a_room_imports_at_once_what_its_role_installs() -> None:
    offences, used = [], set()
    for path in modules().values():
        allowed = READER | set(AT_IMPORT.get(room_of(path), ()))
        found = imported_at_once(path)
        used |= {(room_of(path), name) for name in found - READER}
        offences += [f"{path.relative_to(ROOT)}: {name}" for name in sorted(found - allowed)]
    assert offences == []
    # What no file of a room imports is no longer allowed there.
    stated = {(room, name) for room, names in AT_IMPORT.items() for name in names if name not in _TRAINER}
    assert stated - used == set()


def test_an_import_inside_a_function_says_why() -> None:
    """Of a module of the house: a comment on its line or above it, usually naming the heavy dependency."""
    silent = []
    for path in modules().values():
        lines = path.read_text().splitlines()
        last_said = last_end = 0
        for node in sorted(nodes_in_functions(path), key=lambda node: node.lineno):
            # One comment speaks for imports that follow each other.
            follows = node.lineno == last_end + 1 and last_said == last_end
            here = any("#" in line for line in lines[node.lineno - 1 : node.end_lineno])
            if follows or here or lines[node.lineno - 2].strip().startswith("#"):
                last_said = node.end_lineno
            else:
                silent.append(f"{path.relative_to(ROOT)}:{node.lineno}")
            last_end = node.end_lineno
    assert silent == []


def nodes_in_functions(path: Path) -> set[ast.Import | ast.ImportFrom]:
    """Imports of the house inside functions."""
    functions = (n for n in ast.walk(tree_of(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    found = (node for function in functions for node in ast.walk(function))
    return {
        node
        for node in found
        if isinstance(node, ast.Import | ast.ImportFrom)
        and any(name.partition(".")[0] == "pairbridge" for name in names_imported(node, path))
    }


OPTIONAL = tuple(sorted({name for names in MODULES.values() for name in names}))


# What must not be imported by what, in an order in which one process may import them all: each is looked at
# when it has come to those before it.
LIGHT: tuple[tuple[tuple[str, tuple[str, ...]], ...], ...] = (
    (
        ("pairbridge", ("bpy", "ray", "torch", "numpy", "cv2", "pydantic")),
        ("pairbridge.pipelines.cli", (*OPTIONAL, "numpy", "cv2", "pydantic", "rich")),
        # A plan must build where no extra is installed.
        ("pairbridge.datagen.dataset.plan", OPTIONAL),
        ("pairbridge.datagen.dataset.verify", OPTIONAL),
        ("pairbridge.datagen.exports.export", OPTIONAL),
        ("pairbridge.pipelines.generation.open_plan", OPTIONAL),
        ("pairbridge.pipelines.generation.status", OPTIONAL),
        ("pairbridge.pipelines.pages.inspection", OPTIONAL),
        ("pairbridge.pipelines.pages.dataset_page", OPTIONAL),
        ("pairbridge.pipelines.checks.doctor", OPTIONAL),
        ("pairbridge.training.data.mix_report", OPTIONAL),
        ("pairbridge.training.data.torch_datasets", OPTIONAL),
        # Pairs of one file are made without Ray.
        ("pairbridge.pipelines.generation.trial", OPTIONAL),
    ),
    (
        # The trainer and the reader install and run without the render extra.
        ("pairbridge.training.data.pairs", ("bpy", "ray", "pairbridge.datagen.blender.client")),
        ("pairbridge.training.bridge_training.loop", ("bpy", "ray")),
    ),
)
LOOK = """
import importlib, sys
for module, absent in {modules!r}:
    importlib.import_module(module)
    for name in absent:
        if name in sys.modules:
            print(f"{{module}} imports {{name}}")
"""


@pytest.mark.parametrize("modules", LIGHT, ids=("reader", "trainer"))
def test_importing_stays_light(modules: tuple[tuple[str, tuple[str, ...]], ...]) -> None:
    code = LOOK.format(modules=modules)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == []


def test_no_hidden_state_and_no_foreign_code() -> None:
    offences = []
    for path in sources(*TOPS):
        name = path.relative_to(ROOT).as_posix()
        rules = {} if name in SPEAKS_OF_CODE else dict(RUNS_CODE)
        if name.startswith(("datagen/", "training/")) and name not in TELLS_THE_TIME:
            rules |= NONDETERMINISM
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            code = line.partition("#")[0]
            for pattern, instead in rules.items():
                if re.search(pattern, code):
                    offences.append(f"{path.relative_to(ROOT)}:{number}: use {instead}")
    assert offences == []


def test_tests_mirror_the_rooms() -> None:
    """A folder of tests under a top's name is a room of that top."""
    folders = {
        path.parent.relative_to(ROOT / "tests").as_posix()
        for top in ("datagen", "training", "pipelines")
        for path in (ROOT / "tests" / top).rglob("test_*.py")
    }
    assert folders - set(ROOMS) == set()


def length_of(place: str, symbol: str | None) -> int:
    """Lines of a file, or of one class, function or method in it."""
    path = ROOT / place
    if symbol is None:
        return len(path.read_text().splitlines())
    node: ast.AST = tree_of(path)
    for name in symbol.split("."):
        node = next(child for child in node.body if getattr(child, "name", None) == name)
    return node.end_lineno - min([node.lineno, *(one.lineno for one in node.decorator_list)]) + 1


def test_the_way_through_the_code_is_short() -> None:
    way = PAGE.read_text().partition("## A way through the code")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([\w/]+\.\w+)`(?: `([\w.]+)`)? \|", way, re.MULTILINE)
    lengths = {row: length_of(row[0], row[1] or None) for row in rows}
    assert len(lengths) > 12
    assert sum(lengths.values()) <= 600, lengths


def table() -> str:
    """The rooms in the order of ROOMS: files and lines of Python, and what each imports of the others."""
    rows = ["| room | files | lines | imports |", "|---|---|---|---|"]
    graph = graph_of_rooms()
    for room in ROOMS:
        files = sorted(path for path in (ROOT / room).glob("*.py"))
        lines = sum(len(path.read_text().splitlines()) for path in files)
        seen = [short(other, room) for other in ROOMS if other in graph.get(room, ())]
        rows.append(f"| `{room}` | {len(files) - 1} | {lines} | {', '.join(seen)} |")
    return "\n".join(rows) + "\n"


def short(other: str, room: str) -> str:
    """A room as seen from another: without the top folder that both share."""
    top = room.partition("/")[0]
    return other.removeprefix(f"{top}/") if within(other, top) else other


def test_the_table_of_rooms_is_this_one() -> None:
    """But for the lines, which every commit changes and which the table rounds to nothing."""

    def without_lines(text: str) -> list[list[str]]:
        rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
        return [[cell.strip() for place, cell in enumerate(row) if place != 3] for row in rows]

    printed = re.search(r"<!-- rooms -->\n(.*?)<!-- /rooms -->", PAGE.read_text(), re.DOTALL)
    assert printed, "docs/architecture.md has lost its table of rooms"
    assert without_lines(printed[1]) == without_lines(table()), "run `make rooms`"


if __name__ == "__main__":
    before = PAGE.read_text()
    new = re.sub(r"(<!-- rooms -->\n).*?(<!-- /rooms -->)", rf"\g<1>{table()}\g<2>", before, flags=re.DOTALL)
    PAGE.write_text(new)
    print(table(), end="")
