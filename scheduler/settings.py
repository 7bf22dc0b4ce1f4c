"""Where the database, the broker and Ray are: the only reader of the environment."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scheduler.errors import InvalidSetting

SQLITE = "sqlite:///"
EMBEDDED_BROKER = "filesystem://"
LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("warning", "info", "debug", "error")


@dataclass(frozen=True, slots=True)
class Settings:
    """The three addresses that tell a laptop from a cluster, how much of this host to use, and what logs look like."""

    database_url: str = field(repr=False)  # these two may hold passwords
    broker_url: str = field(repr=False)
    ray_address: str | None
    folder: Path
    device: str
    actors: int
    lease_seconds: float
    tick_seconds: float
    log_format: str
    log_level: str

    @property
    def embedded_broker(self) -> bool:
        return self.broker_url == EMBEDDED_BROKER

    @property
    def broker_folder(self) -> Path:
        return self.folder / "broker"

    @property
    def node_file(self) -> Path:
        return self.folder / "ray.json"

    @property
    def model_folder(self) -> Path:
        """Weights that the database keeps, as this node has read them."""
        return self.folder / "models"

    @property
    def token_file(self) -> Path:
        return self.folder / "ray.token"


def load_settings(environment: Mapping[str, str] | None = None, database_url: str | None = None) -> Settings:
    """Settings from the environment, the embedded default wherever it is silent."""
    env = os.environ if environment is None else environment
    url = database_url or _told(env, "SLUICE_DATABASE_URL") or f"{SQLITE}{Path.cwd() / 'sluice.db'}"
    folder = env.get("SLUICE_FOLDER")
    return Settings(
        database_url=url,
        broker_url=_told(env, "SLUICE_BROKER_URL") or EMBEDDED_BROKER,
        ray_address=env.get("SLUICE_RAY_ADDRESS") or None,
        folder=Path(folder) if folder else machine_folder(url),
        device=env.get("SLUICE_DEVICE") or "cpu",
        actors=_whole(env, "SLUICE_ACTORS", 2),
        lease_seconds=_seconds(env, "SLUICE_LEASE_SECONDS", 10.0),
        tick_seconds=_seconds(env, "SLUICE_TICK_SECONDS", 0.2),
        log_format=_one_of(env, "SLUICE_LOG_FORMAT", LOG_FORMATS),
        log_level=_one_of(env, "SLUICE_LOG_LEVEL", LOG_LEVELS),
    )


def machine_folder(database_url: str) -> Path:
    """The private folder of the processes that serve one database: beside an SQLite file, else in the home folder."""
    if database_url.startswith(SQLITE):
        file = Path(database_url.removeprefix(SQLITE)).absolute()
        return file.with_name(f"{file.name}.sluice")
    return Path.home() / ".sluice" / hashlib.blake2b(database_url.encode(), digest_size=8).hexdigest()


def materials_project(environment: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Where the Materials Project's API is, and the key that opens it; raises InvalidSetting."""
    env = os.environ if environment is None else environment
    key = (_told(env, "MP_API_KEY") or "").strip()
    if not key:
        raise InvalidSetting("MP_API_KEY is not set; a key from https://next-gen.materialsproject.org/api is expected")
    return env.get("MP_API_ENDPOINT") or "https://api.materialsproject.org/", key


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment that makes a child process read these same settings, with Ray locked by a token of our own."""
    own = {
        "SLUICE_DATABASE_URL": settings.database_url,
        "SLUICE_BROKER_URL": settings.broker_url,
        "SLUICE_FOLDER": str(settings.folder),
        "SLUICE_DEVICE": settings.device,
        "SLUICE_ACTORS": str(settings.actors),
        "SLUICE_LEASE_SECONDS": str(settings.lease_seconds),
        "SLUICE_TICK_SECONDS": str(settings.tick_seconds),
        "SLUICE_LOG_FORMAT": settings.log_format,
        "SLUICE_LOG_LEVEL": settings.log_level,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "120",  # a busy host needs more than Ray's half a minute
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if settings.ray_address:
        own["SLUICE_RAY_ADDRESS"] = settings.ray_address
    else:
        own |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(settings.token_file)}
    return {**os.environ, **own}


def _told(env: Mapping[str, str], name: str) -> str | None:
    """A setting that may hold a password: itself, or the file that NAME_FILE names, as containers are given secrets."""
    path = env.get(f"{name}_FILE")
    if env.get(name) or not path:
        return env.get(name)
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise InvalidSetting(f"{name}_FILE={path!r}: {exc.strerror}; a file with the address is expected") from exc


def _whole(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name) or str(default)
    if not text.isdigit() or int(text) == 0:
        raise InvalidSetting(f"{name}={text!r}: expected a whole number from 1")
    return int(text)


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 86400:
        raise InvalidSetting(f"{name}={text!r}: expected seconds, more than 0")
    return value


def _one_of(env: Mapping[str, str], name: str, accepted: Sequence[str]) -> str:
    """A word of these, the first unless told."""
    text = env.get(name) or accepted[0]
    if text.lower() not in accepted:
        raise InvalidSetting(f"{name}={text!r}: expected {', '.join(accepted)}")
    return text.lower()
