"""Every fenced block of README and docs/ is run as it stands, with small files in place of what it names.

What cannot be run here (a cluster, weights, a server, minutes) is named with its reason, and held to the
command line's options all the same. A block that is new has to be given a place here.
"""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from datasets import load_dataset
from diffusers.utils import dynamic_modules_utils

from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.exports.finished import open_finished
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.commands.config_kinds import load
from pairbridge.pipelines.inference.publishing import publish
from pairbridge.pipelines.runs.run_config import Run
from pairbridge.training.data.pairs import PairSource
from tests.pipelines.inference.translating_models import write_model
from tests.public.readme_examples import glb
from tests.support.fences import ROOT, Fence, documented, fences_of, parse
from tests.support.foreign_datasets import encode, hole, picture, put, write_folders, write_rord, write_tar
from tests.support.panoramas import by_component, panorama, radiance, rgbe
from tests.support.tiny_dataset import TinyDataset, TinyRecipe
from tests.training.bridge_training.test_own_parts import PARTS

PAGES = documented()

# Pages, or blocks by number, that another test runs from first to last.
ELSEWHERE = {
    "docs/walk.md": "tests/end_to_end/test_walk.py",
    "docs/recipes.md": "tests/pipelines/generation/test_own_recipe.py",
    ("README.md", "python"): "tests/public/test_examples.py",
    ("docs/architecture.md", ""): "a drawing; tests/test_architecture.py holds the rooms",
    ("docs/benchmarks/render.md", ""): "a table of measurements",
}
# Commands that are held to the command line's options alone: why, by how they begin.
NOT_RUN = {
    "make": "each is a build of its own: `make -n` says that the target is there",
    "source .venv/bin/activate": "the tests' own environment is active",
    "pairbridge app": "serves until it is stopped; tests/pipelines/app/test_app_page.py",
    "pairbridge benchmark kitti": "needs the data; tests/pipelines/judging/",
    "pairbridge benchmark rord-fine": "needs the data; tests/pipelines/judging/",
    "pairbridge calibrate": "renders; tests/pipelines/checks/test_calibrate.py",
    "pairbridge distill": "minutes; tests/training/distillation/",
    "pairbridge export-model": "half a minute; tests/training/published/test_onnx_export.py",
    "pairbridge guide stable-diffusion-v1-5": "needs weights; tests/pipelines/inference/test_guide.py",
    "pairbridge plan dataset.yaml --cost": "makes groups for a minute; tests/pipelines/costing/",
    ".venv/bin/python -m pip": "gigabytes, from an index; make test-other-python",
    "python3.13 -m venv": "needs another Python; tests/datagen/blender/test_interpreter.py",
    "renderer/bin/python -m pip": "a gigabyte; tests/datagen/blender/test_interpreter.py",
    "ray job submit": "needs a cluster; tests/faults/test_job_submission.py",
    "sbatch": "needs a cluster; tests/faults/test_slurm.py",
}
NOT_RUN_ON_STORES = "s3://"  # tests/pipelines/shelves/test_store_datasets.py
NOT_RUN_ON_CLUSTERS = "--address auto"  # tests/faults/test_cluster.py

# What takes a Ray of its own.
LONG = ("pairbridge generate", "pairbridge run ")

SMALLER = {
    "README.md": [
        # A photograph: an object needs Blender.
        ("try my.glb", "try person.jpg"),
        ("plan demo", "plan dataset.yaml"),
        ("generate demo", "generate dataset.yaml"),
        ("run demo", "run run.yaml"),
        ("mix demo", "mix mix.yaml"),
        # The run's photographs are in two splits, which a merge refuses.
        ("merge my-data", "merge removal"),
    ],
    "docs/cluster.md": [("generate demo", "generate dataset.yaml")],
    "docs/guidance.md": [
        ("runs/relighting", "runs/demo"),
        ("reference=reference.png", "reference=reference.png --set steps=1 --set guidance.inner_steps=1"),
    ],
    "docs/import.md": [("/data/RORD", "RORD")],
    "docs/mixing.md": [("runs/mine", "runs/fresh")],
    "docs/using.md": [
        ("my-model picture.png --light-map", "light-model picture.png --light-map"),
        (
            "my-model picture.png --mask mask.png --condition",
            "lit-model picture.png --mask mask.png --condition",
        ),
    ],
}
SIZE_WH = (40, 32)
RECIPE = "recipes: {r: {kind: photo_removal, groups: {train: 1}, size_WH: [32, 32]}}\n"


