"""`sluice data`: references from files, and from a server that speaks the Materials Project's protocol."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pymatgen.core import Composition, Lattice, Structure
from sqlalchemy import Engine
from urllib3 import Retry

import scheduler.references as references
from storage.engine import open_database, reading
from storage.references import NewSet, ReferenceSet, lowest_energies, named_sets
from workers import materials_project
from workers.crystals import Crystal
from workers.errors import UserError
from workers.materials_project import Asked, MaterialsProject, Site, Unreachable, WrongKey, parse_system
from workers.properties import Predicted
from workers.reference_scales import ENERGY

KEY = "right-key"
HASTY = Retry(total=2, backoff_factor=0, status_forcelist=materials_project.BUSY, raise_on_status=False)
EVERYTHING = Asked()
FORMULAS = ("Ba", "Te", "BaTe", "BaTe2", "Na", "NaTe", "BaNaTe")


def document(number: int, formula: str) -> dict[str, Any]:
    symbols = [symbol for symbol, amount in Composition(formula).items() for _ in range(int(amount))]
    cell = Lattice.cubic(4.0 + len(symbols))
    structure = Structure(cell, symbols, [[i / len(symbols)] * 3 for i in range(len(symbols))])
    return {
        "material_id": f"mp-{number}",
        "structure": structure.as_dict(),
        "formation_energy_per_atom": -0.5 * (len(set(symbols)) - 1),
    }


@dataclass
class Project:
    """What the server has and the troubles that its next answers are to meet."""

    url: str = ""
    release: str = "2026.01.01"
    documents: list[dict[str, Any]] = field(
        default_factory=lambda: [document(number, formula) for number, formula in enumerate(FORMULAS)]
    )
    troubles: list[str] = field(default_factory=list)
    skips: list[int] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """The part of the protocol that is used: a key, summaries by chemical system, pages, and the release."""

    project: Project
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(place.query).items()}
        if place.path == "/heartbeat":
            self._answer(
                200,
                {
                    "status": "OK",
                    "version": "0.87.0",
                    "db_version": self.project.release,
                    "access_controlled_batch_ids": [],
                },
            )
        elif self.headers["X-API-KEY"] != KEY:
            self._answer(401, {"detail": "Invalid authentication credentials"})
        elif place.path == "/materials/summary/":
            self._summaries(asked)
        else:
            self._answer(404, {"detail": "Not Found"})

    def _summaries(self, asked: dict[str, str]) -> None:
        skip, limit = int(asked.get("_skip", "0")), int(asked["_limit"])
        self.project.skips.append(skip)
        trouble = self.project.troubles.pop(0) if self.project.troubles else ""
        if trouble.isdigit():
            self._answer(int(trouble), {"detail": "busy"})
            return
        systems = set(asked["chemsys"].split(",")) if "chemsys" in asked else None
        found = [each for each in self.project.documents if systems is None or self._system(each) in systems]
        page = [{name: each[name] for name in asked["_fields"].split(",")} for each in found[skip : skip + limit]]
        self._answer(200, {"data": page, "meta": {"total_doc": len(found)}}, cut=trouble == "cut")

    def _system(self, each: dict[str, Any]) -> str:
        return "-".join(sorted({site["species"][0]["element"] for site in each["structure"]["sites"]}))

    def _answer(self, status: int, body: object, cut: bool = False) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = self.close_connection or cut

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


class Chemist:
    """Stands for the structure predictor, which is tested with its own tests."""

    def predict(self, crystals: Sequence[Crystal]) -> list[Predicted]:
        return [{ENERGY: (-0.4 * (len(set(crystal.species)) - 1), 0.02)} for crystal in crystals]


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A server of the test's own, two materials a page; the environment has its address and the right key."""
    mine = Project()
    handler = type("MyHandler", (Handler,), {"project": mine})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    mine.url = f"http://127.0.0.1:{server.server_port}/"
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MP_API_ENDPOINT", mine.url)
    monkeypatch.setenv("MP_API_KEY", KEY)
    monkeypatch.setattr(materials_project, "LIMIT", 2)
    yield mine
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def chemist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "load_model", lambda name, device: Chemist())


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(str(tmp_path / "mine.db"))
    yield engine
    engine.dispose()


def fetch(engine: Engine, project: Project, asked: Asked = EVERYTHING, key: str = KEY) -> ReferenceSet:
    source = MaterialsProject(Site(project.url, key, HASTY))
    new = NewSet("mp", references.LEVEL, {"site": project.url})
    return references.fetch_references(engine, source, asked, new, lambda flawed: None, lambda text: None)


def test_all_pages_come_once(engine: Engine, project: Project) -> None:
    held = fetch(engine, project)
    assert project.skips == [0, 2, 4, 6] and held.entries == len(FORMULAS) == held.total
    assert held.origin["release"] == project.release and held.scale is not None
    with reading(engine) as session:
        assert lowest_energies(session, held.id, ["Ba-Te"]) == {"Ba": 0.0, "Te": 0.0, "BaTe": -0.5, "BaTe2": -0.5}


