"""What lies in deploy/: files that parse, commands that exist, no secret, no root."""

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from api.cli import sluice

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
OVERLAYS = ("base", "gpu")
SCRIPTS = {"ray-and-worker.sh": "sh", "slurm.sbatch": "bash"}


def check(command: click.Command, name: str, arguments: list[str]) -> None:
    """Let the command line parse what it would be given; raises ClickException."""
    with command.make_context(name, list(arguments)) as ctx:
        if isinstance(command, click.Group):
            found, sub, rest = command.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
            assert sub is not None
            check(sub, found or "", rest)


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def ours(service: dict[str, Any]) -> bool:
    return str(service["image"]).startswith("sluice")


def compose_commands() -> Iterator[list[str]]:
    for service in compose()["services"].values():
        entrypoint = service.get("entrypoint", ["sluice"])
        if ours(service) and entrypoint == ["sluice"]:
            yield service["command"]
        elif ours(service) and entrypoint == ["ray-and-worker"]:
            yield ["worker", *service["command"]]


def documents(overlay: str) -> list[dict[str, Any]]:
    """What Kubernetes would be given, or the base's own files where nothing renders them."""
    if shutil.which("kubectl") is None and shutil.which("kustomize") is None:
        pytest.skip("neither kubectl nor kustomize is installed here")
    tool = ["kubectl", "kustomize"] if shutil.which("kubectl") else ["kustomize", "build"]
    done = subprocess.run([*tool, str(DEPLOY / "kustomize" / overlay)], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def pod_specs(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "containers" in node:
            yield node
        for value in node.values():
            yield from pod_specs(value)
    elif isinstance(node, list):
        for value in node:
            yield from pod_specs(value)


def base_containers() -> Iterator[dict[str, Any]]:
    for path in sorted((DEPLOY / "kustomize/base").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            for pod in pod_specs(document):
                yield from pod["containers"]


def kubernetes_commands() -> Iterator[list[str]]:
    for container in base_containers():
        if container["image"] == "sluice" and "command" not in container:
            yield container["args"]
        elif container.get("command") == ["ray-and-worker"]:
            yield ["worker", *container["args"]]


def text_commands() -> Iterator[list[str]]:
    """Commands in indented blocks of the README, and in shell scripts."""
    typed = re.compile(r"^ {4}(sluice) (.*)$", re.MULTILINE)
    written = re.compile(r"^[^#\n]*?\s(sluice|sh \S+/ray-and-worker\.sh\"?) (?=[a-z-])(.*)$", re.MULTILINE)
    for path, pattern in ((DEPLOY / "README.md", typed), *((DEPLOY / name, written) for name in SCRIPTS)):
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        for found in pattern.finditer(text):
            words = shlex.split(found[2].removesuffix("&").replace('"$@"', ""), comments=True)
            yield words if found[1] == "sluice" else ["worker", *words]


COMMANDS = [
    *(("compose", command) for command in compose_commands()),
    *(("kubernetes", command) for command in kubernetes_commands()),
    *(("text", command) for command in text_commands()),
]


@pytest.mark.parametrize(("place", "arguments"), COMMANDS, ids=[f"{p}: {' '.join(c)}" for p, c in COMMANDS])
def test_every_command_is_one_that_the_command_line_takes(place: str, arguments: list[str]) -> None:
    check(sluice, "sluice", arguments)


def test_commands_were_found_in_every_kind_of_file_and_a_wrong_one_is_told() -> None:
    first_words = {place: {command[0] for at, command in COMMANDS if at == place} for place, _ in COMMANDS}
    assert first_words["compose"] == first_words["kubernetes"] == {"db", "serve", "dispatcher", "worker"}
    assert {"up", "screen", "campaign", "worker", "dispatcher"} <= first_words["text"]
    with pytest.raises(click.ClickException):
        check(sluice, "sluice", ["worker", "--queue", "csp"])
    with pytest.raises(click.ClickException):
        check(sluice, "sluice", ["campaign", "wait", "1"])


def test_compose_names_only_what_it_has() -> None:
    found = compose()
    services = found["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        assert set(service.get("secrets", [])) <= set(found["secrets"])
        assert set(service["networks"]) <= set(found["networks"])
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", []))
    assert [name for name, service in services.items() if "gpu" in service.get("profiles", [])] == ["worker-gpu"]


def test_secrets_come_from_files_or_from_kubernetes_secrets() -> None:
    for name, service in compose()["services"].items():
        for key, value in service.get("environment", {}).items():
            if re.search("URL|PASSWORD|TOKEN", key):
                assert str(value).startswith("/run/secrets/"), f"{name}: {key}"
    for container in base_containers():
        for entry in container.get("env", []):
            if re.search("URL|PASSWORD|TOKEN", entry["name"]):
                assert entry["valueFrom"]["secretKeyRef"]["name"] == "sluice-secrets"
    asked = {
        entry["valueFrom"]["secretKeyRef"]["key"]
        for container in base_containers()
        for entry in container.get("env", [])
        if "valueFrom" in entry
    }
    assert asked == set(re.findall(r"--from-literal=([\w-]+)=", (DEPLOY / "README.md").read_text()))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_kubernetes_is_given_holds_together(overlay: str) -> None:
    given = documents(overlay)
    maps = {document["metadata"]["name"] for document in given if document["kind"] == "ConfigMap"}
    for pod in (pod for document in given for pod in pod_specs(document)):
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            named = {source["configMapRef"]["name"] for source in container.get("envFrom", [])}
            assert named <= maps
            assert not container["image"].startswith("sluice") or container["image"] == f"sluice:{tag(overlay)}"
    [ray] = [document for document in given if document["kind"] == "RayCluster"]
    [group] = ray["spec"]["workerGroupSpecs"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert ("nvidia.com/gpu" in limits) == (overlay == "gpu")
    grace = group["template"]["spec"]["terminationGracePeriodSeconds"]
    arguments = group["template"]["spec"]["containers"][0]["args"]
    assert grace > float(arguments[arguments.index("--grace") + 1])


def tag(overlay: str) -> str:
    return {"base": "cpu", "gpu": "gpu"}[overlay]


def test_the_image_has_the_versions_of_this_project_and_no_root() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    torch = next(entry for entry in project["dependencies"] if entry.startswith("torch=="))
    assert f"ARG TORCH={torch.removeprefix('torch==')}" in text
    final = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001$", final, re.MULTILINE)
    for copied in re.findall(r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in copied.split())
    constraints = (DEPLOY / "constraints.txt").read_text()
    ray = yaml.safe_load((DEPLOY / "kustomize/base/ray.yaml").read_text())["spec"]["rayVersion"]
    assert f"\nray=={ray}\n" in constraints


@pytest.mark.parametrize(("name", "shell"), SCRIPTS.items())
def test_scripts_have_the_syntax_of_their_shell(name: str, shell: str) -> None:
    subprocess.run([shell, "-n", str(DEPLOY / name)], check=True)


def test_the_readme_names_every_file_and_every_setting() -> None:
    readme = (DEPLOY / "README.md").read_text()
    for path in DEPLOY.iterdir():
        assert path.name in readme or path.name in ("README.md", "constraints.txt", "secrets"), path.name
    settings = (ROOT / "scheduler/settings.py").read_text()
    assert set(re.findall(r'"(SLUICE_\w+)"', settings)) <= set(re.findall(r"SLUICE_\w+", readme))
