"""A workshop at work, for pictures: people, data sets in Persian, real short trainings in every state that lasts, models, notices.

Everything is done through the product's own client. The tables of houses and subscribers are made up, and say so in their names.
"""

import csv
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from kargah.cli import server_process
from kargah.client import JobEnded, Kargah

SAMPLES = Path(__file__).parents[1] / "kargah" / "datasets" / "samples"
PASSWORD = "a quiet workshop 42"
ADMIN = {"email": "narges@example.org", "password": PASSWORD, "name": "نرگس رحیمی"}
TRAINER = {"email": "sara@example.org", "password": PASSWORD, "name": "سارا محمدی", "role": "trainer"}
PEOPLE = (
    TRAINER,
    {"email": "ali@example.org", "password": PASSWORD, "name": "علی کاظمی", "role": "viewer"},
    {"email": "reza.karimi@example.org", "password": PASSWORD, "name": "رضا کریمی", "role": "trainer"},
)
ROWS, SEED = 900, 17
QUARTERS = {"نیاوران": 195, "ونک": 140, "یوسف‌آباد": 118, "تهران‌پارس": 78, "نارمک": 84, "پونک": 96, "نازی‌آباد": 52, "شهرک غرب": 172}
PLANS = {"ماهانه": 0.34, "سه‌ماهه": 0.2, "سالانه": 0.07}
PATIENCE_SECONDS, A_WHILE_SECONDS = 300, 60


@dataclass(frozen=True)
class Workshop:
    """``ids``: of what the pages are about, by the name of the page."""

    url: str
    ids: dict[str, str]


@contextmanager
def workshop() -> Iterator[Workshop]:
    """Goes when the block is left, with its server and everything in it."""
    os.environ |= {"KARGAH_RATE_LIMIT_PER_MINUTE": "100000", "KARGAH_LOGIN_RATE_LIMIT_PER_MINUTE": "1000"}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with server_process.serving(home, "127.0.0.1", server_process.free_port("127.0.0.1", 8427)) as url:
            token = httpx.post(f"{url}/api/v1/auth/register", json=ADMIN).raise_for_status().json()["token"]
            with Kargah(url, token) as kargah:
                yield Workshop(url, furnish(kargah, Path(folder)))


def furnish(kargah: Kargah, folder: Path) -> dict[str, str]:
    people(kargah)
    data = data_sets(kargah, folder)
    ids = finished(kargah, data) | {"first_version": mended(kargah, data["houses"])}
    kargah.jobs.wait(kargah.transport.json("POST", "/api/v1/hardware/measure")["id"])
    kargah.transport.json("POST", "/api/v1/auth/tokens", json={"name": "دفترچهٔ آزمایش", "days": 90})
    model, *others = kargah.trainings.models(ids["run"])
    evaluation = kargah.evaluations.start(model.id, data["genres"], against=others[0].id)
    ids |= unfinished(kargah, data)  # last: what else is to be done would wait for the one that runs
    return {
        **ids,
        "evaluation": evaluation["id"],
        "dataset": data["genres"],
        "table": data["houses"],
        "model": model.model_id,
        "version": model.id,
    }


def people(kargah: Kargah) -> None:
    for person in PEOPLE:
        made = kargah.transport.json("POST", "/api/v1/users", json=person)
    kargah.transport.json("PATCH", f"/api/v1/users/{made['id']}", json={"status": "blocked"})


def data_sets(kargah: Kargah, folder: Path) -> dict[str, str]:
    houses, subscribers = folder / "khaneha.csv", folder / "moshtarak.csv"
    write(houses, house_rows())
    write(subscribers, subscriber_rows())
    broken = folder / "sorathesab.json"
    broken.write_text('[{"شماره": 12, "مبلغ": 4', encoding="utf-8")
    with suppress(JobEnded):  # a data set that could not be read is one of the things to be seen
        kargah.datasets.upload(broken, title="صورت‌حساب‌های پاییز")
    uploaded = {"subscribers": (subscribers, "ریزش مشترکان (ساختگی)"), "houses": (houses, "قیمت خانه در تهران (ساختگی)")}
    uploaded["genres"] = (SAMPLES / "genre-fa.csv", "گونهٔ متن فارسی")
    return {name: kargah.datasets.upload(path, title=title).id for name, (path, title) in uploaded.items()}


def finished(kargah: Kargah, data: dict[str, str]) -> dict[str, str]:
    def done(name: str, title: str, **spec: object) -> str:
        training = kargah.trainings.start(datasets=[data[name]], spec=spec, title=title)
        kargah.jobs.wait(training.job.id)
        return training.run_id

    kargah.jobs.wait(kargah.trainings.start(datasets=[data["houses"]], title="برآورد زمان قیمت خانه", dry_run=True).job.id)
    price = done("houses", "قیمت خانه، نخستین آزمایش", epochs=8)
    better = done("houses", "قیمت خانه، نرخ یادگیری کمتر", epochs=16, learning_rate=0.001)
    done("subscribers", "کدام مشترک می‌رود؟", epochs=12)
    slow = done("genres", "گونهٔ متن فارسی، نرخ یادگیری کم", epochs=6, learning_rate=0.0003)
    genre = done("genres", "گونهٔ متن فارسی", epochs=6)
    return {"run": genre, "other": slow, "regression": better, "first_regression": price}


