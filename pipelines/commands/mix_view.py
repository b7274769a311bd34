"""A mix as tables on a terminal."""

from itertools import pairwise

from pairbridge.pipelines.commands.tables import new_console, new_table
from pairbridge.training.data.mix_report import MixForecast


def show_mix(mix: MixForecast) -> None:
    """Shares, epochs, and the first source to be exhausted."""
    table = new_table("source", "share", "exactly", "pairs", "draws", "epochs", "fresh batches")
    for source in mix.sources:
        counts = map(str, (source.share, source.pairs, source.draws))
        share, epochs = f"{float(source.share):.2%}", f"{source.epochs:.2f}"
        table.add_row(source.name, share, *counts, epochs, str(source.fresh_batches))
    console = new_console()
    console.print(table)
    for source in mix.sources:
        if source.excluded:
            console.print(
                f"{source.name}: {source.excluded} of {source.pairs + source.excluded} pairs are left out by "
                "`keep` and `exclude`"
            )
    if len(mix.phases) > 1:
        _show_phases(mix)
    console.print(
        f"{mix.num_batches} batches, {mix.samples:,} samples; at every batch boundary each source is within "
        f"{float(mix.bound):.2f} samples of its share"
    )
    first = mix.exhausted_first
    then = (
        "it starts again in a new order (on_exhausted: repeat)"
        if mix.limit is None
        else f"the data ends (on_exhausted: stop), after {mix.limit} batches in all"
    )
    console.print(f"{first.name} is exhausted first, after {first.fresh_batches} batches; then {then}")


def show_pictures(mix: MixForecast) -> None:
    """What becomes of pictures in the buckets of a training."""
    console = new_console()
    sizes = new_table("bucket", "share of samples")
    for (width, height), share in mix.bucket_shares.items():
        sizes.add_row(f"{width}x{height}", f"{float(share):.2%}")
    console.print(sizes)
    table = new_table("source", "median area kept", "left out", "epochs", "in its rarest bucket")
    for source in mix.sources:
        epochs = (f"{source.epochs:.2f}", f"{source.most_epochs:.2f}")
        table.add_row(source.name, f"{source.kept:.1%}", str(source.left_out), *epochs)
    console.print(table)
    for source in mix.sources:
        if source.left_out:
            console.print(
                f"{source.name}: {source.left_out} of {source.pairs} pairs are smaller than every bucket and "
                "are left out; a budget of a smaller side would take them"
            )


def _show_phases(mix: MixForecast) -> None:
    table = new_table("batches", *(source.name for source in mix.sources), left=1)
    starts = [phase.first for phase in mix.phases]
    ends = [f"{first} to {after - 1}" for first, after in pairwise(starts)]
    for (_, schedule), batches in zip(mix.phases, [*ends, f"from {starts[-1]}"], strict=True):
        table.add_row(batches, *(f"{float(share):.2%}" for share in schedule.shares))
    new_console().print(table)
