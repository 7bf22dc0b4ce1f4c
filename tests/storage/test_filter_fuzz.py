import random
from itertools import islice
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

from storage.engine import reading, transaction

COUNT = 3_000
# By its path: another distribution may own the name `tests`.
fuzz = SimpleNamespace(**run_path(str(Path(__file__).parents[1] / "benchmarks" / "fuzz_filters.py")))


def test_random_and_hostile_filters_are_answered_as_among_arrays_or_refused_in_one_line(engine) -> None:
    with transaction(engine) as session:
        fuzz.fill(session)
    with reading(engine) as session:
        mine = fuzz.pond(session)
        for text in islice(fuzz.filters(random.Random(7)), COUNT):
            mine.check(text)
        assert mine.whole()
    assert min(mine.outcomes["answered"], mine.outcomes["refused"]) > COUNT / 10
