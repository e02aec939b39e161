"""A language model, trained as a run of Kargah trained it: PyTorch and transformers, all settings as constants.

    python script.py data.jsonl      (or .csv: the data set as it is exported; the model goes to the folder model/)

Which texts are held out is drawn anew, so the figures differ a little from the run's. Needs torch, transformers and tokenizers, and
peft for adapters; the texts of a data set with a normaliser need the package kargah, which brings it.
"""

import csv
import json
import math
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

# ---- settings
RUN = ""
DATA = "data.jsonl"
COLUMNS: dict[str, Any] = {"text": "text"}
NORMALISER: dict[str, Any] | None = None
PRESET = "scratch"  # base: the model in BASE_MODEL
BASE_MODEL = "base-model"  # its folder, or its name on a hub; of a version here: kargah models download VERSION
ADAPTER = "none"  # lora, dora or rslora; with a base model
LORA_RANK = 16
LORA_ALPHA: float | None = None
LORA_DROPOUT = 0.0
TOKENIZER = "bpe"  # or unigram
VOCAB_SIZE = 4_000
HIDDEN_SIZE = 128
NUM_LAYERS = 2
DROPOUT: float | None = 0.1
MAX_LENGTH = 512
EPOCHS = 8.0
MAX_STEPS: int | None = None
BATCH_SIZE = 2  # times MAX_LENGTH: tokens that are learnt from at once
GRADIENT_ACCUMULATION_STEPS = 1
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.0
WARMUP_RATIO = 0.06
MAX_GRAD_NORM = 1.0
VALIDATION_SHARE = 0.1
SAMPLE_PROMPT: str | None = None
SEED = 42
THREADS = 1
# ---- end of settings


