"""Every nasty file of the shared collection over HTTP to a server that runs, and what became of it beside what should have.

    scripts/hostile.py [--only PART] [--data FOLDER]

The server, its home and the big files are made here and taken away again. The last line is ``N/102 as expected``; the exit
status says whether all were.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import httpx  # noqa: E402

from kargah.kit import i18n  # noqa: E402
from kargah.text.normalise import Normaliser, label_key  # noqa: E402

DATA = ROOT.parent / "shared" / "data" / "hostile"
ADMIN = {"email": "admin@example.org", "password": "correct horse battery", "name": "hostile"}
LIMIT_SECONDS, AT_ONCE = 180.0, 3
TERMINAL = {"COMPLETED", "FAILED", "STOPPED"}
#: What a worker says when nobody foresaw what happened.
CRASHES = {"BUG", "INTERNAL", "WORKER_DIED"}
Case = dict[str, Any]


@dataclass
class Outcome:
    """What became of a file. ``said``: everything that a reader is told of it, in both languages."""

    verdict: str
    version: dict[str, Any] = field(default_factory=dict)
    dataset_id: str = ""
    said: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def of_version(cls, version: dict[str, Any], rows: list[dict[str, Any]], dataset_id: str = "") -> "Outcome":
        """A file that was read: with a warning when anything worse than a remark was found."""
        problems = version["report"]["problems"]
        warned = any(problem["severity"] != "info" for problem in problems)
        said = " ".join(told("problem", problem | {"params": problem["params"] | {"count": problem["count"]}}) for problem in problems)
        return cls("accept_with_warning" if warned else "accept", version, dataset_id, said, rows)

    @property
    def report(self) -> dict[str, Any]:
        return self.version.get("report") or {}

    @property
    def lines(self) -> set[int]:
        found = {line for problem in self.report.get("problems", []) for line in problem["lines"]}
        return found | {int(number) for number in re.findall(r"line (\d+)", self.said)}

    def problem(self, code: str) -> dict[str, Any]:
        return next((problem for problem in self.report.get("problems", []) if problem["code"] == code), {})

    def column(self, name: str) -> dict[str, Any]:
        return next((column for column in self.version.get("columns") or [] if column["name"] == name), {})


class Site:
    """A server of its own, asked as any program would."""

    def __init__(self, home: Path, url: str) -> None:
        self.home, self.http = home, httpx.Client(base_url=url, timeout=LIMIT_SECONDS)
        answer = self.http.post("/api/v1/auth/register", json=ADMIN).raise_for_status()
        self.http.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    def upload(self, content: Path | bytes, name: str) -> Outcome:
        began = time.monotonic()
        with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
            answer = self.http.post("/api/v1/datasets", files={"file": (name, file)}, data={"title": "hostile"})
        if answer.status_code >= 500:
            return Outcome("crash", said=answer.text)
        if answer.status_code >= 400:
            return Outcome("reject", said=json.dumps(answer.json(), ensure_ascii=False))
        dataset_id, job = answer.json()["id"], self.wait(answer.json()["job_id"])
        outcome = self.outcome(dataset_id, job)
        outcome.seconds = time.monotonic() - began
        return outcome

    def wait(self, job_id: str) -> dict[str, Any]:
        until = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < until:
            job: dict[str, Any] = self.http.get(f"/api/v1/jobs/{job_id}").json()
            if job["state"] in TERMINAL:
                return job
            time.sleep(0.03)
        raise TimeoutError(job_id)

    def outcome(self, dataset_id: str, job: dict[str, Any]) -> Outcome:
        if job["state"] != "COMPLETED":
            verdict = "crash" if job["error"]["code"] in CRASHES else "reject"
            return Outcome(verdict, dataset_id=dataset_id, said=told("error", job["error"]))
        version = self.http.get(f"/api/v1/datasets/{dataset_id}").json()["version"]
        rows = self.http.get(f"/api/v1/datasets/{dataset_id}/preview", params={"limit": 200}).json()["rows"]
        outcome = Outcome.of_version(version, rows, dataset_id)
        page = self.http.get(f"/datasets/{dataset_id}")
        return outcome if page.status_code == 200 else Outcome("crash", said=f"the page answers {page.status_code}")

    def train(self, dataset_id: str) -> tuple[bool, str]:
        """Whether a training of it was refused, and with which words."""
        answer = self.http.post("/api/v1/trainings", json={"datasets": [dataset_id], "spec": {"max_steps": 1, "baselines": False}})
        if answer.status_code >= 400:
            return 400 <= answer.status_code < 500, json.dumps(answer.json(), ensure_ascii=False) + told("error", answer.json())
        job = self.wait(answer.json()["job"]["id"])
        return job["state"] == "FAILED", told("error", job["error"]) if job["error"] else ""


def told(kind: str, what: dict[str, Any]) -> str:
    params = what.get("params") or {}
    return " / ".join(i18n.text(language, f"{kind}.{what['code']}", **params) for language in ("en", "fa"))


def judge(site: Site, case: Case, folder: Path) -> tuple[Outcome, list[str]]:
    """What became of the case's file, and what of it is not as it should be."""
    path = folder / case["file"].removeprefix("(--big) ") if case["file"].startswith("(--big)") else DATA / case["file"]
    if case["verdict"] == "special":
        return upload_names(site, path)
    outcome = site.upload(*together(path) if in_a_zip(case) else (path, case.get("upload_as", path.name)))
    faults = verdict_faults(outcome, case)
    accepted = outcome.verdict.startswith("accept")
    if accepted:
        faults += facts(outcome, case)
    elif outcome.verdict == "reject":
        faults += mentions(outcome, case)
    if accepted and str(case.get("train", "")).startswith("reject"):
        faults += refused_training(site, outcome, case)
    return outcome, faults


