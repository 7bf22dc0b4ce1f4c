"""`sluice serve` as a process: a campaign over HTTP from its creation to its candidates, by the real engine."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.client import Client

ROOT = Path(__file__).parents[3]
SPEC = """
name = "small"
seed = 3
[source]
kind = "list"
formulas = ["CdTe", "GaAs", "NaCl", "BaTe", "ZnSe", "Cd1 Te1"]
[csp]
top = 1
structures = 2
relax_steps = 2
[explain]
top = 1
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A server that runs campaigns on this machine, and its address."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SLUICE_")}
    environment = kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SLUICE_ACTORS": "1"}
    words = [sys.executable, "-c", "from api.cli import main; main()", "serve", "--port", "0", "--insecure-loopback"]
    process = subprocess.Popen(
        [*words, "--db", str(tmp_path / "s.db")], cwd=tmp_path, env=environment, text=True, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("serving "), line
    yield process, next(word for word in line.split() if word.startswith("http")).removesuffix("/v1,")
    if process.poll() is None:
        process.kill()
    process.stderr.close()
    process.wait()


@pytest.mark.timeout(900)
def test_a_campaign_over_http_from_its_creation_to_its_candidates(server, tmp_path: Path) -> None:
    process, url = server
    with Client(url) as client:
        made = client.create_campaign(SPEC)
        ended = client.wait(made.id)
        assert ended.state == "done"
        assert all(stage.closed for stage in ended.stages)
        frame = client.candidates(campaign=made.id)
        assert sorted(frame.formula) == ["BaTe", "CdTe", "GaAs", "NaCl", "ZnSe"]
        assert frame.band_gap.notna().all()
        best = client.candidate(int(frame.id[0]))
        assert best.explanations and client.structure(best.id).reduced_formula == best.formula
        again = client.predict(["Ba1 Te1", "CdTe", "BaTe"])
        assert list(again.formula) == ["BaTe", "CdTe", "BaTe"]
        assert again.band_gap[1] == pytest.approx(frame.set_index("formula").band_gap["CdTe"], rel=1e-6)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert process.stderr.read().splitlines()[-1] == "stopped"
    assert (tmp_path / "s.db.sluice" / "processes.json").read_text() == "[]"