@pytest.fixture(scope="module")
def desk(finished_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages name: a run, datasets, a model, pictures."""
    root = tmp_path_factory.mktemp("desk")
    configs = finished_run.folder.parents[1] / "configs"
    shutil.copytree(configs, root, dirs_exist_ok=True)
    for name in ("demo", "fresh", "longer"):
        shutil.copytree(finished_run.folder, root / "runs" / name)
    shutil.rmtree(root / "runs" / "fresh" / "train")
    shutil.copytree(finished_run.folder / "dataset", root / "my-data")
    for name in ("more-data", "relit-people", "relit-objects", "removal"):
        recipes = {name: TinyRecipe(groups={"train": 1, "test": 1})}
        TinyDataset(name=name, plan=name, recipes=recipes).write(root / name)
    mask = encode(hole("mask", SIZE_WH) * np.uint8(255))
    for name in ("picture", "light", "reference", "street", "pictures/a", "pictures/b"):
        put(root / f"{name}.png", encode(picture(name, SIZE_WH)))
    for name in ("mask", "masks/a", "masks/b"):
        put(root / f"{name}.png", mask)
    for name, wall in (("person.jpg", 90), ("street.jpg", 160)):
        scene = np.full((96, 96, 3), wall, np.uint8)
        cv2.imwrite(str(root / name), cv2.circle(scene, (48, 48), 24, (40, 60, 230), -1))
    key = PairSource(root / "my-data", "holes", "train").key(0)
    put(root / "translated" / f"{key}.source.png", encode(picture(key, (32, 32))))
    edit = {"steps": 1, "losses": [{"kind": "range", "weight": 1}], "guidance": {"inner_steps": 1}}
    (root / "edit.yaml").write_text(json.dumps(edit))
    return root


def own_folders(desk: Path) -> None:
    """What docs/import.md imports, where its field maps look."""
    write_rord(desk / "RORD")
    shutil.rmtree(desk / "my-data")
    write_folders(desk / "my-data", [f"room{number}/a" for number in range(12)])
    members = [
        (f"{number:04d}.{name}", encode(picture(f"{number}{name}")))
        for number in range(12)
        for name in ("jpg", "target.png")
    ]
    members += [
        (f"{number:04d}.mask.png", encode(hole(str(number)).astype(np.uint8))) for number in range(12)
    ]
    write_tar(desk / "tars" / "train" / "0.tar", members)
    for name, number, head in (
        ("my_pairs", 2, ""),
        ("my_tars", 3, "name: my-tars\nroot: tars\nsplits: {kind: all, split: train}\n"),
    ):
        (desk / f"{name}.yaml").write_text(head + PAGES["docs/import.md"][number].text)


def under(key: str) -> Callable[[str], str]:
    return lambda text: f"{key}:\n" + "".join(f"  {line}" for line in text.splitlines(keepends=True))


def dataset(text: str) -> str:
    return f"name: x\n{'' if 'recipes:' in text else RECIPE}{text}"


def recipes(text: str) -> str:
    return dataset(under("recipes")(text))


def pools(text: str) -> str:
    swap = "{kind: relighting_swap, groups: {train: 1}}"
    return dataset(
        f"recipes: {{relighting: {swap}, photos: {{kind: photo_relighting, groups: {{train: 1}}}}}}\n{text}"
    )


def training(text: str) -> str:
    size = "" if "buckets" in text else "batch_size: 1\nsize: 64\n"
    return f"steps: 1\n{size}{text}"


# Blocks of YAML in the order of each page: the kind of file, and the rest of it.
YAML = {
    "README.md": [("dataset", recipes)],
    "docs/assets.md": [
        ("dataset", dataset),
        ("pins", None),
        ("pins", None),
        ("pins", None),
        ("pins", None),
        ("dataset", dataset),
        ("pins", None),
        ("dataset", dataset),
    ],
    "docs/cluster.md": [("dataset", pools), ("run", lambda text: Path("run.yaml").read_text() + text)],
    "docs/evaluation.md": [("evaluation", str)],
    "docs/flow.md": [("training", training)],
    "docs/guidance.md": [("guidance", str)],
    "docs/import.md": [("mix", str), ("import", str), ("import", lambda text: f"name: x\nroot: .\n{text}")],
    "docs/mixing.md": [("mix", str), ("mix", str), ("training", training)],
    "docs/photographs.md": [("dataset", recipes)] * 3,
    "docs/rendering.md": [("dataset", dataset)],
    "docs/sweep.md": [("sweep", str)],
    "docs/tasks.md": [("mix", str)] * 17,
    "docs/training.md": [
        ("mix", str),
        ("training", lambda text: training(under("denoiser")(text))),
        ("training", training),
    ],
}


def test_every_block_has_its_place() -> None:
    lost = []
    for page, fences in PAGES.items():
        yaml = [fence for fence in fences if fence.language == "yaml"]
        if page in ELSEWHERE:
            continue
        assert len(YAML.get(page, ())) == len(yaml), page
        known = {"sh", "yaml", *(("python",) if (page, "python") in ELSEWHERE or page in PYTHON else ())}
        for fence in fences:
            if fence.language not in known and (page, fence.language) not in ELSEWHERE:
                lost += [] if fence.text.startswith("pairbridge ") else [(page, fence.text[:40])]
    assert not lost


ALL_COMMANDS = [
    (page, command)
    for page, fences in PAGES.items()
    for fence in fences
    if fence.language == "sh" or fence.text.startswith("pairbridge ")
    for command in fence.commands
]


@pytest.mark.parametrize("page", sorted({page for page, _ in ALL_COMMANDS}))
def test_every_command_is_one_of_the_command_line(page: str) -> None:
    commands = [command for of, command in ALL_COMMANDS if of == page]
    # Each by itself, in one shell: two wrong ones could be right together.
    script = "".join(f"bash -n -c {shlex.quote(command)} || exit 1\n" for command in commands)
    checked = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    for command in commands:
        if command.startswith("make "):
            target = subprocess.run(
                ["make", "-n", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True
            )
            assert target.returncode == 0, f"{command}: {target.stderr}"
        elif "pairbridge" in command:
            # What is submitted to a cluster comes after its options.
            parse(command[command.index("pairbridge") :])


def test_every_test_that_the_page_of_faults_names_exists() -> None:
    """A name may end in an ellipsis, or begin with one: then it is a part of a test's name."""
    tests = {path.as_posix(): path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py"))}
    text = (ROOT / "docs" / "faults.md").read_text()
    for file, name in re.findall(r"`(?:tests/)?([\w/]*test_\w+\.py)(?:::(\w+)…?)?`", text):
        there = [content for path, content in tests.items() if path.endswith(f"/{file}")]
        assert any(f"def {name}" in content for content in there), f"{file}::{name}"
    for part in re.findall(r"`…(?:::)?(\w+)…?`", text):
        assert any(re.search(rf"def \w*{part}", content) for content in tests.values()), part


def reason_not_to_run(command: str) -> str | None:
    if NOT_RUN_ON_STORES in command or NOT_RUN_ON_CLUSTERS in command:
        return "needs a store or a cluster"
    return next((why for begin, why in NOT_RUN.items() if command.startswith(begin)), None)


def run_commands(fence: Fence, pairbridge, ray_address: str, *, long: bool) -> None:
    for command in fence.commands:
        if reason_not_to_run(command) or (command.startswith(LONG) and not long):
            continue
        for old, new in SMALLER.get(fence.page, ()):
            command = command.replace(old, new)
        words = shlex.split(command)[1:]
        address = ["--address", ray_address] if command.startswith(LONG) else []
        status, out, error = pairbridge(*words, *address)
        # Pairs in quarantine are 2, and doctor says with 1 that something could be better.
        assert status in (0, 2, *((1,) if words[0] == "doctor" else ())), f"{command}\n{out}\n{error}"
        for option in ("--out", "--page"):
            if option in words and "--preview" not in words:
                assert Path(words[words.index(option) + 1]).exists(), command
        if words[0] in STATED:
            assert re.search(STATED[words[0]], out), f"{command}\n{out}"


# What the pages say that a command shows.
STATED = {
    "plan": r"train",
    "status": r"(?i)pairs|complete",
    "mix": r"relit.*\n(.*\n)*.*holes",
    "import": r"in a mix: \{path: .*, recipe: ",
    "encode": r"latents",
}


def check_yaml(fence: Fence, kind: str, rest: Callable[[str], str] | None) -> None:
    if kind == "pins":
        return check_pins(fence)
    path = Path(f"block-{fence.number}.yaml")
    path.write_text(rest(fence.text))
    assert load(kind, str(path))


def check_pins(fence: Fence) -> None:
    """A catalogue.yaml: what it pins is so."""
    folder = Path(f"pinned-{fence.number}")
    folder.mkdir()
    if "materials/" in fence.text:
        check_material_pins(fence, folder)
        return
    names = ("bust-3", "lamp-08") if "up:" in fence.text else ("red-chair", "lamp-06", "lamp-07")
    for name in names:
        (folder / f"{name}.glb").write_bytes(
            glb(f"v 0 0 0\nv {len(name)} 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n")
        )
    (folder / "catalogue.yaml").write_text(fence.text)
    config = AssetsConfig(embedded=False, objects=(folder,))
    found = {one.id: one for one in build_catalogue(config, None).assets}
    if "human" in fence.text:
        assert {one.tags for one in found.values()} == {("human",)}
        assert {one.licence for one in found.values()} == {"CC0-1.0"}
    elif "front:" in fence.text:
        assert {one.front for one in found.values()} == {-90}
    elif "up:" in fence.text:
        assert {name: one.up for name, one in found.items()} == {"bust-3": "y", "lamp-08": "z"}
    else:
        assert found.keys() == {"red-chair", "lamp-06"}
        assert (found["red-chair"].split, found["red-chair"].author) == ("test", "Jo Smith")
        assert (found["lamp-06"].licence, found["lamp-06"].author) == ("CC0-1.0", "Museum")


def check_material_pins(fence: Fence, folder: Path) -> None:
    """The same of a folder of materials."""
    (folder / "oak_veneer_01").mkdir()
    grain = np.random.default_rng(0).integers(60, 200, (32, 32, 3), dtype=np.uint8)
    for role in ("diff", "rough"):
        cv2.imwrite(str(folder / "oak_veneer_01" / f"oak_veneer_01_{role}_1k.png"), grain)
    (folder / "catalogue.yaml").write_text(fence.text)
    config = AssetsConfig(embedded=False, materials=(folder,))
    (found,) = [one for one in build_catalogue(config, None).assets if one.kind == "material"]
    assert (found.id, found.size_m, found.licence) == ("oak_veneer_01", 1.8, "CC0-1.0")


def guided(code: str) -> None:
    """Inversion and guidance of an exact model of noise, in the names that the block uses."""
    if "class Brightness" in code:
        Path("brightness.py").write_text(code)
        return
    names = {
        "predict_noise": lambda x, t: torch.zeros_like(x),
        "alpha_bar": lambda t: t,
        "image_latent": torch.ones(1, 1, 4, 4),
        "times": torch.linspace(0.1, 0.99, 5).tolist(),
        "edit_loss": lambda x, t: x.square().sum(dim=(1, 2, 3)),
        "generator": torch.Generator().manual_seed(0),
        "mask": torch.ones(1, 1, 4, 4),
    }
    exec(code, names)
    assert names["edited"].shape == (1, 1, 4, 4)
    assert names["edited"].square().sum() < 16


def published(code: str) -> None:
    names: dict = {}
    exec(code, names)
    assert names["result"].size == SIZE_WH


PYTHON = {"docs/guidance.md": guided, "docs/using.md": published}


def after_export() -> None:
    """`load_dataset` as the page's remark has it, on a recipe that is there."""
    (line,) = re.findall(r"load_dataset\(.*\)", PAGES["docs/datasets.md"][0].text)
    loaded = eval(line.replace('"relighting"', '"relit"'), {"load_dataset": load_dataset})
    assert len(loaded["train"]) == sum(
        one.pairs_made
        for one in open_finished("my-data").streams
        if (one.recipe, one.split) == ("relit", "train")
    )


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE])
def test_a_page_s_blocks_run_as_they_are_written(
    page: str, desk: Path, tmp_path: Path, monkeypatch, pairbridge, ray_address: str
) -> None:
    prepare(page, desk, tmp_path, monkeypatch)
    run_page(page, pairbridge, ray_address, long=False)


