"""The terminal's door: every command by name. What a command needs is imported when it runs, so that ``--help`` is quick."""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kargah import __version__
from kargah.cli import (
    asking,
    bundle,
    checkpoints,
    datasets,
    demonstration,
    evaluating,
    examination,
    hardware,
    jobs,
    login,
    models,
    processes,
    runs,
    scripts,
    storage,
    training,
    users,
)
from kargah.cli.words import error_text, t
from kargah.kit import i18n
from kargah.kit.errors import KargahError


class Edge(TyperGroup):
    """The edge of a command: an error that people can act on is one sentence and an exit status, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KargahError as error:
            raise SystemExit(_told(error)) from error
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        except BrokenPipeError:
            sys.stderr.close()  # the reader went away (``| head``): nothing is left to say, also not at exit
            raise SystemExit(0) from None


def _told(error: KargahError) -> int:
    from kargah.cli import errors, screen
    from kargah.client import JobEnded, Refused

    if isinstance(error, Refused):
        screen.say_error(error.detail)
    elif isinstance(error, errors.WorkerFailed):
        screen.say_error(error_text(error.error_code, error.params))
        if error.evidence:
            screen.console(to_stderr=True).print(error.evidence, markup=False)
    else:
        screen.say_error(error_text(error.code, error.params))
    if isinstance(error, JobEnded) and error.error:
        screen.reason(error.error)
    return errors.exit_status_of(error)


app = typer.Typer(
    cls=Edge,
    name="kargah",
    help=t("cli.help"),
    epilog=t("cli.exit_codes"),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_COMMANDS: dict[str, Callable[..., None]] = {
    "serve": processes.serve,
    "web": processes.web,
    "agent": processes.agent,
    "demo": demonstration.demo,
    "quick-train": training.quick_train,
    "train": training.train,
    "predict": asking.predict,
    "evaluate": evaluating.evaluate,
    "compare-evaluations": evaluating.compare,
    "run-script": scripts.run_script,
    "recipes": training.recipes,
    "login": login.login,
    "logout": login.logout,
    "doctor": examination.doctor,
    "hardware": hardware.hardware,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, help=t(f"cli.{_name.replace('-', '_')}.help"))(_command)
for _group in (jobs.app, runs.app, checkpoints.app, datasets.app, models.app, bundle.app, storage.app, users.app):
    app.add_typer(_group)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    language: Annotated[str | None, typer.Option(help=t("cli.option.language"), metavar="|".join(i18n.LANGUAGES))] = None,
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help=t("cli.option.version"))] = False,  # noqa: ARG001 - its callback acts
) -> None:
    """Options before the command; the language has been read already (cli.words)."""
    if language is not None and language not in i18n.LANGUAGES:
        raise typer.BadParameter(", ".join(i18n.LANGUAGES), param_hint="--language")
