"""The command and its exit codes: 0 done, 1 failed, 2 a user's mistake, 130 interrupted.

A mistake ends in clear lines on stderr, never in a traceback.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from flows.cli import dead_letters, demo, doctor, generate, keys, lint, pii, run, topics

_FAILED = 1
_MISTAKE = 2

app = typer.Typer(
    name="signalbox",
    help="Signalbox tells every customer a network fault touches, and keeps churn features fresh.\n\n"
    "Settings come from the environment: SIGNALBOX_BROKERS, SIGNALBOX_SCHEMA_REGISTRY_URL, SIGNALBOX_DATA_DIR "
    "(default ./data), SIGNALBOX_KEYRING, SIGNALBOX_METRICS_ADDRESS (default 127.0.0.1:9464), SIGNALBOX_LOG_FORMAT "
    "(console or json), SIGNALBOX_TOPICS, SIGNALBOX_POLICY, and SIGNALBOX_KAFKA_<KEY> for any librdkafka "
    "setting.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"signalbox {version('signalbox')}")
        raise typer.Exit


@app.callback()
def signalbox(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Options that stand before every command."""


app.command("demo")(demo.demo)
app.command("run")(run.run)
app.add_typer(topics.group, name="topics")
app.command("generate")(generate.generate)
app.command("lint")(lint.lint)
app.add_typer(dead_letters.group, name="dlq")
app.add_typer(keys.group, name="keys")
app.add_typer(pii.group, name="pii")
app.command("doctor")(doctor.doctor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The command line without the program's name; the process's own if not given.

    Returns:
        The exit code.
    """
    try:
        return int(app(args=arguments, prog_name="signalbox", standalone_mode=False) or 0)
    except TyperException as error:
        return _mistaken_usage(error)
    except (Abort, KeyboardInterrupt):
        return _say("interrupted", code=130)
    except BrokenPipeError:  # the reader of our output has gone, as in `signalbox dlq list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except Exception as error:
        return _failed(error)


def _mistaken_usage(error: TyperException) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "signalbox"
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), err=True)
        return _MISTAKE
    message = " ".join(error.format_message().split()).rstrip(".")
    return _say(f"{message} (see `{path} --help`)", code=_MISTAKE)


def _failed(error: Exception) -> int:
    """Tell what was raised. Imports are late: most commands end without them."""
    from confluent_kafka import KafkaException

    from connectors.kafka.errors import error_from
    from flows.supervisor import CrashLoopError
    from privacy import AuditDamageError, PrivacyError
    from schemas.errors import SignalboxError

    if isinstance(error, KafkaException):
        error = error_from("Kafka", error)
    if isinstance(error, SignalboxError | PrivacyError):
        return _say(str(error), code=_FAILED if isinstance(error, CrashLoopError | AuditDamageError) else _MISTAKE)
    if isinstance(error, OSError) and error.filename is not None:
        return _say(f"{error.filename}: {error.strerror}", code=_MISTAKE)
    return _unexpected(error)


def _unexpected(error: Exception) -> int:
    """Write the traceback to a log file; its message may quote a value and is left out."""
    from flows.failures import Failure

    failure = Failure.of(error)
    path = Path(os.environ.get("SIGNALBOX_DATA_DIR", "data")) / "errors.log"
    lines = [time.strftime("%Y-%m-%dT%H:%M:%SZ ", time.gmtime()) + failure.message, *failure.trace]
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as log:
            log.write("\n  ".join(lines) + "\n")
    except OSError:
        typer.echo("\n  ".join(lines), err=True)
        return _say(f"{failure.message}: a fault of Signalbox, please report the lines above", code=_FAILED)
    return _say(f"{failure.message}: a fault of Signalbox, please report it with {path}", code=_FAILED)


def _say(message: str, *, code: int) -> int:
    for line in message.splitlines():
        typer.echo(f"signalbox: {line}", err=True)
    return code
