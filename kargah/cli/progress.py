"""A job's events as one moving line: what it is doing, how far it is, the loss, the last evaluation."""

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from kargah.cli.words import error_text, language, t
from kargah.kit import i18n

#: Shown first when a model has them; the rest is in the table at the end.
_METRICS = ("eval_loss", "accuracy", "macro_f1", "micro_f1", "mae", "rmse", "r2")
_STYLES = {"warning": "yellow", "error": "red"}
_SCHEDULER_KINDS = frozenset({"Queued", "Claimed", "Started", "Paused", "Resumed", "Interrupted", "Stopped"})


class JobProgress:
    """Feed it events as (kind, fields), from a worker's file or from a server's stream alike."""

    def __init__(self, title: str, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}", markup=False),
            console=console,
        )
        self._title = title
        self._task = self._progress.add_task(title, total=None, facts="")
        self._steps, self._evaluation = "", ""

    def __enter__(self) -> "JobProgress":
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def on_event(self, kind: str, fields: dict[str, Any]) -> None:
        if kind == "Step":
            self._steps = _step_facts(fields)
            self._progress.update(self._task, completed=fields["step"], facts=self._facts)
        elif kind == "Progress":
            self._at_work(fields)
        elif kind == "Running":
            self._progress.reset(self._task, total=fields.get("total_steps"), description=self._title, facts="")
        elif kind == "Evaluated":
            self._evaluated(fields)
        elif kind == "Logged":
            self._print(_message(fields), _STYLES.get(str(fields.get("level")), ""))
        elif kind == "Waiting":
            self._progress.update(self._task, facts=_message(fields))
        elif kind == "Finished":
            self._progress.update(self._task, total=1, completed=1)
        elif kind in _SCHEDULER_KINDS:
            self._progress.update(self._task, facts=t(f"cli.event.{kind}", **{name: str(value) for name, value in fields.items()}))

    @property
    def _facts(self) -> str:
        return "  ".join(filter(None, (self._steps, self._evaluation)))

    def _evaluated(self, fields: dict[str, Any]) -> None:
        """The model's own evaluations come every epoch and move in place; a baseline's is said once and stays."""
        metrics = _metrics(fields["metrics"])
        if fields.get("model", "model") == "model":
            self._evaluation = metrics
            self._progress.update(self._task, facts=self._facts)
        else:
            self._print(t("cli.progress.evaluated", model=fields["model"], metrics=metrics))

    def _at_work(self, fields: dict[str, Any]) -> None:
        unit = str(fields["unit"])
        code = fields.get("code")
        doing = t(str(code), **fields.get("params", {})) if code and i18n.has_text(language(), str(code)) else self._title
        amount = _amount(unit, float(fields["done"]))
        self._progress.update(self._task, description=doing, completed=fields["done"], total=fields.get("total"), facts=amount)

    def _print(self, line: str, style: str = "") -> None:
        self._console.print(Text(line, style=style))


def _step_facts(fields: dict[str, Any]) -> str:
    loss = fields["metrics"].get("loss")
    facts = t("cli.progress.step", step=fields["step"], epoch=i18n.number(language(), float(fields["epoch"]), 2))
    return facts if loss is None else t("cli.progress.loss", facts=facts, loss=i18n.number(language(), loss, 4))


def _metrics(metrics: dict[str, float | None]) -> str:
    known = ((name, metrics.get(name)) for name in _METRICS)
    return ", ".join(f"{name} {i18n.number(language(), value, 4)}" for name, value in known if value is not None)


def _message(fields: dict[str, Any]) -> str:
    code, params = str(fields["code"]), fields.get("params") or {}
    return t(code, **params) if i18n.has_text(language(), code) else error_text(code, params)


def _amount(unit: str, done: float) -> str:
    return i18n.size(language(), done) if unit == "bytes" else f"{i18n.number(language(), done)} {t(f'cli.unit.{unit}')}"
