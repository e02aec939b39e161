"""How often a client may ask: token buckets in memory, one for each (policy, client).

Each web process counts for itself; with several behind one proxy a client gets at most that many times its share.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass

from kargah.kit.clock import Clock

WINDOW_SECONDS = 60
MOST_CLIENTS = 20_000


@dataclass(frozen=True)
class Policy:
    """``limit``: so many at once, and so many again each minute."""

    name: str
    limit: int


@dataclass(frozen=True)
class Verdict:
    policy: Policy
    allowed: bool
    remaining: int
    wait_seconds: int

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """As in the IETF draft of the RateLimit header fields."""
        name = f'"{self.policy.name}"'
        quota = f"{name};q={self.policy.limit};w={WINDOW_SECONDS}"
        return [(b"ratelimit-policy", quota.encode()), (b"ratelimit", f"{name};r={self.remaining};t={self.wait_seconds}".encode())]


class RateLimiter:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, policy: Policy, client: str, tokens: float = 1.0) -> Verdict:
        """Take from the client's bucket; a refused one takes nothing. ``tokens`` 0 only looks."""
        now = self._clock.monotonic_seconds()
        level = self._level(policy, client, now)
        allowed = level >= max(tokens, 1.0)
        if allowed:
            level -= tokens
        self._keep((policy.name, client), level, now)
        per_second = policy.limit / WINDOW_SECONDS
        missing = max(0.0, 1.0 - level) if not allowed else 0.0
        return Verdict(policy, allowed, max(0, int(level)), math.ceil(missing / per_second))

    def _level(self, policy: Policy, client: str, now: float) -> float:
        level, at = self._buckets.get((policy.name, client), (float(policy.limit), now))
        return min(float(policy.limit), level + (now - at) * policy.limit / WINDOW_SECONDS)

    def _keep(self, key: tuple[str, str], level: float, now: float) -> None:
        self._buckets[key] = (level, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
