"""The command ``kargah hardware``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kargah.cli.options import Home, Json
from kargah.cli.words import language, t

if TYPE_CHECKING:
    from kargah.hardware.schemas import HardwareOut

SCORE_HEADINGS = ("hardware.score.model", "hardware.score.texts", "hardware.score.rate", "hardware.score.samples")
_MARKS = {"good": "✓", "info": "·", "warning": "!"}
Measure = Annotated[bool | None, typer.Option("--measure/--no-measure", help=t("cli.hardware.measure"))]


def hardware(measure: Measure = None, json: Json = False, home: Home = None) -> None:
    """Measures by itself where nothing is known of this machine as it is now."""
    from kargah.cli import screen
    from kargah.hardware import service
    from kargah.kit import settings

    folder = settings.load(home=home).home
    folder.mkdir(parents=True, exist_ok=True)
    found = service.show(folder)
    if measure or (measure is None and found.measurement is None and found.machine.torch is not None):
        _measure(folder)
        found = service.show(folder)
    if json:
        screen.as_json(found.model_dump(mode="json"))
    else:
        _say(found)


def _measure(home: Path) -> None:
    from kargah.cli import attempts, screen
    from kargah.cli.progress import JobProgress
    from kargah.contract.measurement import Measurement
    from kargah.contract.plans import MeasurePlan
    from kargah.hardware import profile, service

    with attempts.workspace(home) as folder, JobProgress(t("hardware.measuring"), screen.console(to_stderr=True)) as progress:
        directory = attempts.new_attempt(folder, "measure")
        plan = MeasurePlan(job_id="local", threads=profile.usable_cores())
        result = attempts.run("measure", directory, plan.model_dump(mode="json"), progress.on_event)
    service.keep(home, Measurement.model_validate(result))


def _say(found: "HardwareOut") -> None:
    from kargah.cli import screen
    from kargah.hardware import advice, facts

    for name, value in facts.of_machine(language(), found.machine):
        screen.say("cli.hardware.fact", name=name, value=value)
    if found.measurement is None:
        screen.say("hardware.changed" if found.changed else "hardware.not_measured")
    else:
        for precision, on, gflops in facts.of_products(language(), found.measurement):
            screen.say("cli.hardware.fact", name=t("hardware.product", precision=precision, on=on), value=gflops)
        for name, value in facts.of_measurement(language(), found.measurement):
            screen.say("cli.hardware.fact", name=name, value=value)
        screen.table(
            ["hardware.score.model", "hardware.score.rate", "hardware.score.samples"],
            facts.of_scores(language(), found.scores),
            numbers_from=2,
        )
    for one in found.advice:
        screen.line(f"{_MARKS[one.level]} {advice.text_of(language(), one)}")
