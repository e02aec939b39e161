"""What a host has, what of it is given out, and whether a job fits into the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psutil
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from kargah.jobs import cards, states
from kargah.jobs.cards import Cards, CardsWanted
from kargah.jobs.tables import ATTEMPTS, JOBS

#: More than the imports that somebody waits for: downloads are light too, and wait for a slow link for hours.
LIGHT_BEYOND_CORES = 4
#: More than any machine has; stands for "not counted".
ENDLESS_BYTES = 1 << 60


# The few active ones first: left to itself PostgreSQL may begin with every attempt that this host ever made.
_ACTIVE = (
    select(JOBS.c.id, JOBS.c.attempt, JOBS.c.kind, JOBS.c.progress, JOBS.c.terms)
    .where(JOBS.c.state.in_(states.ACTIVE))
    .cte("active")
    .prefix_with("MATERIALIZED", dialect="postgresql")
)
_ACTIVE_ON_HOST = (
    select(_ACTIVE.c.kind, _ACTIVE.c.progress, _ACTIVE.c.terms, ATTEMPTS.c.threads, ATTEMPTS.c.memory_bytes, ATTEMPTS.c.gpus)
    .join(ATTEMPTS, (ATTEMPTS.c.job_id == _ACTIVE.c.id) & (ATTEMPTS.c.number == _ACTIVE.c.attempt))
    .where(ATTEMPTS.c.host == bindparam("host"))
)


@dataclass(frozen=True)
class Wants:
    """``threads`` null: whatever share is free. ``memory_is_guessed``: too little of it keeps nothing from running alone."""

    threads: int | None
    memory_bytes: int = 0
    gpus: CardsWanted = field(default_factory=CardsWanted)
    memory_is_guessed: bool = True


@dataclass(frozen=True)
class Grant:
    """``gpu_memory_bytes``: of each of ``gpus``; null: all of it. ``gpu_share``: that as a part of the smallest of them."""

    threads: int
    memory_bytes: int = 0
    gpus: list[str] = field(default_factory=list)
    gpu_memory_bytes: int | None = None
    gpu_share: float | None = None


@dataclass(frozen=True)
class Lack:
    """Why there is none: a text key with its parameters."""

    code: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Running:
    """What an active job holds, and in how many seconds it expects to be over, where it knows."""

    threads: int
    memory_bytes: int
    gpus: Sequence[str]
    gpu_memory_bytes: int | None
    eta_seconds: float | None
    is_light: bool


@dataclass(frozen=True)
class Room:
    """What is still free on a host. ``running`` is what will become free."""

    cores: int
    free_cores: int
    light: int
    memory_bytes: int
    cards: Cards
    running: Sequence[Running] = ()

    @property
    def is_idle(self) -> bool:
        return all(job.is_light for job in self.running)

    def without(self, wants: Wants) -> "Room":
        """The room left to those behind a job that waits: what it wants is kept for it, or it would wait for ever."""
        return replace(
            self,
            free_cores=max(0, self.free_cores - (wants.threads or 1)),
            memory_bytes=max(0, self.memory_bytes - wants.memory_bytes),
            cards=self.cards.without(self.cards.fitting(wants.gpus)[: wants.gpus.count], wants.gpus.memory_bytes),
        )

    def after(self, grant: Grant, is_light: bool) -> "Room":
        """The room left once this is granted."""
        running = [*self.running, Running(grant.threads, grant.memory_bytes, grant.gpus, grant.gpu_memory_bytes, None, is_light)]
        if is_light:
            return replace(self, light=self.light - 1, running=running)
        return replace(
            self,
            free_cores=self.free_cores - grant.threads,
            light=self.light - grant.threads,
            memory_bytes=self.memory_bytes - grant.memory_bytes,
            cards=self.cards.without(grant.gpus, grant.gpu_memory_bytes),
            running=running,
        )

    def grant(self, wants: Wants, waiting: int) -> Grant | Lack:
        """``waiting``: how many share the free cores, this one included."""
        if not self.cards.are_enough(wants.gpus):
            return Lack(*_named("GPUS_ABSENT", self.cards, wants.gpus))
        threads = min(wants.threads, self.cores) if wants.threads else max(1, self.free_cores // max(1, waiting))
        if threads > self.free_cores:
            return self._busy("CORES_BUSY", {"cores": self.cores}, self._seconds_until_cores(threads))
        alone = wants.memory_is_guessed and self.is_idle
        if wants.memory_bytes > self.memory_bytes and not alone:
            params = {"wanted_bytes": wants.memory_bytes, "free_bytes": self.memory_bytes}
            return self._busy("MEMORY_BUSY", params, self._seconds_until_memory(wants.memory_bytes))
        fitting = self.cards.fitting(wants.gpus)
        if wants.gpus.count > len(fitting):
            return self._busy(*_named("GPUS_BUSY", self.cards, wants.gpus), self._seconds_until_gpus(len(fitting), wants.gpus.count))
        return self._granted(threads, wants, fitting[: wants.gpus.count])

    def _granted(self, threads: int, wants: Wants, gpus: list[str]) -> Grant:
        memory_bytes, share = min(wants.memory_bytes, self.memory_bytes), None
        if gpus and wants.gpus.memory_bytes is not None:
            share = wants.gpus.memory_bytes / min(self.cards.memory_bytes[gpu] for gpu in gpus)
        return Grant(threads, memory_bytes, gpus, wants.gpus.memory_bytes if gpus else None, share)

    def _busy(self, code: str, params: dict[str, Any], about_seconds: float | None) -> Lack:
        """The code says whether an estimate is among the parameters."""
        if about_seconds is None:
            return Lack(code, params)
        return Lack(f"{code}_ABOUT", {**params, "about_seconds": round(about_seconds)})

    def _seconds_until_cores(self, wanted: int) -> float | None:
        return self._seconds_until(self.free_cores, wanted, [job.threads for job in self.running if not job.is_light])

    def _seconds_until_memory(self, wanted: int) -> float | None:
        return self._seconds_until(self.memory_bytes, wanted, [job.memory_bytes for job in self.running if not job.is_light])

    def _seconds_until_gpus(self, free: int, wanted: int) -> float | None:
        return self._seconds_until(free, wanted, [len(job.gpus) for job in self.running if not job.is_light])

    def _seconds_until(self, free: int, wanted: int, held: Sequence[int]) -> float | None:
        """When enough running jobs will be over, by their own forecasts; None when these do not say."""
        etas = [job.eta_seconds for job in self.running if not job.is_light]
        known = sorted((eta, amount) for eta, amount in zip(etas, held, strict=True) if eta is not None)
        for eta, amount in known:
            free += amount
            if free >= wanted:
                return eta
        return None


def free_memory_bytes() -> int:
    return int(psutil.virtual_memory().available)


def running_on(session: Session, host: str, light_kinds: frozenset[str]) -> list[Running]:
    rows = session.execute(_ACTIVE_ON_HOST, {"host": host})
    return [
        Running(row.threads, row.memory_bytes, row.gpus, row.terms.get("gpu_memory_bytes"), _eta(row.progress), row.kind in light_kinds)
        for row in rows
    ]


def room_of(cores: int, memory_bytes: int | None, free_now_bytes: int, gpus: Mapping[str, int], running: Sequence[Running]) -> Room:
    """``memory_bytes``: what jobs may have in all, null when memory is not counted; what others use is measured.

    ``gpus``: the memory of each by its id.
    """
    heavy = [job for job in running if not job.is_light]
    free_cores = cores - sum(job.threads for job in heavy)
    left = ENDLESS_BYTES if memory_bytes is None else min(memory_bytes - sum(job.memory_bytes for job in heavy), free_now_bytes)
    light = max(0, free_cores) + LIGHT_BEYOND_CORES - (len(running) - len(heavy))
    free_cards = cards.all_free(gpus)
    for job in heavy:
        free_cards = free_cards.without(job.gpus, job.gpu_memory_bytes)
    return Room(cores, max(0, free_cores), light, max(0, left), free_cards, running)


def _named(code: str, found: Cards, wanted: CardsWanted) -> tuple[str, dict[str, Any]]:
    """The code says whether memory of them is among what is wanted."""
    params: dict[str, Any] = {"wanted": wanted.count, "gpus": len(found.memory_bytes)}
    return (code, params) if wanted.memory_bytes is None else (f"{code}_OF", {**params, "wanted_bytes": wanted.memory_bytes})


def _eta(progress: Mapping[str, Any]) -> float | None:
    eta = progress.get("eta_seconds")
    return float(eta) if eta is not None else None
