"""A model's answer as a page shows it, in each of the forms that ``recipes.predictor`` names."""

from dataclasses import dataclass, field
from typing import Any

from kargah.web.pages import figures
from kargah.web.pages.words import Words

MOST_SHOWN = 8
NUMBERS_SHOWN = 6
COLOURS = 8


@dataclass(frozen=True)
class Piece:
    """Of a text: ``label`` and ``colour`` (1–8) where it is something, else "" and 0."""

    text: str
    label: str = ""
    score: str = ""
    colour: int = 0


@dataclass(frozen=True)
class Answer:
    """``headline`` is short, ``text`` may be long; ``bars`` say how sure the model is of what."""

    headline: str = ""
    note: str = ""
    text: str = ""
    pieces: list[Piece] = field(default_factory=list)
    bars: list[figures.Bar] = field(default_factory=list)


def answer_of(words: Words, output: dict[str, Any]) -> Answer:
    if "value" in output:
        return Answer(figures.short(output["value"]))
    if "entities" in output:
        return _entities(words, output)
    if "answer" in output:
        return Answer(output["answer"] or words.text("try.no_answer"), words.text("try.sure", score=words.percent(output["score"])))
    if "fills" in output:
        return Answer(output["fills"][0]["text"], bars=_bars(words, [(fill["text"], fill["score"]) for fill in output["fills"]]))
    if "vector" in output:
        return _vector(words, output["vector"])
    if "text" in output:
        return Answer(text=output["text"] or words.text("try.no_text"))
    return _labels(words, output)


def _labels(words: Words, output: dict[str, Any]) -> Answer:
    """The answer first, then how sure the model is of each label."""
    labels = output.get("labels", [output.get("label")])
    headline = words.text("list.comma").join(str(label) for label in labels) or words.text("try.no_label")
    return Answer(headline, bars=_bars(words, list((output.get("scores") or {}).items())))


def _bars(words: Words, scores: list[tuple[str, float]]) -> list[figures.Bar]:
    best = sorted(scores, key=lambda pair: -pair[1])[:MOST_SHOWN]
    return [
        figures.Bar(label, round(100 * score), words.percent(score), colour=1 if index == 0 else 4)
        for index, (label, score) in enumerate(best)
    ]


def _entities(words: Words, output: dict[str, Any]) -> Answer:
    """The asked text with its parts marked; a kind of part keeps its colour."""
    colours: dict[str, int] = {}
    pieces, end = [], 0
    for found in output["entities"]:
        colour = colours.setdefault(found["label"], 1 + len(colours) % COLOURS)
        pieces += [
            Piece(output["text"][end : found["start"]]),
            Piece(found["text"], found["label"], words.percent(found["score"]), colour),
        ]
        end = found["end"]
    pieces.append(Piece(output["text"][end:]))
    return Answer("" if colours else words.text("try.no_entity"), pieces=[piece for piece in pieces if piece.text])


def _vector(words: Words, vector: list[float]) -> Answer:
    shown = [f"{number:.3f}" for number in vector[:NUMBERS_SHOWN]]
    more = ["…"] if len(vector) > NUMBERS_SHOWN else []
    return Answer(words.text("try.vector", size=words.digits(str(len(vector)))), text=" ".join(shown + more))
