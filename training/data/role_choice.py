"""Which field of a dataset is source, target, mask and condition: a mix's word over the dataset's own."""

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.random_draws import Weights
from pairbridge.datagen.imaging.mask_variants import MaskAmounts, MaskKind
from pairbridge.datagen.shards.fields import FieldStem, HoleContent, RoleConditions, Roles
from pairbridge.training.data.targets import Form


class RoleChoice(FrozenModel):
    """Names are those of fields without suffix; what is left out, dataset.json or import.json states."""

    source: FieldStem | None = None
    """Field that is translated."""
    target: FieldStem | None = None
    """Field that the network learns to make of it."""
    mask: FieldStem | None = None
    """Field with the foreground, or with what is to be removed."""
    conditions: RoleConditions = Field(default_factory=dict)
    """Fields for the network's conditions, by the name in `denoiser.conditions`; a list where both names are
    the same. A condition that is not named here has the field of its own name."""
    hole: HoleContent | None = None
    """What the source shows where the mask covers it. visible: what is stored. noise: seeded noise, new in
    every epoch. smooth: an interpolation of what surrounds the mask, that of `hole: smooth` in a training
    config."""
    paste: FieldStem | None = None
    """Field with objects on black, laid over the source where the mask covers it: a cut-out over a plate, as
    a user pastes it before `translate`. Null: nothing is."""
    masks: Weights[MaskKind] | None = None
    """Shares of masks as people and detectors give them, in place of the stored one: exact, grown, shrunk,
    shifted, box, scribble; drawn anew for each pair in every epoch. Null: exact."""
    mask_amounts: MaskAmounts = Field(default_factory=dict)
    """How much `masks` are grown, shrunk and shifted, as ranges of shares: of the area, of the area, and of
    its square root. {shrunk: [0.2, 0.2]} takes a fifth off every mask, as an evaluation wants it. By default
    grown [0.1, 0.5], shrunk [0.1, 0.4], shifted [0.05, 0.2]."""

    @model_validator(mode="after")
    def _amounts_are_of_masks(self) -> Self:
        if idle := sorted(set(self.mask_amounts) - set(self.masks or ())):
            raise ValueError(f"mask_amounts has {idle[0]}, of which `masks` draws none; add it there")
        return self

    def over(self, stated: Roles) -> Roles:
        """The roles where a dataset states `stated`."""
        own = self.model_dump(exclude_none=True, exclude={"conditions", "masks", "mask_amounts", "paste"})
        return stated.model_copy(update={**own, "conditions": {**stated.conditions, **self.conditions}})


def refuse_disagreement(forms: Sequence[tuple[str, dict[str, Form]]]) -> None:
    """Raise ConfigError unless all sources, (name, form by role) each, are of one form in every role."""
    (first, wanted), *others = forms
    for name, own in others:
        for role, form in own.items():
            if form != wanted[role]:
                raise ConfigError(
                    f"{role}: source {first} has {wanted[role]}, source {name} has {form}",
                    consequence="one network cannot be given both, and a batch holds samples of every source",
                    remedy=f"name another field under `roles` of source {name}, or train on a mix each",
                )
