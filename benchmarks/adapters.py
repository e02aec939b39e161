"""How fast adapters (LoRA) are trained on instructions: real (non-pad) tokens a second, ours beside TRL's SFTTrainer.

    python benchmarks/adapters.py [--quick] [--seconds 60] [--rounds 2]

A Llama of 12 layers of 512, 16,000 tied words, random weights; rank 16 on all seven projections; eight samples an update; loss on the
answers only on both sides; fp32; activation checkpointing off on both. Rows: a thousand Persian instructions. Added peak memory: the
process's highest resident size over that before training. Where there is a graphics card, the same comes again on it with bf16 on both
sides; no other row sees it.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from form import card, figure, interleaved, median, not_measured, report, spread
from peers import python_of

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
WARM_STEPS, BATCH, RANK, LONGEST = 2, 8, 16, 512
Found = dict[str, float]


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def lora() -> Any:
    from peft import LoraConfig

    names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    return LoraConfig(r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules=names, task_type="CAUSAL_LM")


# ---- one side: runs in a process of its own, and prints what it found --------------------------------------------------


def ours(folder: Path, seconds: float) -> Found:
    """The product's own step (``Loop.step``) on the engine's packed decoder."""
    sys.path.insert(0, str(ROOT))
    from kargah.engine import devices

    loop = loop_of(folder)
    order = [batches for epoch in range(20) for batches in loop.batches_by_step(epoch)]

    def step(number: int) -> int:
        loop.step(order[number])
        return sum(loop.costs[row] for part in order[number] for row in part)

    before, tokens, number = resident_mib(), 0, 0
    for number in range(WARM_STEPS):
        step(number)
    began, began_cpu = time.monotonic(), time.process_time()
    while time.monotonic() - began < seconds and number + 1 < len(order):
        number += 1
        tokens += step(number)
    devices.wait(loop.device)
    return found(tokens, time.monotonic() - began, time.process_time() - began_cpu, before, number)


def loop_of(folder: Path) -> Any:
    """A ``Loop`` over the rows in ``folder``, with nobody to tell: no checkpoints, no evaluations."""
    from types import SimpleNamespace

    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from kargah.engine import devices
    from kargah.engine.adapters import make_adapters_cheap
    from kargah.engine.causal import UnpaddedDecoder, learnt_after
    from kargah.engine.packing import Packed
    from kargah.recipes.base import Spec
    from kargah.recipes.runtime import Settings
    from kargah.workers.checkpoint import TrainState
    from kargah.workers.loop import Loop

    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), lora())
    make_adapters_cheap(model)
    model.to(device := devices.granted())
    precision = "fp32" if device == devices.CPU else "bf16"
    decoder = UnpaddedDecoder(model.get_base_model())
    items = []
    for row in json.loads((folder / "rows.json").read_text("utf-8")):
        prompt = tokenizer(row["prompt"])["input_ids"]
        items.append(([*prompt, *tokenizer(row["completion"])["input_ids"], tokenizer.eos_token_id][:LONGEST], len(prompt)))

    def loss(rows: list[int]) -> Any:
        packed = Packed.of([items[row][0] for row in rows])
        with devices.products_in(precision, model):
            return decoder.loss(packed, learnt_after([items[row][1] for row in rows], packed)).float()

    spec = Spec(epochs=1000, batch_size=BATCH, learning_rate=2e-4, warmup_ratio=0.0, seed=1)
    settings = Settings(**{name: getattr(spec, name) for name in Settings.__dataclass_fields__})
    costs = [len(ids) for ids, _ in items]
    task = SimpleNamespace(module=model, settings=settings, costs=costs, loss=loss, weight=len, pads=False, stepped=lambda _: None)
    unused: Any = None
    prepared: Any = SimpleNamespace(rows_an_epoch=len(costs), draws=())
    return Loop(task, prepared, TrainState(plan="", threads=torch.get_num_threads()), unused, unused, unused, spec)  # type: ignore[arg-type]


def trl(folder: Path, seconds: float, packing: bool) -> Found:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = Dataset.from_list(json.loads((folder / "rows.json").read_text("utf-8")))
    model, on_card = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), torch.cuda.is_available()
    clock: list[tuple[float, float, int]] = []
    counted = [0]

    class Watch(TrainerCallback):
        def on_step_end(self, _arguments: Any, _state: Any, control: Any, **_: Any) -> None:
            clock.append((time.monotonic(), time.process_time(), counted[0]))
            if len(clock) > WARM_STEPS and clock[-1][0] - clock[WARM_STEPS - 1][0] >= seconds:
                control.should_training_stop = True

    with tempfile.TemporaryDirectory() as out:
        arguments = SFTConfig(
            out, max_steps=100_000, per_device_train_batch_size=BATCH, learning_rate=2e-4, lr_scheduler_type="linear", report_to=[], seed=1,
            save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=not on_card, bf16=on_card, max_length=LONGEST,
            gradient_checkpointing=False, packing=packing,
        )  # fmt: skip
        trainer = SFTTrainer(model, args=arguments, train_dataset=rows, processing_class=tokenizer, peft_config=lora(), callbacks=[Watch()])
        collate = trainer.data_collator

        def counting(batch: Any) -> Any:
            collated = collate(batch)
            mask = collated.get("attention_mask")
            counted[0] += int(mask.sum()) if mask is not None else collated["input_ids"].numel()
            return collated

        trainer.data_collator = counting
        before = resident_mib()
        trainer.train()
    (began, began_cpu, before_tokens), (ended, ended_cpu, tokens) = clock[WARM_STEPS - 1], clock[-1]
    return found(tokens - before_tokens, ended - began, ended_cpu - began_cpu, before, len(clock))


def found(tokens: int, seconds: float, cpu_seconds: float, before_mib: float, steps: int) -> Found:
    return {
        "tokens_per_second": tokens / seconds, "tokens_per_cpu_second": tokens / cpu_seconds, "added_mib": peak_mib() - before_mib,
        "tokens": tokens, "steps": steps,
    }  # fmt: skip


# ---- the comparison ----------------------------------------------------------------------------------------------------


def make_model(folder: Path) -> None:
    """The Llama's folder, with a tokenizer trained on the rows, and the rows."""
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from kargah.recipes.tokenizing import train_tokenizer

    rows = instructions()
    texts = [part for row in rows for part in row.values()]
    make: Any = PreTrainedTokenizerFast
    backend = train_tokenizer(texts, 16_000, None)
    backend.post_processor = None
    tokenizer = make(tokenizer_object=backend, pad_token="[PAD]", eos_token="[SEP]", unk_token="[UNK]", clean_up_tokenization_spaces=False)
    config = LlamaConfig(
        vocab_size=16_000, hidden_size=512, num_hidden_layers=12, num_attention_heads=8, intermediate_size=1376, tie_word_embeddings=True,
        max_position_embeddings=1024, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "rows.json").write_text(json.dumps(rows, ensure_ascii=False), "utf-8")


