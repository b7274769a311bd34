"""The Dockerfile's own steps, run one by one in a clean Debian below a folder (debootstrap, chroot).

No container engine is needed, and none is seen: not the base image (a bare Debian with its Python stands in
for it), no layers, no build context, no user namespace. Seen are the packages that apt and pip find, what
COPY leaves out, the user, the environment, and that what is installed starts.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "pipelines" / "cluster" / "Dockerfile"
BASE = "python:3.11-slim-bookworm"
# What the base image has, by Debian's names.
BASE_PACKAGES = "ca-certificates,python3,python3-pip"

# It takes ten minutes and 4 GB: `make test-image`, after a change of the Dockerfile or of the pins.
pytestmark = [pytest.mark.clean_root, pytest.mark.timeout(3600)]


def steps() -> list[tuple[str, str]]:
    """(instruction, its text) of the Dockerfile, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [
        (name, " ".join(rest.split())) for name, _, rest in (line.partition(" ") for line in lines) if name
    ]


def mirror() -> str:
    """Where this machine's apt finds Debian 12; skips where it does not."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line.split()[0] for line in listed.stdout.splitlines() if line.split()[1:] == ["bookworm"]]
    if not found:
        pytest.skip("apt names no mirror of Debian 12")
    return found[0]


def pip_settings() -> dict[str, str]:
    """Those of this machine's pip, as variables: a mirror, certificates."""
    listed = subprocess.run(["pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    found = dict(re.findall(r"^\w+\.([\w-]+)='(.*)'$", listed, re.MULTILINE))
    return {f"PIP_{name.upper().replace('-', '_')}": value for name, value in found.items()} | {
        name: value for name, value in os.environ.items() if name.startswith("PIP_")
    }


@dataclass
class CleanRoot:
    """A Debian below a folder, and the state that the Dockerfile's steps leave behind."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    workdir: str = "/"

    def run(self, command: str, **more: str) -> str:
        """In a mount namespace of its own, so that nothing is left mounted."""
        binds = ["/proc", "/dev", "/sys"]
        for part in " ".join(more.values()).split():
            # What pip is told of on this machine, where it is; the files of an index lie beside it.
            path = Path(part.removeprefix("file://"))
            path = path.parent if part.startswith("file://") else path
            binds += [str(path)] if path.is_absolute() and path.exists() else []
        mounts = []
        for path in dict.fromkeys(binds):
            inside = shlex.quote(f"{self.folder}{path}")
            make = "mkdir -p" if Path(path).is_dir() else f"test -e {inside} || install -D /dev/null"
            mounts.append(f"{make} {inside} && mount --rbind {shlex.quote(path)} {inside}")
        inner = f"cd {shlex.quote(self.workdir)} && {command}"
        enter = ["chroot", f"--userspec={self.user}:{self.user}", str(self.folder), "/bin/sh", "-ec", inner]
        home = {"HOME": "/root" if self.user == "root" else f"/home/{self.user}"}
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-ec", " && ".join([*mounts, f"exec {shlex.join(enter)}"])],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", **home, **self.environment, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def step(self, name: str, text: str) -> None:
        match name:
            case "FROM":
                assert text == BASE, "the clean root stands in for another base image"
            case "RUN":
                # pip is Debian's here, which wants to be told that nobody else manages its packages.
                self.run(text, **pip_settings(), PIP_BREAK_SYSTEM_PACKAGES="1", PIP_ROOT_USER_ACTION="ignore")
            case "WORKDIR":
                self.workdir = text
                (self.folder / text.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "COPY":
                *sources, target = text.split()
                for source in sources:
                    self._copy(source, target)
            case "USER":
                self.user = text
            case "ENV":
                self.environment |= dict(part.split("=", 1) for part in shlex.split(text))
            case "CMD":
                self.run(shlex.join(json.loads(text)))
            case _:
                raise AssertionError(f"{name} is an instruction that this test does not know")

    def _copy(self, source: str, target: str) -> None:
        allowed = (ROOT / ".dockerignore").read_text().splitlines()
        assert f"!{source}" in allowed, f".dockerignore keeps {source} from the builder"
        there = self.folder / self.workdir.lstrip("/") / target
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, there, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, there)


@pytest.fixture
def clean_root(tmp_path: Path) -> Iterator[CleanRoot]:
    if os.getuid() != 0:
        pytest.skip("only root can enter a clean root")
    for tool in ("debootstrap", "chroot", "unshare", "apt-get", "pip"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    folder = tmp_path / "root"
    done = subprocess.run(
        [
            "debootstrap",
            "--variant=minbase",
            f"--include={BASE_PACKAGES}",
            "bookworm",
            str(folder),
            mirror(),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"debootstrap made no root: {done.stdout.splitlines()[-1:]}")
    (folder / "usr" / "local" / "bin" / "python").symlink_to("/usr/bin/python3")
    shutil.copy("/etc/resolv.conf", folder / "etc" / "resolv.conf")
    yield CleanRoot(folder)
    shutil.rmtree(folder)


def test_the_images_steps_make_something_that_starts(clean_root: CleanRoot) -> None:
    for name, text in steps():
        clean_root.step(name, text)
    assert clean_root.user == "pairbridge"
    assert clean_root.run("id -u").strip() == "1000"
    assert re.fullmatch(r"pairbridge \d+\.\d+\.\d+\n", clean_root.run("pairbridge --version"))
    assert "blender" in clean_root.run("pairbridge doctor").lower()
    clean_root.run("rsync --version && wget --version")
    clean_root.run("python -c 'import boto3, s3fs, ray.train.torch, bpy'")
    assert clean_root.run("echo $PAIRBRIDGE_CACHE $RAY_USAGE_STATS_ENABLED").split() == [
        "/home/pairbridge/cache",
        "0",
    ]
    # Not what was not copied: the working tree of whoever builds.
    there = clean_root.run("ls -A /opt/pairbridge").split()
    assert not {".git", "tests", "docs", "runs", ".venv"} & set(there)
