"""`python -m scheduler.ray_node`: a Ray of our own on this host, which lives and dies with this process."""

import argparse
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import ray

from workers.actors import NAMESPACE

OBJECT_STORE_BYTES = 200 * 2**20
LOOK_SECONDS = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Start Ray, tell where it is, and wait until told to stop, or until a part of it dies."""
    parser = argparse.ArgumentParser(prog="python -m scheduler.ray_node", description="A Ray node on this host.")
    parser.add_argument("--node-file", type=Path, required=True, help="where to tell the address")
    parser.add_argument("--temporary", type=Path, required=True, help="a short path for Ray's sockets and logs")
    parser.add_argument("--parent", type=int, help="the process to end with")
    options = parser.parse_args(argv)
    stopping = threading.Event()
    options.temporary.mkdir(parents=True, exist_ok=True)
    ray.init(
        address="local",
        include_dashboard=False,
        num_cpus=os.cpu_count() or 1,
        object_store_memory=OBJECT_STORE_BYTES,
        namespace=NAMESPACE,
        log_to_driver=False,
        configure_logging=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(options.temporary),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    tell(options.node_file, {"address": ray.get_runtime_context().gcs_address, "pid": os.getpid()})
    whole = True
    while whole and not stopping.wait(LOOK_SECONDS):
        whole = not a_child_died() and (options.parent is None or os.getppid() == options.parent)
    ray.shutdown()
    shutil.rmtree(options.temporary, ignore_errors=True)
    return 0 if stopping.is_set() else 1


def a_child_died() -> bool:
    """Whether one of Ray's own processes on this host has ended."""
    if not hasattr(os, "waitid"):
        return False
    return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def tell(path: Path, content: dict[str, object]) -> None:
    """Write a small file so that no reader sees half of it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        json.dump(content, file)
    os.replace(file.name, path)


if __name__ == "__main__":
    raise SystemExit(main())
