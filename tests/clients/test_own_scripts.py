"""A person's own file as a job of a server that allows it, from the terminal's words to what it left."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.server import Server

from kargah.client import JobEnded, Kargah

SUMS = """
from kargah.client import run
rows = [row for table in run.inputs() for row in table.rows()]
run.begin(total_steps=len(rows))
total = 0.0
for step, row in enumerate(rows, 1):
    total += run.parameters()["factor"] * row["x"]
    run.metrics(step, loss=total)
(run.outputs() / "total.txt").write_text(f"{run.inputs()[0].title} {total:.3f}", encoding="utf-8")
"""


@pytest.fixture
def kargah(server: Server) -> Iterator[Kargah]:
    with Kargah(server.url, server.token, language="en") as client:
        yield client


@pytest.fixture
def line(kargah: Kargah, finished_job: dict[str, Any]) -> str:
    return kargah.datasets.list(query="x, y").items[0].id


def test_a_script_reads_data_draws_a_curve_and_leaves_files(kargah: Kargah, line: str, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "sums.py"
    file.write_text(SUMS, encoding="utf-8")
    command = [sys.executable, "-m", "kargah", "--language", "en", "run-script", str(file), "--dataset", line, "--set", "factor=2"]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "made"), "--server", server.url, "--token", server.token],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    title, total = (tmp_path / "made" / "total.txt").read_text(encoding="utf-8").rsplit(" ", 1)
    job = kargah.jobs.list(kind="script").items[0]
    run = kargah.transport.json("GET", f"/api/v1/jobs/{job.id}/run")
    curve = kargah.transport.json("GET", f"/api/v1/runs/{run['id']}/curve", params={"key": "loss"})["series"]["loss"]
    assert (job.title, title, len(curve)) == ("sums.py", "x, y", 30)
    assert float(total) == pytest.approx(curve[-1][1], abs=1e-3)
    assert run["params"]["factor"]["value"] == 2
    assert 'id="confined"' in kargah.transport.send("GET", f"/runs/{run['id']}").text
    assert [file["path"] for file in kargah.scripts.outputs(job.id)] == ["total.txt"]
    assert kargah.transport.send("GET", f"/api/v1/scripts/{job.id}/source").text == SUMS
    assert (
        kargah.transport.send("GET", f"/api/v1/scripts/{job.id}/outputs/files/total.txt")
        .headers["content-disposition"]
        .startswith("attachment")
    )
    assert zipfile.ZipFile(kargah.scripts.download(job.id, tmp_path / "all.zip")).namelist() == ["total.txt"]


def test_a_script_that_failed_is_explained_and_goes_on_from_its_checkpoint_when_tried_again(kargah: Kargah, tmp_path: Path) -> None:
    file = tmp_path / "breaks.py"
    file.write_text(
        "from kargah.client import run\n"
        "if run.last_checkpoint() is None:\n"
        "    with run.save_checkpoint(3) as folder: (folder / 'state.json').write_text('3')\n"
        "    raise RuntimeError('the third step')\n"
        "(run.outputs() / 'begun').write_text(str(run.last_checkpoint()[0]))\n",
        encoding="utf-8",
    )
    started = kargah.scripts.run(file, title="breaks")
    with pytest.raises(JobEnded):
        kargah.jobs.wait(started.job.id)
    failed = kargah.jobs.show(started.job.id)
    assert failed.error == {"code": "SCRIPT_FAILED", "params": {"status": 1}}
    logs = kargah.jobs.logs(failed.id)
    assert "the third step" in logs["tail"]
    told = next(one["payload"] for one in logs["messages"] if one["payload"]["code"] == "script.last_words")
    assert "RuntimeError: the third step" in told["params"]["text"]
    page = kargah.transport.send("GET", f"/runs/{started.run_id}").text
    assert "breaks" in page
    assert "Traceback" not in page.partition('id="log"')[0]
    assert [one["name"] for one in kargah.checkpoints.list(failed.id)] == ["step-00000003"]
    again = kargah.scripts.again(failed.id)
    kargah.jobs.wait(again.job.id)
    assert kargah.transport.send("GET", f"/api/v1/scripts/{again.job.id}/outputs/files/begun").text == "3"


def test_a_script_is_paused_by_its_own_word_and_resumed(kargah: Kargah, tmp_path: Path) -> None:
    file = tmp_path / "waits.py"
    file.write_text(
        "import time\nfrom kargah.client import run\n"
        "before = run.last_checkpoint()\n"
        "run.metrics(before[0] + 1 if before else 1, loss=1)\n"
        "while not before and not run.should_stop(): time.sleep(0.02)\n"
        "if not before:\n"
        "    with run.save_checkpoint(1) as folder: (folder / 'a').write_text('1')\n",
        encoding="utf-8",
    )
    started = kargah.scripts.run(file)
    seen = []
    for event in kargah.jobs.events(started.job.id):
        seen.append(event.kind)
        if event.kind == "Step" and seen.count("Step") == 1:
            kargah.jobs.pause(started.job.id)
        elif event.kind == "Paused":
            kargah.jobs.resume(started.job.id)
    assert [kind for kind in seen if kind in {"Saved", "Paused", "Resumed", "Finished"}] == ["Saved", "Paused", "Resumed", "Finished"]
