"""The command line as a user meets it: what it prints, how it ends, and how little it loads to say so."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pytest

from pairbridge.datagen.shards.reader import open_shards
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.engine.checkpoint import checkpoint_folders
from tests.support.small_run import write_small_run
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

COMMANDS = [
    *("demo", "run", "plan", "generate", "verify", "inspect", "status", "export", "merge"),
    *("import", "photos", "mix", "encode", "train", "distill", "classifier", "evaluate", "publish"),
    *("translate", "sample", "guide", "app", "sweep", "calibrate", "doctor", "assets", "weights", "config"),
]
HEAVY = ("torch", "ray", "bpy", "cv2", "numpy", "pydantic", "matplotlib", "diffusers", "fsspec")


@pytest.fixture
def dataset(finished_run, tmp_path) -> Path:
    """A copy of a finished dataset, to be changed."""
    return Path(shutil.copytree(finished_run.dataset_dir, tmp_path / "dataset"))


# Seconds each, which arithmetic and counts do without.
SLOW = (
    *("torch", "ray", "bpy", "diffusers", "transformers", "peft", "scipy", "skimage", "matplotlib", "pandas"),
    # Of object stores, for folders of this machine.
    *("fsspec", "asyncio", "jinja2", "psutil"),
)
# Tenths of a second together, which counts do without.
PICTURES = ("PIL", "OpenEXR", "pairbridge.datagen.recipes", "pairbridge.datagen.blender.client")


def loaded_by(*arguments: object, absent: tuple[str, ...]) -> tuple[str, str]:
    """What a command prints in a process of its own, and those of `absent` that it imported."""
    code = (
        "import sys\nfrom pairbridge.pipelines.cli import main\n"
        "absent, *sys.argv[1:] = sys.argv[1:]\n"
        "try:\n    main()\nfinally:\n    print('LOADED', *sorted(set(sys.modules) & set(absent.split())))"
    )
    command = [sys.executable, "-c", code, " ".join(absent), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    printed, _, loaded = done.stdout.rpartition("LOADED")
    return printed, loaded.strip()


def test_help_loads_nothing_that_is_slow() -> None:
    printed, loaded = loaded_by("--help", absent=HEAVY)
    assert loaded == ""
    for command in COMMANDS:
        assert f"  {command} " in printed


def test_help_says_what_each_command_does_on_one_line(pairbridge) -> None:
    _, out, _ = pairbridge("--help")
    listed = [
        line.split() for line in out.splitlines() if line.startswith("  ") and line.split()[0] in COMMANDS
    ]
    assert sorted(words[0] for words in listed) == sorted(COMMANDS)
    assert not [words for words in listed if words[-1].endswith("...")]


@pytest.mark.parametrize("command", ["translate", "train", "generate", "weights", "config"])
def test_help_of_a_command_loads_nothing_that_is_slow(command: str) -> None:
    assert loaded_by(command, "--help", absent=(*SLOW, "cv2", "numpy", "rich"))[1] == ""


def test_no_command_that_counts_loads_what_it_has_no_use_for(tmp_path) -> None:
    """A plan looks at photographs and maps, and its recipes make pictures. Status and mixes read counts; a
    mix's roles have masks to draw.
    """
    recipes = {"relight": TinyRecipe(groups={"train": 2})}
    dataset = TinyDataset(recipes=recipes).write(tmp_path / "run" / "dataset")
    source = "{name: it, path: 'run:dataset', recipe: relight}"
    (tmp_path / "mix.yaml").write_text(f"sources:\n  - {source}\n")
    commands = (
        (SLOW, "plan", "demo"),
        ((*SLOW, *PICTURES, "cv2"), "status", dataset),
        ((*SLOW, *PICTURES), "mix", tmp_path / "mix.yaml", "--run", tmp_path / "run"),
        ((*SLOW, *PICTURES), "config", "show", "mix"),
    )
    found = {command[0]: loaded_by(*command, absent=absent)[1] for absent, *command in commands}
    assert found == dict.fromkeys(("plan", "status", "mix", "config"), "")


def test_a_shipped_configuration_is_copied_without_what_would_check_it(tmp_path) -> None:
    """A training's model is torch's: seconds, for a file that is copied as it is."""
    arguments = ("config", "copy", "training", "smoke", "--out", tmp_path / "mine.yaml")
    assert loaded_by(*arguments, absent=(*SLOW, "numpy", "cv2"))[1] == ""
    assert (tmp_path / "mine.yaml").is_file()


def test_the_version_is_printed_by_the_command_and_by_the_module() -> None:
    expected = f"pairbridge {version('pairbridge')}\n"
    program = str(Path(sys.executable).with_name("pairbridge"))
    for command in ([program], [sys.executable, "-m", "pairbridge"]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout == expected


def test_a_shell_completes_commands(tmp_path) -> None:
    program = str(Path(sys.executable).with_name("pairbridge"))
    # In the shell it is asked from: the next one above the process counts, which may be that of `make`.
    command = f"{program} --show-completion; exit $?"
    shown = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert "_PAIRBRIDGE_COMPLETE" in shown.stdout
    asked = {"_PAIRBRIDGE_COMPLETE": "complete_bash", "COMP_WORDS": "pairbridge tra", "COMP_CWORD": "1"}
    found = subprocess.run([program], capture_output=True, text=True, check=True, env={**os.environ, **asked})
    assert found.stdout.split() == ["train", "translate"]


def test_every_command_explains_itself(pairbridge) -> None:
    for command in COMMANDS:
        status, out, _ = pairbridge(command, "--help")
        assert status == 0, command
        assert "Usage: " in out, command


def test_an_error_says_cause_consequence_and_remedy_without_a_traceback(pairbridge, tmp_path) -> None:
    (tmp_path / "mine.yaml").write_text("name: x\nrecipes: {}\nsede: 3\n")
    status, _, err = pairbridge("plan", tmp_path / "mine.yaml")
    assert status == 1
    assert err.startswith("error: ")
    assert "mine.yaml, line 3: unknown key 'sede'; did you mean 'seed'?" in err
    for part in ("consequence: ", "remedy: "):
        assert part in err
    assert "Traceback" not in err


def test_an_error_ends_the_real_process_with_status_1(tmp_path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("pairbridge"), "status", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "dataset.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_command_line_ends_with_status_2(pairbridge) -> None:
    assert pairbridge("generate")[0] == 2
    assert pairbridge("gnerate", "demo")[0] == 2


def test_plan_prints_layout_counts_disk_and_one_group(pairbridge, tmp_path) -> None:
    write_small_run(tmp_path)
    status, out, _ = pairbridge("plan", tmp_path / "dataset.yaml", "--group", "relit/test/2")
    assert status == 0
    assert "24 pairs of 12 groups" in out
    assert "MB on disk" in out
    assert "group relit/test/2 makes relit-test-00000004, relit-test-00000005 from" in out
    assert '"photo": "' in out
    status, _, err = pairbridge("plan", tmp_path / "dataset.yaml", "--group", "relit/test/3")
    assert status == 1
    assert "relit/train/5" in err


def test_a_dry_run_makes_nothing_and_refuses_what_generate_would(pairbridge, tmp_path, dataset) -> None:
    write_small_run(tmp_path / "configs")
    config = tmp_path / "configs" / "dataset.yaml"
    status, out, _ = pairbridge("generate", config, "--out", tmp_path / "new", "--dry-run")
    assert status == 0
    assert "dry run: nothing was made" in out
    assert not (tmp_path / "new").exists()
    status, out, _ = pairbridge("generate", config, "--out", dataset, "--dry-run")
    assert status == 0
    assert "go on from" in out
    status, _, err = pairbridge("generate", config, "--out", dataset, "--dry-run", "--set", "seed=8")
    assert status == 1
    assert "seed: 5 there, 8 now" in err


def test_generate_ends_with_status_2_where_pairs_are_in_quarantine(pairbridge, tmp_path, ray_address) -> None:
    write_small_run(tmp_path)
    command = (
        "generate",
        tmp_path / "dataset.yaml",
        "--out",
        tmp_path / "out",
        "--workers",
        "1",
        "--address",
        ray_address,
    )
    status, out, _ = pairbridge(*command)
    assert status == 2
    assert "quarantine.jsonl says why" in out
    easy = ("--set", "recipes.relit.min_change=0", "--set", "recipes.relit.groups={train: 1}")
    status, out, _ = pairbridge(*command[:3], tmp_path / "easy", *command[4:], *easy)
    assert status == 0
    assert "8 pairs in" in out


def test_interrupted_generate_says_how_to_resume_and_the_command_does(tmp_path) -> None:
    write_small_run(tmp_path)
    out = tmp_path / "out"
    arguments = ["generate", str(tmp_path / "dataset.yaml"), "--out", str(out), "--workers", "1"]
    many = [
        "--set",
        "recipes.relit.groups={}",
        "--set",
        "recipes.holes.groups.train=2000",
        "--set",
        "groups_per_shard=10",
    ]
    program = str(Path(sys.executable).with_name("pairbridge"))
    with subprocess.Popen(
        [program, *arguments, *many], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not list(out.glob("shards/*.json")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"resume with: pairbridge generate {tmp_path / 'dataset.yaml'}" in err
    assert "Traceback" not in err
    assert not list(out.glob("shards/.*"))


def test_status_and_verify_count_and_tell_quarantine_from_damage(pairbridge, dataset) -> None:
    status, out, _ = pairbridge("status", dataset)
    assert status == 0
    assert "relit" in out
    status, out, _ = pairbridge("verify", dataset, "--decode")
    assert status == 2
    assert "whole: every planned pair is accounted for" in out
    shard = sorted((dataset / "shards").glob("*.tar"))[0]
    shard.write_bytes(shard.read_bytes()[:-512])
    status, out, _ = pairbridge("verify", dataset)
    assert status == 1
    assert shard.stem in out
    assert "remedy: " in out


def test_inspect_shows_meta_and_writes_the_files_as_they_are(pairbridge, dataset, tmp_path) -> None:
    shard = next(iter(open_shards(dataset, "holes", "train")))
    key, files = shard.key(1), shard.read(1)
    for what in (dataset, shard.path):
        out_dir = tmp_path / what.name
        status, out, _ = pairbridge("inspect", what, "--key", key, "--out", out_dir)
        assert status == 0
        assert f'"key": "{key}"' in out
        assert json.loads(json.loads(files["meta.json"])["params"])["fill_seed"] > 0
        for field, data in files.items():
            assert (out_dir / f"{key}.{field}").read_bytes() == data
        assert cv2.imread(str(out_dir / f"{key}-sheet.png")).shape[1] == 1280
    status, _, err = pairbridge("inspect", dataset, "--key", key.replace("holes", "hols"))
    assert status == 1
    assert f"did you mean '{key[:-1]}" in err


def test_inspect_says_why_a_quarantined_sample_is_not_there(pairbridge, dataset) -> None:
    hole = json.loads((dataset / "quarantine.jsonl").read_text().splitlines()[0])
    status, _, err = pairbridge("inspect", dataset, "--key", hole["key"])
    assert status == 1
    assert hole["reason"] in err


def test_mix_prints_shares_epochs_and_who_is_exhausted_first(pairbridge, finished_run, tmp_path) -> None:
    write_small_run(tmp_path)
    command = (
        "mix",
        tmp_path / "mix.yaml",
        "--run",
        finished_run.folder,
        "--steps",
        "10",
        "--batch-size",
        "5",
    )
    status, out, _ = pairbridge(*command)
    assert status == 0
    assert "56.00%" in out
    assert "14/25" in out
    assert "is exhausted first" in out


def test_train_evaluate_and_translate_follow_each_other(pairbridge, dataset, tmp_path) -> None:
    write_small_run(tmp_path)
    run = tmp_path
    command = ("train", tmp_path / "training.yaml", "--mix", tmp_path / "mix.yaml", "--run", run)
    status, out, _ = pairbridge(*command, "--set", "steps=2", "--set", "optimiser.learning_rate=4e-4")
    assert status == 0
    assert "step 2: " in out
    status, out, _ = pairbridge("evaluate", tmp_path / "evaluation.yaml", "--run", run)
    assert status == 0
    assert "model minus untouched source" in out

    draw = np.random.default_rng(0)
    image, mask = draw.integers(0, 256, (30, 45, 3), np.uint8), np.full((30, 45), 255, np.uint8)
    cv2.imwrite(str(tmp_path / "image.png"), image[..., ::-1])
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    translate = ("translate", run, tmp_path / "image.png", "--out", tmp_path / "out.png")
    assert pairbridge(*translate, "--mask", tmp_path / "mask.png")[0] == 0
    checkpoint = checkpoint_folders(run / "train" / "checkpoints")[-1]
    expected = TranslationModel.load(checkpoint).translate(image, mask)
    assert np.array_equal(decode_field("out.png", (tmp_path / "out.png").read_bytes()), expected)
    status, _, err = pairbridge(*translate)
    assert status == 1
    assert "--mask" in err
    status, _, err = pairbridge(*translate[:-1], tmp_path / "out.jpg")
    assert status == 1
    assert ".png" in err


def test_run_prints_the_figures_and_skips_the_second_time(pairbridge, finished_run) -> None:
    config = finished_run.folder.parent.parent / "configs" / "run.yaml"
    command = ("run", config, "--out", finished_run.folder.parent)
    status, out, _ = pairbridge(*command, "--dry-run")
    assert status == 0
    assert out.count("would skip stage") == 5
    status, out, _ = pairbridge(*command)
    assert status == 2  # some pairs are in quarantine
    assert out.count("skipping stage") == 5
    assert "dB Foreground PSNR [" in out
    assert f"report: {finished_run.folder / 'report.html'}" in out
