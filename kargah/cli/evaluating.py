"""``kargah evaluate``: a model of a server measured on data, and whether it is better than another."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from kargah.cli.options import Json, Server, Token
from kargah.cli.words import language, t
from kargah.kit import i18n
from kargah.recipes.metrics import SHARES


class Part(StrEnum):
    ALL = "all"
    VALIDATION = "validation"
    TEST = "test"


def evaluate(
    model: Annotated[str, typer.Argument(help=t("cli.evaluate.model"), metavar="MODEL")],
    dataset: Annotated[str, typer.Argument(help=t("cli.evaluate.dataset"), metavar="DATASET")],
    against: Annotated[str | None, typer.Option(help=t("cli.evaluate.against"), metavar="MODEL")] = None,
    part: Annotated[Part, typer.Option(help=t("cli.evaluate.part"))] = Part.ALL,
    columns: Annotated[list[str] | None, typer.Option("--column", help=t("cli.evaluate.column"), metavar="ROLE=COLUMN")] = None,
    by: Annotated[list[str] | None, typer.Option("--by", help=t("cli.evaluate.by"), metavar="COLUMN")] = None,
    errors: Annotated[Path | None, typer.Option(help=t("cli.evaluate.errors"), metavar="FILE.csv|.jsonl")] = None,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen
    from kargah.cli.jobs import follow_job

    roles = _roles(columns or [])
    kargah = connection.connect(server, token)
    data = kargah.datasets.upload(dataset).id if Path(dataset).is_file() else dataset
    started = kargah.evaluations.start(model, data, against=against, part=part.value, columns=roles, slices=by, wait=False)
    if json:
        kargah.jobs.wait(started["job"]["id"])
    else:
        screen.say("cli.evaluate.queued", id=started["id"], url=f"{kargah.transport.url}/evaluations/{started['id']}")
        follow_job(kargah, started["job"]["id"])
    found = kargah.evaluations.show(started["id"])
    if errors is not None:
        kargah.evaluations.download_errors(started["id"], errors, form="jsonl" if errors.suffix == ".jsonl" else "csv")
    if json:
        screen.as_json(found)
        return
    _show(found["result"])
    if errors is not None:
        screen.say("cli.evaluate.errors_saved", path=str(errors), count=found["result"]["models"][0]["errors"])


def compare(
    evaluation: Annotated[str, typer.Argument(help=t("cli.compare.evaluation"), metavar="EVALUATION")],
    other: Annotated[str, typer.Argument(help=t("cli.compare.other"), metavar="EVALUATION")],
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    kargah = connection.connect(server, token)
    told = kargah.evaluations.compare(evaluation, other)
    if json:
        screen.as_json(told)
        return
    first, second = (kargah.evaluations.show(one)["model_title"] for one in (evaluation, other))
    _say_paired(told["paired"], first, second)
    screen.say("evaluation.common_rows", rows=told["rows"])
    if told["only_first"] or told["only_second"]:
        screen.say("evaluation.rows_differ", first=first, second=second, only_first=told["only_first"], only_second=told["only_second"])


def _roles(given: list[str]) -> dict[str, str]:
    told = [one.partition("=") for one in given]
    if any(not role or not column for role, _, column in told):
        raise typer.BadParameter("ROLE=COLUMN", param_hint="--column")
    return {role: column for role, _, column in told}


def _show(result: dict[str, Any]) -> None:
    from kargah.cli import screen

    for one in result["models"]:
        screen.say("cli.evaluate.of", model=one["title"], rows=result["rows"], errors=one["errors"])
        figures = [[_named(name), _value(name, told["value"]), _between(name, told)] for name, told in one["metrics"].items()]
        screen.table(["cli.evaluate.metric", "cli.evaluate.value", "cli.evaluate.interval"], figures, numbers_from=1)
        if one["calibration"]:
            error = i18n.percent(language(), one["calibration"]["expected_error"])
            screen.say("cli.evaluate.calibration", error=error)
    for why, count in result["left_out"].items():
        screen.say(f"evaluation.left_out.{why}", count=count)
    if result["paired"]:
        _say_paired(result["paired"], result["models"][0]["title"], result["models"][1]["title"])


def _say_paired(told: dict[str, Any], first: str, second: str) -> None:
    from kargah.cli import screen

    screen.say(f"evaluation.verdict.{told['verdict']}", first=first, second=second)
    difference = told["difference"]
    if difference["value"] is not None:
        metric = told["metric"]
        low, high = (_value(metric, difference[edge]) for edge in ("low", "high"))
        screen.say("evaluation.difference", metric=_named(metric), value=_value(metric, difference["value"]), low=low, high=high)


def _named(name: str) -> str:
    return t(f"metric.{name}") if i18n.has_text(language(), f"metric.{name}") else name


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    return i18n.percent(language(), value) if name in SHARES else i18n.number(language(), value, 4)


def _between(name: str, told: dict[str, Any]) -> str:
    return "–" if told["low"] is None else f"{_value(name, told['low'])} – {_value(name, told['high'])}"
