"""Fixtures of the fault tests."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from failing_files import FailingFiles
from launching import Launcher

from tests.support.tiny_rendered import write_assets


@pytest.fixture
def launcher(tmp_path, ray_address) -> Launcher:
    """Drivers that connect to the test run's Ray."""
    return Launcher(ray_address)


@pytest.fixture
def assets(tmp_path) -> Path:
    """Folders of three objects and three lightings."""
    write_assets(tmp_path / "assets")
    return tmp_path / "assets"


@pytest.fixture(scope="module")
def in_memory() -> Iterator[Path]:
    """A folder in memory, for hundreds of small runs. A process that dies takes nothing with it that it has
    written, synced or not; syncing to a disk would be most of the time, and is counted all the same.
    """
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def failio_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`failio.c`, compiled for this machine."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("failio") / "failio.so"
    source = Path(__file__).with_name("failio.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def failing_files(failio_library, tmp_path) -> FailingFiles:
    """What makes file operations of a test's processes fail."""
    (tmp_path / "failio").mkdir()
    return FailingFiles(failio_library, tmp_path / "failio")
