"""The embedded broker between a writer and a reader that look at the same moment."""

import json
import threading
from pathlib import Path

import pytest
from kombu import Connection

from scheduler.message_files import register_scheme


@pytest.fixture
def options(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "control").mkdir()
    return {"data_folder_in": str(tmp_path), "data_folder_out": str(tmp_path), "control_folder": f"{tmp_path}/control"}


def test_no_message_is_seen_before_it_is_whole(options: dict[str, str], tmp_path: Path) -> None:
    """As kombu writes them, one of some hundreds is found empty."""
    ended = threading.Event()

    def write() -> None:
        with Connection(register_scheme(), transport_options=options) as connection:
            for number in range(1_000):
                connection.default_channel._put("predict", {"number": number, "filling": "x" * 2_000})
        ended.set()

    threading.Thread(target=write).start()
    seen: set[int] = set()
    while not ended.is_set() or any(tmp_path.glob("*.msg")):
        for path in tmp_path.glob("*.msg"):
            seen.add(json.loads(path.read_text())["number"])
            path.unlink()
    assert seen == set(range(1_000))


def test_each_message_comes_once(options: dict[str, str]) -> None:
    with Connection(register_scheme(), transport_options=options) as connection:
        queue = connection.SimpleQueue("predict")
        for number in range(5):
            queue.put({"number": number})
        taken = []
        for _ in range(5):
            message = queue.get(timeout=5)
            taken.append(message.payload["number"])
            message.ack()
        assert sorted(taken) == list(range(5))
        with pytest.raises(queue.Empty):
            queue.get(block=False)
