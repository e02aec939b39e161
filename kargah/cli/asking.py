"""The command ``kargah predict``: ask a model folder on this disk, or a version on a server."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kargah.cli.options import Json, Server, Token
from kargah.cli.words import language, t
from kargah.kit import i18n


def predict(
    model: Annotated[str, typer.Argument(help=t("cli.predict.model"), metavar="MODEL")],
    inputs: Annotated[list[str], typer.Argument(help=t("cli.predict.inputs"), metavar="TEXT…")],
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, local_predictor, screen

    given = [_input(text) for text in inputs]
    if Path(model).is_dir() and not server:
        outputs = local_predictor.predict(Path(model), given)
    else:
        outputs = connection.connect(server, token).models.predict(model, given).outputs
    if json:
        screen.as_json(outputs)
        return
    screen.table(["cli.predict.input", "cli.predict.answer", "cli.predict.score"], answer_rows(inputs, outputs), numbers_from=2)


def answer_rows(inputs: list[str], outputs: list[dict[str, Any]]) -> list[list[str]]:
    return [_row(given, output) for given, output in zip(inputs, outputs, strict=True)]


def _input(text: str) -> Any:
    """A text as it is; a row of a table as a JSON object."""
    if not text.lstrip().startswith("{"):
        return text
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text


def _row(given: str, output: dict[str, Any]) -> list[str]:
    """In each of the forms that ``recipes.predictor`` names."""
    score = output.get("score")
    return [given, _answer(output), "" if score is None else i18n.percent(language(), score)]


def _answer(output: dict[str, Any]) -> str:
    if "value" in output:
        return i18n.number(language(), output["value"])
    if "entities" in output:
        return ", ".join(f"{found['text']} ({found['label']})" for found in output["entities"]) or "–"
    if "fills" in output:
        return ", ".join(fill["text"] for fill in output["fills"])
    if "vector" in output:
        return " ".join(f"{number:.3f}" for number in output["vector"][:6])
    for form in ("answer", "text", "label"):
        if form in output:
            return str(output[form]) or "–"
    return ", ".join(output["labels"])
