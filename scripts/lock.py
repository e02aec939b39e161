"""Write requirements/base.txt (the product alone), run.txt (with training) and test.txt (what tests and checks add).

Run in a fresh environment after a change of pyproject.toml: python scripts/lock.py. Versions come from pip's resolver;
torch is pinned here because its ranges may pull builds that the machine has no use for.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
TORCH = "torch==2.13.0"
BUILD = ["hatchling", "editables"]


def resolve(wanted: list[str]) -> dict[str, str]:
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", report.name, *wanted]
        subprocess.run(command, check=True)
        installs = json.loads(Path(report.name).read_bytes())["install"]
    return {item["metadata"]["name"].lower().replace("_", "-"): item["metadata"]["version"] for item in installs}


def write(path: Path, versions: dict[str, str], head: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"# {head} Made by scripts/lock.py.\n" + "".join(f"{name}=={version}\n" for name, version in sorted(versions.items())))


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["train"], TORCH, *BUILD]
    base = resolve(project["project"]["dependencies"])
    run = resolve(wanted)
    test = resolve([*wanted, *project["dependency-groups"]["dev"]])
    pinned = {name: test.get(name, version) for name, version in run.items() if name != "torch"}
    write(ROOT / "requirements" / "base.txt", {name: pinned[name] for name in base}, "What the product needs without training.")
    write(ROOT / "requirements" / "run.txt", pinned, "Everything that the product with training needs, but torch.")
    write(ROOT / "requirements" / "test.txt", {n: v for n, v in test.items() if n not in run}, "What tests and checks need besides.")


if __name__ == "__main__":
    main()