def instructions() -> list[dict[str, str]]:
    """A thousand instructions with their answers; always the same ones."""
    rows = []
    with (DATA / "sft-persian-instruct" / "alpaca-train.jsonl").open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            rows.append({"prompt": f"{row['instruction']}\n{row['input']}".strip() + "\n", "completion": row["output"]})
    random.Random(1).shuffle(rows)
    return rows[:1000]


def side(name: str, folder: Path, options: argparse.Namespace) -> Found:
    from kargah.contract.process import environment

    variables = {**os.environ, **environment(options.threads, options.gpus), "TRANSFORMERS_VERBOSITY": "error"}
    if name != "ours":
        variables.pop("LD_PRELOAD", None)
    python = sys.executable if name == "ours" else python_of("trainers")
    assert python is not None
    command = [python, __file__, "--side", name, "--folder", str(folder), "--seconds", str(options.seconds)]
    answer = subprocess.run(command, capture_output=True, text=True, env=variables)
    if answer.returncode:
        raise RuntimeError(f"{name}: {answer.stderr[-2000:]}")
    result: Found = json.loads(answer.stdout.splitlines()[-1])
    speed = f"{result['tokens_per_second']:.0f} tokens/s, {result['tokens_per_cpu_second']:.0f} a CPU-second"
    print(f"  {name:10} {speed}, +{result['added_mib']:.0f} MiB, {result['steps']} steps", flush=True)
    return result


def compared(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    known: dict[str, list[Found]] = {"ours": [], "trl": [], "trl_packed": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_model(folder)

        def one(name: str) -> Callable[[], float]:
            def run() -> float:
                known[name].append(side(name, folder, options))
                return known[name][-1]["tokens_per_second"]

            return run

        taken = interleaved(options.rounds, **{name: one(name) for name in known})
    mine, figures, title = median(taken["ours"]), {}, "lora_gpu_bf16" if options.gpus else "lora"
    for name, goal in {"trl": 2.0 if options.gpus else 3.5, "trl_packed": 1.5}.items():
        peer, peer_is = median(taken[name]), "TRL SFTTrainer" if name == "trl" else "TRL SFTTrainer, packing"
        both = f"{spread(taken['ours'])} / {spread(taken[name])}"
        figures[f"{title}_vs_{name}"] = figure(mine, peer, peer_is, f"≥ {goal}×", mine >= goal * peer, spread=both)
    if options.gpus:  # what is added there is the card's memory
        return figures
    added = {name: median([run["added_mib"] for run in runs]) for name, runs in known.items()}
    figures["lora_added_peak_memory"] = figure(
        added["ours"], added["trl"], "TRL SFTTrainer", "≤ ¼", 4 * added["ours"] <= added["trl"], "MiB"
    )
    return figures


def measured(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """On the processor, and where there is a graphics card on that too."""
    figures = compared(options)
    if (gpu := card()) is None:
        return figures | {"lora_gpu_bf16_vs_trl": not_measured("no graphics card", "≥ 2×")}
    return figures | compared(argparse.Namespace(**{**vars(options), "gpus": [gpu.id]}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke run: ten seconds a side, one round")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--side", choices=("ours", "trl", "trl_packed"))
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    options.seconds = options.seconds or (10.0 if options.quick else 60.0)
    options.rounds, options.gpus = options.rounds or (1 if options.quick else 2), []
    if options.side:
        run = ours if options.side == "ours" else lambda folder, seconds: trl(folder, seconds, options.side == "trl_packed")
        print(json.dumps(run(options.folder, options.seconds)))
    elif not DATA.is_dir() or python_of("trainers") is None:
        report("adapters", {"lora_vs_trl": not_measured("TRL could not be installed, or no data is beside the checkout", "≥ 3.5×")})
    else:
        report("adapters", measured(options))


if __name__ == "__main__":
    main()
