"""The Celery app: queues, broker and the settings that make its healing fast."""

from typing import Any

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

from scheduler.message_files import register_scheme
from scheduler.settings import Settings
from storage.states import StageName

TASK = "sluice.work"
QUEUES: dict[StageName, str] = {
    StageName.PREDICT: "predict",
    StageName.CSP: "csp",
    StageName.JUDGE: "csp",
    StageName.EXPLAIN: "explain",
}
ALL_QUEUES = tuple(dict.fromkeys(QUEUES.values()))
POLLING_SECONDS = 0.05
REDIS = ("redis://", "rediss://")
PUBLISHING = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2}  # the next tick sends again anyway


def make_app(settings: Settings) -> Celery:
    """An app on the broker of these settings, its tasks not yet registered."""
    broker = _transport_url(settings)
    app = Celery("sluice", broker=broker, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_default_queue=ALL_QUEUES[0],
        task_publish_retry_policy=PUBLISHING,
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,  # Ray asks standard error for its file number
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_transport(settings),
    )
    return app


def _transport_url(settings: Settings) -> str:
    if settings.embedded_broker:
        return register_scheme()
    if settings.broker_url.startswith(REDIS):
        # Named, not imported: an installation without servers has no redis.
        TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "scheduler.redis_acks:Transport"))
    return settings.broker_url


def _transport(settings: Settings) -> dict[str, Any]:
    if settings.embedded_broker:
        folder = str(settings.broker_folder)
        return {
            "data_folder_in": folder,
            "data_folder_out": folder,
            "control_folder": str(settings.broker_folder / "control"),
            "polling_interval": POLLING_SECONDS,
        }
    if settings.broker_url.startswith(REDIS):
        # kombu's own sweep of lost messages would come after a hundred seconds.
        return {
            "visibility_timeout": 3600,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": 30,
            "health_check_interval": 25,
        }
    return {"confirm_publish": True}