LONG_PAGES = [
    page
    for page, fences in PAGES.items()
    if page not in ELSEWHERE
    and any(command.startswith(LONG) for fence in fences for command in fence.commands)
]


@pytest.mark.long
@pytest.mark.parametrize("page", LONG_PAGES)
def test_a_page_s_long_commands_run_as_they_are_written(
    page: str, desk: Path, tmp_path: Path, monkeypatch, pairbridge, ray_address: str
) -> None:
    prepare(page, desk, tmp_path, monkeypatch)
    shutil.rmtree("my-data")
    run_page(page, pairbridge, ray_address, long=True)


# Python that cards hold and that cannot be run here.
NOT_IMPORTED = {"megatron": "energon does not install beside the versions pinned here (docs/datasets.md)"}


@pytest.mark.parametrize("made_by", ["", "export folders", "export hf", "export energon", "merge"])
def test_the_cards_of_datasets_run_as_they_are_written(
    made_by: str, desk: Path, tmp_path: Path, monkeypatch, pairbridge
) -> None:
    prepare("", desk, tmp_path, monkeypatch)
    folder = Path(made_by.replace(" ", "-") or "my-data")
    command, _, layout = made_by.partition(" ")
    if command == "export":
        assert pairbridge("export", "my-data", "--to", layout, "--out", folder)[0] == 0
    elif command == "merge":
        assert pairbridge("merge", "relit-people", "more-data", "--out", folder)[0] == 0
    card = (folder / "README.md").read_text()
    fences = fences_of(card, folder.name)
    # Plain folders of images need no reader.
    assert len(fences) == (0 if layout == "folders" else 1)
    for fence in fences:
        compile(fence.text, folder.name, "exec")
        if any(name in fence.text for name in NOT_IMPORTED):
            continue
        name = re.search(r"path/to/([\w-]+)", fence.text)[1]
        code = fence.text.replace(f"path/to/{name}", str(folder.absolute()))
        names: dict = {}
        exec(code.replace('load_dataset("', 'loaded = load_dataset("'), names)
        recipe, split = re.search(r'", "([\w-]+)", split="(\w+)"', code).groups()
        assert f"| {recipe} |" in card
        assert names["loaded"].num_rows == int(re.search(rf"\| {recipe} \| \w+ \| {split} \| (\d+)", card)[1])


