"""The command that error messages give for a missing extra: it works where it is typed."""

import json
from pathlib import Path

import pytest

import pairbridge
from pairbridge.datagen.core.extras import install_command

ROOT = Path(__file__).resolve().parents[3]


def test_in_a_checkout_the_command_names_its_folder() -> None:
    assert install_command("hf", "lora") == f"pip install -e '{ROOT}[hf,lora]'"


@pytest.mark.parametrize(
    ("noted", "command"),
    [
        (
            "file:///x/pairbridge-0.1.0-py3-none-any.whl",
            "'pairbridge[hf] @ file:///x/pairbridge-0.1.0-py3-none-any.whl'",
        ),
        (None, "'pairbridge[hf]'"),
    ],
)
def test_of_a_wheel_the_command_names_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: str | None, command: str
) -> None:
    package = tmp_path / "pairbridge" / "__init__.py"
    monkeypatch.setattr(pairbridge, "__file__", str(package))
    kept = tmp_path / "pairbridge-0.1.0.dist-info"
    kept.mkdir()
    (kept / "METADATA").write_text("Metadata-Version: 2.1\nName: pairbridge\nVersion: 0.1.0\n")
    if noted:
        (kept / "direct_url.json").write_text(json.dumps({"url": noted, "archive_info": {}}))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert install_command("hf") == f"pip install {command}"
