"""How quickly a million Persian rows become a data set with its full report, beside bare readers that only read.

The rows are those of DeepSentiPers, two joined and numbered so that none repeats. Ours is what the worker does: decoding,
typing, all findings, the doctor, the typed Parquet file and the preview. The peers only read the file, but for ``datasets``,
which also makes one Python pass of the commonest checks over the rows (`load_dataset` + pass). Each runs in a process of its
own; its memory is what it peaked at above the same interpreter with the same imports.

    python benchmarks/ingest.py [--quick] [--rows 1000000] [--rounds 3]
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from form import figure, interleaved, median, not_measured, report, spread
from peers import python_of

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT.parent / "shared" / "data" / "sentiment-deepsentipers" / "train.csv"
LIMIT_SECONDS = 3000
BARE = ("pyarrow", "polars", "duckdb", "pandas")

MEASURE = """
import json, resource, sys, time
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
path, folder = sys.argv[1:3]
{imports}
base, began, began_cpu = peak(), time.perf_counter(), time.process_time()
{work}
seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
print(json.dumps(dict(seconds=seconds, cpu_seconds=cpu_seconds, above_base_bytes=peak() - base, rows=rows, version=version)))
"""
OURS = """
from pathlib import Path
from kargah import __version__ as version
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import IngestPlan
from kargah.contract.wire import EventWriter
from kargah.workers.ingest import Import
from kargah.workers.telling import Teller

directory = AttemptDirectory.of(Path(folder), 'job_1', 1)
directory.inputs.mkdir(parents=True)
(directory.inputs / 'upload').hardlink_to(path)
"""
OURS_WORK = """
plan = IngestPlan(job_id='job_1', file='upload', filename='data.csv')
rows = Import(plan, directory, Teller(EventWriter(directory.events)), lambda: None).run().rows
"""
DATASETS = """
import re, unicodedata
from collections import Counter
import datasets
version = datasets.__version__
bidi, formula = re.compile('[\u202a-\u202e\u2066-\u2069]'), re.compile('^[-=@+]')
fold = str.maketrans({'ي': 'ی', 'ى': 'ی', 'ك': 'ک', '\u0640': None})
"""
DATASETS_WORK = """
data = datasets.load_dataset('csv', data_files=path, cache_dir=folder, split='train')
seen, labels, found, rows = set(), Counter(), Counter(), 0
for row in data:
    rows += 1
    text = row['text'] or ''
    clean = ' '.join(unicodedata.normalize('NFC', text).translate(fold).split())
    found['changed'] += clean != text
    found['empty'] += not clean
    found['bidi'] += bidi.search(text) is not None
    found['formula'] += formula.search(text) is not None
    found['length'] += len(text)
    labels[row['label']] += 1
    key = hash((text, row['label']))
    found['duplicates'] += key in seen
    seen.add(key)
"""
SIDES = {
    "ours": (OURS, OURS_WORK),
    "pyarrow": (
        "import pyarrow, pyarrow.csv\nversion = pyarrow.__version__",
        "rows = pyarrow.csv.read_csv(path, parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True)).num_rows",
    ),
    "polars": ("import polars\nversion = polars.__version__", "rows = len(polars.read_csv(path))"),
    "duckdb": ("import duckdb\nversion = duckdb.__version__", "rows = duckdb.read_csv(path).to_arrow_table().num_rows"),
    "pandas": ("import pandas\nversion = pandas.__version__", "rows = len(pandas.read_csv(path))"),
    "datasets": (DATASETS, DATASETS_WORK),
}


def write_rows(path: Path, rows: int) -> None:
    with SOURCE.open(encoding="utf-8-sig", newline="") as file:
        known = [(row["text"], row["label"]) for row in csv.DictReader(file)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number in range(rows):
            text, label = known[number % len(known)]
            writer.writerow([f"{text} {known[(number * 7 + number // len(known)) % len(known)][0]} {number}", label])


class Side:
    """One reader: seconds of its last run, those of the processor in all runs, and the most memory of all."""

    def __init__(self, name: str, python: str, path: Path) -> None:
        self.name, self._python, self._path = name, python, path
        self.above_base_bytes, self.version = 0, ""
        self.cpu_seconds: list[float] = []

    def seconds(self) -> float:
        imports, work = SIDES[self.name]
        with tempfile.TemporaryDirectory() as folder:
            command = [self._python, "-c", MEASURE.format(imports=imports, work=work), str(self._path), folder]
            done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        said = json.loads(done.stdout.splitlines()[-1])
        self.above_base_bytes = max(self.above_base_bytes, said["above_base_bytes"])
        self.version = said["version"]
        self.cpu_seconds.append(said["cpu_seconds"])
        return float(said["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a hundred thousand rows, one round")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows, rounds = (100_000, 1) if options.quick else (options.rows, options.rounds)
    if not SOURCE.is_file():
        report("ingest", {"mb_per_s_vs_datasets": not_measured("DeepSentiPers is not beside the checkout", ">= 10")})
        return
    peers = python_of("readers")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        write_rows(path, rows)
        size_bytes = path.stat().st_size
        sides = {name: Side(name, peers, path) for name in (*BARE, "datasets") if peers} | {"ours": Side("ours", sys.executable, path)}
        taken = interleaved(rounds, **{name: side.seconds for name, side in sides.items()})
    speeds = {name: size_bytes / 1e6 / median(seconds) for name, seconds in taken.items()}
    for name, seconds in taken.items():
        peak = sides[name].above_base_bytes / 1e6
        wall, cpu = f"{median(seconds):8.2f} s ({spread(seconds)})", f"{median(sides[name].cpu_seconds):6.2f} s of CPU"
        print(f"{name:10} {sides[name].version:12} {wall}  {cpu}  {speeds[name]:8.1f} MB/s  +{peak:.0f} MB")
    report("ingest", figures(speeds, sides, rows, size_bytes))


def figures(speeds: dict[str, float], sides: dict[str, Side], rows: int, size_bytes: int) -> dict[str, dict[str, Any]]:
    ours, more = speeds["ours"], {"rows": rows, "size_bytes": size_bytes}
    shown = {"peak_rss_above_base": memory_figure(sides["ours"].above_base_bytes / 1e6, **more)}
    goals = {"mb_per_s_vs_datasets": 10.0, "mb_per_s_vs_fastest_bare": 0.5}
    if len(sides) == 1:
        return {name: not_measured("the peers could not be installed", f">= {goal:g}") for name, goal in goals.items()} | shown
    fastest = max(BARE, key=lambda name: speeds[name])
    names = {"mb_per_s_vs_datasets": ("datasets", "with a python pass"), "mb_per_s_vs_fastest_bare": (fastest, "reading only")}
    for figure_name, (name, what) in names.items():
        goal, peer_is = goals[figure_name], f"{name} {sides[name].version}, {what}"
        shown[figure_name] = figure(ours, speeds[name], peer_is, f">= {goal:g}", ours >= goal * speeds[name], **more)
    return shown


def memory_figure(above_base_mb: float, **more: Any) -> dict[str, Any]:
    return figure(above_base_mb, None, "none", "<= 500 MB", above_base_mb <= 500, "MB", **more)


if __name__ == "__main__":
    main()
