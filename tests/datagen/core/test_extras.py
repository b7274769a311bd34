"""What is said where an extra is missing, and the command for it: it works where it is typed."""

import json
import sys
from pathlib import Path

import pytest

import pairbridge
from pairbridge.datagen.core import extras
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.extras import explained, install_command, lacking, require

ROOT = Path(__file__).resolve().parents[3]
PIP = f"{sys.executable} -m pip install"


def test_in_a_checkout_the_command_names_its_folder() -> None:
    assert install_command("hf", "lora") == f"{PIP} -e '{ROOT}[hf,lora]'"
    assert install_command() == f"{PIP} -e '{ROOT}'"


def test_an_environment_without_pip_is_one_of_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    found = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "pip" else found(name))
    assert install_command("hf") == f"uv pip install --python {sys.executable} -e '{ROOT}[hf]'"


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
    assert install_command("hf") == f"{PIP} {command}"


def test_what_is_missing_is_named_with_who_needs_it_and_only_the_extras_that_lack_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ray", "skimage", "peft"):
        monkeypatch.setitem(sys.modules, name, None)
    assert lacking("lora") == ["peft"]
    require("s3", by="this test")
    with pytest.raises(ConfigError) as refused:
        require("generate", "s3", "lora", by="this test", otherwise="do without")
    assert refused.value.cause == "ray, skimage and peft are not installed, which this test needs"
    assert refused.value.remedy == f"{PIP} -e '{ROOT}[generate,lora]', or do without"
    with pytest.raises(ConfigError, match=r"^skimage is not installed"):
        require("generate", only=("skimage",), by="this test")


def test_a_failed_import_is_explained_by_the_smallest_extra_that_has_the_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError) as failed:
        import torch.nn  # noqa: F401
    found = explained(failed.value)
    assert found is not None
    assert found.cause.startswith("torch is not installed")
    assert found.remedy == f"{PIP} -e '{ROOT}[models]'"
    # Not a lack of ours: it is shown as it is.
    assert explained(ModuleNotFoundError("No module named 'nonsense'", name="nonsense")) is None


def test_a_system_without_libgl_is_told_its_package() -> None:
    said = "libGL.so.1: cannot open shared object file: No such file or directory"
    found = explained(ImportError(said, name=None, path=None))
    assert found is not None
    assert "apt-get install -y libgl1" in found.remedy
