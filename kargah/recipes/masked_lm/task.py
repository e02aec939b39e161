"""Learning to fill gaps: other tokens are masked each time a text is seen, 80 % by the mask, 10 % by any token, 10 % left as they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kargah.engine import devices
from kargah.recipes import new_tokens
from kargah.recipes.distillation import settled
from kargah.recipes.encoder_tasks import SCORING_BATCH, EncoderTask
from kargah.recipes.encoders import Item, TokenArray, small_config
from kargah.recipes.masked_lm import network
from kargah.recipes.masked_lm.data import MaskedData
from kargah.recipes.masked_lm.network import GapFiller, Teacher
from kargah.recipes.masked_lm.spec import MaskedLMSpec
from kargah.recipes.masked_lm.tokens import VOCABULARY, Tokens, tokens_of
from kargah.recipes.measures import FloatArray, IntArray
from kargah.recipes.parts import VALIDATION
from kargah.recipes.runtime import Decision, Defaults, Request, all_threads, decide_settings

_MASKED, _OTHER = 0.8, 0.9
_SIZES: dict[str, Any] = {"hidden_size": 128, "num_layers": 2, "dropout": 0.1, "vocab_size": VOCABULARY}
_LEAST_STEPS = 1500
_SCRATCH = Defaults(epochs=10, batch_size=32, learning_rate=1e-3)
_ADAPTING = Defaults(epochs=3, batch_size=16, learning_rate=5e-5)


@dataclass
class MaskedTask(EncoderTask):
    """``rows``: the training rows by their place in the data; ``parts``: those that models are measured on."""

    filler: GapFiller
    tokens: Tokens
    rows: IntArray
    parts: dict[str, IntArray]
    teacher: Teacher | None = None

    @property
    def module(self) -> nn.Module:
        return self.filler

    def use_device(self, device: torch.device) -> bool:
        if self.teacher is not None:
            self.teacher.filler.to(device)
        return super().use_device(device)

    def weight(self, rows: Sequence[int]) -> float:
        return sum(self.tokens.masked_count(int(self.rows[row])) for row in rows)

    def loss(self, rows: Sequence[int]) -> Tensor:
        items, places, wanted, start = [], [], [], 0
        for row in self.rows[list(rows)].tolist():
            ids, types = self.tokens.items[row]
            chosen = self._drawn(row)
            items.append((self._hidden(ids, chosen), types))
            places.append(start + chosen)
            wanted.append(ids[chosen])
            start += len(ids)
        hidden, tokens = np.concatenate(places), torch.from_numpy(np.concatenate(wanted)).long()
        if self.teacher is None:
            logits = self._logits(items, hidden)
            return nn.functional.cross_entropy(logits, tokens.to(logits.device))
        gaps = torch.from_numpy(hidden)
        with devices.products_in(self.precision, self.module):
            vectors = self.filler.vectors(self.batches.collate(items), gaps)
            return self.teacher.loss(self.filler, vectors, tokens, items, gaps)

    def _drawn(self, row: int) -> IntArray:
        """By torch's own random state, which a checkpoint keeps."""
        candidates = self.tokens.candidates(row)
        order = torch.rand(len(candidates)).argsort().numpy()
        return np.sort(candidates[order[: self.tokens.masked_count(row)]])

    def _hidden(self, ids: TokenArray, places: IntArray) -> TokenArray:
        tokenizer = self.tokens.tokenizer
        kinds, others = torch.rand(len(places)).numpy(), torch.randint(len(tokenizer), (len(places),)).numpy()
        changed = ids.copy()
        changed[places] = np.where(kinds < _MASKED, tokenizer.mask_token_id, np.where(kinds < _OTHER, others, changed[places]))
        return changed

    def _logits(self, items: Sequence[Item], places: IntArray) -> Tensor:
        with devices.products_in(self.precision, self.module):
            logits: Tensor = self.filler(self.batches.collate(items), torch.from_numpy(places))
        return logits.float()

    @torch.inference_mode()
    def scores(self, check: Callable[[], None], part: str = VALIDATION) -> FloatArray:
        """With the same masks at every call, and every masked token hidden."""
        self.filler.eval()
        rows = self.parts[part].tolist()
        order = sorted(range(len(rows)), key=lambda place: len(self.tokens.items[rows[place]][0]))
        found = np.zeros((len(rows), 3))
        for begin in range(0, len(order), SCORING_BATCH):
            check()
            picked = order[begin : begin + SCORING_BATCH]
            found[picked] = self._measured([rows[place] for place in picked])
        return found

    def _measured(self, rows: list[int]) -> FloatArray:
        """float64 [rows, 3], as MaskedProblem takes them."""
        masked = [self.tokens.fixed_places(row) for row in rows]
        items, starts = [], np.cumsum([0, *(len(self.tokens.items[row][0]) for row in rows)])
        for row, places in zip(rows, masked, strict=True):
            ids, types = self.tokens.items[row]
            hidden = ids.copy()
            hidden[places] = self.tokens.tokenizer.mask_token_id
            items.append((hidden, types))
        wanted = torch.from_numpy(np.concatenate([self.tokens.items[row][0][p] for row, p in zip(rows, masked, strict=True)])).long()
        logits = self._logits(items, np.concatenate([start + places for start, places in zip(starts, masked, strict=False)]))
        lost = nn.functional.cross_entropy(logits, wanted.to(logits.device), reduction="none").double().cpu().numpy()
        hits = logits.argmax(dim=1).cpu().numpy() == wanted.numpy()
        of_row = np.repeat(np.arange(len(rows)), [len(places) for places in masked])
        sums = [np.bincount(of_row, weights=values, minlength=len(rows)) for values in (lost, np.ones_like(lost), hits)]
        return np.stack(sums, axis=1)


