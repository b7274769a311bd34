"""`make lint` looks the pinned packages up among known vulnerabilities, where it can reach them."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_lint_runs_the_audit_and_says_so_where_no_advisories_can_be_reached() -> None:
    assert ".ci/audit" in (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    # A proxy that nothing listens at: the network of a machine without one.
    nowhere = os.environ | {"https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    done = subprocess.run(
        ["bash", str(ROOT / ".ci" / "audit")], capture_output=True, text=True, env=nowhere, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pip-audit: skipped, no advisories can be reached")


def test_the_one_known_vulnerability_is_of_a_package_that_is_still_pinned() -> None:
    """An exception that outlives its reason would hide the next one."""
    assert "CVE-2025-53644" in (ROOT / ".ci" / "audit").read_text()
    assert "opencv-python==4.11." in (ROOT / "requirements" / "pins.txt").read_text()
