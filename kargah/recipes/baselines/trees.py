"""Boosted trees: trained by scikit-learn, kept as plain arrays, walked by numpy. No pickle, no scikit-learn to predict.

The features are float64 [rows, features], the category codes first: 0, 1, 2 … for known values, NaN for none or unknown.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kargah.kit import files
from kargah.recipes.measures import FloatArray
from kargah.recipes.problem import ColumnProblem, ProblemType

#: A split can tell so many values of a category apart; the rest is "other" (the recipe folds them).
MAX_CATEGORIES = 254
#: Below this the threads of one tree wait for each other longer than they work, most of all on a busy machine.
_ROWS_WORTH_THREADS = 50_000
_NODE_FIELDS = ("feature_idx", "num_threshold", "left", "right", "value", "missing_go_to_left", "is_leaf", "is_categorical", "bitset_idx")


@dataclass
class TreesModel:
    """``nodes``: all trees' nodes one after another, children numbered from the first; ``roots`` int64 [iterations, outputs]."""

    problem: ColumnProblem
    nodes: dict[str, FloatArray]
    bitsets: FloatArray
    roots: FloatArray
    start: FloatArray

    @classmethod
    def fit(cls, problem: ColumnProblem, features: FloatArray, targets: FloatArray, categories: int, seed: int) -> "TreesModel":
        """``categories``: how many of the first columns are category codes, each with every code 0 … n-1 present."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        kind = HistGradientBoostingRegressor if problem.type is ProblemType.REGRESSION else HistGradientBoostingClassifier
        least = max(1, min(20, len(features) // 10))  # scikit-learn's 20 would leave a table of 30 rows without a split
        mask = np.arange(features.shape[1]) < categories
        model = kind(
            max_iter=200,
            learning_rate=0.08,
            min_samples_leaf=least,
            early_stopping=False,
            random_state=seed,
            categorical_features=mask if categories else None,
        )
        with threadpool_limits(1 if len(features) < _ROWS_WORTH_THREADS else None):
            model.fit(features, targets)
        return cls._exported(problem, model)

    @classmethod
    def _exported(cls, problem: ColumnProblem, model: Any) -> "TreesModel":
        trees = [tree for iteration in model._predictors for tree in iteration]
        node_ends = np.cumsum([0, *(len(tree.nodes) for tree in trees)])
        bitset_ends = np.cumsum([0, *(len(tree.raw_left_cat_bitsets) for tree in trees)])
        nodes = {name: np.concatenate([tree.nodes[name] for tree in trees]).astype(_plain(name)) for name in _NODE_FIELDS}
        for index in range(len(trees)):
            part = slice(node_ends[index], node_ends[index + 1])
            nodes["left"][part] += node_ends[index]
            nodes["right"][part] += node_ends[index]
            nodes["bitset_idx"][part] += bitset_ends[index]
        bitsets = np.concatenate([tree.raw_left_cat_bitsets for tree in trees]).reshape(-1, 8)
        roots = node_ends[:-1].reshape(len(model._predictors), -1).astype(np.int64)
        return cls(problem, nodes, bitsets.astype(np.uint32), roots, np.asarray(model._baseline_prediction, np.float64).reshape(-1))

    def scores(self, features: FloatArray) -> FloatArray:
        """[rows, labels] probabilities, or [rows] values."""
        raw = np.tile(self.start, (len(features), 1))
        for iteration in self.roots:
            for output, root in enumerate(iteration):
                raw[:, output] += self._walk(int(root), features)
        return self._linked(raw)

    def _walk(self, root: int, features: FloatArray) -> FloatArray:
        """Follow every row from ``root`` to its leaf at once; a tree of depth d takes d rounds."""
        at = np.full(len(features), root)
        while (inner := np.flatnonzero(~self.nodes["is_leaf"][at])).size:
            node = at[inner]
            value = features[inner, self.nodes["feature_idx"][node]]
            left = np.where(np.isnan(value), self.nodes["missing_go_to_left"][node], self._goes_left(node, value))
            at[inner] = np.where(left, self.nodes["left"][node], self.nodes["right"][node])
        return np.asarray(self.nodes["value"][at])

    def _goes_left(self, node: FloatArray, value: FloatArray) -> FloatArray:
        below = value <= self.nodes["num_threshold"][node]
        if not len(self.bitsets):
            return below
        code = np.nan_to_num(value).astype(np.int64) & 0xFF
        bitset = np.where(self.nodes["is_categorical"][node], self.nodes["bitset_idx"][node], 0)
        inside = (self.bitsets[bitset, code >> 5] >> (code & 31).astype(np.uint32)) & 1
        return np.where(self.nodes["is_categorical"][node], inside == 1, below)

    def _linked(self, raw: FloatArray) -> FloatArray:
        if self.problem.type is ProblemType.REGRESSION:
            return raw[:, 0]
        if raw.shape[1] == 1:
            positive = 1 / (1 + np.exp(-raw[:, 0]))
            return np.stack([1 - positive, positive], axis=1)
        powers = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    @property
    def parameters(self) -> int:
        return len(self.nodes["value"])

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        tensors = {f"nodes.{name}": values for name, values in self.nodes.items()}
        save_file({**tensors, "bitsets": self.bitsets, "roots": self.roots, "start": self.start}, folder / "model.safetensors")
        files.write_json(folder / "trees.json", {"iterations": len(self.roots), "nodes": self.parameters})

    @classmethod
    def load(cls, folder: Path, problem: ColumnProblem) -> "TreesModel":
        from safetensors.numpy import load_file

        tensors = load_file(folder / "model.safetensors")
        nodes = {name: tensors[f"nodes.{name}"] for name in _NODE_FIELDS}
        return cls(problem, nodes, tensors["bitsets"], tensors["roots"], tensors["start"])


def _plain(name: str) -> Any:
    if name in ("is_leaf", "is_categorical", "missing_go_to_left"):
        return np.bool_
    return np.float64 if name in ("value", "num_threshold") else np.int64
