"""The hubs in their order of preference, and asking one after the other until one gives."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from kargah.workers.hub.errors import HubAnswerUnreadable, HubUnreachable, HubWantsConsent, NotOnHub
from kargah.workers.hub.link import Broken, Refused

FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 0.25, 30.0
DISTRUST_SECONDS = 300.0
#: Strange answers in a row after which a hub is not asked again for the same thing.
MOST_STRANGE = 4
_LOOK_SECONDS = 0.05

Answer = TypeVar("Answer")
#: Raises when the work must end.
Check = Callable[[], None]
OnFailure = Callable[[str, str], None]


@dataclass
class Hub:
    url: str
    failures: int = 0
    rests_until: float = 0.0


class Sources:
    """One that failed rests, longer each time, and whoever comes next in the order is asked; after its rest it is tried again.

    Safe for threads. ``on_failure`` is told (hub, reason), once for each reason.
    """

    def __init__(self, urls: list[str], patience_seconds: float, check: Check, on_failure: OnFailure) -> None:
        self._hubs = [Hub(url.rstrip("/")) for url in urls]
        self._patience_seconds, self._check, self._on_failure = patience_seconds, check, on_failure
        self._lock = threading.Lock()
        self._told: set[tuple[str, str]] = set()

    @property
    def resting(self) -> str | None:
        """Why nobody can be asked now, or None."""
        with self._lock:
            return None if any(hub.rests_until <= time.monotonic() for hub in self._hubs) else self._hubs[0].url

    def ask(self, what: dict[str, str], give: Callable[[str], Answer], progress: Callable[[], int] = lambda: 0) -> Answer:
        """What the first hub gives that can. ``give`` raises Broken or Refused; ``progress`` rises as bytes arrive.

        Raises NotOnHub or HubWantsConsent when all refuse, HubAnswerUnreadable when what they say cannot be; HubUnreachable after a
        long time in which nothing arrived.
        """
        refusals: dict[str, Refused | Broken] = {}
        strange: Counter[str] = Counter()
        last, before = time.monotonic(), progress()
        while len(refusals) < len(self._hubs):
            hub = self._best(refusals)
            self._wait_for(hub)
            try:
                answer = give(hub.url)
            except Refused as refusal:
                refusals[hub.url] = refusal
                self._say(hub, f"HTTP {refusal.status} {refusal.error_code}".strip())
            except Broken as broken:
                now = progress()
                self._rest(hub, broken, began_anew=now > before)
                last, before = (time.monotonic(), now) if now > before else (last, before)
                if time.monotonic() - last > self._patience_seconds:
                    raise HubUnreachable(hub=hub.url, reason=broken.reason) from broken
                strange[hub.url] = strange[hub.url] + 1 if broken.strange else 0
                if strange[hub.url] >= MOST_STRANGE:
                    refusals[hub.url] = broken
            else:
                with self._lock:
                    hub.failures = 0
                return answer
        raise _refused_by_all(what, refusals)

    def distrust(self, urls: Collection[str]) -> None:
        """What they gave was wrong: others are asked for a while, where there are any."""
        with self._lock:
            for hub in self._hubs:
                if hub.url in urls and len(self._hubs) > 1:
                    hub.rests_until = time.monotonic() + DISTRUST_SECONDS

    def _best(self, without: Collection[str]) -> Hub:
        """The first that does not rest, else the one that is up soonest."""
        with self._lock:
            left = [hub for hub in self._hubs if hub.url not in without]
            awake = [hub for hub in left if hub.rests_until <= time.monotonic()]
            return awake[0] if awake else min(left, key=lambda hub: hub.rests_until)

    def _wait_for(self, hub: Hub) -> None:
        self._check()
        while time.monotonic() < hub.rests_until:
            time.sleep(_LOOK_SECONDS)
            self._check()

    def _rest(self, hub: Hub, broken: Broken, began_anew: bool) -> None:
        """Longer each time, but for what is strange: of that, a few are enough. What several threads meet at once counts once."""
        with self._lock:
            now = time.monotonic()
            if began_anew:
                hub.failures = 1
            elif not broken.strange and hub.rests_until <= now:
                hub.failures += 1
            rest_seconds = min(LONGEST_REST_SECONDS, FIRST_REST_SECONDS * 2.0 ** min(max(hub.failures, 1) - 1, 20))
            hub.rests_until = now + max(broken.rest_seconds, FIRST_REST_SECONDS if broken.strange else rest_seconds)
        self._say(hub, broken.reason)

    def _say(self, hub: Hub, reason: str) -> None:
        with self._lock:
            if (hub.url, reason) in self._told or len(self._told) > 200:
                return
            self._told.add((hub.url, reason))
        self._on_failure(hub.url, reason)


def _refused_by_all(what: dict[str, str], refusals: dict[str, Refused | Broken]) -> NotOnHub | HubWantsConsent | HubAnswerUnreadable:
    """A hub that would give it to others is the news, before one that talks strangely, before one that has not got it."""
    refused = [refusal for refusal in refusals.values() if isinstance(refusal, Refused)]
    if any(one.status not in {404, 410} and one.error_code not in {"RepoNotFound", "EntryNotFound", "RevisionNotFound"} for one in refused):
        return HubWantsConsent(**what)
    strange = next(((url, said.reason) for url, said in refusals.items() if isinstance(said, Broken)), None)
    return HubAnswerUnreadable(hub=strange[0], reason=strange[1]) if strange else NotOnHub(**what)
