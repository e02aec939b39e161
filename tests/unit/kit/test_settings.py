import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kargah.kit import settings
from kargah.kit.settings import SignUps


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kargah.toml").write_text("port = 9000\nlanguage = 'en'\n")
    monkeypatch.setenv("KARGAH_PORT", "9001")
    loaded = settings.load(home=tmp_path)
    assert (loaded.port, loaded.language) == (9001, "en")


def test_a_setting_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kargah.toml").write_text("prot = 9000\n")
    with pytest.raises(settings.SettingOfFileUnusable) as refused:
        settings.load(home=tmp_path)
    assert (refused.value.params["name"], refused.value.params["reason"]) == ("prot", "extra_forbidden")


def test_sign_ups_are_open_only_on_loopback(tmp_path: Path) -> None:
    assert settings.load(home=tmp_path).sign_ups_now is SignUps.OPEN
    assert settings.load(home=tmp_path, host="0.0.0.0").sign_ups_now is SignUps.APPROVAL
    assert settings.load(home=tmp_path, host="0.0.0.0", sign_ups="closed").sign_ups_now is SignUps.CLOSED


def test_processes_that_start_together_share_one_secret_that_only_the_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "secret_key"
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: settings.secret(path), range(8)))
    assert len(made) == 1
    assert len(made.pop()) >= 48
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret_key"]


@pytest.mark.parametrize(
    ("value", "expected"), [("/data, /mnt/usb", ["/data", "/mnt/usb"]), ('["/a,b"]', ["/a,b"]), ("/one", ["/one"]), ("", [])]
)
def test_a_list_is_written_with_commas_or_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, expected: list[str]) -> None:
    monkeypatch.setenv("KARGAH_IMPORT_ROOTS", value)
    assert settings.load(home=tmp_path).import_roots == list(map(Path, expected))


@pytest.mark.parametrize(
    ("name", "value", "reason", "shown"),
    [
        ("PORT", "abc", "int_parsing", "abc"), ("PORT", "99999", "less_than_equal", "99999"), ("IMPORT_ROOTS", "[bad", "list_type", "[bad"),
        ("PROFILE", "x", "enum", "x"), ("HUB_URLS", "", "too_short", "[]"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_named_with_what_it_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str, shown: str
) -> None:
    monkeypatch.setenv(f"KARGAH_{name}", value)
    with pytest.raises(settings.SettingUnusable) as refused:
        settings.load(home=tmp_path)
    assert {"name": f"KARGAH_{name}", "value": shown, "reason": reason}.items() <= refused.value.params.items()


def test_no_secret_is_told_when_it_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "kargah.toml").write_text('hub_token = ["sesame"]')
    with pytest.raises(settings.SettingOfFileUnusable) as refused:
        settings.load(home=tmp_path)
    assert "sesame" not in str(refused.value.params)


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"= 1"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "kargah.toml").write_bytes(content)
    with pytest.raises(settings.SettingsUnreadable) as refused:
        settings.load(home=tmp_path)
    assert refused.value.params["path"] == str(tmp_path / "kargah.toml")


def test_a_command_says_it_in_one_sentence(tmp_path: Path) -> None:
    environment = {**os.environ, "KARGAH_PORT": "abc", "KARGAH_LANGUAGE": "en"}
    command = [sys.executable, "-m", "kargah", "serve", "--home", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "KARGAH_PORT" in done.stderr
    assert "Traceback" not in done.stderr