def verdict_faults(outcome: Outcome, case: Case) -> list[str]:
    wanted = {case["verdict"], case.get("alternative", "").split(" ")[0]} - {""}
    if "accept" in wanted and outcome.verdict == "accept_with_warning":
        return []  # a warning more is no fault
    return [] if outcome.verdict in wanted else [f"{outcome.verdict}, not {' or '.join(sorted(wanted))}: {outcome.said[:160]}"]


def in_a_zip(case: Case) -> bool:
    """A test part means nothing without the training part that it is to be compared with."""
    return case["file"].startswith("files/split/test")


def together(path: Path) -> tuple[bytes, str]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(path.with_name("train.csv"), "train.csv")
        archive.write(path, "test.csv")
    return packed.getvalue(), "split.zip"


def refused_training(site: Site, outcome: Outcome, case: Case) -> list[str]:
    refused, words = site.train(outcome.dataset_id)
    if "confirm" in case["train"]:
        refused, words = refused or "IDENTIFIER" in json.dumps(outcome.report), words + outcome.said
    faults = [] if refused else ["a training of it was not refused"]
    words += outcome.said
    return faults + [f"nothing mentions {wanted!r}" for wanted in case.get("error_mentions", []) if not is_said(wanted, words, set())]


def mentions(outcome: Outcome, case: Case) -> list[str]:
    return [
        f"does not mention {wanted!r}: {outcome.said[:200]}"
        for wanted in case.get("error_mentions", [])
        if not is_said(wanted, outcome.said, outcome.lines)
    ]


def is_said(wanted: str, said: str, lines: set[int]) -> bool:
    """In either language, with or without the marks around what is put in; a line by its number."""
    plain = re.sub("[\u2066-\u2069]", "", said).lower()
    plain += i18n.latin_digits(plain)
    if number := re.fullmatch(r"line (\d+)", wanted):
        return int(number[1]) in lines or re.search(rf"(?:lines?|خط|خط‌های|سطر|سطرهای)[\d ,،and]*\b{number[1]}\b", plain) is not None
    if wanted == "not a text":
        return "not a text" in plain
    return wanted.lower() in plain


def facts(outcome: Outcome, case: Case) -> list[str]:
    """What can be asserted of a data set that was made, one line a fault."""
    found: dict[str, tuple[Any, Any]] = {}

    def expect(key: str, actual: Callable[[], Any], wanted: Any = None) -> None:
        if key in case:
            found[key] = (actual(), case[key] if wanted is None else wanted)

    expect_of_table(outcome, case, expect)
    expect_of_report(outcome, case, expect)
    faults = [f"{key}: {actual!r}, not {wanted!r}" for key, (actual, wanted) in found.items() if actual != wanted]
    return faults + faults_of_texts(outcome, case)


