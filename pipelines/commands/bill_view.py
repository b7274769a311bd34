"""The bill of a dataset, as tables on a terminal."""

from pairbridge.pipelines.commands.tables import new_console, new_table
from pairbridge.pipelines.costing.cost import Bill, Site


def show_bill(bill: Bill) -> None:
    """What `pairbridge plan --calibrate` prints."""
    out = new_console()
    out.print(
        f"dataset {bill.dataset}: {bill.pairs:,} pairs of {bill.groups:,} groups in {bill.shards:,} shards, "
        f"about {bill.gigabytes:,.2f} GB"
    )
    recipes = new_table("recipe", "groups", "pairs", "measured", "s a group", "GB", "refused")
    for row in bill.recipes:
        recipes.add_row(
            row.recipe,
            f"{row.groups:,}",
            f"{row.pairs:,}",
            str(row.measured_groups),
            f"{row.seconds_per_group:.2f}",
            f"{row.gigabytes:,.2f}",
            f"{row.quarantined:.1%}",
        )
    out.print(recipes)
    for site in bill.sites:
        out.print(_place(site))
        out.print(
            f"    {_span(site.wall_s)} ({_span(site.wall_s_low)} to {_span(site.wall_s_high)} in nine of ten "
            f"cases), {site.pairs_per_hour:,.0f} pairs an hour"
        )
        cost = "" if site.cost is None else f", cost {site.cost:,.2f}"
        out.print(f"    {site.core_hours:,.2f} core hours, {site.gpu_hours:,.2f} GPU hours{cost}")
    out.print(
        f"\nfrom {bill.measured_groups} groups that the run will not make, measured in "
        f"{bill.measuring_s:.0f} s; assuming that"
    )
    for line in bill.assumptions:
        out.print(f"- {line}")


def _place(site: Site) -> str:
    gpus = f", {site.gpus:,.0f} GPUs" if site.gpus else ""
    nodes = f"{site.nodes} machines, " if site.nodes > 1 else ""
    return f"{site.name}: {nodes}{site.cpus:,} cores{gpus}, {site.workers:,} workers"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.1f} min"
    if seconds < 72 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
