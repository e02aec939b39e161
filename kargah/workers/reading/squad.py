"""Questions of SQuAD's nested form as flat records: one a question."""

from collections.abc import Iterator
from typing import Any

from kargah.workers.reading import nested

Article = dict[str, Any]


def is_squad(articles: list[Article]) -> bool:
    return all(isinstance(article.get("paragraphs"), list) for article in articles)


def questions(articles: list[Article]) -> Iterator[dict[str, Any]]:
    """Records with id, title, context, question, answers; ``is_impossible`` where the file knows it."""
    for article in articles:
        for paragraph in _objects(article["paragraphs"]):
            for question in _objects(paragraph.get("qas")):
                found = [answer for answer in _objects(question.get("answers")) if nested.kind_of(answer) == "answers"]
                yield {
                    "id": _text(question.get("id")),
                    "title": _text(article.get("title")),
                    "context": _text(paragraph.get("context")),
                    "question": _text(question.get("question")),
                    "answers": nested.answers(found),
                } | ({"is_impossible": question["is_impossible"]} if "is_impossible" in question else {})


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)