def mended(kargah: Kargah, dataset_id: str) -> str:
    """The version that there was before."""
    before = str((kargah.datasets.show(dataset_id).version or {})["id"])
    fixes = [{"kind": "merge_labels", "column": "محله"}, {"kind": "drop_duplicates"}]
    kargah.datasets.fix(dataset_id, fixes, why="نام یک محله با دو املا نوشته شده بود")
    return before


def unfinished(kargah: Kargah, data: dict[str, str]) -> dict[str, str]:
    """One that was stopped, one that failed, one paused, one that runs, and those that wait for it."""

    def start(name: str, title: str, terms: dict[str, object] | None = None, **spec: object) -> tuple[str, str]:
        training = kargah.trainings.start(datasets=[data[name]], spec=spec, title=title, terms=terms)
        return training.job.id, training.run_id

    stopped, _ = start("genres", "گونهٔ متن، آزمایش نیمه‌کاره", epochs=200)
    until_it_learns(kargah, stopped)
    kargah.jobs.stop(stopped)
    failed, failed_run = start("genres", "گونهٔ متن با مهلت کوتاه", {"time_limit_seconds": 15}, epochs=400)
    until(kargah, failed, {"FAILED"})
    paused, paused_run = start("subscribers", "ریزش مشترکان، آموزش بلند", epochs=1000)
    until_it_learns(kargah, paused)
    kargah.jobs.pause(paused)
    until(kargah, paused, {"PAUSED"})
    running, running_run = start("genres", "گونهٔ متن فارسی، آموزش بلند", epochs=60, batch_size=1, learning_rate=0.0001)
    until_it_learns(kargah, running, steps=9_000)
    queued, queued_run = start("houses", "قیمت خانه، پس از آموزش بلند", {"after": [running]}, epochs=30)
    start("subscribers", "ریزش مشترکان، شبانه", {"after": [queued]}, epochs=20)
    return {"failed": failed_run, "paused": paused_run, "running": running_run, "queued": queued_run}


def until_it_learns(kargah: Kargah, job_id: str, steps: int = 30) -> None:
    """Until it has done ``steps``, or as many as a busy machine does in a while."""
    enough = time.monotonic() + A_WHILE_SECONDS
    for _ in kargah.jobs.events(job_id):
        done = kargah.jobs.show(job_id).progress.get("step") or 0
        if done >= steps or (done and time.monotonic() > enough):
            return


def until(kargah: Kargah, job_id: str, states: set[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while kargah.jobs.show(job_id).state not in states:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{job_id} is {kargah.jobs.show(job_id).state}, not {states}")
        time.sleep(0.5)


def write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def house_rows() -> list[dict[str, object]]:
    """With a few of the faults that tables have: empty cells, a row that comes twice, one word in two spellings."""
    luck = random.Random(SEED)
    rows = [house(luck) for _ in range(ROWS)]
    for row in luck.sample(rows, 40):
        row["پارکینگ"] = ""
    for row in luck.sample(rows, 12):
        row["محله"] = str(row["محله"]).replace("ی", "ي")
    return [*rows, *luck.sample(rows, 6)]


def house(luck: random.Random) -> dict[str, object]:
    quarter, area, year = luck.choice(list(QUARTERS)), luck.randint(45, 240), luck.randint(1368, 1404)
    lift, parking, floor = luck.random() < 0.7, luck.random() < 0.6, luck.randint(0, 12)
    metre = QUARTERS[quarter] * (1 + 0.012 * (year - 1385)) * (1.06 if lift else 1) * (1.08 if parking else 1) * (1 + 0.006 * floor)
    return {
        "محله": quarter,
        "متراژ": area,
        "سال ساخت": year,
        "طبقه": floor,
        "آسانسور": "دارد" if lift else "ندارد",
        "پارکینگ": "دارد" if parking else "ندارد",
        "قیمت (میلیون تومان)": round(area * metre * luck.gauss(1, 0.09)),
    }


def subscriber_rows() -> list[dict[str, object]]:
    luck = random.Random(SEED)
    return [subscriber(luck) for _ in range(ROWS)]


def subscriber(luck: random.Random) -> dict[str, object]:
    plan, months, calls = luck.choice(list(PLANS)), luck.randint(1, 48), luck.randint(0, 7)
    leaves = PLANS[plan] + 0.09 * calls - 0.006 * months
    return {
        "بسته": plan,
        "ماه‌های اشتراک": months,
        "تماس با پشتیبانی": calls,
        "مصرف ماهانه (گیگابایت)": round(luck.lognormvariate(2.6, 0.6), 1),
        "وضعیت": "رفت" if luck.random() < leaves else "ماند",
    }
