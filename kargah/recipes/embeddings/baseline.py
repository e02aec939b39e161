"""The simple search beside a training: TF-IDF by signed hashing, without any learning of what belongs together."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kargah.kit import files
from kargah.recipes.embeddings.data import EmbeddingData
from kargah.recipes.embeddings.hashing import HashedTerms, signed_places
from kargah.recipes.measures import FloatArray

_BUCKETS, _WIDTH = 1 << 18, 4096


@dataclass
class TfidfVectors:
    """Vectors of length 1 (0 for a text without any word)."""

    terms: HashedTerms
    width: int

    @classmethod
    def fit(cls, data: EmbeddingData, check: Callable[[], None]) -> "TfidfVectors":
        taught = [data.texts[text] for text in data.used_by(data.train_rows)]
        return cls(HashedTerms.fit(taught, _BUCKETS, check), _WIDTH)

    @property
    def parameters(self) -> int:
        return len(self.terms.idf)

    def vector(self, text: str) -> FloatArray:
        """float32 [width]."""
        hashes, values = self.terms.terms(text)
        places, signs = signed_places(hashes, self.width)
        summed = np.bincount(places, weights=values * signs, minlength=self.width).astype(np.float32)
        return summed / (float(np.linalg.norm(summed)) or 1.0)

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        save_file({"idf": self.terms.idf}, folder / "model.safetensors")
        files.write_json(folder / "tfidf.json", {"width": self.width})

    @classmethod
    def load(cls, folder: Path) -> "TfidfVectors":
        from safetensors.numpy import load_file

        return cls(HashedTerms(load_file(folder / "model.safetensors")["idf"]), files.read_json(folder / "tfidf.json")["width"])
