"""Jobs as they are meant to behave, said a second time and in another way: what the state machine of the tests compares with."""

from dataclasses import dataclass, field
from typing import Any

ACTIVE = frozenset({"STARTING", "LOADING", "RUNNING", "PAUSING", "STOPPING"})
TERMINAL = frozenset({"COMPLETED", "FAILED", "STOPPED"})
MAX_ATTEMPTS = 3
CORES = 2
#: What a worker may write, as the events that it writes. The sizes: one that always fits the disk, one that never does.
WORDS: dict[str, dict[str, Any]] = {
    "Started": {"kind": "Started", "pid": 1, "threads": 1},
    "Running": {"kind": "Running", "total_steps": 99},
    "Step": {"kind": "Step", "step": 1, "epoch": 0.1, "metrics": {"loss": 1.0}},
    "Saved": {"kind": "Saved", "step": 0, "path": "x", "size_bytes": 1},
    "Finished": {"kind": "Finished"},
    "Failed": {"kind": "Failed", "code": "X"},
    "Paused": {"kind": "Paused", "step": 1},
    "Full": {"kind": "Paused", "step": 1, "code": "DISK_FULL", "params": {"needed_bytes": 1, "free_bytes": 0}},
    "FullForLong": {"kind": "Paused", "step": 1, "code": "DISK_FULL", "params": {"needed_bytes": 1 << 60, "free_bytes": 0}},
    "Stopped": {"kind": "Stopped"},
    "Interrupted": {"kind": "Interrupted", "code": "WORKER_TERMINATED"},
    "Claimed": {"kind": "Claimed", "attempt": 7, "threads": 1},
}
REFUSED = "refused"


