"""The model behind the page: what it takes, and how it is asked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.models.matting import MattingModel, cut_out
from pairbridge.pipelines.app.example_pairs import ExamplePair
from pairbridge.pipelines.inference.translation import OpenedModel, TranslationRequest, translate_image
from pairbridge.training.bridge.sample_loop import check_sampler
from pairbridge.training.bridge_training.translation_model import DEFAULT_SAMPLER
from pairbridge.training.data.condition_specs import MASK, SOURCE, ConditionConfig

# Step counts that are offered, where the model was trained for them.
_MOST_STEPS = 50


@dataclass(frozen=True, slots=True)
class AppModel:
    """What the page works with. takes_mask, takes_background: whether there is anything to do with one;
    needs_mask: whether nothing can be made without it.
    """

    opened: OpenedModel
    matting: MattingModel
    examples: Sequence[ExamplePair] = ()

    @property
    def removes(self) -> bool:
        return self.opened.removes

    @property
    def takes_mask(self) -> bool:
        return self.removes or self._mask_condition is not None

    @property
    def needs_mask(self) -> bool:
        seen = self._mask_condition
        return self.removes or (seen is not None and not seen.dropout)

    @property
    def takes_background(self) -> bool:
        return self.takes_mask and not self.removes

    @property
    def step_counts(self) -> list[int]:
        """The counts up to _MOST_STEPS that the model can be asked for."""
        config = self.opened.model.config
        sees_source = any(one.field == SOURCE for one in config.denoiser.conditions)
        found = []
        for steps in range(1, _MOST_STEPS + 1):
            try:
                check_sampler(
                    DEFAULT_SAMPLER, steps, config.timesteps, bridge=config.bridge, sees_source=sees_source
                )
            except ConfigError:
                continue
            found.append(steps)
        return found

    @property
    def _mask_condition(self) -> ConditionConfig | None:
        conditions = self.opened.model.config.denoiser.conditions
        return next((one for one in conditions if one.field == MASK), None)

    def translate(self, request: TranslationRequest) -> np.ndarray:
        """`translate_image`, with the foreground cut out where it is needed and not painted."""
        if request.mask is None and request.background is not None:
            request = replace(request, mask=cut_out(self.matting, request.image))
        if request.mask is None and self.needs_mask:
            what = "what to remove" if self.removes else "the foreground"
            raise ConfigError(
                f"there is no mask: paint {what}, or choose a mask file",
                consequence="the model does not know where to work",
                remedy="paint it",
            )
        return translate_image(self.opened, request)
