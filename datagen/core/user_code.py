"""Classes of the user's own, named in a config by `path/to/file.py:Class` or by an entry point.

    kind: own
    recipe: my_recipe.py:Vignette   # beside the YAML file; or the name of an entry point
    settings: {strength: [0.3, 0.9]}

The module's text becomes part of the config when that is read: of its digest, of what a dataset or checkpoint
records, and of what travels to other machines, which need no copy of the file. So a file stands alone: it may
import installed packages, but no neighbour. Code of several files is a package with an entry point, installed
on every machine; the text of its module is compared there. Whoever opens such a dataset or checkpoint runs
its code, so a folder that is published holds none.
"""

import importlib.metadata
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, model_validator

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import digest


class UserCode(FrozenModel):
    """The keys that name such a class; each kind adds the one that `named_by` says."""

    named_by: ClassVar[str]
    # The group of its entry points.
    group: ClassVar[str]
    # What a class of this kind can do.
    method: ClassVar[str]

    settings: dict[str, Any] = Field(default_factory=dict)
    """The class's own settings, which it is made from."""
    code: str = ""
    """The text of the class's module. It is filled in when the config is read."""

    @model_validator(mode="before")
    @classmethod
    def _with_code(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("code"):
            return values
        named = values.get(cls.named_by)
        if not isinstance(named, str):
            return values
        if ".py:" not in named:
            return values | {"code": cls._installed(named)[1].read_text()}
        path, _, name = named.rpartition(":")
        try:
            code = Path(path).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the {cls.named_by}'s file {path} cannot be read ({error})") from error
        # Of the path only the name is kept: another place is not another class.
        return values | {cls.named_by: f"{Path(path).name}:{name}", "code": code}

    @model_validator(mode="after")
    def _is_there(self) -> "UserCode":
        self.load()
        return self

    @property
    def class_name(self) -> str:
        """The class's name, or its entry point's."""
        return getattr(self, self.named_by).rpartition(":")[2]

    def load(self) -> type:
        """The class, from the text that the config holds. Raises ValueError for a text without it, and
        ConfigError where another version of it is installed.
        """
        named = getattr(self, self.named_by)
        if ".py:" in named:
            file_name, _, name = named.rpartition(":")
            found = getattr(_module(file_name, self.code), name, None)
        else:
            entry, path = self._installed(named)
            if path.read_text() != self.code:
                raise ConfigError(
                    f"the {self.named_by} {named!r} installed here ({path}) is not the one of the config",
                    consequence="results of two versions of it would be mixed",
                    remedy="install the same version of its package on every machine, or start anew",
                )
            found = entry.load()
        # `dir`, for `type` itself has a `__call__`.
        if not isinstance(found, type) or self.method not in dir(found):
            raise ValueError(f"{named} is no class with a `{self.method}`")
        return found

    def make(self, *arguments: Any) -> Any:
        """An instance, from `arguments` and the settings. Raises ConfigError."""
        try:
            return self.load()(*arguments, **self.settings)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"the {self.named_by} {self.class_name} cannot be made from {self.settings}: {error}",
                consequence="there is nothing to run",
                remedy="give it the settings that its class takes",
            ) from error

    @classmethod
    def _installed(cls, name: str) -> tuple[importlib.metadata.EntryPoint, Path]:
        """The entry point of this name and the file of its module. Raises ValueError."""
        found = {entry.name: entry for entry in importlib.metadata.entry_points(group=cls.group)}
        if name not in found:
            raise ValueError(
                f"{cls.named_by} {name!r} is neither path/to/file.py:Class nor an entry point of {cls.group} "
                f"(installed here: {', '.join(sorted(found)) or 'none'})"
            )
        spec = importlib.util.find_spec(found[name].module)
        if spec is None or spec.origin is None:
            raise ValueError(f"the module of {cls.named_by} {name!r} has no source file here")
        return found[name], Path(spec.origin)


def holds_code(config: Any) -> bool:
    """Whether a config, as read from JSON, has the text of a class in it, or names one that would be read."""
    if isinstance(config, dict):
        own = bool(config.get("code")) or config.get("kind") == "own"
        return own or any(map(holds_code, config.values()))
    return isinstance(config, list | tuple) and any(map(holds_code, config))


def _module(file_name: str, code: str) -> types.ModuleType:
    """The module of this text, made once in a process. Raises ValueError for text that does not run."""
    name = f"pairbridge_own_code_{digest(code)[:16]}"
    if name not in sys.modules:
        module = types.ModuleType(name)
        sys.modules[name] = module
        try:
            exec(compile(code, file_name, "exec"), module.__dict__)
        except Exception as error:
            del sys.modules[name]
            raise ValueError(f"{file_name} cannot be run: {type(error).__name__}: {error}") from error
    return sys.modules[name]
