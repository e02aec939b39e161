"""Losses of pairs of answers, by the log-likelihoods of the tokens of each; row by row.

- DPO: Rafailov et al. 2023, eq. 7 · IPO: Azar et al. 2023, eq. 17, of means over tokens as its authors correct it
- ORPO: Hong et al. 2024, eq. 6–7, of means over tokens · SimPO: Meng et al. 2024, eq. 6
- KTO: Ethayarajh et al. 2024, eq. 7–8, the chosen answer desired and the rejected one not
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True)
class Answers:
    """Of the chosen or the rejected answers: summed log-likelihood, the same before anything was learnt (0 where nobody asks), tokens."""

    likelihoods: Tensor
    references: Tensor
    tokens: Tensor

    @property
    def gains(self) -> Tensor:
        return self.likelihoods - self.references

    @property
    def means(self) -> Tensor:
        return self.likelihoods / self.tokens


@dataclass(frozen=True)
class Weights:
    """``kl``: how far the model has gone from its start, nats an answer, estimated on answers to other prompts (KTO)."""

    beta: float
    gamma: float = 0.0
    kl: Tensor | None = None


@dataclass(frozen=True)
class Told:
    """[rows] each. Rewards are what the loss compares."""

    losses: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor


def dpo(chosen: Answers, rejected: Answers, weights: Weights) -> Told:
    rewards = weights.beta * chosen.gains, weights.beta * rejected.gains
    return Told(-logsigmoid(rewards[0] - rewards[1]), *rewards)


def ipo(chosen: Answers, rejected: Answers, weights: Weights) -> Told:
    gains = chosen.gains / chosen.tokens, rejected.gains / rejected.tokens
    return Told((gains[0] - gains[1] - 1 / (2 * weights.beta)) ** 2, weights.beta * gains[0], weights.beta * gains[1])


def orpo(chosen: Answers, rejected: Answers, weights: Weights) -> Told:
    odds = _log_odds(chosen.means) - _log_odds(rejected.means)
    return Told(-chosen.means - weights.beta * logsigmoid(odds), weights.beta * chosen.means, weights.beta * rejected.means)


def kto(chosen: Answers, rejected: Answers, weights: Weights) -> Told:
    kl = torch.zeros(()) if weights.kl is None else weights.kl.detach().clamp(min=0)
    losses = (1 - torch.sigmoid(weights.beta * (chosen.gains - kl))) + (1 - torch.sigmoid(weights.beta * (kl - rejected.gains)))
    return Told(losses / 2, weights.beta * chosen.gains, weights.beta * rejected.gains)


def simpo(chosen: Answers, rejected: Answers, weights: Weights) -> Told:
    rewards = weights.beta * chosen.means, weights.beta * rejected.means
    return Told(-logsigmoid(rewards[0] - rewards[1] - weights.beta * weights.gamma), *rewards)


def _log_odds(means: Tensor) -> Tensor:
    """log p / (1 − p) of a geometric mean of probabilities."""
    below = means.clamp(max=-1e-6)  # an answer that is certain has no finite odds
    return below - torch.log(-torch.expm1(below))


LOSSES: dict[str, Callable[[Answers, Answers, Weights], Told]] = {"dpo": dpo, "ipo": ipo, "orpo": orpo, "kto": kto, "simpo": simpo}
