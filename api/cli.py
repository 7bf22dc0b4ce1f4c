"""The command line: its commands by name, and what people read when one fails."""

import sys
from collections.abc import Sequence
from io import TextIOWrapper

import click

from api.lazy_group import LazyGroup, Target
from workers.errors import SluiceError, UserError

JOB_FAILED = 1
USER_MISTAKE = 2
INTERRUPTED = 130

COMMANDS = {
    "screen": Target("api.screen:screen", "Run a campaign: predict, crystal structures, judge, explain."),
    "campaign": Target("api.campaigns:campaign", "List, watch, pause, resume, weigh, cancel and report campaigns."),
    "up": Target("api.hosts:up", "Serve campaigns on this host: Ray, a worker, a dispatcher."),
    "worker": Target("api.hosts:worker", "Work on the chunks of some queues."),
    "dispatcher": Target("api.hosts:dispatcher", "Decide what happens next, apart from the workers."),
    "serve": Target("api.serve:serve", "Answer over HTTP: campaigns, candidates, predictions."),
    "token": Target("api.tokens:token", "Who may do what over HTTP."),
    "query": Target("api.query:query", "Select candidates with an OPTIMADE filter."),
    "show": Target("api.show:show", "Everything known of one candidate."),
    "predict": Target("api.predict:predict", "Properties of formulas, without a campaign."),
    "generate": Target("api.generate:generate", "Crystal structures of formulas as CIF files."),
    "explain": Target("api.explain:explain", "What each element adds to a prediction."),
    "train": Target("api.train:train", "A predictor of a property of your own, from a table."),
    "models": Target("api.models:models", "The models and their cards."),
    "data": Target("api.data:data", "Known structures: import them, or fetch them from the Materials Project."),
    "db": Target("api.db:db", "Make, upgrade, check, back up and restore a database."),
}


@click.group(
    cls=LazyGroup,
    targets=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExample: sluice screen deploy/campaigns/solar-absorbers.toml",
)
@click.version_option(package_name="sluice", prog_name="sluice")
def sluice() -> None:
    """Screen chemical compositions: from formulas to explained, structured, stored candidates."""


def main() -> None:
    """Run the command line and exit with its status: 0 done, 1 the job failed, 2 the user's mistake."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # what programs read is no matter of the locale
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status."""
    try:
        status = sluice.main(args=list(arguments), prog_name="sluice", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.exceptions.NoArgsIsHelpError as exc:
        click.echo(exc.format_message(), err=True)
        return USER_MISTAKE
    except click.UsageError as exc:
        command = exc.ctx.command_path if exc.ctx else "sluice"
        return _fail(f"{exc.format_message()} (`{command} --help` shows an example)", USER_MISTAKE)
    except UserError as exc:
        return _fail(str(exc), USER_MISTAKE)
    except (SluiceError, OSError) as exc:
        return _fail(str(exc), JOB_FAILED)
    except (click.Abort, KeyboardInterrupt):
        return _fail("stopped", INTERRUPTED)


def _fail(message: str, status: int) -> int:
    click.echo(f"sluice: {' '.join(message.split())}", err=True)
    return status
