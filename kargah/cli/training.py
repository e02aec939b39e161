"""``kargah train``, ``kargah quick-train`` and ``kargah recipes``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kargah.cli.options import Json, Server, Token
from kargah.cli.words import t

if TYPE_CHECKING:
    from kargah.cli.plan_file import PlanFile

SAMPLE = Path(__file__).parents[1] / "recipes" / "tabular" / "samples" / "line.csv"


def train(
    plan: Annotated[Path, typer.Argument(help=t("cli.train.plan"), metavar="PLAN.YAML")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help=t("cli.train.output"))] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=t("cli.train.dry_run"))] = False,
    server: Server = None,
    token: Token = None,
) -> None:
    from kargah.cli import plan_file

    wanted = plan_file.read(plan)
    wanted = wanted.model_copy(update={"output": output or wanted.output, "dry_run": dry_run or wanted.dry_run})
    if server:
        from kargah.cli import remote_training

        remote_training.train(wanted, server, token)
    else:
        train_here(wanted)


def quick_train(
    data: Annotated[Path, typer.Argument(help=t("cli.quick_train.data"), metavar="DATA")] = SAMPLE,
    epochs: Annotated[float | None, typer.Option(help=t("spec.epochs.help"))] = None,
    batch_size: Annotated[int | None, typer.Option(help=t("spec.batch_size.help"))] = None,
    learning_rate: Annotated[float | None, typer.Option(help=t("spec.learning_rate.help"))] = None,
    task: Annotated[str | None, typer.Option(help=t("cli.quick_train.task"))] = None,
    target: Annotated[str | None, typer.Option(help=t("cli.quick_train.target"))] = None,
    seed: Annotated[int | None, typer.Option(help=t("spec.seed.help"))] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help=t("cli.train.output"))] = None,
) -> None:
    from kargah.cli.plan_file import PlanFile

    settings = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    spec = {name: value for name, value in settings.items() if value is not None}
    train_here(PlanFile(datasets=[str(data)], recipe=task, spec=spec, output=output), target)


def train_here(plan: "PlanFile", target: str | None = None) -> None:
    from kargah.cli import local_training, results, screen

    result, folder = local_training.train(plan, target=target)
    results.show(result)
    if folder is not None:
        screen.say("cli.train.saved", path=str(folder), model=result.recommended or "")
        if len(result.models) > 1:
            screen.say("cli.train.others", path=str(local_training.others_of(folder)))


def recipes(json: Json = False) -> None:
    from kargah.cli import screen
    from kargah.recipes import catalogue

    found = [_described(recipe) for recipe in catalogue.RECIPES.values()]
    if json:
        screen.as_json(found)
        return
    for recipe in found:
        screen.say("cli.recipes.line", name=recipe["name"], about=t(f"recipe.{recipe['name']}.help"), roles=", ".join(recipe["roles"]))
        screen.table(["cli.recipes.field", "cli.recipes.default", "cli.recipes.about"], _fields(recipe["schema"]))
    for refused in catalogue.REFUSED:
        why = t(f"cli.recipes.refused.{refused.why}", detail=refused.detail)
        screen.say("cli.recipes.refused", name=refused.name, package=refused.package, why=why)


def _described(recipe: Any) -> dict[str, Any]:
    roles = [role.name if role.required else f"{role.name}?" for role in recipe.roles]
    return {"name": recipe.name, "roles": roles, "starts_from": list(recipe.starts_from), "schema": recipe.spec.model_json_schema()}


def _fields(schema: dict[str, Any]) -> list[list[str]]:
    known = schema["properties"].items()
    return [[name, _default(field), t(f"spec.{name}.help")] for name, field in known if field.get("basic") and name != "columns"]


def _default(field: dict[str, Any]) -> str:
    return t("cli.recipes.from_data") if field.get("default") is None else str(field["default"])
