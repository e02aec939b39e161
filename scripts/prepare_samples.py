"""Import the bundled x,y table once, here, so that the product can offer it without an import: python scripts/prepare_samples.py."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import IngestPlan
from kargah.kit import files

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "kargah" / "recipes" / "tabular" / "samples" / "line.csv"
TARGET = ROOT / "kargah" / "datasets" / "samples" / "line"
KEPT = ("data.parquet", "columns.json", "preview.jsonl", "report.json")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        attempt = AttemptDirectory.of(Path(folder), "job_sample", 1)
        attempt.inputs.mkdir(parents=True)
        shutil.copyfile(SOURCE, attempt.inputs / "line.csv")
        files.write_json(attempt.plan, IngestPlan(job_id="job_sample", file="line.csv", filename="line.csv").model_dump(mode="json"))
        subprocess.run([sys.executable, "-m", "kargah.workers.ingest", str(attempt.path)], check=True)
        TARGET.mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            shutil.copyfile(attempt.outputs / "dataset" / name, TARGET / name)


if __name__ == "__main__":
    main()
