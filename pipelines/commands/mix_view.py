"""A mix as a table on a terminal."""

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
