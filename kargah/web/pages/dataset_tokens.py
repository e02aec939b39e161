"""What a model will see of a data set: a page without scripts."""

import unicodedata
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.datasets import service as datasets
from kargah.datasets.schemas import DatasetDetail
from kargah.kit import i18n
from kargah.kit.errors import KargahError
from kargah.models.schemas import ModelOut, ModelVersionOut
from kargah.store.access import Actor
from kargah.training import tokens
from kargah.training.tokens import Asked, Seen
from kargah.web.deps import Ask
from kargah.web.pages import figures, histograms
from kargah.web.pages.dataset_views import cell
from kargah.web.pages.figures import Figure
from kargah.web.pages.forms import errors_of
from kargah.web.pages.histograms import Histogram
from kargah.web.pages.parts import pages_of
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of
from kargah.web.pages.spec_form import Option
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
PAGE = 10
LEAST_LENGTH, GREATEST_LENGTH = 4, 100_000


def _load(session: Session, actor: Actor, dataset_id: str) -> tuple[DatasetDetail, list[tuple[ModelOut, ModelVersionOut]]]:
    return datasets.get_for(session, actor, dataset_id), tokens.models_with_tokens(session, actor)


@router.get("/datasets/{dataset_id}/tokens")
async def show_tokens(dataset_id: str, request: Request, ask: Ask) -> Response:
    dataset, models = await ask.read(_load, dataset_id)
    page, home = page_of(request, "datasets", crumbs=((dataset.title, f"/datasets/{dataset_id}"),)), ask.settings.home
    asked, errors, seen, status = _asked(request, models), {}, None, 200
    try:
        if asked is not None:
            seen = await tokens.seen(await ask.read(tokens.wish_of, dataset_id, asked, home), asked.model)
    except KargahError as error:
        is_asked = "model" in request.query_params  # else nobody asked for what there is not
        errors, status = errors_of(request, error), error.status if is_asked else 200
    kept = {name: request.query_params[name] for name in ("model", "max_length") if request.query_params.get(name)}
    return render(
        "dataset_tokens.html",
        page,
        status=status,
        title=dataset.title,
        action=f"/datasets/{dataset_id}/tokens",
        models=[
            Option(version.id, f"{model.title} · {version.architecture}", bool(asked and asked.model == version.id))
            for model, version in models
        ],
        max_length=str(asked.max_length or "") if asked else "",
        errors=errors,
        seen=_values(page.words, seen) if seen else None,
        pages=pages_of(f"/datasets/{dataset_id}/tokens", kept, seen.next_cursor if seen else None),
        train_href=_train_href(dataset_id, asked, seen) if asked and seen else f"/runs/new?dataset={dataset_id}",
    )


def _train_href(dataset_id: str, asked: Asked, seen: Seen) -> str:
    """The form for a training that begins with this model, at the length that was suggested."""
    filled = {"dataset": dataset_id, "start": "base_model", "base_model": asked.model, "spec.max_length": seen.suggested}
    return f"/runs/new?{urlencode(filled)}"


def _asked(request: Request, models: list[tuple[ModelOut, ModelVersionOut]]) -> Asked | None:
    """As the address says; numbers in the digits of any of the languages. None while there is no model to ask with."""
    query = request.query_params
    model = query.get("model") or (models[0][1].id if models else "")
    if not model:
        return None
    length, offset = _whole(query.get("max_length", "")), _whole(query.get("cursor", "")) or 0
    return Asked(model, min(max(length, LEAST_LENGTH), GREATEST_LENGTH) if length else None, offset, PAGE)


def _whole(text: str) -> int | None:
    digits = i18n.latin_digits(text).strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 15 else None


def _values(words: Words, seen: Seen) -> dict[str, Any]:
    strip = {
        "per_word": figures.in_digits(words, round(seen.tokens / max(1, seen.words), 2)),
        "cut_share": words.percent(seen.cut / max(1, seen.sampled)),
        "suggested": words.number(seen.suggested),
        "limit": words.number(seen.limit),
        "sampled": words.number(seen.sampled),
    }
    return {
        "strip": [Figure(words.text(f"tokens.{name}"), text) for name, text in strip.items()],
        "findings": [words.text(finding.code, **finding.params) for finding in seen.findings],
        "histogram": _lengths(words, seen),
        "rows": [
            {
                "number": words.number(row.number),
                "texts": [cell(text) for text in row.texts],
                "tokens": [(cell(token.text), token.id, token.state, cell(token.tag)) for token in row.tokens],
                "direction": _direction(row.texts),
                "length": words.number(row.length),
                "label": "" if row.label is None else cell(row.label, 60),
                "label_id": "" if row.label_id is None else str(row.label_id),
            }
            for row in seen.rows
        ],
    }


def _direction(texts: list[str]) -> str:
    """That of the first letter that has one: the tokens begin with a Latin one of the tokenizer's own."""
    strong = (unicodedata.bidirectional(letter) for text in texts for letter in text)
    return "ltr" if next((kind for kind in strong if kind in ("L", "R", "AL")), "L") == "L" else "rtl"


def _lengths(words: Words, seen: Seen) -> Histogram | None:
    if not seen.bins:
        return None
    low, high = (words.number(int(end)) for end in (seen.bins[0].low, seen.bins[-1].high))
    return Histogram(histograms.path_of([part.count for part in seen.bins]), words.text("tokens.about", low=low, high=high), low, high, [])