# ---- data
def read(path: Path) -> list[str]:
    """The texts, without empty ones."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [json.loads(line) for line in file if line.strip()] if path.suffix == ".jsonl" else list(csv.DictReader(file))
    clean: Callable[[str], str] = str.strip
    if NORMALISER is not None:
        from kargah.text.normalise import Normaliser, NormaliserSettings

        clean = Normaliser(NormaliserSettings.model_validate(NORMALISER)).apply
    texts = (clean(str(row.get(COLUMNS["text"]) or "")) for row in rows)
    return [text for text in texts if text.strip()]


def parts(texts: list[str]) -> tuple[list[str], list[str]]:
    """(to learn from, to measure by); copies of one text together."""
    distinct = sorted(set(texts))
    random.Random(SEED).shuffle(distinct)
    held = set(distinct[: max(1, round(VALIDATION_SHARE * len(distinct)))])
    return [text for text in texts if text not in held], [text for text in texts if text in held]


def pieces(texts: list[str], tokenizer: Any) -> list[list[int]]:
    """Each text with its beginning and end, cut where it is longer than the model takes; a piece begins with the last token before it."""
    found = []
    begin = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    for text in texts:
        ids = [*begin, *tokenizer(text, add_special_tokens=False)["input_ids"], *end]
        found += [ids[start : start + MAX_LENGTH] for start in range(0, len(ids) - 1, MAX_LENGTH - 1)]
    return [piece for piece in found if len(piece) > 1]


def batches(found: list[list[int]], epoch: int | None) -> Iterator[list[list[int]]]:
    """As many pieces together as are learnt from at once, shuffled anew in each epoch."""
    order = list(range(len(found)))
    if epoch is not None:
        random.Random(SEED * 1000 + epoch).shuffle(order)
    together: list[list[int]] = []
    for place in order:
        if together and sum(map(len, together)) + len(found[place]) > BATCH_SIZE * MAX_LENGTH:
            yield together
            together = []
        together.append(found[place])
    if together:
        yield together


def padded(batch: list[list[int]]) -> dict[str, Tensor]:
    """Each piece sees only itself; padding is not learnt."""
    rows = [torch.tensor(piece) for piece in batch]
    mask = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


# ---- the model
# [PRESET scratch]
def trained_tokenizer(texts: list[str]) -> Any:
    """Of bytes, so that every text has tokens and every token its text."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram() if TOKENIZER == "unigram" else models.BPE())
    words = Regex(r" ?[\p{L}\p{M}\u200c]+|\p{N}{1,3}| ?[^\s\p{L}\p{M}\p{N}\u200c]+|\s+(?!\S)|\s+")
    split = pre_tokenizers.Split(words, behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    make_trainer: Any = trainers.UnigramTrainer if TOKENIZER == "unigram" else trainers.BpeTrainer
    special, alphabet = ["<|pad|>", "<|begin|>", "<|end|>"], sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = make_trainer(vocab_size=VOCAB_SIZE, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    make: Any = PreTrainedTokenizerFast
    return make(tokenizer_object=tokenizer, pad_token=special[0], bos_token=special[1], eos_token=special[2])


def from_scratch(tokenizer: Any) -> Any:
    """A Llama with one matrix for tokens in and out; dropout from outside, in training only."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=HIDDEN_SIZE, num_hidden_layers=NUM_LAYERS,
        num_attention_heads=max(1, HIDDEN_SIZE // 64), intermediate_size=-(-HIDDEN_SIZE * 8 // 3 // 8) * 8,
        max_position_embeddings=MAX_LENGTH, tie_word_embeddings=True, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return LlamaForCausalLM(config)


# [end]
def drop(model: nn.Module) -> None:
    """After the vectors of tokens and after each sublayer."""
    for name, module in model.named_modules():
        if DROPOUT and name.endswith(("embed_tokens", "o_proj", "down_proj")):
            module.register_forward_hook(lambda module, _, result: nn.functional.dropout(result, DROPOUT or 0.0, module.training))


def model_of(texts: list[str]) -> tuple[Any, Any]:
    """(the model, its tokenizer)."""
    # [PRESET scratch]
    if PRESET == "scratch":
        made = trained_tokenizer(texts)
        return from_scratch(made), made
    # [end]
    # [PRESET base]
    if PRESET == "base":
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model, tokenizer = AutoModelForCausalLM.from_pretrained(BASE_MODEL), AutoTokenizer.from_pretrained(BASE_MODEL)
        if ADAPTER != "none":
            from peft import LoraConfig, get_peft_model

            how: Any = LoraConfig(
                r=LORA_RANK, lora_alpha=LORA_ALPHA or 2 * LORA_RANK, lora_dropout=LORA_DROPOUT, target_modules="all-linear",  # type: ignore[arg-type]
                use_dora=ADAPTER == "dora", use_rslora=ADAPTER == "rslora", task_type="CAUSAL_LM",
            )  # fmt: skip
            model = get_peft_model(model, how)
        return model, tokenizer
    # [end]
    raise ValueError(f"PRESET = {PRESET!r} is none that this script knows")


# ---- training
def learning_rate_at(step: int, total: int) -> float:
    """Linear warm-up to the peak, then linear decay to zero."""
    warmup = round(WARMUP_RATIO * total)
    return LEARNING_RATE * (step + 1) / warmup if step < warmup else LEARNING_RATE * (total - step) / max(1, total - warmup)


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW, with weight decay for matrices only."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in learning if parameter.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [parameter for parameter in learning if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]])


@torch.inference_mode()
def perplexity(model: Any, found: list[list[int]]) -> float:
    model.eval()
    total, tokens = 0.0, 0
    for batch in batches(found, None):
        learnt = sum(len(piece) - 1 for piece in batch)
        total += float(model(**padded(batch)).loss) * learnt
        tokens += learnt
    return math.exp(min(total / tokens, 700.0))


def learn(model: Any, optimizer: torch.optim.Optimizer, together: list[list[list[int]]], learning_rate: float) -> float:
    """One step: the mean over the learnt tokens of all its batches."""
    model.train()
    optimizer.zero_grad()
    whole, total = sum(len(piece) - 1 for batch in together for piece in batch), 0.0
    for batch in together:
        loss = model(**padded(batch)).loss * (sum(len(piece) - 1 for piece in batch) / whole)
        loss.backward()
        total += float(loss.detach())
    nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM or math.inf)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    return total


def train(model: Any, found: list[list[int]], after_epoch: Any) -> None:
    optimizer, size = optimizer_of(model), GRADIENT_ACCUMULATION_STEPS
    total = max(1, round(EPOCHS * math.ceil(len(list(batches(found, 0))) / size)))
    total, step, epoch = min(total, MAX_STEPS or total), 0, 0
    while step < total:
        of_epoch = list(batches(found, epoch))
        for start in range(0, len(of_epoch), size):
            loss = learn(model, optimizer, of_epoch[start : start + size], learning_rate_at(step, total))
            step += 1
            if step == total:
                break
        epoch += 1
        after_epoch(epoch, step, loss)


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(THREADS)
    learnt, held = parts(read(Path(sys.argv[1] if len(sys.argv) > 1 else DATA)))
    model, tokenizer = model_of(learnt)
    drop(model)
    found, measured = pieces(learnt, tokenizer), pieces(held, tokenizer)

    def tell(epoch: int, step: int, loss: float) -> None:
        sys.stdout.write(f"epoch {epoch} step {step} loss {loss:.4f} perplexity {perplexity(model, measured):.2f}\n")

    sys.stdout.write(f"{len(learnt)} texts to learn from, {len(held)} held out, {len(tokenizer)} tokens\n")
    train(model, found, tell)
    if SAMPLE_PROMPT:
        asked = tokenizer(SAMPLE_PROMPT, return_tensors="pt")
        written = model.generate(input_ids=asked["input_ids"], max_new_tokens=40, do_sample=True, temperature=0.8)
        sys.stdout.write(tokenizer.decode(written[0], skip_special_tokens=True) + "\n")
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    model.save_pretrained("model")
    tokenizer.save_pretrained("model")


if __name__ == "__main__":
    main()
