"""What axe-core finds wrong with the accessibility of a page that is open in a browser."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Not among what the fast tests need.
    from playwright.sync_api import Page

# Where `.ci/setup browser` puts the version that it pins.
AXE = Path(sys.prefix) / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = ("serious", "critical")
# What is still there then is no passing state.
SETTLING_S = 10


@dataclass(frozen=True, slots=True)
class Violation:
    """One element that breaks one rule of axe-core. `where`: its CSS selector; `why`: what axe says of it."""

    rule: str
    where: str
    why: str


def serious_violations(page: "Page", leave_out: Sequence[str] = ()) -> list[Violation]:
    """Serious and critical violations of the page as it stands, without what is within `leave_out`, which
    are CSS selectors.

    The page's content security policy does not matter. Raises AssertionError where axe-core is not installed.
    """
    assert AXE.exists(), "no axe-core: `bash .ci/setup browser` installs it"
    page.evaluate(AXE.read_text())
    found = _violations(page, leave_out)
    for _ in range(SETTLING_S):
        # Colours on their way to others, and parts that are dimmed while the server answers.
        if not found:
            break
        page.wait_for_timeout(1000)
        found = _violations(page, leave_out)
    return found


def _violations(page: "Page", leave_out: Sequence[str]) -> list[Violation]:
    found = page.evaluate(
        """async (leaveOut) => {
            const where = {exclude: leaveOut.map((one) => [one])};
            return (await axe.run(where, {resultTypes: ["violations"]})).violations;
        }""",
        list(leave_out),
    )
    return [
        Violation(one["id"], " ".join(map(str, node["target"])), " ".join(node["failureSummary"].split()))
        for one in found
        for node in one["nodes"]
        if node["impact"] in SERIOUS
    ]
