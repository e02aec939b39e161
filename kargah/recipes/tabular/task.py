"""The network being trained, with its rows as tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kargah.kit import files
from kargah.recipes.measures import FloatArray
from kargah.recipes.parts import VALIDATION
from kargah.recipes.plain import PlainTask
from kargah.recipes.problem import ColumnProblem, ProblemType
from kargah.recipes.runtime import Decision, Defaults, Request, decide_settings, one_thread
from kargah.recipes.tabular.data import Encoded, Feature
from kargah.recipes.tabular.model import TableConfig, TableNetwork
from kargah.recipes.tabular.spec import TabularSpec
from kargah.recipes.tabular.train import TableData

DEFAULTS = Defaults(epochs=40, batch_size=64, learning_rate=2e-3)
_SIZES = {"hidden_size": 128, "num_layers": 2, "dropout": 0.1}
_STEPS = 3200
_SCORING_BATCH = 4096
_FARTHEST = 8.0  # spreads from the mean: a value farther out counts as this far


@dataclass
class TableModel:
    """All that answering takes. ``scale`` = (mean, spread) of the learnt target."""

    problem: ColumnProblem
    network: TableNetwork
    features: list[Feature]
    scale: tuple[float, float] = (0.0, 1.0)

    def tensors(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """(codes, dense) as the network takes them; a gap becomes the mean, with its mark set."""
        codes = torch.from_numpy(np.nan_to_num(encoded.codes, nan=-1).astype(np.int64) + 1)
        numeric = [feature for feature in self.features if feature.kind == "number"]
        means, spreads = (np.array([getattr(feature, name) for feature in numeric]) for name in ("mean", "spread"))
        standard = np.clip((encoded.numbers - means) / spreads, -_FARTHEST, _FARTHEST)
        dense = np.concatenate([np.nan_to_num(standard), np.isnan(standard), encoded.flags], axis=1)
        return codes, torch.from_numpy(dense.astype(np.float32))

    @torch.inference_mode()
    def scores(self, codes: Tensor, dense: Tensor, check: Callable[[], None] = lambda: None) -> FloatArray:
        """[rows, labels] probabilities; for regression [rows] values in the learnt scale."""
        self.network.eval()
        logits = []
        for start in range(0, len(dense), _SCORING_BATCH):
            check()
            part = slice(start, start + _SCORING_BATCH)
            logits.append(self.network(codes[part], dense[part]))
        joined = torch.cat(logits).double()
        if self.problem.type is ProblemType.REGRESSION:
            return np.asarray(joined[:, 0].numpy() * self.scale[1] + self.scale[0])
        return np.asarray(joined.softmax(dim=1).numpy())

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        config = {"architectures": ["KargahTableNetwork"], **self.network.config.as_dict(), "scale": self.scale}
        files.write_json(folder / "config.json", config)
        save_file({name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path, problem: ColumnProblem, features: list[Feature]) -> "TableModel":
        from safetensors.torch import load_file

        config = files.read_json(folder / "config.json")
        network = TableNetwork(TableConfig(**{name: config[name] for name in TableConfig.__dataclass_fields__}))
        network.load_state_dict(load_file(folder / "model.safetensors"))
        mean, spread = config["scale"]
        return cls(problem, network, features, (mean, spread))


@dataclass
class TableTask(PlainTask):
    """``codes`` and ``dense`` are the training rows, ``goals`` their targets as the loss takes them."""

    model: TableModel
    data: TableData
    codes: Tensor
    dense: Tensor
    goals: Tensor
    loss_function: Callable[[Tensor, Tensor], Tensor]

    @property
    def costs(self) -> Sequence[int]:
        return [1] * len(self.goals)

    def loss(self, rows: Sequence[int]) -> Tensor:
        picked = torch.tensor(list(rows))
        return self.loss_function(self.model.network(self.codes[picked], self.dense[picked]), self.goals[picked])

    def scores(self, check: Callable[[], None], part: str = VALIDATION) -> FloatArray:
        scores = self.model.scores(*self.model.tensors(self.data.encoded.rows(self.data.rows_of(part))), check)
        return self.data.told(scores) if self.data.problem.type is ProblemType.REGRESSION else scores

    def save(self, folder: Path) -> None:
        self.model.save(folder)


def build_task(data: TableData, request: Request) -> TableTask:
    spec = request.spec
    assert isinstance(spec, TabularSpec)
    rows = len(data.train_rows)
    sizes, size_decisions = _sizes(spec)
    settings, settled = decide_settings(request, _defaults(rows), "why.table_size", rows=rows)
    torch.manual_seed(spec.seed)
    categories = [len(feature.categories) for feature in data.features if feature.kind == "category"]
    shape = (data.encoded.numbers.shape[1], data.encoded.flags.shape[1])
    network = TableNetwork(TableConfig(categories, *shape, data.problem.outputs, **sizes))
    model = TableModel(data.problem, network, data.features, _scale(data))
    codes, dense = model.tensors(data.encoded.rows(data.train_rows))
    goals, loss_function = _goals(data, model.scale), _loss_function(data, spec)
    decisions = [*size_decisions, *settled, one_thread(request)]
    return TableTask(network, settings, decisions, "table-mlp", model, data, codes, dense, goals, loss_function)


def _sizes(spec: TabularSpec) -> tuple[dict[str, Any], list[Decision]]:
    decided, decisions = dict(_SIZES), []
    for name, default in _SIZES.items():
        chosen = getattr(spec, name)
        decided[name] = default if chosen is None else chosen
        source, why = ("inherited", "why.inherited") if chosen is None else ("chosen", "why.chosen")
        decisions.append(Decision(name, decided[name], source, why))
    return decided, decisions


def _defaults(rows: int) -> Defaults:
    """Few rows: smaller batches and more passes (5 to 100), so that there are steps enough to learn a line from."""
    batch_size = max(4, min(DEFAULTS.batch_size, rows // 8))
    steps_an_epoch = -(-rows // batch_size)
    return replace(DEFAULTS, batch_size=batch_size, epochs=float(min(100, max(5, _STEPS // steps_an_epoch))))


def _scale(data: TableData) -> tuple[float, float]:
    if data.problem.type is not ProblemType.REGRESSION:
        return 0.0, 1.0
    learnt = data.learnt()[data.train_rows]
    return float(learnt.mean()), float(learnt.std()) or 1.0


def _goals(data: TableData, scale: tuple[float, float]) -> Tensor:
    if data.problem.type is not ProblemType.REGRESSION:
        return torch.tensor(data.targets[data.train_rows])
    return torch.tensor((data.learnt()[data.train_rows] - scale[0]) / scale[1], dtype=torch.float32)


def _loss_function(data: TableData, spec: TabularSpec) -> Callable[[Tensor, Tensor], Tensor]:
    """Huber for numbers: one absurd value must not pull all others."""
    if data.problem.type is ProblemType.REGRESSION:
        return lambda logits, goals: nn.functional.smooth_l1_loss(logits[:, 0], goals)
    if spec.class_weights != "balanced":
        return nn.CrossEntropyLoss()
    counts = np.bincount(data.targets[data.train_rows].astype(np.int64), minlength=data.problem.outputs)
    weights = torch.tensor(len(data.train_rows) / (data.problem.outputs * np.maximum(1, counts)), dtype=torch.float32)
    # The mean over the rows, not over their weights: the same however the rows are parted into passes.
    return lambda logits, goals: nn.functional.cross_entropy(logits, goals, weight=weights, reduction="none").mean()
