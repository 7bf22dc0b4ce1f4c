"""The tables of a report."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from api.numbers import UNKNOWN, counted, duration, group_symbol, measured
from api.results import reason_of
from api.tables import heading
from storage.funnels import ENDS, StageReport
from storage.histories import Reason, UsedModel
from storage.ledgers import StageLedger
from storage.profiles import Profile
from storage.sources import SourceCounts
from storage.states import ChunkState
from workers.properties import STRUCTURE_PREFIX, structure_name

FROM_STRUCTURE = "from structure"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table; the headings in `right` stand over numbers."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[str, ...] = ()
    note: str = ""


def funnel_sheet(stages: Sequence[StageReport], source: SourceCounts) -> Sheet:
    """How the inputs of each stage ended, and how fast."""
    rows = []
    if source.input:
        read = (source.input, source.unique, 0, source.duplicate, source.invalid, 0)
        rows.append(("source", *map(counted, read), "", ""))
    for report in stages:
        counts = asdict(report.counts)
        time = "" if report.first_at is None or report.last_at is None else duration(report.last_at - report.first_at)
        rate = "" if report.rate is None else f"{report.rate:,.1f}"
        rows.append((report.name, *(counted(counts[end]) for end in ENDS), time, rate))
    right = (*ENDS, "time", "inputs/s")
    return Sheet("What went through", ("stage", *right), tuple(rows), right)


def costs(ledgers: Sequence[StageLedger], stages: Sequence[StageReport]) -> Sheet:
    """Where the time went, by stage; seconds are sums over chunks, which run side by side."""
    inputs = {report.name: report.counts.input for report in stages}
    rows = tuple(_cost(ledger, inputs.get(ledger.stage, 0)) for ledger in ledgers)
    right = ("chunks", "attempts", "raised", "leases ended", "load / s", "compute / s", "record / s",
             "device / s", "device s per 1,000", "actors busy", "batch")  # fmt: skip
    total = sum(ledger.sums["device_seconds"] for ledger in ledgers)
    note = f"{total:,.1f} device-seconds in all, of the attempts that were recorded."
    return Sheet("Time and cost", ("stage", *right), rows, right, note)


def failures(reasons: Sequence[Reason], failed: int) -> Sheet:
    """Why inputs gave no result, the most frequent first."""
    rows = tuple((row.stage, row.kind, counted(row.count), row.reason) for row in reasons)
    more = failed - sum(row.count for row in reasons)
    note = f"And {counted(more)} more, for rarer reasons." if more else ""
    return Sheet("Failures by reason", ("stage", "kind", "inputs", "reason"), rows, ("inputs",), note)


def models(used: Sequence[UsedModel]) -> Sheet:
    """Which weights gave these results."""
    rows = tuple((model.role, model.name, model.model_id) for model in used)
    return Sheet("Models", ("role", "model", "sha256 of its weights"), rows)


def candidates(best: Sequence[Profile]) -> Sheet:
    """The best candidates, each property from composition and, where there is one, from structure."""
    known = [name for profile in best for name in profile.predictions]
    names = list(dict.fromkeys(name for name in known if not name.startswith(STRUCTURE_PREFIX)))
    columns = [(name, heading(name)) for name in names]
    columns += [
        (structure_name(name), f"{heading(name)} {FROM_STRUCTURE}") for name in names if structure_name(name) in known
    ]
    rows = tuple(
        (
            str(number),
            profile.formula,
            *(measured(name, *profile.predictions.get(name, (None, None))) for name, _ in columns),
            group_symbol(profile.space_group),
            profile.verdict or UNKNOWN,
            reason_of(profile) or UNKNOWN,
        )
        for number, profile in enumerate(best, 1)
    )
    right = tuple(title for _, title in columns)
    headings = ("#", "formula", *right, "space group", "verdict", "main reason")
    return Sheet("The best candidates", headings, rows, right)


def _cost(ledger: StageLedger, inputs: int) -> tuple[str, ...]:
    sums = ledger.sums
    device, waited = sums["device_seconds"], sums["idle_seconds"]
    return (
        ledger.stage,
        counted(ledger.chunks.get(ChunkState.DONE, 0)),
        *(counted(sums[name]) for name in ("attempt", "errors", "expiries")),
        *(f"{sums[f'{part}_seconds']:,.1f}" for part in ("load", "compute", "record", "device")),
        f"{1000 * device / inputs:,.2f}" if inputs else "",
        f"{device / (device + waited):.0%}" if device else "",
        f"{sums['batch_items'] / sums['batches']:,.1f}" if sums["batches"] else "",
    )