def expect_of_table(outcome: Outcome, case: Case, expect: Callable[..., None]) -> None:
    """Its rows, columns and labels."""
    version = outcome.version
    label = outcome.column("برچسب") or outcome.column("label")
    parts = {part["split"]: part["rows"] for part in outcome.report.get("parts", [])}
    expect("rows", lambda: parts["test"] if in_a_zip(case) else version["rows"])
    expect(
        "usable_rows",
        lambda: (
            version["rows"] - len({row for code in ("SAME_ANSWERS", "MISSING_VALUES") for row in outcome.problem(code).get("lines", [])})
        ),
    )
    expect("columns", lambda: [column["name"] for column in version["columns"]])
    expect("columns_count", lambda: len(version["columns"]))
    expect("labels", lambda: {item["value"]: item["count"] for item in label.get("top", [])})
    expect("labels_after_normalisation", lambda: merged(label))
    expect("classes_after_normalisation", lambda: len(merged(label)))
    expect("classes_after_null_handling", lambda: label.get("distinct"))
    expect("raw_classes", lambda: label.get("distinct"))
    expect("distinct_labels", lambda: label.get("distinct"))
    expect("null_label_rows", lambda: label.get("nulls"))
    expect("newline_fields", lambda: sum("\n" in str(row["متن"]) for row in outcome.rows))
    expect("sums", lambda: {name: sum(row[name] for row in outcome.rows) for name in case.get("sums", {})})
    expect("column_types", lambda: {name: outcome.column(name)["kind"] for name in case.get("column_types", {})}, wanted_kinds(case))
    expect("missing_values", lambda: {name: outcome.column(name)["nulls"] for name in case.get("missing_values", {})})
    expect("empty_text_rows", lambda: outcome.column("متن").get("nulls"))
    expect("sentences", lambda: version["rows"])
    expect("tokens", lambda: sum(len(row.get("tokens") or ()) for row in outcome.rows))


def expect_of_report(outcome: Outcome, case: Case, expect: Callable[..., None]) -> None:
    """What it is taken for, and what is said to be wrong with it."""
    report = outcome.report
    expect("delimiter", lambda: report.get("delimiter"))
    expect("detected_encoding", lambda: outcome.version["encoding"])
    expect("duplicate_rows", lambda: outcome.problem("DUPLICATE_ROWS").get("count"))
    expect("task", lambda: (report.get("task") or {}).get("name"), {"qa": "question-answering"}.get(case.get("task", "")))
    expect("rare_classes", lambda: outcome.problem("RARE_CLASSES").get("params", {}).get("classes"), list(case.get("rare_classes", ())))
    expect(
        "leaky_columns",
        lambda: sorted(
            {name for problem in report["problems"] if "LEAK" in problem["code"] for name in problem["columns"]}
            & set(case.get("leaky_columns", ()))
        ),
    )
    leaked = next((problem["count"] for problem in report["problems"] if problem["code"] in LEAKS), 0)
    expect("leaked_rows", lambda: leaked)
    expect("leaked_rows_after_normalisation", lambda: leaked)
    expect("conflicting_texts", lambda: conflicts(report))
    expect("lines", lambda: sorted(set(case.get("lines", ())) & outcome.lines))
    expect("invalid_lines", lambda: sorted(set(case.get("invalid_lines", ())) & outcome.lines))


def faults_of_texts(outcome: Outcome, case: Case) -> list[str]:
    """Of what the rows hold, what is warned of, and what normalising makes of it; one line each."""
    normalise, text = Normaliser().apply, json.dumps(outcome.rows, ensure_ascii=False)
    faults = [f"holds {bad!r}" for bad in case.get("must_not_contain", []) if bad in text]
    faults += [f"does not warn of {word!r}" for word in case.get("warning_mentions", []) if not is_said(word, outcome.said, outcome.lines)]
    if "first_cell_contains_after_normalisation" in case:
        first = normalise(str(next(iter(outcome.rows[0].values()))))
        faults += [] if case["first_cell_contains_after_normalisation"] in first else [f"first cell: {first}"]
    for raw, wanted in case.get("normalised_examples", {}).items():
        faults += [] if normalise(raw) == wanted else [f"{raw!r} becomes {normalise(raw)!r}"]
    return faults


LEAKS = ("TEST_LEAKAGE", "SPLIT_LEAKAGE", "LEAKED_ROWS", "LEAKAGE")


