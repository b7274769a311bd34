"""The base of every configuration model: immutable, and an unknown key is an error rather than a default."""

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """A strict, immutable value. Lists in YAML become tuples, so that a config can be hashed and shared."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)
