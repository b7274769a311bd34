"""Fixtures of the fault tests."""

from pathlib import Path

import pytest
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
