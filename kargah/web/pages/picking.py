"""Runs to choose from, where a page is about some of them."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from kargah.monitoring import trainings
from kargah.monitoring.trainings import Named
from kargah.store.access import Actor
from kargah.web.pages.parts import badge_of
from kargah.web.pages.words import Words

SHOWN = 50


@dataclass(frozen=True)
class Choice:
    run_id: str
    text: str


def newest(session: Session, actor: Actor) -> list[Named]:
    return trainings.newest(session, actor, SHOWN)


def choices_of(words: Words, items: list[Named]) -> list[Choice]:
    """«title · recipe · state»: what is in a <select> holds no markup."""
    return [Choice(item.run_id, " · ".join(_parts(words, item))) for item in items]


def _parts(words: Words, item: Named) -> tuple[str, str, str]:
    return item.title, words.text(f"recipe.{item.recipe}.title"), badge_of(words, item.state).text
