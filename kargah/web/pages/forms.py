"""What came from a form, and what was wrong with it, said beside the field."""

from collections.abc import Mapping

from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from kargah.kit import i18n
from kargah.kit.errors import KargahError
from kargah.web.errors import text_of
from kargah.web.pages.words import Words

#: Field → what is wrong; under "" what belongs to no field.
Errors = dict[str, str]


async def form_of(request: Request) -> dict[str, str]:
    return plain(await request.form())


def plain(form: FormData) -> dict[str, str]:
    """The last value of each field, as text."""
    return {name: value for name, value in form.multi_items() if not isinstance(value, UploadFile)}


def errors_of(request: Request, error: KargahError, fields: Mapping[str, str] | None = None) -> Errors:
    """``fields``: code → field; else the field that the error names itself."""
    words = Words(request.state.language)
    text = text_of(words.language, error.code, words.amounts(error.params))
    field = (fields or {}).get(error.code, str(error.params.get("field", "") if fields is None else ""))
    return {field: text}


def schema_errors(request: Request, problem: ValidationError) -> Errors:
    language = request.state.language
    found: Errors = {}
    for entry in problem.errors(include_url=False, include_input=False):
        key = f"reason.{entry['type']}"
        limits = {name: value for name, value in (entry.get("ctx") or {}).items() if isinstance(value, str | int | float)}
        field = ".".join(str(part) for part in entry["loc"])
        found[field] = i18n.text(language, key if i18n.has_text(language, key) else "reason.other", **limits)
    return found
