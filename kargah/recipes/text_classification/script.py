"""A text classifier, trained as a run of Kargah trained it: plain PyTorch, all settings as constants.

    python script.py data.jsonl      (or .csv: the data set as it is exported; the model goes to model.pt, or to model/)

Which rows are held out is drawn anew, so the figures differ a little from the run's. Needs torch, and transformers and tokenizers for
all networks but the bag; the texts of a data set with a normaliser need the package kargah, which brings it.
"""

import csv
import json
import math
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

# ---- settings
RUN = ""
DATA = "data.jsonl"
COLUMNS: dict[str, Any] = {"text": "text", "label": "label"}
NORMALISER: dict[str, Any] | None = None
PROBLEM_TYPE = "single_label"  # single_label, multi_label or regression
LABEL_SEPARATOR: str | None = None
PRESET = "bag"  # bag, cnn, bilstm, transformer; base: the model in BASE_MODEL
BASE_MODEL = "base-model"  # its folder, or its name on a hub; of a version here: kargah models download VERSION
MAX_LENGTH: int | None = None
VOCAB_SIZE = 100_000
HIDDEN_SIZE = 128
NUM_LAYERS = 1
DROPOUT = 0.5
EPOCHS = 3.0
MAX_STEPS: int | None = None
BATCH_SIZE = 32
GRADIENT_ACCUMULATION_STEPS = 1
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.0
WARMUP_RATIO = 0.06
MAX_GRAD_NORM = 1.0
LABEL_SMOOTHING = 0.0
CLASS_WEIGHTS = "none"  # or balanced
VALIDATION_SHARE = 0.1
SEED = 42
THREADS = 1
# ---- end of settings


