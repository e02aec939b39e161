"""Vectors of texts by a model's folder: the same normaliser, the same reading, the same network as in training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kargah.recipes.embeddings.baseline import TfidfVectors
from kargah.recipes.measures import FloatArray
from kargah.recipes.predictor import Input, about
from kargah.recipes.table import normaliser_of
from kargah.recipes.text_inputs import text_of


@dataclass
class EmbeddingPredictor:
    """``embed``: normalised texts → float32 [texts, width]."""

    about: dict[str, Any]
    embed: Callable[[list[str]], FloatArray]

    def predict(self, inputs: Sequence[Input]) -> list[dict[str, Any]]:
        """A question is a text, by itself or as ``text``, or under the name of a column that was learnt from."""
        columns = [name for role in ("anchor", "positive") for name in (role, *self.about["columns"].get(role, []))]
        normaliser = normaliser_of(self.about["normaliser"])
        texts = [text_of(index, value, "text", columns) for index, value in enumerate(inputs)]
        if not texts:
            return []
        vectors = self.embed([normaliser.apply(text) if normaliser else text for text in texts])
        return [{"vector": [float(number) for number in vector]} for vector in vectors]


def load(folder: Path, threads: int) -> EmbeddingPredictor:
    """Read any model of this recipe: network or TF-IDF."""
    told = about(folder)
    if told["family"] == "tfidf":
        tfidf = TfidfVectors.load(folder)
        return EmbeddingPredictor(told, lambda texts: np.stack([tfidf.vector(text) for text in texts]))
    import torch

    from kargah.recipes.embeddings import model

    torch.set_num_threads(threads)
    embedder = model.load(folder)
    return EmbeddingPredictor(told, lambda texts: embedder.vectors(embedder.reader.encode(texts, lambda: None)))
