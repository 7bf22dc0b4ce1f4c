"""Faults of the machine with real Ray actors in it: killed, poisoned, hung, without a node, told to stop."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from scheduler.sources import enumeration
from scheduler.spec import parse_spec
from storage.engine import reading
from storage.failures import count_failures, read_failures
from storage.funnels import funnel
from storage.states import ChunkState

PATIENCE = 250
FEW = {
    "source": {"kind": "enumerate", "cations": ["Cu", "Ba", "Ga", "In", "Sn"], "anions": ["S", "I"]},
    "predict": {"where": "band_gap >= 1.0"},
}
pytestmark = pytest.mark.timeout(4 * PATIENCE)


@pytest.fixture
def site(tmp_path: Path, sites):
    return sites(f"sqlite:///{tmp_path / 'test.db'}")


@pytest.fixture
def two_nodes() -> Iterator[Cluster]:
    """A Ray of two nodes on this host, with one CPU each."""
    short = tempfile.mkdtemp(prefix="sl", dir="/tmp")  # socket paths must stay below 108 characters
    memory = 80 * 2**20
    head = {"num_cpus": 1, "object_store_memory": memory, "include_dashboard": False, "temp_dir": short}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1, object_store_memory=memory)
    yield cluster
    cluster.shutdown()
    shutil.rmtree(short, ignore_errors=True)


def test_a_killed_actor_costs_nothing(site, undisturbed) -> None:
    site.machine()
    for _ in range(2):
        site.another_chunk()
        actors = site.below("ray", "ray::ModelHost")
        assert actors
        os.kill(actors[0], signal.SIGKILL)
    site.soon(site.done)
    assert site.hash() == undisturbed()


def test_a_ray_node_that_is_lost_is_replaced(site, undisturbed) -> None:
    site.machine()
    site.another_chunk()
    [raylet] = site.below("ray", "raylet/raylet")
    os.kill(raylet, signal.SIGKILL)
    site.soon(site.done)
    assert site.ledger().sums["crashes"] == 0
    assert site.hash() == undisturbed()


def test_one_of_two_nodes_is_killed_and_the_other_does_all(two_nodes: Cluster, site, undisturbed) -> None:
    site.environment["SLUICE_RAY_ADDRESS"] = two_nodes.address
    site.machine()
    site.another_chunk()
    [other] = [node for node in two_nodes.list_all_nodes() if not node.head]
    two_nodes.remove_node(other, allow_graceful=False)
    site.soon(site.done)
    assert site.hash() == undisturbed()


@pytest.mark.parametrize("fault", ["POISON", "HANG"])
def test_a_composition_that_kills_or_never_ends_fails_alone_with_its_reason(
    fault: str, tmp_path: Path, sites, undisturbed
) -> None:
    site = sites(f"sqlite:///{tmp_path / 'test.db'}", tables=FEW)
    every = enumeration(parse_spec(FEW, "test").source.model_dump_json())
    culprit = every.slice(len(every) // 2, len(every) // 2 + 1)[0].formula
    site.environment[f"SLUICE_TEST_{fault}"] = culprit
    site.machine()
    site.soon(site.done)
    with reading(site.engine) as session:
        [report], failures = funnel(session, site.campaign), read_failures(session, site.campaign, 2)
        assert count_failures(session, site.campaign) == {"failed": 1}
    assert report.counts.failed == 1 and report.counts.input == report.source_size == len(every)
    assert failures[0].formula == culprit and "ended the model's process" in failures[0].reason


def test_told_to_stop_the_machine_ends_its_chunks_and_goes_on_later(site, undisturbed) -> None:
    machine = site.machine()
    site.another_chunk()
    machine.send_signal(signal.SIGTERM)
    assert machine.wait(PATIENCE) == 0
    left = site.ledger()
    assert left.chunks.get(ChunkState.RUNNING, 0) == left.sums["errors"] == left.sums["expiries"] == 0
    assert left.sums["attempt"] == left.chunks[ChunkState.DONE]
    site.machine()
    site.soon(site.done)
    assert site.hash() == undisturbed()