def prepare(page: str, desk: Path, tmp_path: Path, monkeypatch) -> None:
    torch.set_num_threads(1)
    shutil.copytree(desk, tmp_path / "desk")
    monkeypatch.chdir(tmp_path / "desk")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    if page == "docs/import.md":
        own_folders(Path())
    if page == "docs/mixing.md":
        whole = Path("training.yaml").read_text() + "augment: {flip: 0, permute_colours: 0}\n"
        Path("my_training.yaml").write_text(whole)
        # Of removal pairs there is no latent to keep.
        Path("my_mix.yaml").write_text('sources: [{name: relit, path: "run:dataset", recipe: relit}]')
    if page == "docs/distillation.md":
        write_model(Path("runs/student/train/checkpoints"), conditions=())
    if page == "docs/using.md":
        # Where diffusers puts a pipeline's file before it runs it.
        monkeypatch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
        publish(write_model(tmp_path / "light", conditions=("light",)), Path("light-model"))
        by_map = {"field": "light_target", "encoding": "irradiance"}
        publish(write_model(tmp_path / "lit", conditions=("mask", by_map)), Path("lit-model"))
    if page in ("docs/using.md", "docs/reference_model.md"):
        Path("my.hdr").write_bytes(radiance(by_component(rgbe(panorama()))))
    if page == "docs/sweep.md":
        shutil.copy("run.yaml", "my_run.yaml")
    if page == "docs/training.md":
        Path("parts.py").write_text(f"{PARTS}\n\nBridge = Straight\n")


def run_page(page: str, pairbridge, ray_address: str, *, long: bool) -> None:
    yaml = iter(YAML.get(page, ()))
    for fence in PAGES[page]:
        if (page, fence.language) in ELSEWHERE:
            continue
        if fence.language == "yaml":
            check_yaml(fence, *next(yaml))
        elif fence.language == "python":
            PYTHON[page](fence.text)
        else:
            run_commands(fence, pairbridge, ray_address, long=long)
            if page == "docs/datasets.md" and fence.number == 0:
                after_export()
    if page == "docs/guidance.md":
        # The loss of one's own, in the config that the page gives it.
        Path("own.yaml").write_text("steps: 1\nguidance: {inner_steps: 1}\n" + PAGES[page][-1].text)
        words = "guide runs/demo picture.png --mask mask.png --config own.yaml --out own.png"
        assert pairbridge(*words.split())[0] == 0
        assert "brightness" in Path("own.json").read_text().lower()