# ---- data
def read(path: Path) -> list[dict[str, Any]]:
    """Rows of JSON lines or of a CSV file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [json.loads(line) for line in file if line.strip()] if path.suffix == ".jsonl" else list(csv.DictReader(file))


def labels_of(row: dict[str, Any]) -> list[str]:
    """One name; several names of a list, of a text with separators, or of columns that are set."""
    columns = COLUMNS["label"] if isinstance(COLUMNS["label"], list) else [COLUMNS["label"]]
    if len(columns) > 1:
        return [name for name in columns if str(row.get(name, "")).strip().lower() not in {"", "0", "0.0", "false", "no", "none"}]
    value = row.get(columns[0])
    if PROBLEM_TYPE != "multi_label":
        parts = [value]
    elif isinstance(value, list):
        parts = value
    else:
        parts = re.split(re.escape(LABEL_SEPARATOR) if LABEL_SEPARATOR else r"[,;|،؛]", str(value or ""))
    return [name for part in parts if part is not None and (name := str(part).strip())]


def examples(rows: list[dict[str, Any]]) -> list[tuple[tuple[str, ...], list[str]]]:
    """(the text, or both texts of a pair; its labels), without rows that lack one of them."""
    fields = [COLUMNS[role] for role in ("text", "text_pair") if COLUMNS.get(role)]
    clean: Callable[[str], str] = str.strip
    if NORMALISER is not None:
        from kargah.text.normalise import Normaliser, NormaliserSettings

        clean = Normaliser(NormaliserSettings.model_validate(NORMALISER)).apply
    found = [(tuple(clean(str(row.get(name) or "")) for name in fields), labels_of(row)) for row in rows]
    return [(texts, labels) for texts, labels in found if texts[0].strip() and (labels or PROBLEM_TYPE == "multi_label")]


def targets_of(found: list[tuple[tuple[str, ...], list[str]]], names: list[str]) -> Tensor:
    if PROBLEM_TYPE == "regression":
        return torch.tensor([float(labels[0]) for _, labels in found])
    if PROBLEM_TYPE == "multi_label":
        return torch.tensor([[float(name in labels) for name in names] for _, labels in found])
    return torch.tensor([names.index(labels[0]) for _, labels in found])


def held_out(found: list[tuple[tuple[str, ...], list[str]]]) -> set[int]:
    """A share of the texts, copies of one text together."""
    texts = sorted({texts for texts, _ in found})
    random.Random(SEED).shuffle(texts)
    chosen = set(texts[: max(1, round(VALIDATION_SHARE * len(texts)))])
    return {row for row, (own, _) in enumerate(found) if own in chosen}


# [PRESET bag]
# ---- a bag of words and pieces of words, weighted by TF-IDF
def words_of(text: str) -> list[str]:
    without_marks = re.sub("[\u064b-\u065f\u0670]+", "", text.replace("\u200c", " ").lower())
    return re.findall(r"\w+|[^\w\s]", without_marks)


def ngrams(text: str) -> Iterator[str]:
    """Words, pairs of words, and 2 to 5 characters inside each word (marked by a tab)."""
    words = words_of(text)
    yield from words
    yield from (f"{first} {second}" for first, second in pairwise(words))
    for word in words:
        padded = f" {word} "
        for length in range(2, min(5, len(padded)) + 1):
            yield from ("\t" + padded[start : start + length] for start in range(len(padded) - length + 1))


class Bag:
    """What a text is to the network: its known n-grams with their weights, words and pieces each of length 1."""

    def __init__(self, texts: list[str]) -> None:
        counts = Counter(ngram for text in texts for ngram in set(ngrams(text)))
        least = 2 if len(texts) > 500 else 1
        frequent = sorted((ngram for ngram in counts if counts[ngram] >= least), key=lambda ngram: (-counts[ngram], ngram))
        words = [ngram for ngram in frequent if not ngram.startswith("\t")][: VOCAB_SIZE // 3]
        pieces = [ngram for ngram in frequent if ngram.startswith("\t")][: VOCAB_SIZE - VOCAB_SIZE // 3]
        self.places = {ngram: place for place, ngram in enumerate([*words, *pieces])}
        self.idf = {ngram: math.log((1 + len(texts)) / (1 + counts[ngram])) + 1 for ngram in self.places}
        self.size = len(self.places)

    def encode(self, texts: tuple[str, ...]) -> list[dict[int, float]]:
        return [self._weights(text) for text in texts]

    def _weights(self, text: str) -> dict[int, float]:
        found = Counter(ngram for ngram in ngrams(text) if ngram in self.places)
        weights = {ngram: (1 + math.log(count)) * self.idf[ngram] for ngram, count in found.items()}
        lengths = {of: math.sqrt(sum(w * w for n, w in weights.items() if n.startswith("\t") == of)) or 1.0 for of in (False, True)}
        return {self.places[ngram]: weight / lengths[ngram.startswith("\t")] for ngram, weight in weights.items()}

    def batch(self, items: list[list[dict[int, float]]]) -> list[tuple[Tensor, ...]]:
        return [self._together([item[field] for item in items]) for field in range(len(items[0]))]

    def _together(self, bags: list[dict[int, float]]) -> tuple[Tensor, ...]:
        starts = torch.tensor([0, *(len(bag) for bag in bags[:-1])]).cumsum(0)
        indices = torch.tensor([place for bag in bags for place in bag], dtype=torch.int64)
        return indices, starts, torch.tensor([weight for bag in bags for weight in bag.values()])


class BagEncoder(nn.Module):
    """The weighted sum of the n-grams' vectors through one hidden layer, as fastText does."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(max(1, size), 64, mode="sum")
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.hidden = nn.Linear(64, HIDDEN_SIZE)
        self.dropout = nn.Dropout(DROPOUT)
        self.size = HIDDEN_SIZE

    def forward(self, texts: tuple[Tensor, ...]) -> Tensor:
        indices, starts, weights = texts
        return torch.relu(self.hidden(self.dropout(self.embedding(indices, starts, per_sample_weights=weights))))


