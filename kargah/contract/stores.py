"""A bucket of an S3-compatible object store, or what lies below one place of it: where it is, and in a file of the home what opens it."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kargah.kit import files

SCHEME = "s3://"


class Store(BaseModel):
    """``endpoint`` is null for Amazon's own. ``prefix`` is empty, or ends with a slash."""

    model_config = ConfigDict(frozen=True)

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None

    @property
    def url(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def shown(self) -> str:
        """Who is asked."""
        return self.endpoint or "https://s3.amazonaws.com"


class StoreAccess(BaseModel):
    """``key`` is null where strangers may read. It stands in the home alone: in no plan, no event, no database and no answer."""

    model_config = ConfigDict(frozen=True)

    key: str | None = None
    secret: str | None = Field(None, repr=False)

    @classmethod
    def read(cls, home: Path, root_id: str) -> "StoreAccess":
        try:
            return cls.model_validate_json(_path(home, root_id).read_bytes())
        except (FileNotFoundError, ValidationError):
            return cls()

    def write(self, home: Path, root_id: str) -> None:
        """Mode 0600."""
        _path(home, root_id).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write_bytes(_path(home, root_id), self.model_dump_json().encode(), mode=0o600)

    @staticmethod
    def forget(home: Path, root_id: str) -> None:
        _path(home, root_id).unlink(missing_ok=True)


def _path(home: Path, root_id: str) -> Path:
    return home / "secrets" / f"{root_id}.json"
