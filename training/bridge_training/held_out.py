"""Pairs of a mix that its training never sees."""

from collections.abc import Sequence
from pathlib import Path

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.data.framing import Frame
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import Pair, PairSource, splits_of


def held_out_pairs(
    mix: MixConfig,
    split: str,
    count: int,
    *,
    run_root: Path,
    size_WH: tuple[int, int],
    conditions: Sequence[ConditionConfig],
    asked_by: str,
) -> list[Pair]:
    """At most `count` pairs of `split`, spread evenly over the sources that have it and over each of them;
    always the same ones. Raises ConfigError, naming the key `asked_by`, where no source has the split.
    """
    having = [source for source in mix.sources if split in splits_of(source.folder(run_root), source.recipe)]
    if not having:
        section = asked_by.split(".")[0]
        raise ConfigError(
            f"no source of the mix has the split {split!r}, of which {asked_by} wants pairs",
            consequence="training pairs in their place would show what was learned by heart",
            remedy=f"set {section}.split or {asked_by}: null, or make a dataset with this split",
        )
    chosen = []
    for place, source in enumerate(having):
        share = count // len(having) + (place < count % len(having))
        pairs = PairSource(
            source.folder(run_root),
            source.recipe,
            split,
            roles=source.roles,
            label=source.label,
            conditions=conditions,
        )
        chosen += [pairs.pair(index, Frame(size_WH)) for index in pairs.spread(share)]
    return chosen
