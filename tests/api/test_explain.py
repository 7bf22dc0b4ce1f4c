"""`sluice explain`: what it writes, the figures that it draws, and the lines that answer mistakes."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest


def explained(sluice, *arguments: object) -> dict[str, object]:
    done = sluice("explain", *arguments, "--property", "band_gap", "--json")
    assert (done.status, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("index", ["SV", "k-SII", "STII", "FSII"])
def test_every_index_adds_up(sluice, index: str) -> None:
    found = explained(sluice, "Cu2ZnSnS4", "--index", index)
    assert found["baseline"] + sum(amount for _, amount in found["interactions"]) == pytest.approx(found["value"])
    assert (found["index"], found["order"], found["errors"]) == (index, 1 if index == "SV" else 2, None)


def test_order_and_players_as_asked(sluice) -> None:
    found = explained(sluice, "GaAs", "--order", 3, "--players", "tokens")
    assert max(len(players) for players, _ in found["interactions"]) == 3
    assert {players[0] for players, _ in found["interactions"]} == {"Ga", "n(Ga)", "As", "n(As)"}
    assert explained(sluice, "Si")["order"] == 1


def test_an_estimate_says_so(sluice) -> None:
    done = sluice("explain", "LiNaKRbCsClBr", "--property", "band_gap", "--players", "tokens", "--budget", "900")
    assert done.status == 0
    assert "estimated from 900 coalitions; ± is one standard error" in done.stdout
    assert "± 0." in done.stdout


@pytest.mark.parametrize("kind", ["bars", "network"])
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_plot_is_an_image(sluice, tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"figure{suffix}"
    done = sluice("explain", "CsPbI3", "--property", "band_gap", "--order", 3, "--plot", path, "--figure", kind)
    assert (done.status, done.stderr) == (0, "")
    assert_image(path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def assert_image(path: Path) -> None:
    if path.suffix == ".svg":
        assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        return
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG" and min(image.size) > 200
        assert len(image.convert("RGB").getcolors(2**20) or ()) > 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--index", "BII"), ["--index", "BII", "k-SII"]),
        (("--order", "5"), ["--order", "5", "1<=x<=4"]),
        (("--order", "0"), ["--order", "0"]),
        (("--order", "3"), ["order 3", "GaAs has 2 players (Ga, As)"]),
        (("--order", "2", "--index", "SV"), ["order 2", "SV has order 1"]),
        (("--players", "atoms"), ["--players", "atoms", "tokens"]),
        (("--budget", "0"), ["--budget", "0"]),
        (("--plot", "figure.pdf"), ["--plot", "figure.pdf", ".png or .svg"]),
        (("--plot", "figure"), ["--plot", ".png or .svg"]),
        (("--plot", "nowhere/figure.png"), ["--plot", "nowhere/figure.png", "folder that exists"]),
        (("--figure", "network"), ["--figure network needs --plot FILE"]),
        (("--plot", "a.svg", "--figure", "pie"), ["--figure", "pie", "bars", "network"]),
        (("--plot", "a.svg", "--figure", "network", "--order", "1"), ["--figure network", "order 2"]),
    ],
)
def test_a_mistake_is_one_line(sluice, tmp_path: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    done = sluice("explain", "GaAs", "--property", "band_gap", *arguments)
    assert (done.status, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert all(word in done.stderr for word in words), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="/proc is a folder that even root cannot write to")
def test_a_folder_that_cannot_be_written_to_is_one_line(sluice) -> None:
    done = sluice("explain", "GaAs", "--property", "band_gap", "--plot", "/proc/figure.png")
    assert (done.status, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "/proc/figure.png" in done.stderr and "can be written to" in done.stderr


def test_a_folder_is_no_figure(sluice, tmp_path: Path) -> None:
    (tmp_path / "figure.png").mkdir()
    done = sluice("explain", "GaAs", "--property", "band_gap", "--plot", "figure.png")
    assert (done.status, len(done.stderr.splitlines())) == (2, 1)


def test_the_suffix_may_be_large(sluice, tmp_path: Path) -> None:
    assert sluice("explain", "GaAs", "--property", "band_gap", "--plot", "A.PNG").status == 0
    assert (tmp_path / "A.PNG").read_bytes().startswith(b"\x89PNG")
