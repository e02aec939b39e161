"""What a text classifier is taught by: cross-entropy or the focal loss, with weights of classes and smoothed labels."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kargah.recipes.problem import ProblemType
from kargah.recipes.text_classification.data import TextData
from kargah.recipes.text_classification.spec import TextClassificationSpec

Loss = Callable[[Tensor, Tensor], Tensor]


def loss_of(data: TextData, spec: TextClassificationSpec) -> Loss:
    """(logits [rows, labels], goals) → the mean over the rows."""
    if data.problem.type is ProblemType.REGRESSION:
        return lambda logits, goals: functional.mse_loss(logits[:, 0], goals)
    gamma = spec.focal_gamma if spec.loss == "focal" else 0.0
    balanced, smoothing = spec.class_weights == "balanced", spec.label_smoothing
    if data.problem.type is ProblemType.MULTI_LABEL:
        rarity = label_weights(data) if balanced else None
        return lambda logits, goals: of_several(logits, goals, rarity, smoothing, gamma)
    weights = class_weights(data) if balanced else None
    if not gamma and weights is None:
        return nn.CrossEntropyLoss(label_smoothing=smoothing)
    return lambda logits, goals: focal_of_one(logits, goals, weights, smoothing, gamma)


def focal_of_one(logits: Tensor, goals: Tensor, weights: Tensor | None, smoothing: float, gamma: float) -> Tensor:
    """Lin et al. 2017: the cross-entropy of each row times (1 - p)^gamma, p being the share of the right label; the mean over the rows,
    not over their weights, so that it is the same however the rows are parted.

    ``goals``: indices of labels [rows]; ``weights`` of labels are the paper's alpha.
    """
    each = functional.cross_entropy(logits, goals, weight=weights, label_smoothing=smoothing, reduction="none")
    right = logits.log_softmax(dim=1).gather(1, goals[:, None])[:, 0].exp()
    return ((1 - right) ** gamma * each).mean()


def of_several(logits: Tensor, goals: Tensor, rarity: Tensor | None, smoothing: float, gamma: float) -> Tensor:
    """``goals`` 0/1 [rows, labels]: a yes or no for each label by itself; the mean over all. ``rarity`` of a label weighs its yes.

    Smoothing draws goals towards a half.
    """
    smooth = goals * (1 - smoothing) + smoothing / 2
    if not gamma:
        return functional.binary_cross_entropy_with_logits(logits, smooth, pos_weight=rarity)
    each = functional.binary_cross_entropy_with_logits(logits, smooth, pos_weight=rarity, reduction="none")
    right = torch.where(goals > 0.5, logits, -logits).sigmoid()
    return ((1 - right) ** gamma * each).mean()


def class_weights(data: TextData) -> Tensor:
    """Rare classes count as much as frequent ones; the mean over the rows is 1."""
    counts = np.bincount(data.targets[data.train_rows].astype(np.int64), minlength=data.problem.outputs)
    return torch.tensor(len(data.train_rows) / (data.problem.outputs * np.maximum(1, counts)), dtype=torch.float32)


def label_weights(data: TextData) -> Tensor:
    """How many times rarer a label's yes is than its no."""
    said = data.targets[data.train_rows].sum(axis=0)
    return torch.tensor((len(data.train_rows) - said) / np.maximum(1, said), dtype=torch.float32)