def test_troubles_that_pass_are_tried_again(engine: Engine, project: Project) -> None:
    project.troubles = ["429", "", "500", "503", "", "cut"]
    assert fetch(engine, project).entries == len(FORMULAS)
    assert project.skips == [0, 0, 2, 2, 2, 4, 4, 6]


def test_a_network_that_breaks_half_way_is_one_line_and_the_next_attempt_goes_on(
    engine: Engine, project: Project
) -> None:
    project.troubles = ["", "", "cut", "cut", "cut"]
    with pytest.raises(Unreachable, match="does not answer"):
        fetch(engine, project)
    with reading(engine) as session:
        assert named_sets(session) == []
    project.skips.clear()
    held = fetch(engine, project)
    assert project.skips == [4, 6] and held.entries == len(FORMULAS)
    whole = fetch(engine, Project(project.url))
    assert whole.digest == held.digest and whole.id != held.id


def test_another_release_begins_anew(engine: Engine, project: Project) -> None:
    project.troubles = ["", "500", "500", "500"]
    with pytest.raises(Unreachable, match="500"):
        fetch(engine, project)
    project.release, project.skips = "2026.02.02", []
    assert fetch(engine, project).origin["release"] == "2026.02.02" and project.skips[0] == 0


def test_a_wrong_key_is_told_at_once(engine: Engine, project: Project) -> None:
    with pytest.raises(WrongKey, match="MP_API_KEY: the Materials Project at .* refuses it .status 401."):
        fetch(engine, project, key="wrong")
    assert project.skips == []


def test_a_system_brings_those_within_it(engine: Engine, project: Project) -> None:
    held = fetch(engine, project, Asked((parse_system("Te-Ba"),)))
    assert held.entries == 4
    with pytest.raises(UserError, match="has nothing that is asked for in K-Xe"):
        fetch(engine, project, Asked((parse_system("Xe-K"),)))


@pytest.mark.parametrize("text", ["Ba-Xx", "", "Ba--Te", "Cm-O", "Li-Be-B-C-N-O-F-Na-Mg"])
def test_an_unknown_system_is_named(text: str) -> None:
    with pytest.raises(UserError, match="chemical system"):
        parse_system(text)


def test_the_command_fetches_lists_and_counts(sluice, project: Project, tmp_path: Path) -> None:
    done = sluice("data", "fetch-mp", "--chemsys", "Ba-Te", "--chemsys", "Na", "--db", tmp_path / "a.db")
    assert done.status == 0 and "5 of 5 materials" in done.stderr
    assert "materials-project: 5 structures (hull and novelty" in done.stdout
    [held] = json.loads(sluice("data", "list", "--json", "--db", tmp_path / "a.db").stdout)
    assert held["origin"]["chemsys"] == "Ba,Ba-Te,Na,Te" and held["origin"]["energy_above_hull_max"] == "0.1"
    assert "GGA/GGA+U" in sluice("data", "list", "--db", tmp_path / "a.db").stdout


@pytest.mark.parametrize(
    ("key", "arguments", "word"),
    [
        ("wrong", (), "refuses it"),
        ("", (), "MP_API_KEY is not set"),
        (KEY, ("--chemsys", "Ba-Xx"), "'Xx'"),
        (KEY, ("--name", "a b"), "--name"),
        (KEY, ("--name", "estimate"), "--name"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    sluice, project: Project, monkeypatch: pytest.MonkeyPatch, key: str, arguments: tuple[str, ...], word: str
) -> None:
    monkeypatch.setenv("MP_API_KEY", key)
    done = sluice("data", "fetch-mp", *arguments, "--db", "mine.db")
    assert (done.status, done.stdout) == (2, "") and word in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_folder_is_imported_and_bad_files_are_told(sluice, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name, species in {"good": "Ba", "curium": "Cm"}.items():
        structure = Structure(Lattice.cubic(6.0), [species, "Te"], [[0, 0, 0], [0.5, 0.5, 0.5]])
        (tmp_path / "mine" / f"{name}.cif").write_text(structure.to(fmt="cif"), encoding="utf-8")
    done = sluice("data", "import", tmp_path / "mine", "--db", tmp_path / "a.db")
    assert done.status == 0 and "curium.cif: element Cm" in done.stderr and "1 rows left out" in done.stderr
    assert done.stdout.startswith("mine: 1 structures (novelty only: no energies, or too few)")
    missing = sluice("data", "import", tmp_path / "absent.json", "--db", tmp_path / "a.db")
    assert missing.status == 2 and len(missing.stderr.splitlines()) == 1 and "no such file" in missing.stderr
