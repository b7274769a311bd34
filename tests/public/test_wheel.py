"""The built wheel, away from any checkout: what is in it, and that it works beside foreign packages."""

import zipfile
from pathlib import Path

import pytest

from tests.public.readme_examples import small_script, write_files
from tests.public.wheel_install import PACKAGES, ROOT, Installed, build_wheel, crowded_folder, install
from tests.support.ray_jobs import ray_head, submit

pytestmark = [pytest.mark.long, pytest.mark.render, pytest.mark.xdist_group("wheel")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(wheel, tmp_path_factory.mktemp("installed") / "venv")


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = crowded_folder(tmp_path_factory.mktemp("crowded"))
    write_files(folder)
    return folder


@pytest.fixture(scope="module")
def worked(installed: Installed, crowded: Path) -> Path:
    """The folder after the README's examples: views rendered, a dataset made by two workers, a model
    trained."""
    (crowded / "example.py").write_text(small_script())
    done = installed.run(crowded, "python", "example.py")
    assert done.returncode == 0, done.stdout + done.stderr
    return crowded


def test_the_wheel_has_every_file_of_the_house_below_one_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = set()
    for package in PACKAGES:
        place = "pairbridge" if package == "pairbridge" else f"pairbridge/{package}"
        expected |= {
            f"{place}/{path.relative_to(ROOT / package).as_posix()}"
            for path in (ROOT / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
    assert {name for name in names if name.startswith("pairbridge/")} == expected
    (records,) = {name.partition("/")[0] for name in names if not name.startswith("pairbridge/")}
    assert {f"{records}/licenses/LICENSE", f"{records}/licenses/NOTICE"} <= names
    for suffix in ("py.typed", "catalogue.yaml", "Dockerfile", "rayjob.yaml", "demo.yaml", "dataset.html.j2"):
        assert any(name.endswith(f"/{suffix}") for name in names), suffix


def test_what_is_imported_is_the_wheel(installed: Installed, crowded: Path) -> None:
    code = "import pairbridge, pairbridge.pipelines.cli as cli; print(pairbridge.__file__, cli.__file__)"
    done = installed.run(crowded, "python", "-c", code)
    assert done.returncode == 0, done.stderr
    assert [Path(path).is_relative_to(installed.site) for path in done.stdout.split()] == [True, True]


@pytest.mark.parametrize(
    "command",
    [
        ("pairbridge", "--help"),
        ("pairbridge", "--version"),
        ("python", "-m", "pairbridge", "--help"),
        ("pairbridge", "plan", "demo"),
        ("pairbridge", "doctor"),
    ],
    ids=" ".join,
)
def test_the_command_works_beside_foreign_packages(
    installed: Installed, crowded: Path, command: tuple[str, ...]
) -> None:
    done = installed.run(crowded, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "of the working folder" not in done.stdout + done.stderr


def test_the_public_api_s_examples_work_beside_foreign_packages(worked: Path) -> None:
    assert (worked / "my-data" / "dataset.json").is_file()
    assert list((worked / "runs" / "mine" / "train" / "checkpoints").iterdir())


@pytest.mark.parametrize(
    "command",
    [
        ("verify", "my-data", "--decode"),
        ("status", "my-data"),
        ("inspect", "my-data", "--page", "page"),
        ("translate", "runs/mine", "picture.png", "--mask", "mask.png", "--out", "relit.png"),
    ],
    ids=lambda command: command[0],
)
def test_commands_take_what_the_api_made(
    installed: Installed, worked: Path, command: tuple[str, ...]
) -> None:
    done = installed.run(worked, "pairbridge", *command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_submitted_job_needs_no_checkout(installed: Installed, worked: Path, tmp_path: Path) -> None:
    """The wheel is in the cluster's image, and the job's working folder brings packages of its own."""
    out = tmp_path / "out"
    command = ("generate", "my_dataset.yaml", "--out", str(out), "--address", "auto", "--workers", "2")
    with ray_head(tmp_path, cpus=2, programs=installed.bin) as head:
        done = submit(head, worked, ["pairbridge", *command])
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    for path in sorted((worked / "my-data" / "shards").iterdir()):
        assert (out / "shards" / path.name).read_bytes() == path.read_bytes(), path.name
