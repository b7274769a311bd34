"""What a training shows of itself while it runs, beside its figures."""

from typing import Literal

from pydantic import Field

from datagen.frozen import FrozenModel


class WatchConfig(FrozenModel):
    # Steps between two pictures of what the average makes of pairs it never saw; null: none.
    pictures_every: int | None = Field(default=None, ge=1)
    # Rows of such a picture, spread evenly over the split of each source of the mix that has it.
    rows: int = Field(default=6, ge=1)
    split: Literal["validation", "test"] = "validation"
    # The same figures and pictures as TensorBoard events; needs the extra `tensorboard`.
    tensorboard: bool = False
