"""Files of every format, damaged at random, through the import: each must become a data set or a coded reason, never an exception.

    scripts/fuzz.py [--minutes 10] [--seed N] [--data FOLDER] [--keep FOLDER]

Begins with the nasty files of the shared collection and with the small real ones, and mixes, cuts and changes them. What makes
the import stumble is kept with its traceback. The last line is ``N files, none stumbled`` or says how many did.
"""

import argparse
import contextlib
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from kargah.contract.attempt import AttemptDirectory  # noqa: E402
from kargah.contract.plans import IngestPlan  # noqa: E402
from kargah.contract.wire import EventWriter  # noqa: E402
from kargah.kit import i18n  # noqa: E402
from kargah.kit.errors import KargahError  # noqa: E402
from kargah.workers.ingest import Import  # noqa: E402
from kargah.workers.reading import bulk  # noqa: E402
from kargah.workers.telling import Teller  # noqa: E402

DATA = ROOT.parent / "shared" / "data"
LARGEST_SEED_BYTES, LARGEST_BYTES, SLOW_SECONDS = 64 << 10, 256 << 10, 20.0
READ = {
    ".csv",
    ".tsv",
    ".txt",
    ".json",
    ".jsonl",
    ".conll",
    ".conllu",
    ".xlsx",
    ".parquet",
    ".arrow",
    ".feather",
    ".zip",
    ".gz",
    ".zst",
    ".bz2",
    ".xz",
}
PIECES = (
    b'"', b'""', b",", b"\t", b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"{", b"}", b"[", b"]", b":", b"null", b"1e999",
    b"\\ud800", b'{"messages": [', b'"role": ', b"PAR1", b"ARROW1\0\0", b"PK\x03\x04", b"\x1f\x8b", "\u202e".encode(), "ی".encode(),
    "۱۲٬۳۴۵".encode(), b"B-PER", b"-", b"=cmd()", b"NaN", b"%", b"\xed\xa0\x80",
)  # fmt: skip
BUILT_IN = (
    'متن,برچسب\nسلام,مثبت\n"بد، «بود»",منفی\nخوب بود,مثبت\n'.encode(),
    b'{"a": 1, "b": [1, "x"]}\n{"a": null}\n',
    b'{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}\n',
    b'{"data": [{"paragraphs": [{"context": "abc", "qas": [{"question": "q", "answers": [{"text": "a", "answer_start": 0}]}]}]}]}',
    b"a B-PER\nb O\n\nc O\nd B-LOC\n",
)


def seeds(data: Path) -> list[bytes]:
    found = list(BUILT_IN)
    for path in sorted(data.rglob("*")) if data.is_dir() else ():
        if path.is_file() and path.suffix in READ:
            with path.open("rb") as file:
                found.append(file.read(LARGEST_SEED_BYTES))
    return found


def damaged(chance: random.Random, known: list[bytes]) -> bytes:
    content = bytearray(chance.choice(known))
    for _ in range(chance.choice((0, 1, 1, 2, 4, 16))):
        start = chance.randrange(len(content) + 1)
        end = min(len(content), start + int(chance.expovariate(1 / 20)))
        match chance.randrange(6):
            case 0:
                del content[start:]
            case 1:
                content[start:end] = b""
            case 2:
                content[start:end] = chance.randbytes(end - start)
            case 3:
                content[start:start] = chance.choice(PIECES) * chance.choice((1, 1, 1, 2, 50))
            case 4:
                content[start:start] = content[start:end] * chance.choice((1, 2, 200))
            case _:
                other = chance.choice(known)
                content[start:end] = other[: chance.randrange(len(other) + 1)]
    return bytes(content[:LARGEST_BYTES])


def told(content: bytes, name: str, leave_out: bool) -> str:
    """``read``, or the code of the refusal. Raises whatever else the import raises."""
    with tempfile.TemporaryDirectory() as folder:
        directory = AttemptDirectory.of(Path(folder), "job_1", 1)
        directory.inputs.mkdir(parents=True)
        (directory.inputs / "upload").write_bytes(content)
        plan = IngestPlan(job_id="job_1", file="upload", filename=name, leave_out_bad_rows=leave_out)
        try:
            result = Import(plan, directory, Teller(EventWriter(directory.events)), lambda: None).run()
        except KargahError as error:
            assert all(i18n.has_text(language, f"error.{error.code}") for language in i18n.LANGUAGES), f"no text for {error.code}"
            assert not list(directory.outputs.rglob("scratch")), "scratch was left behind"
            return error.code
        assert result.rows > 0, "a data set without rows"
        return "read"


def runs(chance: random.Random, known: list[bytes], until: float) -> Iterator[tuple[bytes, str, str | None, float]]:
    """Content, outcome, the traceback if it stumbled, and seconds."""
    names = ("data.csv", "data.tsv", "data.jsonl", "data.json", "data.txt", "data.conll", "data.zip", "data.xlsx", "data.parquet", "داده")
    while time.monotonic() < until:
        content, began = damaged(chance, known), time.monotonic()
        bulk.BLOCK_BYTES = chance.choice((32, 1000, 4 << 20))
        try:
            outcome, trace = told(content, chance.choice(names), chance.random() < 0.3), None
        except Exception:  # noqa: BLE001 - whatever it is, it is what was sought
            outcome, trace = "STUMBLED", traceback.format_exc()
        yield content, outcome, trace, time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--keep", type=Path, default=ROOT / "var" / "fuzz")
    options = parser.parse_args()
    known, outcomes, kept = seeds(options.data), Counter[str](), dict[str, Path]()
    print(f"{len(known)} files to begin with, seed {options.seed}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        for content, outcome, trace, seconds in runs(random.Random(options.seed), known, time.monotonic() + 60 * options.minutes):
            outcomes[outcome] += 1
            trouble = trace or (f"{seconds:.0f} seconds\n" if seconds > SLOW_SECONDS else "")
            if trouble and (place := "".join(trouble.splitlines()[-3:-1])) not in kept:
                options.keep.mkdir(parents=True, exist_ok=True)
                kept[place] = options.keep / f"{len(kept)}.bin"
                kept[place].write_bytes(content)
                print(f"{kept[place]}:\n{trouble}", flush=True)
    for outcome, count in outcomes.most_common():
        print(f"{count:8} {outcome}")
    print(f"{outcomes.total()} files, {outcomes['STUMBLED'] or 'none'} stumbled")
    return int(outcomes["STUMBLED"] > 0)


if __name__ == "__main__":
    sys.exit(main())