# [end]
# [PRESET cnn bilstm transformer]
# ---- a tokenizer of the training texts
def trained_tokenizer(texts: list[str]) -> Any:
    """BPE over words, lower-cased, with BERT's special tokens; padding is 0."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))  # noqa: S106 - a token of text
    tokenizer.normalizer = normalizers.Lowercase()
    parts = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.BpeTrainer(vocab_size=VOCAB_SIZE, min_frequency=2, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    return tokenizer


# [end]
# [PRESET cnn bilstm]
class Tokens:
    """What a text is to the network: the ids of its tokens."""

    def __init__(self, texts: list[str]) -> None:
        self.tokenizer = trained_tokenizer(texts)
        self.size = self.tokenizer.get_vocab_size()

    def encode(self, texts: tuple[str, ...]) -> list[list[int]]:
        return [self.tokenizer.encode(text, add_special_tokens=False).ids[: MAX_LENGTH or 256] or [1] for text in texts]

    def batch(self, items: list[list[list[int]]]) -> list[tuple[Tensor, Tensor]]:
        return [self._padded([item[field] for item in items]) for field in range(len(items[0]))]

    def _padded(self, rows: list[list[int]]) -> tuple[Tensor, Tensor]:
        padded = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
        return padded, torch.tensor([len(row) for row in rows])


# [end]
# [PRESET cnn]
class CnnEncoder(nn.Module):
    """Windows of 2 to 5 tokens, the strongest answer of each filter (Kim 2014)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, 128, padding_idx=0)
        self.filters = nn.ModuleList(nn.Conv1d(128, HIDDEN_SIZE, width) for width in (2, 3, 4, 5))
        self.dropout = nn.Dropout(DROPOUT)
        self.size = 4 * HIDDEN_SIZE

    def forward(self, texts: tuple[Tensor, Tensor]) -> Tensor:
        ids, lengths = texts
        vectors = self.dropout(self.embedding(nn.functional.pad(ids, (0, max(0, 5 - ids.shape[1]))))).transpose(1, 2)
        return torch.cat([self._strongest(torch.relu(filters(vectors)), lengths) for filters in self.filters], dim=1)

    def _strongest(self, answers: Tensor, lengths: Tensor) -> Tensor:
        outside = torch.arange(answers.shape[2])[None, :] >= lengths[:, None]
        return answers.masked_fill(outside[:, None, :], 0.0).amax(dim=2)


# [end]
# [PRESET bilstm]
class LstmEncoder(nn.Module):
    """Reads both ways; the mean and the maximum over the tokens speak for the text."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, 128, padding_idx=0)
        between = DROPOUT if NUM_LAYERS > 1 else 0.0
        self.lstm = nn.LSTM(128, HIDDEN_SIZE, NUM_LAYERS, batch_first=True, bidirectional=True, dropout=between)
        self.dropout = nn.Dropout(DROPOUT)
        self.size = 4 * HIDDEN_SIZE

    def forward(self, texts: tuple[Tensor, Tensor]) -> Tensor:
        ids, lengths = texts
        packed = nn.utils.rnn.pack_padded_sequence(self.dropout(self.embedding(ids)), lengths, batch_first=True, enforce_sorted=False)
        states, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=ids.shape[1])
        outside = (torch.arange(ids.shape[1])[None, :] >= lengths[:, None])[:, :, None]
        return torch.cat([states.sum(dim=1) / lengths[:, None], states.masked_fill(outside, -1e9).amax(dim=1)], dim=1)


# [end]
# [PRESET bag cnn bilstm]
class Classifier(nn.Module):
    """A text is answered from its vector u; a pair from u, v, |u - v| and u · v."""

    def __init__(self, encoder: nn.Module, size: int, fields: int, outputs: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(DROPOUT)
        self.between = nn.Identity() if fields == 1 else nn.Sequential(nn.Linear(4 * size, 2 * size), nn.ReLU(), nn.Dropout(DROPOUT))
        self.head = nn.Linear(size if fields == 1 else 2 * size, outputs)

    def forward(self, fields: list[Any]) -> Tensor:
        vectors = [self.encoder(field) for field in fields]
        if len(vectors) == 2:
            u, v = vectors
            vectors = [u, v, (u - v).abs(), u * v]
        answer: Tensor = self.head(self.between(self.dropout(torch.cat(vectors, dim=1))))
        return answer


# [end]
# [PRESET transformer base]
class Pieces:
    """What a text is to a transformer: what its tokenizer makes of it."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def encode(self, texts: tuple[str, ...]) -> Any:
        return self.tokenizer(*texts, truncation=True, max_length=MAX_LENGTH)

    def batch(self, items: list[Any]) -> Any:
        return self.tokenizer.pad(items, return_tensors="pt")


