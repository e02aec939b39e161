"""Tag the words of a text, told as places in the asker's own text: the same normaliser, words and network as in training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kargah.kit import files
from kargah.recipes.errors import InputMissing, InputNotText
from kargah.recipes.measures import FloatArray
from kargah.recipes.predictor import Input, about
from kargah.recipes.table import normaliser_of
from kargah.recipes.token_classification.baselines import LinearTagger, TagOfWord
from kargah.recipes.token_classification.measuring import TagsProblem
from kargah.recipes.token_classification.words import Word, words_of_text, words_of_tokens

Score = Callable[[list[list[str]]], Sequence[FloatArray]]


@dataclass
class TagPredictor:
    """``score``: normalised words of rows → probabilities [words, tags] of each."""

    about: dict[str, Any]
    problem: TagsProblem
    score: Score

    def predict(self, inputs: Sequence[Input]) -> list[dict[str, Any]]:
        """An input is a text, {"text"} or {"tokens": [words]}; words that came apart are told as one text with spaces between."""
        asked = [self._asked(index, value) for index, value in enumerate(inputs)]
        filled = [place for place, (_, words) in enumerate(asked) if words]
        scores = self.score([[word.text for word in asked[place][1]] for place in filled]) if filled else []
        found: list[list[dict[str, Any]]] = [[] for _ in asked]
        for place, row, tags in zip(filled, scores, self.problem.tags_of(scores), strict=True):
            found[place] = self._entities(*asked[place], row, tags)
        return [{"text": text, "entities": entities} for (text, _), entities in zip(asked, found, strict=True)]

    def _entities(self, text: str, words: list[Word], scores: FloatArray, tags: FloatArray) -> list[dict[str, Any]]:
        """``score``: the mean of the probabilities of the tags of its words."""
        told = []
        for label, first, end in self.problem.spans(tags.tolist()):
            start, stop = words[first].start, words[end - 1].end
            sure = sum(float(scores[place, tags[place]]) for place in range(first, end)) / (end - first)
            told.append({"start": start, "end": stop, "label": label, "text": text[start:stop], "score": sure})
        return told

    def _asked(self, index: int, value: Input) -> tuple[str, list[Word]]:
        normaliser = normaliser_of(self.about["normaliser"])
        text: Any = value
        if isinstance(value, dict):
            tokens = value.get("tokens", value.get(self.about["columns"]["tokens"]))
            text = value.get("text", tokens)
            if text is None:
                raise InputMissing(field=f"inputs[{index}].text", index=index, missing="text")
        if isinstance(text, list) and all(isinstance(token, str) for token in text):
            return " ".join(text), words_of_tokens(text, normaliser)
        if not isinstance(text, str):
            raise InputNotText(field=f"inputs[{index}].text", index=index)
        return text, words_of_text(text, normaliser)


def load(folder: Path, threads: int) -> TagPredictor:
    """Read any model of this recipe: network, linear or majority."""
    told = about(folder)
    return TagPredictor(told, TagsProblem.from_dict(told), _scorer(folder, told, threads))


def _scorer(folder: Path, told: dict[str, Any], threads: int) -> Score:
    if told["family"] == "majority":
        return TagOfWord.load(folder).scores_of
    if told["family"] == "linear":
        return LinearTagger.load(folder).scores_of
    import torch

    from kargah.recipes.token_classification.loading import load_model

    torch.set_num_threads(threads)
    model = load_model(folder, files.read_json(folder / "config.json"))
    return lambda rows: model.scores(model.batches.encode(rows, lambda: None), lambda: None)
