"""A small network for tables: embeddings of categories, standardised measures with a mark for gaps, words of texts."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class TableConfig:
    """Sizes; written to config.json. ``categories``: known values of each category column."""

    categories: list[int]
    numbers: int
    flags: int
    outputs: int
    hidden_size: int
    num_layers: int
    dropout: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class TableNetwork(nn.Module):
    """``codes`` int64 [rows, categories] (0: none or unknown), ``dense`` float32 [rows, 2·numbers + flags] → logits [rows, outputs].

    A linear path runs beside the layers: what is nearly linear is learnt at once, also from thirty rows.
    """

    def __init__(self, config: TableConfig) -> None:
        super().__init__()
        self.config = config
        widths = [min(32, (count + 3) // 2) for count in config.categories]
        self.embeddings = nn.ModuleList(nn.Embedding(count + 1, width) for count, width in zip(config.categories, widths, strict=True))
        size = sum(widths) + 2 * config.numbers + config.flags
        layers: list[nn.Module] = []
        for number in range(config.num_layers):
            layers += [nn.Linear(config.hidden_size if number else size, config.hidden_size), nn.ReLU(), nn.Dropout(config.dropout)]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(config.hidden_size, config.outputs)
        self.direct = nn.Linear(size, config.outputs)

    def forward(self, codes: Tensor, dense: Tensor) -> Tensor:
        embedded = [embedding(codes[:, column]) for column, embedding in enumerate(self.embeddings)]
        inputs = torch.cat([*embedded, dense], dim=1)
        answer: Tensor = self.head(self.layers(inputs)) + self.direct(inputs)
        return answer
