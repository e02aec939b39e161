"""The peers of the benchmarks, each in an environment of its own below ``var/peers``, made when it is first asked for.

``requirements/peers/NAME.txt`` locks all that is in it, so that figures of two days speak of the same peer.

    python benchmarks/peers.py [readers queue trainers autotrain]     makes those, or all, beforehand
"""

import argparse
import hashlib
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCKS = ROOT / "requirements" / "peers"
NAMES = tuple(sorted(path.stem for path in LOCKS.glob("*.txt")))


@cache
def python_of(name: str) -> str | None:
    """The interpreter of a peer of ``NAMES``; None, after saying why, when it cannot be installed: without a link, for one."""
    lock, folder = LOCKS / f"{name}.txt", ROOT / "var" / "peers" / name
    python, stamp = folder / "bin" / "python", folder / "installed"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"▸ Installing the peers of {lock.relative_to(ROOT)} (once)", flush=True)
        try:
            _install(lock, folder, python)
        except subprocess.CalledProcessError as error:
            print(f"✗ That failed, so they are not measured: {error}", file=sys.stderr, flush=True)
            return None
        stamp.write_text(wanted)  # last, so that what was interrupted is taken up again
    return str(python)


def _install(lock: Path, folder: Path, python: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([*pip, "--no-deps", "-r", str(lock)], check=True)  # one of them pins what does not go together
    for line in lock.read_text("utf-8").splitlines():
        if line.startswith("torch=="):  # where its build brings libraries of graphics cards, they must come too
            subprocess.run([*pip, "-c", str(lock), line], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    asked = parser.parse_args().names or NAMES
    if unknown := [name for name in asked if name not in NAMES]:
        parser.error(f"no such peers: {', '.join(unknown)} (there are {', '.join(NAMES)})")
    sys.exit(0 if all(list(map(python_of, asked))) else 1)
