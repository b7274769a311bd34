"""The cost estimate of a dataset, as tables on a terminal."""

from typing import Any

from pairbridge.pipelines.commands.tables import new_console, new_table
from pairbridge.pipelines.generation.progress import duration


def show_cost(estimate: dict[str, Any]) -> None:
    """What `pairbridge plan --cost` prints."""
    out = new_console()
    counts = "{pairs:,} pairs of {groups:,} groups in {shards:,} shards, about {gigabytes:,.2f} GB"
    out.print(f"dataset {estimate['dataset']}: {counts.format_map(estimate)}")
    table = new_table("recipe", "groups", "pairs", "measured", "s a group", "GB", "refused")
    formats = ("{recipe}", "{groups:,}", "{pairs:,}", "{measured_groups}", "{seconds_per_group:.2f}")
    for row in estimate["recipes"]:
        table.add_row(*(f.format_map(row) for f in (*formats, "{gigabytes:,.2f}", "{quarantined:.1%}")))
    out.print(table)
    for site in estimate["sites"]:
        gpus = f", {site['gpus']:,.0f} GPUs" if site["gpus"] else ""
        nodes = f"{site['nodes']} machines, " if site["nodes"] > 1 else ""
        out.print(f"{site['name']}: {nodes}{site['cpus']:,} cores{gpus}, {site['workers']:,} workers")
        wall, low, high = (duration(site[key]) for key in ("wall_s", "wall_s_low", "wall_s_high"))
        out.print(
            f"    {wall} ({low} to {high} in nine of ten cases), {site['pairs_per_hour']:,.0f} pairs an hour"
        )
        cost = "" if site["cost"] is None else f", cost {site['cost']:,.2f}"
        out.print(f"    {site['core_hours']:,.2f} core hours, {site['gpu_hours']:,.2f} GPU hours{cost}")
    measured = "{measured_groups} groups measured in {measuring_s:.0f} s".format_map(estimate)
    out.print(f"\nfrom {measured}; assuming that")
    for line in estimate["assumptions"]:
        out.print(f"- {line}")
