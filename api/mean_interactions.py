"""What pairs of elements add to a property on average, as a table."""

from rich.table import Table

from api.numbers import counted
from api.tables import heading, plain_table
from workers.summaries import Summary

SHOWN = 8


def mean_interactions(summary: Summary) -> Table:
    """The strongest pairs of elements, or single elements where no pairs were explained."""
    size = 2 if summary.of_size(2) else 1
    found = summary.of_size(size)
    what = f"mean effect on {heading(summary.property)}"
    table = plain_table("pair" if size == 2 else "element", what, "spread", "explanations", right=(what, "spread"))
    for entry in found[:SHOWN]:
        share = f"in {counted(entry.count)} of {counted(summary.explained)}"
        table.add_row(" × ".join(entry.elements), f"{entry.mean:+.3f}", f"{entry.std:.3f}", share)
    if (more := len(found) - SHOWN) > 0:
        table.caption, table.caption_justify = f"and {more} weaker ones", "left"
    return table