class Transformer(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Any) -> Tensor:
        logits: Tensor = self.model(**batch).logits
        return logits


# [end]
def network_of(texts: list[tuple[str, ...]], outputs: int) -> tuple[nn.Module, Any]:
    """(the network, what turns texts into its batches)."""
    # [PRESET bag]
    if PRESET == "bag":
        bag = Bag([text for fields in texts for text in fields])
        encoder = BagEncoder(bag.size)
        return Classifier(encoder, encoder.size, len(texts[0]), outputs), bag
    # [end]
    # [PRESET cnn]
    if PRESET == "cnn":
        tokens = Tokens([text for fields in texts for text in fields])
        cnn = CnnEncoder(tokens.size)
        return Classifier(cnn, cnn.size, len(texts[0]), outputs), tokens
    # [end]
    # [PRESET bilstm]
    if PRESET == "bilstm":
        tokens = Tokens([text for fields in texts for text in fields])
        lstm = LstmEncoder(tokens.size)
        return Classifier(lstm, lstm.size, len(texts[0]), outputs), tokens
    # [end]
    # [PRESET transformer]
    if PRESET == "transformer":
        from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

        special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
        make: Any = PreTrainedTokenizerFast
        tokenizer = make(tokenizer_object=trained_tokenizer([text for fields in texts for text in fields]), **special)
        make_config: Any = BertConfig
        config = make_config(
            vocab_size=len(tokenizer), hidden_size=HIDDEN_SIZE, num_hidden_layers=NUM_LAYERS,
            num_attention_heads=max(1, HIDDEN_SIZE // 32), intermediate_size=4 * HIDDEN_SIZE,
            max_position_embeddings=(MAX_LENGTH or 256) * len(texts[0]) + 3, hidden_dropout_prob=DROPOUT,
            attention_probs_dropout_prob=DROPOUT, pad_token_id=tokenizer.pad_token_id, num_labels=outputs,
        )  # fmt: skip
        return Transformer(BertForSequenceClassification(config)), Pieces(tokenizer)
    # [end]
    # [PRESET base]
    if PRESET == "base":
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        model = AutoModelForSequenceClassification.from_pretrained(BASE_MODEL, num_labels=outputs, ignore_mismatched_sizes=True)
        return Transformer(model), Pieces(AutoTokenizer.from_pretrained(BASE_MODEL))
    # [end]
    raise ValueError(f"PRESET = {PRESET!r} is none that this script knows")


# ---- training
def loss_function(targets: Tensor, outputs: int) -> Any:
    if PROBLEM_TYPE == "regression":
        return lambda logits, goals: nn.functional.mse_loss(logits[:, 0], goals)
    if PROBLEM_TYPE == "multi_label":
        return nn.functional.binary_cross_entropy_with_logits
    if CLASS_WEIGHTS != "balanced":
        return nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
    weights = len(targets) / (outputs * torch.bincount(targets, minlength=outputs).clamp(min=1))
    smoothing = LABEL_SMOOTHING
    return lambda logits, goals: nn.functional.cross_entropy(logits, goals, weights, reduction="none", label_smoothing=smoothing).mean()


def learning_rate_at(step: int, total: int) -> float:
    """Linear warm-up to the peak, then linear decay to zero."""
    warmup = round(WARMUP_RATIO * total)
    return LEARNING_RATE * (step + 1) / warmup if step < warmup else LEARNING_RATE * (total - step) / max(1, total - warmup)


def optimizer_of(network: nn.Module) -> torch.optim.Optimizer:
    """AdamW, with weight decay for matrices only."""
    matrices = [parameter for parameter in network.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in network.parameters() if parameter.ndim < 2]
    return torch.optim.AdamW([{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}])


@torch.inference_mode()
def measured(network: nn.Module, encoding: Any, items: list[Any], targets: Tensor, scale: tuple[float, float]) -> float:
    """Accuracy; of numbers the mean absolute error; of several labels the share of labels that are right."""
    network.eval()
    logits = torch.cat([network(encoding.batch(items[start : start + 64])) for start in range(0, len(items), 64)])
    if PROBLEM_TYPE == "regression":
        return float((logits[:, 0] * scale[1] + scale[0] - targets).abs().mean())
    said = logits > 0 if PROBLEM_TYPE == "multi_label" else logits.argmax(dim=1)
    return float((said == targets).float().mean())


def train(network: nn.Module, encoding: Any, items: list[Any], goals: Tensor, outputs: int, after_epoch: Any) -> None:
    optimizer, loss_of = optimizer_of(network), loss_function(goals, outputs)
    steps_an_epoch = math.ceil(len(items) / (BATCH_SIZE * GRADIENT_ACCUMULATION_STEPS))
    total = max(1, round(EPOCHS * steps_an_epoch))
    total = min(total, MAX_STEPS) if MAX_STEPS else total
    for step in range(total):
        epoch, place = divmod(step, steps_an_epoch)
        order = torch.randperm(len(items), generator=torch.Generator().manual_seed(SEED + epoch)).tolist()
        size = BATCH_SIZE * GRADIENT_ACCUMULATION_STEPS
        rows = order[place * size : (place + 1) * size]
        network.train()
        optimizer.zero_grad()
        for start in range(0, len(rows), BATCH_SIZE):
            part = rows[start : start + BATCH_SIZE]
            loss = loss_of(network(encoding.batch([items[row] for row in part])), goals[part]) * len(part) / len(rows)
            loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), MAX_GRAD_NORM or math.inf)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, total)
        optimizer.step()
        if place + 1 == steps_an_epoch or step + 1 == total:
            after_epoch(epoch + 1, step + 1, float(loss.detach()))


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(THREADS)
    found = examples(read(Path(sys.argv[1] if len(sys.argv) > 1 else DATA)))
    names = sorted({name for _, labels in found for name in labels}) if PROBLEM_TYPE != "regression" else ["value"]
    targets, held = targets_of(found, names), sorted(held_out(found))
    learnt = [row for row in range(len(found)) if row not in set(held)]
    network, encoding = network_of([found[row][0] for row in learnt], len(names))
    items = [encoding.encode(texts) for texts, _ in found]
    scale = (float(targets[learnt].mean()), float(targets[learnt].std()) or 1.0) if PROBLEM_TYPE == "regression" else (0.0, 1.0)
    goals = (targets[learnt] - scale[0]) / scale[1] if PROBLEM_TYPE == "regression" else targets[learnt]

    def tell(epoch: int, step: int, loss: float) -> None:
        value = measured(network, encoding, [items[row] for row in held], targets[held], scale)
        sys.stdout.write(f"epoch {epoch} step {step} loss {loss:.4f} {'mae' if PROBLEM_TYPE == 'regression' else 'accuracy'} {value:.4f}\n")

    sys.stdout.write(f"{len(learnt)} rows to train, {len(held)} held out, {len(names)} outputs\n")
    train(network, encoding, [items[row] for row in learnt], goals, len(names), tell)
    torch.save({"state": network.state_dict(), "labels": names, "scale": scale}, "model.pt")
    # [PRESET transformer base]
    if PRESET in ("transformer", "base"):
        network.model.save_pretrained("model")  # type: ignore[operator, union-attr]
        encoding.tokenizer.save_pretrained("model")
    # [end]


if __name__ == "__main__":
    main()