@dataclass
class IdealJob:
    """``said``: the kinds of its events. ``lines``: what its attempts wrote; ``carried``: how much of that stands in the store."""

    id: str
    after: str | None = None
    holds: bool = False
    priority: int = 0
    state: str = "QUEUED"
    attempt: int = 0
    owner: str | None = None
    paused_for: str | None = None
    needs_long: bool = False
    said: list[str] = field(default_factory=lambda: ["Queued"])
    lines: dict[int, list[str]] = field(default_factory=dict)
    carried: dict[int, int] = field(default_factory=dict)
    outcomes: dict[int, str | None] = field(default_factory=dict)
    steps: dict[int, list[int]] = field(default_factory=dict)
    furthest: int = 0
    last_with_progress: int = 0
    is_alive: bool = False
    lease_is_over: bool = False

    # What people ask

    def stop(self) -> str | None:
        if self.state in TERMINAL:
            return REFUSED
        if self.state != "STOPPING":
            waits = self.state in {"QUEUED", "PAUSED"}
            self.state = "STOPPED" if waits else "STOPPING"
            self.said += ["Asked", "Stopped"] if waits else ["Asked"]
        return None

    def pause(self) -> str | None:
        if self.state not in {"RUNNING", "PAUSING", "PAUSED"}:
            return REFUSED
        if self.state == "RUNNING" or self.paused_for is not None:
            self.said.append("Asked")
        self.state = "PAUSING" if self.state == "RUNNING" else self.state
        self.paused_for = None
        return None

    def resume(self) -> str | None:
        """REFUSED, or "behind" when it now stands at the end of the line."""
        if self.state == "QUEUED" and self.paused_for is not None:
            self.after, self.paused_for = None, None
            self.said += ["Asked", "Queued"]
            return None
        if self.state == "PAUSED":
            self.state, self.paused_for = "QUEUED", None
            self.said += ["Asked", "Queued"]
            return "behind"
        return None if self.state in {"QUEUED", "STARTING", "LOADING", "RUNNING"} else REFUSED

    # What agents do

    def claimed_by(self, agent_id: str) -> None:
        self.state, self.owner, self.paused_for, self.lease_is_over = "STARTING", agent_id, None, False
        self.attempt += 1
        self.outcomes[self.attempt], self.lines[self.attempt], self.carried[self.attempt] = None, [], 0
        self.is_alive = True
        self.said.append("Claimed")

    def hours_end(self) -> None:
        if self.state == "RUNNING":
            self.state, self.paused_for = "PAUSING", "TIME_WINDOW"
            self.said.append("Asked")

    def carry(self) -> None:
        """All that the present attempt has written."""
        lines = self.lines[self.attempt]
        for word in lines[self.carried[self.attempt] :]:
            self._heard(word)
        self.carried[self.attempt] = len(lines)

    def _heard(self, word: str) -> None:
        self.said.append("Logged" if word == "Claimed" else WORDS[word]["kind"])
        if word == "Saved":
            step = self.steps[self.attempt].pop(0)
            if step > self.furthest:
                self.furthest, self.last_with_progress = step, self.attempt
        if self.state not in ACTIVE:
            return
        if word in {"Full", "FullForLong"} and self.state not in {"PAUSING", "STOPPING"}:
            self.paused_for, self.needs_long = "DISK_FULL", word == "FullForLong"
        ends = {"Finished": "COMPLETED", "Failed": "FAILED", "Stopped": "STOPPED"}
        ends |= dict.fromkeys(["Paused", "Full", "FullForLong"], "STOPPED" if self.state == "STOPPING" else "PAUSED")
        if word == "Started" and self.state == "STARTING":
            self.state = "LOADING"
        elif word == "Running" and self.state in {"STARTING", "LOADING"}:
            self.state = "RUNNING"
        self.state = ends.get(word, self.state)

    def close(self, condemned: bool) -> None:
        """Its worker is dead and all its lines are carried."""
        was = self.state
        if was == "STOPPING":
            self._end("STOPPED", "Stopped")
        elif condemned and (was in ACTIVE or was == "QUEUED"):
            self._end("FAILED", "Failed")
        elif was in ACTIVE:
            self._interrupted(was)
        self.outcomes[self.attempt] = self.outcomes[self.attempt] or self.state
        self.owner = None

    def _interrupted(self, was: str) -> None:
        told = "Interrupted" in self.lines[self.attempt]
        self.outcomes[self.attempt] = "WORKER_TERMINATED" if told else "INTERRUPTED"
        self.said += [] if told else ["Interrupted"]
        if was == "PAUSING":
            self._end("PAUSED", "Paused")
        elif self.interruptions() >= MAX_ATTEMPTS:
            self._end("FAILED", "Failed")
        else:
            self._end("QUEUED", "Queued")

    def interruptions(self) -> int:
        """In a row: an attempt that saved a checkpoint further than all before begins the count anew."""
        return sum(1 for number, outcome in self.outcomes.items() if outcome == "INTERRUPTED" and number >= self.last_with_progress)

    def has_no_room(self) -> None:
        """Its inputs did not fit on the disk: it was not started."""
        self.state, self.owner, self.is_alive = "QUEUED", None, False
        self.outcomes[self.attempt] = "DISK_FULL"
        self.said.append("Waiting")

    def mend(self, parent_state: str | None) -> bool:
        """What the scheduler does by itself for those that wait. Whether anything changed."""
        if self.state == "QUEUED" and self.paused_for is None and parent_state in {"FAILED", "STOPPED"}:
            if self.holds:
                self.paused_for = "DEPENDENCY_FAILED"
                self.said.append("Waiting")
            else:
                self._end("FAILED", "Failed")
            return True
        closed = self.owner is None
        fits = self.paused_for == "DISK_FULL" and closed and not self.needs_long
        if self.state == "PAUSED" and (self.paused_for == "TIME_WINDOW" or fits):
            self.state, self.paused_for = "QUEUED", None
            self.said += ["Asked", "Queued"]
            return True
        return False

    def _end(self, state: str, said: str) -> None:
        self.state = state
        self.said.append(said)
