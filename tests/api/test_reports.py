"""The report of a campaign: the same numbers in HTML and Markdown, figures inside, nothing that a name could inject."""

import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sqlalchemy import update

from api.reports import document, plain_markdown, read_report, render
from storage.engine import open_database, reading, transaction
from storage.tables import CampaignTable, ChunkTable

SECTIONS = ["What went through", "Time and cost", "Failures by reason", "The best candidates"]
HOSTILE = "<script>alert(1)</script> | [x](javascript:1) `code`"


class Page(HTMLParser):
    """The tags, images and table cells of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[str] = []
        self.headings: list[str] = []
        self.cells: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.images += [value or "" for name, value in attrs if tag == "img" and name == "src"]

    def handle_data(self, data: str) -> None:
        within = self.tags[-1] if self.tags else ""
        if within == "h2" and data.strip():
            self.headings.append(data)
        elif within == "td" and data.strip():
            self.cells.append(data)


@pytest.fixture
def lasting(database: Path) -> Path:
    """The database with chunks that ended one after another."""
    engine = open_database(str(database))
    with transaction(engine) as session:
        session.execute(update(ChunkTable).values(done_at=110.0 + 10 * ChunkTable.id))
    engine.dispose()
    return database


def test_a_page_stands_alone_with_figures_and_every_section(sluice, lasting: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    done = sluice("campaign", "report", 1, "--format", "html", "--out", out, "--db", lasting)
    assert (done.status, done.stdout) == (0, "")
    page = Page(out.read_text(encoding="utf-8"))
    assert page.headings == SECTIONS
    assert len(page.images) == 3
    for image in page.images:
        kind, _, content = image.partition(";base64,")
        assert kind == "data:image/svg+xml" and b"<svg" in b64decode(content), image[:40]
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert {"predict", "GaAs", "5", "'Xx' is not an element of H to Lr"} <= set(page.cells)


def test_markdown_tells_the_same_rows(sluice, lasting: Path) -> None:
    done = sluice("campaign", "report", 1, "--format", "md", "--db", lasting)
    assert done.status == 0
    assert [line.removeprefix("## ") for line in done.stdout.splitlines() if line.startswith("## ")] == SECTIONS
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert any(row.startswith("| predict | 6 | 5 | 1 | 0 | 0 | 0 |") for row in rows)
    blocks = re.split(r"\n\n", done.stdout)
    for table in (block for block in blocks if block.startswith("| ")):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.strip().splitlines()}
        assert len(widths) == 1, table
    assert done.stdout.count("](data:image/png;base64,") == 3
    png = re.search(r"base64,([^)]*)\)", done.stdout)
    assert png is not None and b64decode(png[1]).startswith(b"\x89PNG")


def test_a_name_injects_nothing(database: Path) -> None:
    engine = open_database(str(database))
    with transaction(engine) as session:
        session.execute(update(CampaignTable).values(name=HOSTILE))
    with reading(engine) as session:
        written = document(read_report(session, 1), "x.db")
    engine.dispose()
    assert "script" not in Page(render(written, "html")).tags
    title = render(written, "md").splitlines()[0]
    assert title == f"# Campaign 1: {plain_markdown(HOSTILE)}"
    assert not re.search(r"(?<!\\)[<\[`|]", title)


def test_cost_comes_from_the_ledger(database: Path) -> None:
    engine = open_database(str(database))
    with transaction(engine) as session:
        taken = {"device_seconds": 3.0, "idle_seconds": 1.0, "batches": 2, "batch_items": 6}
        session.execute(update(ChunkTable).where(ChunkTable.stage == "predict").values(**taken))
    with reading(engine) as session:
        written = document(read_report(session, 1), "x.db")
    engine.dispose()
    [cost] = [sheet for sheet in written.sheets if sheet.title == "Time and cost"]
    predict = dict(zip(cost.headings, cost.rows[0], strict=True))
    assert (predict["device / s"], predict["device s per 1,000"], predict["actors busy"]) == ("3.0", "500.00", "75%")
    assert predict["batch"] == "3.0"
    assert "3.0 device-seconds" in cost.note


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("99", "--format", "md"), ["99", "not found"]),
        (("1", "--format", "pdf"), ["pdf", "html"]),
        (("1", "--out", "x.html"), ["--out x.html", "--format"]),
        (("1", "--format", "md", "--out", "nowhere/x.md"), ["nowhere/x.md", "folder"]),
    ],
)
def test_a_mistake_is_one_line(sluice, screened: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    done = sluice("campaign", "report", *arguments, "--db", screened)
    assert (done.status, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert all(word in done.stderr for word in words), done.stderr
