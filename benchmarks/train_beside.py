"""Processor time of a training step, beside that of a former commit in the same minutes.

Both trainings live at once, each in a process of its own, and take their steps in turns: whatever else the
machine does meets both alike. The ratio is the median over pairs of steps, with the interval of its order
statistics, which asks nothing of their distribution.
"""

import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# The first steps start workers and fill caches.
WARM_UP = 5


def beside(commit: str, recipes: list[str], steps: int) -> dict[str, Any]:
    """Of each recipe: milliseconds of a step then and now, of the training's thread and of all others, and
    the ratio of the former.
    """
    with former_tree(commit) as tree:
        rows = [{"recipe": one, "steps": steps, **_compared(tree, one, steps)} for one in recipes]
    found = subprocess.run(
        ["git", "log", "-1", "--format=%h %s", commit], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {"commit": found.stdout.strip(), "rows": rows}


@contextmanager
def former_tree(commit: str) -> Iterator[Path]:
    """A temporary worktree of `commit`."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", str(tree), commit], cwd=ROOT, check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)


def interval(values: list[float]) -> tuple[float, float]:
    """Order statistics between which the median lies in 95 of 100 cases, by the binomial's normal form."""
    ordered, count = sorted(values), len(values)
    reach = 1.96 * math.sqrt(count) / 2
    return ordered[max(0, math.floor(count / 2 - reach))], ordered[
        min(count - 1, math.ceil(count / 2 + reach))
    ]


def _compared(tree: Path, recipe: str, steps: int) -> dict[str, Any]:
    paces = {"former": _Paced(tree, recipe, steps), "now": _Paced(ROOT, recipe, steps)}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in paces}
    for _ in range(steps - 1):
        for name, pace in paces.items():
            taken[name].append(pace.step())
    for pace in paces.values():
        pace.end()
    own = {name: [of[0] for of in times[WARM_UP:]] for name, times in taken.items()}
    loader = {name: [of[1] for of in times[WARM_UP:]] for name, times in taken.items()}
    ratios = [now / former for former, now in zip(own["former"], own["now"], strict=True)]
    return {
        **{f"{name}_ms": 1000 * statistics.median(times) for name, times in own.items()},
        **{f"{name}_loader_ms": 1000 * statistics.fmean(times) for name, times in loader.items()},
        "ratio": statistics.median(ratios),
        "interval": interval(ratios),
    }


class _Paced:
    """A process of `paced_training.py`, whose first step is done."""

    def __init__(self, tree: Path, recipe: str, steps: int) -> None:
        command = [
            sys.executable,
            str(ROOT / "benchmarks" / "paced_training.py"),
            str(tree),
            recipe,
            str(steps),
        ]
        self._process = subprocess.Popen(
            command, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._before = self._marks()

    def step(self) -> tuple[float, float]:
        """Seconds of processor time of one more step: the training's thread, and all others meanwhile."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        before, self._before = self._before, self._marks()
        return self._before[0] - before[0], self._before[1] - before[1]

    def end(self) -> None:
        self._process.communicate("\n")

    def _marks(self) -> tuple[float, float]:
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the training in {self._process.args[2]} ended early: see its message above")
        own, loader = line.split()
        return float(own), float(loader)
