from datetime import UTC, datetime

import pytest

from kargah.accounts import passwords, tokens
from kargah.accounts.errors import BadName, WeakPassword
from kargah.accounts.service import normal_email, normal_name
from kargah.kit.clock import ManualClock
from kargah.kit.errors import BadToken
from kargah.web.ratelimit import MOST_CLIENTS, Policy, RateLimiter
from kargah.web.security import safe_next


def test_a_password_is_kept_as_argon2id_and_the_same_letters_match_in_any_form() -> None:
    kept = passwords.hash_of("ﻻله‌زار و ﷲ")
    assert kept.startswith("$argon2id$")
    assert passwords.matches(kept, "لاله‌زار و الله")
    assert not passwords.matches(kept, "لاله‌زار و اللّه")
    assert not passwords.matches(None, "لاله‌زار و الله")
    assert not passwords.matches("no hash at all", "x")


def test_a_password_has_a_floor_and_a_ceiling() -> None:
    passwords.check_strength("انار دانه", "sara@example.org")
    for weak in ("", "کوتاه", "PASSWORD1", "sara@example.org", "x" * 600):
        with pytest.raises(WeakPassword):
            passwords.check_strength(weak, "sara@example.org")


def test_a_login_token_is_refused_once_expired_altered_or_signed_by_another() -> None:
    later, before = datetime(2100, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
    token = tokens.login_token("k" * 32, "usr_1", "ses_1", later)
    assert tokens.read_login_token("k" * 32, token) == tokens.LoginClaims("usr_1", "ses_1")
    with pytest.raises(BadToken):
        tokens.read_login_token("z" * 32, token)
    for wrong in (tokens.login_token("k" * 32, "usr_1", "ses_1", before), token[:-3], "", "x" * 5000):
        with pytest.raises(BadToken):
            tokens.read_login_token("k" * 32, wrong)


def test_a_csrf_token_belongs_to_one_session() -> None:
    shown = tokens.csrf_token("k", "ses_1")
    assert tokens.csrf_matches("k", "ses_1", shown)
    assert not tokens.csrf_matches("k", "ses_2", shown)
    assert not tokens.csrf_matches("k", "ses_1", "نه")


def test_names_lose_what_is_not_seen() -> None:
    assert normal_name("  سارا   رضایی ") == "سارا رضایی"
    assert normal_name("نیم‌فاصله") == "نیم‌فاصله"
    assert normal_email("ＳＡＲＡ@Example.org") == "sara@example.org"
    with pytest.raises(BadName):
        normal_name("admin\u202enimda")


def test_a_bucket_empties_refills_by_the_clock_and_says_how_long() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    limiter, policy = RateLimiter(clock), Policy("p", 6)
    assert [limiter.take(policy, "a").allowed for _ in range(7)] == [True] * 6 + [False]
    assert limiter.take(policy, "a").wait_seconds == 10
    assert limiter.take(policy, "b").allowed
    clock.advance(10)
    assert limiter.take(policy, "a").allowed
    assert not limiter.take(policy, "a").allowed


def test_many_clients_do_not_fill_the_memory() -> None:
    limiter = RateLimiter(ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))
    for number in range(MOST_CLIENTS + 50):
        limiter.take(Policy("p", 6), str(number))
    assert len(limiter._buckets) == MOST_CLIENTS


@pytest.mark.parametrize("target", [None, "", "x", "//evil", "/\\evil", "https://evil", "/a\nb", "/ b"])
def test_after_a_login_one_lands_on_this_site(target: str | None) -> None:
    assert safe_next(target) == "/"
    assert safe_next("/runs?q=1") == "/runs?q=1"
