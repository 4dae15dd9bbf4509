"""The command line: reads options, calls the package, prints; it has no logic of its own."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import typer

import podlab
from podlab.cli import claims, cluster, evaluate, explore, label, model, models, recordings
from podlab.cli.help import App
from podlab.cli.output import escape_what_cannot_be_shown
from podlab.errors import InputError, PodlabError
from podlab.progress import stop_on_sigterm

_STOPPED = 130
#: By which joblib's processes are limited; read where it would be no line.
_CORES = "LOKY_MAX_CPU_COUNT"

app = App(
    name="podlab",
    help="Identify the service that runs in a container from its monitoring metrics.",
    pretty_exceptions_enable=False,
)
with suppress(ImportError):
    # What makes recordings is a package of its own, which the watcher's image does not carry.
    from lab.cli import app as lab

    app.add_typer(lab, name="lab")
app.command()(cluster.collect)
app.command()(cluster.replay)
app.command("import")(recordings.import_command)
app.add_typer(recordings.dataset, name="dataset")
app.command()(evaluate.run)
app.command()(model.fit)
app.command()(label.label)
app.command()(evaluate.evaluate)
app.command()(model.identify)
app.command()(explore.explore)
app.command()(claims.check)
app.command()(claims.inventory)
app.command()(model.score)
app.command()(cluster.watch)
app.add_typer(models.models, name="models")
app.command()(cluster.doctor)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(podlab.__version__)
        raise typer.Exit


@app.callback()
def _podlab(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show podlab's version and exit."
    ),
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after ``podlab``; those of the process if not given.

    Returns
    -------
    int
        0 on success, 1 when the work failed, 2 on wrong use or bad input, 130 when stopped by Ctrl-C or SIGTERM.
    """
    from podlab.files import explain_os_error

    escape_what_cannot_be_shown()
    logging.basicConfig(level=logging.WARNING, format="podlab: %(levelname)s: %(message)s", stream=sys.stderr)
    logging.addLevelName(logging.WARNING, "warning")
    words = sys.argv[1:] if arguments is None else arguments
    as_json = _is_watcher_in_pod(words)
    for word in words:
        if not _is_text(word):
            shown = repr(os.fsencode(word))[1:]
            return _fail(f"{shown}: is not UTF-8 text; rename the file", InputError.exit_code, as_json)
    try:
        Path.cwd()
    except OSError:
        return _fail("the working folder is gone; change into another one", InputError.exit_code, as_json)
    if not os.environ.get(_CORES, "1").strip().isdecimal():
        return _fail(f"{_CORES}: is not a number of cores; correct or unset it", InputError.exit_code, as_json)
    try:
        # What is half-written, and processes that were started, shall go when CI or `timeout` ends a command, too.
        with stop_on_sigterm():
            exit_code = app(args=arguments, prog_name="podlab", standalone_mode=False) or 0
        if exit_code == _STOPPED:  # typer makes an exit code of Ctrl-C on its own
            return _fail("stopped", _STOPPED, as_json)
        sys.stdout.flush()
        return exit_code
    except PodlabError as error:
        return _fail(str(error), error.exit_code, as_json)
    except (typer.Abort, KeyboardInterrupt):
        return _fail("stopped", _STOPPED, as_json)
    except (BrokenPipeError, SystemExit) as stop:
        # Whoever read our output (head, less) has seen enough. Typer makes exit code 1 of that on its own.
        if isinstance(stop, SystemExit) and not isinstance(stop.__context__, BrokenPipeError):
            raise
        _let_go_of_output()
        return 0
    except OSError as error:
        # Files tell of their own; what is left is the output that goes into one, and temporary files.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENAMETOOLONG):
            raise
        _let_go_of_output()
        refused = explain_os_error(error, Path(error.filename or "output or temporary files"))
        return _fail(str(refused), refused.exit_code)
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # which typer does not export; it shows the help
            typer.echo(error, err=True)
            return 2
        return _fail(_describe_misuse(error), 2, as_json)


def _is_text(word: str) -> bool:
    """Tell whether a word of the command line is text; libraries that open files take no other bytes."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _let_go_of_output() -> None:
    """Keep Python from complaining again when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_watcher_in_pod(arguments: Sequence[str]) -> bool:
    """Whether errors are read by what collects a pod's log, where all other lines are JSON, and not at a terminal."""
    return (
        next(iter(arguments), None) == "watch" and "KUBERNETES_SERVICE_HOST" in os.environ and not sys.stderr.isatty()
    )


def _fail(message: str, exit_code: int, as_json: bool = False) -> int:
    if as_json:
        from podlab.watcher.logs import JsonLines, write_failure

        # Where nobody takes the output, that is what is said below.
        with suppress(PodlabError):
            write_failure(message, JsonLines())
            return exit_code
    print(f"podlab: {' '.join(message.split())}", file=sys.stderr)
    return exit_code


def _describe_misuse(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    message = getattr(error, "format_message", lambda: str(error))().replace("Value error, ", "").rstrip(".")
    return f"{message}; see '{context.command_path if context else 'podlab'} --help'"
