"""The reader being trained: first and last token of an answer, the sequence's first token where a window has none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kargah.kit import files
from kargah.recipes import base_models
from kargah.recipes.encoder_tasks import EncoderTask, by_tokens, told_of
from kargah.recipes.encoders import SPANS, TokenBatches, Transformer, counts_of, fast_tokenizer, fitting_length, small_config
from kargah.recipes.measures import FloatArray
from kargah.recipes.parts import TEST, VALIDATION
from kargah.recipes.question_answering.data import AnswerData
from kargah.recipes.question_answering.pieces import AnswerPieces, Window, best_span
from kargah.recipes.question_answering.reading import Best, found, learnt_threshold
from kargah.recipes.question_answering.spec import QuestionAnsweringSpec
from kargah.recipes.question_answering.texts import Asked
from kargah.recipes.runtime import Decision, Defaults, Request, all_threads, decide_settings
from kargah.recipes.tokenizing import train_tokenizer

_SMALL: dict[str, Any] = {"hidden_size": 128, "num_layers": 2, "dropout": 0.1, "vocab_size": 8_000}
_LONGEST = 384
_FROM_SCRATCH = Defaults(epochs=4, batch_size=16, learning_rate=5e-4)
_FINE_TUNING = Defaults(epochs=3, batch_size=16, learning_rate=5e-5)
Check = Callable[[], None]


@dataclass
class Reader:
    """A network with its pieces: all that answering takes."""

    network: Transformer
    batches: AnswerPieces
    longest_answer: int

    def best(self, rows: Sequence[Sequence[Window]], check: Check) -> list[Best]:
        """Of each row the best piece of any window; "no answer" is as likely as in the window that says it least."""
        windows = [window for row in rows for window in row]
        plain = TokenBatches(self.batches.tokenizer, self.batches.max_length, self.batches.first_position)
        told = told_of(self.network, plain, [window.item for window in windows], check, by_tokens)
        logits = iter([numbers.float().numpy() for numbers in told])
        return [self._best([(next(logits), window) for window in row]) for row in rows]

    def _best(self, told: list[tuple[FloatArray, Window]]) -> Best:
        score, start, end = max(best_span(logits, window.offsets, self.longest_answer) for logits, window in told)
        return Best(start, end, score - min(float(logits[0].sum()) for logits, _ in told))


@dataclass
class AnswerTask(EncoderTask):
    """``held``: (questions, their windows) of the other parts. ``threshold``: as it was best for the last scored weights."""

    held: dict[str, tuple[list[Asked], list[list[Window]]]]
    longest_answer: int
    threshold: float = field(default=0.0, kw_only=True)

    def loss(self, rows: Sequence[int]) -> Tensor:
        """Of a row with several windows, the mean over those."""
        items = [self.items[row] for row in rows]
        windows = [window for item in items for window in item]
        shares = torch.cat([torch.full((len(item),), 1 / len(item)) for item in items]) / len(items)
        goals = torch.tensor([window.goal for window in windows])
        each = torch.split(self.logits(items), [len(window.item[0]) for window in windows])
        logits = nn.utils.rnn.pad_sequence(list(each), batch_first=True, padding_value=-1e9)
        losses = [nn.functional.cross_entropy(logits[:, :, end], goals[:, end], reduction="none") for end in (0, 1)]
        return ((losses[0] + losses[1]) / 2 * shares).sum()

    def scores(self, check: Check, part: str = VALIDATION) -> FloatArray:
        """The threshold is learnt on the validation rows, whichever are asked for."""
        told = {name: self._best(check, name) for name in {VALIDATION, part}}
        self.threshold = learnt_threshold(self.held[VALIDATION][0], told[VALIDATION])
        return found(self.held[part][0], told[part], self.threshold)

    def _best(self, check: Check, part: str) -> list[Best]:
        return Reader(self.network, self.batches, self.longest_answer).best(self.held[part][1], check)

    def save(self, folder: Path) -> None:
        super().save(folder)
        config = files.read_json(folder / "config.json")
        files.write_json(folder / "config.json", {**config, "kargah_threshold": self.threshold, "kargah_stride": self.batches.stride})


def build_task(data: AnswerData, request: Request) -> AnswerTask:
    spec, train = request.spec, data.asked_of(data.train_rows)
    assert isinstance(spec, QuestionAnsweringSpec)
    torch.manual_seed(spec.seed)
    if request.base_model is not None:
        reader, decisions = _fine_tuned(train, data, request)
        defaults, why = _FINE_TUNING, "why.fine_tuning"
    else:
        reader, decisions = _from_scratch(train, data, request)
        defaults, why = _FROM_SCRATCH, "why.reader_from_scratch"
    settings, settled = decide_settings(request, defaults, why, rows=len(train))
    pieces, network = reader.batches, reader.network
    items = pieces.encode(train, request.check)
    held = {}
    for part in (VALIDATION, TEST):
        asked = data.asked_of(data.rows_of(part))
        held[part] = (asked, pieces.encode(asked, request.check))
    every = (row for rows in (items, held[VALIDATION][1], held[TEST][1]) for row in rows)
    decisions += network.make_cheap(window.item[0] for row in every for window in row)
    decisions += [*settled, all_threads(request)]
    return AnswerTask(network, pieces, settings, decisions, items, held, spec.longest_answer)


def _from_scratch(train: Sequence[Asked], data: AnswerData, request: Request) -> tuple[Reader, list[Decision]]:
    from transformers import BertForQuestionAnswering

    spec = request.spec
    assert isinstance(spec, QuestionAnsweringSpec)
    sizes, decisions = dict(_SMALL), []
    for name in _SMALL:
        chosen = getattr(spec, name)
        sizes[name] = _SMALL[name] if chosen is None else chosen
        decisions.append(
            Decision(
                name, sizes[name], "adapted" if chosen is None else "chosen", "why.reader_from_scratch" if chosen is None else "why.chosen"
            )
        )
    vocab_size = sizes.pop("vocab_size")
    texts = [*dict.fromkeys(one.passage.read for one in train), *(one.question for one in train)]
    tokenizer = fast_tokenizer(train_tokenizer(texts, vocab_size, data.describe["normaliser"]))
    max_length, decision = fitting_length(request, _lengths(tokenizer, train, request), _LONGEST)
    network = Transformer(BertForQuestionAnswering(small_config(tokenizer, max_length=max_length, **sizes)), SPANS)
    return _reader(network, tokenizer, max_length, spec), [*decisions, decision]


def _fine_tuned(train: Sequence[Asked], data: AnswerData, request: Request) -> tuple[Reader, list[Decision]]:
    from transformers import AutoModelForQuestionAnswering

    assert request.base_model is not None
    assert isinstance(request.spec, QuestionAnsweringSpec)
    model, tokenizer = base_models.load(
        request.base_model, AutoModelForQuestionAnswering, data.describe["normaliser"], request.check, num_labels=2
    )
    network = Transformer(model, SPANS)
    max_length, decision = fitting_length(request, _lengths(tokenizer, train, request), min(_LONGEST, network.longest))
    return _reader(network, tokenizer, min(max_length, network.longest), request.spec), [decision]


def _reader(network: Transformer, tokenizer: Any, max_length: int, spec: QuestionAnsweringSpec) -> Reader:
    """Windows share a third, but leave room for a question and something new."""
    widest = max(0, max_length // 2 - 8)
    stride = min(widest, max_length // 3 if spec.stride is None else spec.stride)
    return Reader(network, AnswerPieces(tokenizer, max_length, network.first_position, stride), spec.longest_answer)


def _lengths(tokenizer: Any, asked: Sequence[Asked], request: Request) -> list[int]:
    """In pieces, special tokens included."""
    return counts_of(tokenizer, [[one.question for one in asked], [one.passage.read for one in asked]], request.check)
