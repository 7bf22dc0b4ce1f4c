"""`sluice up`, `sluice worker` and `sluice dispatcher`."""

from collections.abc import Callable
from typing import Any

import click

from api.connection import connected, settings_for
from api.lazy_group import load
from api.options import database_option
from scheduler.celery_app import ALL_QUEUES
from scheduler.hosts import Service, serve_all, serve_worker
from storage.engine import describe

POOLS = ("threads", "solo")
GRACE = 60.0
LOOPBACK = "127.0.0.1"
Command = Callable[..., None]


def _queues(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
    for name in names:
        if name not in ALL_QUEUES:
            raise click.BadParameter(f"{name!r}; of {', '.join(ALL_QUEUES)}, separated by commas, are expected")
    return names


def worker_options(command: Command) -> Command:
    """Which work a host takes, and how much at a time."""
    for option in (
        click.option("--grace", type=click.FloatRange(min=0), default=GRACE, show_default=True, metavar="SECONDS",
                     help="How long chunks under way may take after SIGTERM; what is cut off is done again."),
        click.option("--concurrency", type=click.IntRange(1, 64), default=10, show_default=True, metavar="N",
                     help="Chunks at a time."),
        click.option("--pool", type=click.Choice(POOLS), default=POOLS[0], show_default=True,
                     help="Celery's pool; those that fork do not go with Ray."),
        click.option("--queues", callback=_queues, default=",".join(ALL_QUEUES), show_default=True, metavar="NAMES",
                     help="Which stages to work on; csp is also that of judge."),
    ):  # fmt: skip
        command = option(command)
    return command


def metrics_options(command: Command) -> Command:
    """Where the dispatcher serves metrics, if at all."""
    host = click.option("--metrics-host", default=LOOPBACK, show_default=True, metavar="HOST", help="Its interface.")
    port = click.option("--metrics-port", type=click.IntRange(1, 65535), metavar="PORT",
                        help="Serve Prometheus metrics at /metrics on this port.")  # fmt: skip
    return port(host(command))


@click.command(epilog="\b\nExample: sluice up --db screening.db --metrics-port 9464")
@worker_options
@metrics_options
@database_option
def up(url: str | None, metrics_host: str, metrics_port: int | None, **options: Any) -> None:
    """Everything on this host: Ray unless it is elsewhere, a worker, a dispatcher. It serves whatever campaigns the
    database holds, until SIGTERM or Ctrl-C, which let chunks under way end."""
    settings = settings_for(url)
    with connected(settings, create=True) as engine:
        service = _service(options, _place(metrics_host, metrics_port))
        click.echo(f"serving {describe(engine)}; logs are in {settings.folder}", err=True)
        serve_all(settings, engine, service)
    click.echo("stopped", err=True)


@click.command(epilog="\b\nExample: sluice worker --queues csp --concurrency 4 --db postgresql://sluice@db/sluice")
@worker_options
@database_option
def worker(url: str | None, **options: Any) -> None:
    """A worker for some queues, with the Ray at SLUICE_RAY_ADDRESS or that of `sluice up` on this host. SIGTERM lets
    chunks under way end."""
    settings = settings_for(url)
    with connected(settings) as engine:
        click.echo(f"worker for {','.join(options['queues'])} of {describe(engine)}", err=True)
        serve_worker(settings, engine, _service(options))


@click.command(epilog="\b\nExample: sluice dispatcher --metrics-port 9464 --db postgresql://sluice@db/sluice")
@metrics_options
@database_option
@click.pass_context
def dispatcher(ctx: click.Context, url: str | None, metrics_host: str, metrics_port: int | None) -> None:
    """Decide what happens next; of several dispatchers one leads, and another takes over when it is gone."""
    settings = settings_for(url)
    with connected(settings) as engine:
        click.echo(f"dispatcher of {describe(engine)}", err=True)
    place = _place(metrics_host, metrics_port)
    ctx.exit(load("scheduler.dispatcher:main")(["--metrics", place] if place else [], settings))


def _service(options: dict[str, Any], metrics: str | None = None) -> Service:
    return Service(options["queues"], options["pool"], options["concurrency"], options["grace"], metrics)


def _place(host: str, port: int | None) -> str | None:
    return None if port is None else f"{host}:{port}"
