"""Evaluations over the REST API: models measured on data by jobs of the server."""

import builtins
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from kargah.client.shapes import Job, JsonDict, Page
from kargah.client.transport import Transport

Form = Literal["csv", "jsonl"]


class Evaluations:
    """``wait``: gives the job once it is over, or raises JobEnded."""

    def __init__(self, transport: Transport, wait: Callable[[str], Job]) -> None:
        self._transport, self._wait = transport, wait

    def start(
        self,
        model: str,
        dataset: str,
        *,
        against: str | None = None,
        part: str = "all",
        columns: dict[str, str] | None = None,
        slices: Sequence[str] | None = None,
        wait: bool = True,
        **more: Any,
    ) -> JsonDict:
        """Measure ``model`` (a version, a model, or a training that may still be under way) on ``dataset`` (or one of its versions).

        ``against``: another model, to learn whether the first is better. ``part``: all, validation or test. ``columns``: role → column.
        ``more``: title, priority, terms. With ``wait`` the whole evaluation, its ``result`` in it; JobEnded when that came to nothing.
        """
        stated = {"model": model, "dataset": dataset, "part": part, "columns": columns or {}, **more}
        stated |= {"against": against} if against else {}
        stated |= {"slices": builtins.list(slices)} if slices is not None else {}
        made: JsonDict = self._transport.json("POST", "/api/v1/evaluations", json=stated)
        if wait:
            self._wait(made["job"]["id"])
            return self.show(made["id"])
        return made

    def show(self, evaluation_id: str) -> JsonDict:
        found: JsonDict = self._transport.json("GET", f"/api/v1/evaluations/{evaluation_id}")
        return found

    def list(self, *, limit: int = 50, cursor: str | None = None, model: str | None = None, dataset: str | None = None) -> Page[JsonDict]:
        """One page, the newest first; of a model or a data set, where one is named."""
        asked = {"limit": limit, "cursor": cursor, "model": model, "dataset": dataset}
        params = {name: value for name, value in asked.items() if value is not None}
        return Page[JsonDict].model_validate(self._transport.json("GET", "/api/v1/evaluations", params=params))

    def compare(self, evaluation_id: str, other_id: str, *, model: int = 0, other_model: int = 0) -> JsonDict:
        """Is the model of the one really better than that of the other, on the rows that both were asked? Neither is asked again.

        Both are of the same data set version. ``model`` 1: the one that was evaluated beside it.
        """
        params = {"model": model, "other_model": other_model}
        found: JsonDict = self._transport.json("GET", f"/api/v1/evaluations/{evaluation_id}/against/{other_id}", params=params)
        return found

    def errors(self, evaluation_id: str, *, model: int = 0, limit: int = 50, cursor: int = 0, **view: Any) -> JsonDict:
        """Rows whose answer was not right, the worst first. ``view``: sort, descending, column, contains. ``model`` 1: the other one's."""
        params = {"model": model, "limit": limit, "cursor": cursor, **view}
        found: JsonDict = self._transport.json("GET", f"/api/v1/evaluations/{evaluation_id}/errors", params=params)
        return found

    def download_errors(self, evaluation_id: str, target: str | PathLike[str], *, model: int = 0, form: Form = "csv") -> Path:
        """All of them as a file at ``target``."""
        return self._transport.download(f"/api/v1/evaluations/{evaluation_id}/errors/export?model={model}&format={form}", target)

    def delete(self, evaluation_id: str) -> None:
        """For good."""
        self._transport.json("DELETE", f"/api/v1/evaluations/{evaluation_id}")
