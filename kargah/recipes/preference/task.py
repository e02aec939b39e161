"""The network, what it thought of each answer before it learnt, and the loss of pairs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from kargah.engine import devices
from kargah.recipes.decoders import model, sizes
from kargah.recipes.decoders.data import TokenData
from kargah.recipes.decoders.task import DecoderTask, network_of, read_sequences
from kargah.recipes.decoders.tokens import Sample, Tokens
from kargah.recipes.measures import FloatArray
from kargah.recipes.parts import TEST, TRAIN, VALIDATION
from kargah.recipes.preference.data import loss_of
from kargah.recipes.preference.losses import LOSSES, Answers, Told, Weights
from kargah.recipes.preference.spec import PreferenceSpec
from kargah.recipes.runtime import Decision, Request

#: As the papers take it; of SimPO's span the middle.
_BETAS = {"dpo": 0.1, "ipo": 0.1, "orpo": 0.1, "kto": 0.1, "simpo": 2.0}
WITH_REFERENCE = frozenset({"dpo", "ipo", "kto"})


@dataclass
class PreferenceTask(DecoderTask):
    """``references``: by part, the log-likelihoods of each row's sequences before anything was learnt, [rows, sequences]. A row has the
    chosen answer and the rejected one, and for KTO the next row's chosen answer to its own prompt."""

    method: str = field(default="dpo", kw_only=True)
    weights: Weights = field(default_factory=lambda: Weights(0.1), kw_only=True)
    references: dict[str, FloatArray] = field(default_factory=dict, kw_only=True)

    def weight(self, rows: Sequence[int]) -> float:
        return len(rows)

    def loss(self, rows: Sequence[int]) -> Tensor:
        samples = [self.items[row] for row in rows]
        batch, learnt = model.packed(samples)
        with devices.products_in(self.precision, self.network):
            likelihoods = self.network.packed.likelihoods(batch, learnt).float()
        return self.told(likelihoods.view(len(rows), -1), self.references[TRAIN][list(rows)], _tokens(samples)).losses.mean()

    def told(self, likelihoods: Tensor, references: FloatArray, tokens: Tensor) -> Told:
        """``likelihoods``, ``references``, ``tokens``: [rows, sequences]."""
        began = torch.from_numpy(references).to(likelihoods.dtype)
        chosen, rejected = (Answers(likelihoods[:, side], began[:, side], tokens[:, side]) for side in (0, 1))
        kl = (likelihoods[:, 2] - began[:, 2]).mean() if likelihoods.shape[1] > 2 else None
        return LOSSES[self.method](chosen, rejected, Weights(self.weights.beta, self.weights.gamma, kl))

    def scores(self, check: Callable[[], None], part: str = VALIDATION) -> FloatArray:
        """(loss, reward of the chosen, reward of the rejected), [rows, 3]."""
        self.network.eval()
        samples = self.data.samples_of(part)
        if not samples:
            return np.zeros((0, 3))
        found = torch.from_numpy(likelihoods_of(self, samples, check))
        told = self.told(found, self.references[part], _tokens(samples))
        if part == VALIDATION:
            self.show(check)
        return torch.stack([told.losses, told.chosen_rewards, told.rejected_rewards], dim=1).double().numpy()


def build_task(data: TokenData, request: Request) -> PreferenceTask:
    spec = request.spec
    assert isinstance(spec, PreferenceSpec)
    method, _ = loss_of(spec, request.base_model is not None)
    if method == "kto":
        data = _with_others_answers(data)
    network, settings, decisions = network_of(data, request, (sizes.GENTLE, sizes.GENTLE_ADAPTED))
    beta = spec.beta or _BETAS[method]
    decisions.append(Decision("beta", beta, *(("chosen", "why.chosen") if spec.beta else ("inherited", "why.inherited"))))
    first = data.samples_of(VALIDATION)[0].sequences[0]
    opening: str = data.vocabulary.tokenizer.decode(first.ids[: int(first.learnt.argmax())])
    task = PreferenceTask(network, data, settings, decisions, request, opening, method=method, weights=Weights(beta, spec.simpo_gamma))
    _remember(task)
    return task


def _remember(task: PreferenceTask) -> None:
    """What the start thinks of all answers: once, so that no second network has to be kept for it. Says how often it is right by itself."""
    task.network.eval()
    for part in (TRAIN, VALIDATION, TEST):
        samples = task.data.samples_of(part)
        if not samples:
            continue
        asked = task.method in WITH_REFERENCE or part == VALIDATION
        found = likelihoods_of(task, samples, task.request.check) if asked else np.zeros((len(samples), len(samples[0].sequences)))
        task.references[part] = found if task.method in WITH_REFERENCE else np.zeros_like(found)
        if part == VALIDATION:
            means = found / _tokens(samples).numpy()
            task.request.log("train.preference_before", percent=round(100 * float((means[:, 0] > means[:, 1]).mean()), 1))


def likelihoods_of(task: PreferenceTask, samples: Sequence[Sample], check: Callable[[], None]) -> FloatArray:
    """[samples, sequences]."""
    sequences = list(chain.from_iterable(sample.sequences for sample in samples))
    return -read_sequences(task.network, sequences, check)[:, 0].reshape(len(samples), -1)


def _with_others_answers(data: TokenData) -> TokenData:
    """For KTO, whose measure of distance wants answers to prompts that they do not belong to."""
    for part in (TRAIN, VALIDATION, TEST):
        rows = data.rows_of(part).tolist()
        chosen = [data.samples[row].sequences[0] for row in rows]
        for row, own, other in zip(rows, chosen, [*chosen[1:], *chosen[:1]], strict=True):
            sample = data.samples[row]
            data.samples[row] = Sample((*sample.sequences, _answered(own, other, data.max_length)), sample.text_bytes)
    return data


def _answered(own: Tokens, other: Tokens, length: int) -> Tokens:
    """The prompt of one with the answer of the other, which keeps at least a token."""
    answer = other.ids[other.learnt]
    prompt = own.ids[: int(own.learnt.argmax())][: length - 1]
    ids = np.concatenate([prompt, answer])[:length]
    return Tokens(ids, np.arange(len(ids)) >= len(prompt))


def _tokens(samples: Sequence[Sample]) -> Tensor:
    """How many are learnt, [samples, sequences]."""
    return torch.tensor([[float(sequence.learnt.sum()) for sequence in sample.sequences] for sample in samples])