def build_task(data: MaskedData, request: Request) -> MaskedTask:
    spec = request.spec
    assert isinstance(spec, MaskedLMSpec)
    teaching = network.base(request, request.teacher_model) if request.teacher_model is not None else None
    torch.manual_seed(spec.seed)
    filler, tokens, decisions = _started(data, request, spec, [teaching.encoder.longest] if teaching else [])
    if request.base_model is not None:
        defaults, why = _ADAPTING, "why.fine_tuning"
    else:
        defaults, why = Defaults(_epochs(len(data.train_rows)), _SCRATCH.batch_size, _SCRATCH.learning_rate), "why.preset"
    encoder = filler.encoder
    decisions += encoder.make_cheap([range(len(tokens.tokenizer))])  # any token may stand in another's place, and each has its logit
    settings, told = decide_settings(request, defaults, why, preset=encoder.architecture, rows=len(data.train_rows))
    decisions += [tokens.decision, *told, *settled(request), all_threads(request)]
    parts = {part: data.rows_of(part) for part in ("validation", "test")}
    items, batches = [tokens.items[row] for row in data.train_rows], tokens.batches(encoder.first_position)
    teacher = Teacher.of(teaching, filler, tokens, request)
    return MaskedTask(encoder, batches, settings, decisions, items, filler, tokens, data.train_rows, parts, teacher)


def _started(data: MaskedData, request: Request, spec: MaskedLMSpec, longest: list[int]) -> tuple[GapFiller, Tokens, list[Decision]]:
    """``longest``: what a teacher takes."""
    if request.base_model is None:
        tokens = tokens_of(data, request, min(longest, default=None))
        return _from_scratch(spec, tokens, tokens.frequencies(data.train_rows))
    filler = network.base(request, request.base_model)
    tokens = tokens_of(data, request, min([filler.encoder.longest, *longest]))
    if tokens.growth is None:
        return filler, tokens, []
    new_tokens.add_rows(filler.encoder.model, tokens.growth)
    return filler, tokens, [tokens.growth.decision]


def _from_scratch(spec: MaskedLMSpec, tokens: Tokens, frequencies: FloatArray) -> tuple[GapFiller, Tokens, list[Decision]]:
    """It begins with knowing how frequent each token is: no step is spent on learning that."""
    from transformers import BertForMaskedLM

    chosen = {name: value for name in _SIZES if (value := getattr(spec, name)) is not None}
    sizes = _SIZES | chosen
    config = small_config(tokens.tokenizer, sizes["hidden_size"], sizes["num_layers"], sizes["dropout"], tokens.max_length)
    decisions = []
    for name, value in sizes.items():
        source, why = ("chosen", "why.chosen") if name in chosen else ("adapted", "why.preset")
        decisions.append(Decision(name, value, source, why, {"preset": "transformer"}))
    model: Any = BertForMaskedLM(config)
    with torch.no_grad():
        model.get_output_embeddings().bias.copy_(torch.from_numpy(np.log(frequencies)))
    return GapFiller(model), tokens, decisions


def _epochs(rows: int) -> float:
    """Small sets need more passes to take enough steps."""
    steps = max(1, rows // _SCRATCH.batch_size)
    return float(min(40, max(_SCRATCH.epochs, -(-_LEAST_STEPS // steps))))