def merged(label: dict[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in label.get("top", []):
        name = Normaliser().apply(item["value"].strip()).casefold()
        name = next((known for known in counts if label_key(known) == label_key(name)), name)
        counts[name] = counts.get(name, 0) + item["count"]
    return counts


def wanted_kinds(case: Case) -> dict[str, str]:
    ours = {"string": "text", "float": "number", "integer": "integer"}
    return {name: ours[kind] for name, kind in case.get("column_types", {}).items()}


def conflicts(report: dict[str, Any]) -> int | None:
    problem = next((problem for problem in report["problems"] if "CONFLICT" in problem["code"]), None)
    return problem and problem["params"].get("texts", problem["count"])


def upload_names(site: Site, path: Path) -> tuple[Outcome, list[str]]:
    """One good file under names that are none: nothing lies outside the home, and every page still opens."""
    content, faults = (DATA / "files/enc/utf8.csv").read_bytes(), []
    before = set(site.home.parent.iterdir())
    for name in json.loads(path.read_text(encoding="utf-8")):
        answer = site.http.post(
            "/api/v1/datasets", content=multipart(name, content), headers={"Content-Type": "multipart/form-data; boundary=kargah"}
        )
        if answer.status_code >= 500:
            faults.append(f"{name!r}: {answer.status_code}")
        if answer.status_code != 201:
            continue
        job = site.wait(answer.json()["job_id"])
        shown = answer.json()["version"]["source_filename"]
        if job["state"] != "COMPLETED" or len(shown.encode()) > 255 or re.search(r"[\x00-\x1f/\\]", shown):
            faults.append(f"{name!r}: {job['state']}, shown as {shown!r}")
        page = site.http.get(f"/datasets/{answer.json()['id']}")
        if page.status_code != 200 or "<img src=x" in page.text:
            faults.append(f"{name!r}: the page")
    faults += [f"made {item}" for item in set(site.home.parent.iterdir()) - before]
    return Outcome("special"), faults


def multipart(name: str, content: bytes) -> bytes:
    """By hand: clients clean such names before they send them."""
    head = f'--kargah\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/csv\r\n\r\n'
    return head.encode() + content + b"\r\n--kargah--\r\n"


@contextlib.contextmanager
def server(home: Path) -> Iterator[Site]:
    environment = {
        **os.environ,
        "KARGAH_HOME": str(home),
        "KARGAH_RATE_LIMIT_PER_MINUTE": "1000000",
        "KARGAH_LOGIN_RATE_LIMIT_PER_MINUTE": "1000000",
    }
    command = [sys.executable, "-m", "kargah", "serve", "--home", str(home), "--port", "0"]
    with (home / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield Site(home, address(home, process))
    finally:
        process.terminate()
        process.wait(30)


def address(home: Path, process: "subprocess.Popen[bytes]") -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError, ValueError, KeyError, httpx.HTTPError):
            said = json.loads((home / "run" / "web.json").read_bytes())
            url = f"http://127.0.0.1:{said['port']}"
            httpx.get(f"{url}/health").raise_for_status()
            return url
        time.sleep(0.05)
    raise RuntimeError((home / "serve.log").read_text())


def make_big(folder: Path) -> None:
    subprocess.run([sys.executable, str(copy_of_generator(folder)), "--big", str(folder)], check=True, stdout=subprocess.DEVNULL)


def copy_of_generator(folder: Path) -> Path:
    """The generator writes beside itself: it runs from a copy, the collection stays as it is."""
    copy = folder / "make_hostile.py"
    copy.write_bytes((DATA / "make_hostile.py").read_bytes())
    return copy


def judged(site: Site, case: Case, folder: Path) -> tuple[Outcome, list[str]]:
    try:
        return judge(site, case, folder)
    except (httpx.HTTPError, TimeoutError, KeyError, TypeError) as error:
        return Outcome("none"), [f"{type(error).__name__}: {error}"]


def show(case: Case, outcome: Outcome, faults: list[str]) -> None:
    expected = case["verdict"] + (f" | {case['alternative'].split(' ')[0]}" if "alternative" in case else "")
    print(f"{case['file'].removeprefix('files/'):44} {expected:34} {outcome.verdict:20} {'; '.join(faults) or 'ok'}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name has this part")
    wanted = parser.parse_args().only
    csv.field_size_limit(sys.maxsize)
    cases: list[Case] = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))["cases"]
    cases = [case for case in cases if wanted in case["file"]]
    good = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder, home = Path(temporary) / "big", Path(temporary) / "site" / "home"
        folder.mkdir()
        home.mkdir(parents=True)
        if any(case["file"].startswith("(--big)") for case in cases):
            make_big(folder)
        with server(home) as site, ThreadPoolExecutor(AT_ONCE) as pool:
            for case, (outcome, faults) in zip(cases, pool.map(lambda case: judged(site, case, folder), cases), strict=True):
                good += not faults
                show(case, outcome, faults)
    print(f"{good}/{len(cases)} as expected")
    return 0 if good == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
