"""``kargah datasets``: data on a server."""

from collections.abc import Iterator
from itertools import groupby
from json import JSONDecodeError
from json import loads as parsed
from typing import Annotated, Any, Literal

import typer

from kargah.cli.options import Json, Server, Token, group
from kargah.cli.words import language, t
from kargah.kit import i18n
from kargah.kit.errors import BadInput

app = group("datasets")
#: Fixes that concern just one column.
ONE_COLUMN = {"merge_labels", "join_rows", "cast", "cast_dates", "repair_tags", "fill_missing", "drop_broken_turns"}


@app.command(help=t("cli.datasets.add"))
def add(
    sources: Annotated[list[str], typer.Argument(help=t("cli.datasets.file"), metavar="FILE|FOLDER|URL…")],
    title: Annotated[str | None, typer.Option(help=t("cli.datasets.title"))] = None,
    to: Annotated[str | None, typer.Option(help=t("cli.datasets.to"), metavar="DATASET")] = None,
    on_server: Annotated[bool, typer.Option("--on-server", help=t("cli.datasets.on_server"))] = False,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import adding, connection, screen

    known = connection.connect(server, token).datasets
    adding.check(sources, title=title, to=to, on_server=on_server)
    made = []
    for source in sources:
        dataset = adding.add(known, source, title=title, to=to, on_server=on_server)
        made.append(dataset.model_dump(mode="json"))
        if not json:
            number = (dataset.version or {}).get("number", 1)
            screen.say("cli.datasets.version_added" if to else "cli.datasets.added", id=dataset.id, title=dataset.title, number=number)
    if json:
        screen.as_json(made if len(made) > 1 else made[0])


@app.command("list", help=t("cli.datasets.list"))
def list_(
    limit: Annotated[int, typer.Option(min=1, max=200, help=t("cli.option.limit"))] = 20,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    found = [dataset.model_dump(mode="json") for dataset in connection.connect(server, token).datasets.list(limit=limit).items]
    if json:
        screen.as_json(found)
        return
    headings = ["cli.heading.id", "cli.heading.title", "cli.heading.rows", "cli.heading.size"]
    screen.table(headings, (_row(dataset) for dataset in found), numbers_from=2)


@app.command(help=t("cli.datasets.show"))
def show(
    dataset: Annotated[str, typer.Argument(help=t("cli.datasets.id"), metavar="DATASET")],
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    found = connection.connect(server, token).datasets.show(dataset).model_dump(mode="json")
    if json:
        screen.as_json(found)
        return
    screen.table(["cli.heading.id", "cli.heading.title", "cli.heading.rows", "cli.heading.size"], [_row(found)], numbers_from=2)
    headings = ["cli.heading.column", "cli.heading.kind", "cli.heading.distinct", "cli.heading.nulls"]
    screen.table(headings, (_column(column) for column in _version(found).get("columns") or []), numbers_from=2)


@app.command(help=t("cli.datasets.fix"))
def fix(
    dataset: Annotated[str, typer.Argument(help=t("cli.datasets.id"), metavar="DATASET")],
    wanted: Annotated[list[str] | None, typer.Option("--fix", help=t("cli.datasets.fix_option"), metavar="KIND[:COLUMN]")] = None,
    safe: Annotated[bool, typer.Option("--safe", help=t("cli.datasets.fix_safe"))] = False,
    why: Annotated[str, typer.Option(help=t("cli.datasets.fix_why"))] = "",
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    known = connection.connect(server, token).datasets
    offered = [entry for problem in known.report(dataset).get("problems", []) for entry in problem.get("fixes") or []]
    chosen = chosen_fixes(wanted or [], offered, safe=safe)
    if not chosen:
        raise FixesMissing(offered=", ".join(dict.fromkeys(map(named, offered))) or "–")
    made = known.fix(dataset, chosen, why=why)
    if json:
        screen.as_json(made.model_dump(mode="json"))
        return
    screen.say("cli.datasets.fixed", id=made.id, title=made.title, number=(made.version or {}).get("number", 1))


@app.command(help=t("cli.datasets.kind"))
def kind(
    dataset: Annotated[str, typer.Argument(help=t("cli.datasets.id"), metavar="DATASET")],
    column: Annotated[str, typer.Argument(help=t("cli.datasets.kind_column"), metavar="COLUMN")],
    to: Annotated[Literal["number", "category", "text", "date", "identifier"], typer.Argument(help=t("dataset.kind"))],
    drop: Annotated[bool, typer.Option("--drop", help=t("cli.datasets.kind_drop"))] = False,
    why: Annotated[str, typer.Option(help=t("cli.datasets.fix_why"))] = "",
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    said = {"kind": "set_kind", "column": column, "to": to, "otherwise": "drop" if drop else "empty"}
    _mend(dataset, said, why, json=json, server=server, token=token)


@app.command("rename-column", help=t("cli.datasets.rename_column"))
def rename_column(
    dataset: Annotated[str, typer.Argument(help=t("cli.datasets.id"), metavar="DATASET")],
    column: Annotated[str, typer.Argument(help=t("cli.datasets.kind_column"), metavar="COLUMN")],
    to: Annotated[str, typer.Argument(help=t("dataset.rename_column_to"), metavar="NAME")],
    why: Annotated[str, typer.Option(help=t("cli.datasets.fix_why"))] = "",
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    _mend(dataset, {"kind": "rename_column", "column": column, "to": to}, why, json=json, server=server, token=token)


def _mend(dataset: str, fix: dict[str, str], why: str, *, json: bool, server: str | None, token: str | None) -> None:
    from kargah.cli import connection, screen

    made = connection.connect(server, token).datasets.fix(dataset, [fix], why=why)
    if json:
        screen.as_json(made.model_dump(mode="json"))
        return
    screen.say("cli.datasets.fixed", id=made.id, title=made.title, number=(made.version or {}).get("number", 1))


@app.command(help=t("cli.datasets.tokens"))
def tokens(
    dataset: Annotated[str, typer.Argument(help=t("cli.datasets.id"), metavar="DATASET")],
    model: Annotated[str, typer.Option(help=t("cli.datasets.tokens_model"), metavar="MODEL")],
    max_length: Annotated[int | None, typer.Option(min=4, help=t("spec.max_length.help"))] = None,
    limit: Annotated[int, typer.Option(min=1, max=50, help=t("cli.option.limit"))] = 5,
    json: Json = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    found = connection.connect(server, token).datasets.tokens(dataset, model, max_length=max_length, limit=limit)
    if json:
        screen.as_json(found)
        return
    screen.table(["cli.heading.row", "cli.heading.tokens", "cli.heading.length", "cli.heading.label"], map(_seen_row, found["rows"]))
    for finding in found["findings"]:
        screen.say(finding["code"], **finding["params"])


def _seen_tokens(tokens: list[dict[str, Any]]) -> Iterator[str]:
    for is_learnt, found in groupby((token for token in tokens if token["state"] != "cut"), key=lambda token: token["state"] == "learnt"):
        text = " ".join(f"{token['text']}/{token['tag']}" if token["tag"] else token["text"] for token in found)
        yield f"[{text}]" if is_learnt else text


def _seen_row(row: dict[str, Any]) -> list[str]:
    """What is cut stands behind a bar, what is learnt of a conversation between brackets, the tag of a word behind its first piece."""
    kept = " ".join(_seen_tokens(row["tokens"]))
    cut = " ".join(token["text"] for token in row["tokens"] if token["state"] == "cut")
    label = "–" if row["label"] is None else row["label"] if row["label_id"] is None else f"{row['label']} = {row['label_id']}"
    return [i18n.number(language(), row["number"]), f"{kept} │ {cut}" if cut else kept, i18n.number(language(), row["length"]), label]


@app.command(help=t("cli.datasets.delete"))
def delete(
    dataset: Annotated[str, typer.Argument(help=t("cli.datasets.id"), metavar="DATASET")],
    purge: Annotated[bool, typer.Option("--purge", help=t("cli.datasets.purge"))] = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    connection.connect(server, token).datasets.delete(dataset, purge=purge)
    screen.say("cli.datasets.purged" if purge else "cli.datasets.deleted", id=dataset)


@app.command(help=t("cli.datasets.restore"))
def restore(
    dataset: Annotated[str, typer.Argument(help=t("cli.datasets.id"), metavar="DATASET")],
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import connection, screen

    found = connection.connect(server, token).datasets.restore(dataset)
    screen.say("cli.datasets.restored", id=found.id, title=found.title)


class FixesMissing(BadInput):
    """``offered``: what the report offers."""

    code = "FIXES_MISSING"


def chosen_fixes(wanted: list[str], offered: list[dict[str, Any]], *, safe: bool) -> list[dict[str, Any]]:
    """Each of ``wanted`` is a kind, ``kind:column`` or a JSON object; what the report offers under that name is taken as it is."""
    from kargah.contract.fixes import AnyFix, is_safe

    chosen = [entry for entry in offered if safe and is_safe(AnyFix.validate_python(entry))]
    for name in wanted:
        if name.startswith("{"):
            chosen.append(_object(name))
            continue
        matching = [entry for entry in offered if name in (entry["kind"], named(entry))]
        chosen += matching or [_plain_fix(name)]
    return [entry for place, entry in enumerate(chosen) if entry not in chosen[:place]]


def _object(text: str) -> dict[str, Any]:
    try:
        found = parsed(text)
    except JSONDecodeError as error:
        raise BadInput(field="--fix", reason=str(error)) from None
    return found if isinstance(found, dict) else {}


def named(entry: dict[str, Any]) -> str:
    """A fix as one would type it: ``merge_labels:label``."""
    column = entry.get("column") or next(iter(entry.get("columns") or []), "")
    return f"{entry['kind']}:{column}" if column else str(entry["kind"])


def _plain_fix(name: str) -> dict[str, Any]:
    """One that no report offers, such as ``normalise`` or ``drop_columns:id``."""
    kind, _, column = name.partition(":")
    field = {"column": column} if kind in ONE_COLUMN else {"columns": [column]}
    return {"kind": kind, **(field if column else {})}


def _version(dataset: dict[str, Any]) -> dict[str, Any]:
    """What is known of the current version stands in it, or in the data set itself."""
    version = dataset.get("version") or dataset.get("current_version")
    return version if isinstance(version, dict) else dataset


def _row(dataset: dict[str, Any]) -> list[str]:
    version = _version(dataset)
    rows, size_bytes = version.get("rows"), version.get("size_bytes")
    shown_rows = "–" if rows is None else i18n.number(language(), rows)
    return [dataset["id"], dataset["title"], shown_rows, "–" if size_bytes is None else i18n.size(language(), size_bytes)]


def _column(column: dict[str, Any]) -> list[str]:
    return [column["name"], column["kind"], i18n.number(language(), column["distinct"]), i18n.number(language(), column.get("nulls", 0))]
