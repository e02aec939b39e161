"""What a download knows of hubs besides its plan: the secrets, in a file of the home, and which files of a repository are wanted."""

import re
from pathlib import Path

from pydantic import BaseModel, ValidationError

from kargah.kit import files

ORIGIN = "https://huggingface.co"
#: The name of what is secret of the hubs of the settings; another Kargah has one of its own.
HUBS = "hubs"
#: Two parts of letters, digits, dots, dashes and underscores; a few old repositories have one part only.
REPOSITORY = re.compile(r"(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,199}", re.ASCII)
COMMIT = re.compile("[0-9a-f]{40}")
SHA256 = re.compile("[0-9a-f]{64}")

PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".h5", ".msgpack"})
_TEXTS_OF_A_MODEL = frozenset(
    {"README.md", "vocab.txt", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "chat_template.jinja"}
)
_TABLES = frozenset({".parquet", ".csv", ".tsv", ".json", ".jsonl", ".arrow"})
#: What describes a data set and is none of its rows.
_NOT_ROWS = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})


class HubAccess(BaseModel):
    """``token`` goes to the origin ``token_for`` and to no other place. ``proxy`` may hold a password, so it stands here too."""

    token: str | None = None
    token_for: str = ORIGIN
    proxy: str | None = None

    @classmethod
    def read(cls, home: Path, name: str = HUBS) -> "HubAccess":
        try:
            return cls.model_validate_json(_path(home, name).read_bytes())
        except (FileNotFoundError, ValidationError):
            return cls()

    def write(self, home: Path, name: str = HUBS) -> None:
        """Mode 0600. Only when it changed."""
        if self != HubAccess.read(home, name):
            _path(home, name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            files.write_bytes(_path(home, name), self.model_dump_json().encode(), mode=0o600)

    @staticmethod
    def forget(home: Path, name: str) -> None:
        """Of another Kargah, once what was wanted of it is over; the hubs' own stays."""
        if name != HUBS:
            _path(home, name).unlink(missing_ok=True)


def _path(home: Path, name: str) -> Path:
    return home / "secrets" / f"{name}.json"


def downloads_folder(home: Path) -> Path:
    """Parts of files on their way, and whole ones that no record names yet."""
    return home / "downloads"


def is_of_model(name: str) -> bool:
    """Whether a file at the top of a model's folder is taken; pickles and code never are."""
    return Path(name).suffix in {".safetensors", ".json"} or name in _TEXTS_OF_A_MODEL or is_licence(name)


def is_licence(name: str) -> bool:
    return Path(name).stem.upper() in {"LICENSE", "LICENCE", "NOTICE", "USE_POLICY"} and Path(name).suffix in {"", ".txt", ".md"}


def is_of_dataset(path: str) -> bool:
    name = Path(path).name
    return (Path(path).suffix in _TABLES and name not in _NOT_ROWS and not name.startswith(".")) or path == "README.md" or is_licence(path)


def is_table(path: str) -> bool:
    return is_of_dataset(path) and Path(path).suffix in _TABLES
