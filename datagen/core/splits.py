"""The three sides of a dataset, told apart everywhere from an asset's place to a shard's name."""

from typing import Literal, get_args

Split = Literal["train", "validation", "test"]

SPLITS: tuple[Split, ...] = get_args(Split)
