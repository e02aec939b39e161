"""The network: a vector of scores for each group of three letters; a text's scores are their mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kargah.kit import files
from kargah.recipes.measures import FloatArray
from kargah.recipes.parts import TEST, VALIDATION
from kargah.recipes.plain import PlainTask
from kargah.recipes.runtime import Defaults, Request, decide_settings, one_thread
from kargah_letters.train import Letters


def groups_of(text: str, buckets: int) -> Tensor:
    padded = f"  {text.lower()} "
    return torch.tensor([[crc32(padded[place : place + 3].encode()) % buckets for place in range(len(padded) - 2)]])


@torch.inference_mode()
def probabilities(network: nn.Module, items: Sequence[Tensor]) -> FloatArray:
    return torch.cat([network(item) for item in items]).softmax(dim=1).double().numpy()


@dataclass
class LettersTask(PlainTask):
    items: list[Tensor]
    goals: Tensor
    held: dict[str, list[Tensor]]

    @property
    def costs(self) -> list[int]:
        return [item.numel() for item in self.items]

    def loss(self, rows: Sequence[int]) -> Tensor:
        return nn.functional.cross_entropy(torch.cat([self.module(self.items[row]) for row in rows]), self.goals[list(rows)])

    def scores(self, check: Callable[[], None], part: str = VALIDATION) -> FloatArray:
        check()
        return probabilities(self.module, self.held[part])

    def save(self, folder: Path) -> None:
        files.write_json(folder / "config.json", {"architectures": ["KargahLetters"], "buckets": self.module.num_embeddings})
        save_file(self.module.state_dict(), folder / "model.safetensors")


def build_task(data: Letters, request: Request) -> LettersTask:
    torch.manual_seed(request.spec.seed)
    settings, decisions = decide_settings(request, Defaults(epochs=10, batch_size=16, learning_rate=0.05), "why.preset", preset="letters")
    items = [groups_of(text, request.spec.buckets) for text in data.texts]
    network = nn.EmbeddingBag(request.spec.buckets, len(data.problem.labels), mode="mean")
    nn.init.zeros_(network.weight)  # groups that were never seen say nothing
    held = {part: [items[row] for row in data.rows_of(part)] for part in (VALIDATION, TEST)}
    goals = torch.tensor(data.targets[data.train_rows])
    return LettersTask(
        network, settings, [*decisions, one_thread(request)], "letters", [items[row] for row in data.train_rows], goals, held
    )


def load(folder: Path, outputs: int) -> nn.EmbeddingBag:
    network = nn.EmbeddingBag(files.read_json(folder / "config.json")["buckets"], outputs, mode="mean")
    network.load_state_dict(load_file(folder / "model.safetensors"))
    return network
