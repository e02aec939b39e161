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
    by: Annotated[list[str] | None, typer.Option("--by", help=t("cli.evaluate.by"), metavar="COLUMN")] = None,
    errors: Annotated[Path | None, typer.Option(help=t("cli.evaluate.errors"), metavar="FILE.csv|.jsonl")] = None,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen
    from kargah.cli.jobs import follow_job

    kargah = connection.connect(server, token)
    data = kargah.datasets.upload(dataset).id if Path(dataset).is_file() else dataset
    started = kargah.evaluations.start(model, data, against=against, part=part.value, slices=by, wait=False)
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
        told = result["paired"]
        titles = {"first": result["models"][0]["title"], "second": result["models"][1]["title"]}
        screen.say(f"evaluation.verdict.{told['verdict']}", **titles)


def _named(name: str) -> str:
    return t(f"metric.{name}") if i18n.has_text(language(), f"metric.{name}") else name


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    return i18n.percent(language(), value) if name in SHARES else i18n.number(language(), value, 4)


def _between(name: str, told: dict[str, Any]) -> str:
    return "–" if told["low"] is None else f"{_value(name, told['low'])} – {_value(name, told['high'])}"
