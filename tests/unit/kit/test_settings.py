import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from kargah.kit import settings
from kargah.kit.settings import SignUps


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kargah.toml").write_text("port = 9000\nlanguage = 'en'\n")
    monkeypatch.setenv("KARGAH_PORT", "9001")
    loaded = settings.load(home=tmp_path)
    assert (loaded.port, loaded.language) == (9001, "en")


def test_a_setting_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kargah.toml").write_text("prot = 9000\n")
    with pytest.raises(ValidationError, match="prot"):
        settings.load(home=tmp_path)


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
