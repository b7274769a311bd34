"""File operations that fail, or end their process, in real processes: `failio.c` says which and how."""

import errno
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FailingFiles:
    """The compiled library, and where its counter and log are kept."""

    library: Path
    folder: Path

    def environment(
        self,
        below: Path,
        ops: str,
        *,
        at: int = 0,
        times: int = 1,
        how: int | str = errno.EIO,
        command: str | None = None,
    ) -> dict[str, str]:
        """Variables for a process and its children, counted anew. `how` is an errno or "kill"; with `at` 0
        operations are counted and none fails; `command`: only in processes whose command line has it.
        """
        self._counter.unlink(missing_ok=True)
        self.forget()
        chosen = {"FAILIO_EXE": command} if command else {}
        return chosen | {
            "LD_PRELOAD": str(self.library),
            "FAILIO_DIR": str(below),
            "FAILIO_OPS": ops,
            "FAILIO_AT": str(at),
            "FAILIO_COUNT": str(times),
            "FAILIO_ERR": str(how),
            "FAILIO_CTR": str(self._counter),
            "FAILIO_LOG": str(self._log),
        }

    def forget(self) -> None:
        """Empty the list of `operations`, not the counter."""
        self._log.unlink(missing_ok=True)

    def operations(self) -> list[tuple[str, Path, bool]]:
        """Since `environment`, as they were counted: the letter of each operation, its path, and whether it
        failed.
        """
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        found = []
        # Of two threads the one that counts first may write its line second.
        for line in sorted(lines, key=lambda line: int(line.split(" ", 1)[0])):
            _, letter, _, rest = line.split(" ", 3)
            found.append((letter, Path(rest.removesuffix(" FAULT")), rest.endswith(" FAULT")))
        return found

    @property
    def _counter(self) -> Path:
        return self.folder / "counter"

    @property
    def _log(self) -> Path:
        return self.folder / "operations"
