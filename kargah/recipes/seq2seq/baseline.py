"""Writing without a model: the beginning of what was read, as many words as an answer has on the mean."""

from dataclasses import dataclass
from pathlib import Path

from kargah.kit import files
from kargah.recipes.measures import FloatArray
from kargah.recipes.problem import rows_of
from kargah.recipes.seq2seq.data import Seq2SeqData
from kargah.recipes.seq2seq.metrics import Written
from kargah.recipes.splits import IntArray


def lead(text: str, words: int) -> str:
    return " ".join(text.split()[:words])


@dataclass
class Lead:
    words: int
    data: Seq2SeqData
    name: str = "lead"
    family: str = "lead"
    architecture: str = "lead"
    parameters: int = 1

    @classmethod
    def fit(cls, data: Seq2SeqData) -> "Lead":
        _, written = data.texts_of(data.train_rows)
        return cls(max(1, round(sum(len(text.split()) for text in written) / len(written))), data)

    def scores(self, rows: IntArray) -> FloatArray:
        return rows_of([Written(lead(self.data.texts[row], self.words)) for row in rows.tolist()])

    def save(self, folder: Path) -> None:
        files.write_json(folder / "lead.json", {"words": self.words})
