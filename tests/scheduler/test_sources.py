"""Sources: files with every kind of bad line, kept once however often they are read; enumerations by index."""

import gzip
from pathlib import Path

import pytest
from sqlalchemy import Engine

from scheduler import sources
from scheduler.campaigns import create_campaign
from scheduler.errors import InvalidSource
from scheduler.sources import check_source, formulas_of, ingest
from scheduler.spec import CampaignSpec, EnumerateSource, FileSource, ListSource, Source, SubstituteSource
from storage.chunks import Chunk
from storage.engine import open_database, reading
from storage.failures import read_failures
from storage.sources import SourceCounts, read_formulas, source_counts
from storage.stages import read_stages
from storage.states import ChunkState, StageName
from workers.errors import UserError


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'test.db'}")


def written(tmp_path: Path, lines: list[str], name: str = "mine.csv") -> FileSource:
    (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return FileSource(kind="file", path=str(tmp_path / name))


def created(engine: Engine, source: Source) -> int:
    return create_campaign(engine, CampaignSpec(source=source))


def test_lines_become_formulas_failures_and_duplicates(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LINES", 4)
    lines = ["name,formula", "a,NaCl", "b,Cl Na", "c,Qq2O", "d,Ba1 Te1", "e,Na2Cl2", "f,", "g,Fe0.62C0.38"]
    source = written(tmp_path, lines)
    campaign, told = created(engine, source), []
    ingest(engine, campaign, source, told.append)
    with reading(engine) as session:
        assert read_formulas(session, campaign, 0, 3) == ["NaCl", "BaTe", "Fe0.62C0.38"]
        assert source_counts(session, campaign) == SourceCounts(input=7, unique=3, invalid=2, duplicate=2)
        failures = read_failures(session, campaign, 99)
        assert read_stages(session, campaign)[0].source_size == 3
    assert [(row.place, row.formula, row.kind) for row in failures] == [
        ("mine.csv, line 4", "Qq2O", "invalid"),
        ("mine.csv, line 7", "", "invalid"),
    ]
    assert "'Qq' is not an element" in failures[0].reason or "Qq" in failures[0].reason
    assert told == [4, 7]


def test_reading_again_after_a_kill_adds_nothing(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LINES", 3)
    source = written(tmp_path, ["formula", *(f"Ba{n}Te" for n in range(1, 9)), "Zz", "BaTe"])
    campaign = created(engine, source)

    def killed(lines: int) -> None:
        if lines > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(engine, campaign, source, killed)
    ingest(engine, campaign, source, lambda lines: None)
    with reading(engine) as session:
        assert source_counts(session, campaign) == SourceCounts(input=10, unique=8, invalid=1, duplicate=1)
        assert len(read_formulas(session, campaign, 0, 8)) == 8
        assert len(read_failures(session, campaign, 99)) == 1


def test_file_that_changed_while_it_was_begun_is_refused(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LINES", 2)
    source = written(tmp_path, ["formula", "NaCl", "BaTe", "KCl"])
    campaign = created(engine, source)

    def killed(lines: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(engine, campaign, source, killed)
    written(tmp_path, ["formula", "CsI", "NaCl", "BaTe", "KCl"])
    with pytest.raises(InvalidSource, match="changed since campaign 1 began"):
        ingest(engine, campaign, source, lambda lines: None)
    written(tmp_path, ["formula", "NaCl", "BaTe", "KCl"])
    ingest(engine, campaign, source, lambda lines: None)
    with reading(engine) as session:
        assert read_formulas(session, campaign, 0, 9) == ["NaCl", "BaTe", "KCl"]


def test_stretch_of_bad_lines_hides_no_good_one(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LINES", 2)
    source = written(tmp_path, ["formula", "NaCl", "BaTe", "Zz", "NaCl", "Yy", "BaTe", "CsPbI3", "Xx"])
    campaign = created(engine, source)
    ingest(engine, campaign, source, lambda lines: None)
    with reading(engine) as session:
        assert read_formulas(session, campaign, 0, 3) == ["NaCl", "BaTe", "CsPbI3"]
        assert source_counts(session, campaign) == SourceCounts(input=8, unique=3, invalid=3, duplicate=2)


@pytest.mark.parametrize("content", [b"", b"formula\n", gzip.compress(b"", mtime=0)])
def test_empty_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ("mine.csv.gz" if content[:2] == b"\x1f\x8b" else "mine.csv")
    path.write_bytes(content)
    with pytest.raises(InvalidSource, match="empty; a file with at least one formula is expected"):
        check_source(FileSource(kind="file", path=str(path)))


@pytest.mark.parametrize(
    ("content", "column", "line"),
    [
        (b"formula\nNaCl\nCa\xe9\n", None, "line 3"),
        (b"formula\nNaCl\n", "composition", "no column 'composition'"),
        (None, None, "no such file"),
    ],
)
def test_unreadable_file_is_told_before_anything_is_stored(
    tmp_path: Path, content: bytes | None, column: str | None, line: str
) -> None:
    path = tmp_path / "mine.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        check_source(FileSource(kind="file", path=str(path), column=column))
    assert line in str(caught.value) and "\n" not in str(caught.value)


def substituting(tmp_path: Path, lines: list[str], **replace: list[str]) -> SubstituteSource:
    file = written(tmp_path, ["formula", *lines])
    return SubstituteSource(kind="substitute", path=file.path, replace=replace)


def test_elements_are_replaced_and_what_comes_twice_counts_once(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LINES", 2)
    source = substituting(tmp_path, ["BaTe", "Qq2O", "Te1 Sr1", "NaCl"], Ba=["Sr", "Ca"], Sr=["Ca"], Te=["Se"])
    assert check_source(source) is None
    campaign = created(engine, source)

    def killed(lines: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(engine, campaign, source, killed)
    ingest(engine, campaign, source, lambda lines: None)
    with reading(engine) as session:
        kept = read_formulas(session, campaign, 0, 99)
        counts = source_counts(session, campaign)
        [failure] = read_failures(session, campaign, 99)
        assert formulas_of(session, a_chunk(campaign, 1, 3), source) == kept[1:3]
    assert sorted(kept) == sorted(["BaSe", "SrTe", "SrSe", "CaTe", "CaSe"])
    assert counts == SourceCounts(input=9, unique=5, invalid=1, duplicate=3)
    assert (failure.place, failure.formula) == ("mine.csv, line 3", "Qq2O")


@pytest.mark.parametrize(
    ("lines", "line"),
    [(["NaCl", "KCl"], "nothing comes of its formulas"), ([], "empty; a file with at least one formula")],
)
def test_substitution_of_nothing_is_told(tmp_path: Path, lines: list[str], line: str) -> None:
    with pytest.raises(InvalidSource, match=line):
        check_source(substituting(tmp_path, lines, Ba=["Sr"]))


def test_enumeration_costs_no_rows_and_is_addressed_by_index(engine: Engine) -> None:
    source = EnumerateSource(kind="enumerate", cations=["Cu", "Ba", "In"], anions=["S", "Se"], cation_counts=[2])
    size = check_source(source)
    assert size is not None and size > 50
    campaign = created(engine, source)
    with reading(engine) as session:
        everything = formulas_of(session, a_chunk(campaign, 0, size), source)
        assert formulas_of(session, a_chunk(campaign, 10, 20), source) == everything[10:20]
        assert source_counts(session, campaign).input == 0
    assert len(set(everything)) == size


def test_listed_formulas_are_distinct_and_addressed_by_index(engine: Engine) -> None:
    source = ListSource(kind="list", formulas=["Ba1 Te1", "CsPbI3", "TeBa", "NaCl"])
    assert check_source(source) == 3
    campaign = created(engine, source)
    with reading(engine) as session:
        assert formulas_of(session, a_chunk(campaign, 0, 3), source) == ["BaTe", "CsPbI3", "NaCl"]
        assert formulas_of(session, a_chunk(campaign, 1, 2), source) == ["CsPbI3"]
        assert read_stages(session, campaign)[0].source_size == 3


def test_enumeration_without_compositions_is_told() -> None:
    with pytest.raises(InvalidSource, match="no charge-balanced composition"):
        check_source(EnumerateSource(kind="enumerate", cations=["Zr"], anions=["N"], cation_counts=[1], max_atoms=2))


def a_chunk(campaign: int, start: int, stop: int) -> Chunk:
    return Chunk(
        id=1, campaign_id=campaign, stage=StageName.PREDICT, ordinal=0, start=start, stop=stop, formulas=None,
        size=stop - start, state=ChunkState.RUNNING, attempt=1, errors=0, crashes=0, alone=False, worker_id=None,
        reason=None, resend_at=None,
    )  # fmt: skip
