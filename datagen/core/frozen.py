"""The base of every configuration model: immutable, and an unknown key is an error rather than a default."""

import ast
import contextlib
import inspect
import textwrap
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """A strict, immutable value. Lists in YAML become tuples, so that a config can be hashed and shared."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        """With the text below an attribute as its description. pydantic's `use_attribute_docstrings` would
        read them when a class is made: a quarter of what every command and worker spends on importing.
        """
        schema = handler(core)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for model in reversed(cls.__mro__):
            for name, text in _attribute_docstrings(model).items():
                if name in properties:
                    properties[name]["description"] = text
        return schema


@cache
def _attribute_docstrings(model: type) -> dict[str, str]:
    if not issubclass(model, FrozenModel):
        return {}
    # A class of an interactive session has no source, and its keys no description.
    with contextlib.suppress(OSError):
        [found] = ast.parse(textwrap.dedent(inspect.getsource(model))).body
        return {
            attribute.target.id: inspect.cleandoc(text.value.value)
            for attribute, text in pairwise(found.body)
            if isinstance(attribute, ast.AnnAssign)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        }
    return {}
