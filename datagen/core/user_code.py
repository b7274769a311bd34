"""Classes that a user wrote, from the text of their file: recipes and edit losses of one's own."""

import sys
import types

from pairbridge.datagen.core.json_digest import digest


def own_class(file_name: str, code: str, name: str) -> type | None:
    """The attribute `name` of the module of this text, or None. Raises ValueError for text that does not
    run.
    """
    return getattr(_module(file_name, code), name, None)


def _module(file_name: str, code: str) -> types.ModuleType:
    """The module of this text, made once in a process."""
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
