"""What a page says, in its reader's language: the functions of kit.i18n with the language put in."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from kargah.kit import i18n
from kargah.kit.clock import utc_now
from kargah.kit.errors import Params

#: Messages whose amounts are memory, and not files.
_OF_MEMORY = frozenset({"MEMORY_LIMIT", "MEMORY_BUSY", "MEMORY_BUSY_ABOUT"})


class Moment(str):
    """A time as it is read. Where a template shows it, it is an element that tells people and machines the exact one."""

    iso: str
    exactly: str

    def __new__(cls, shown: str, iso: str, exactly: str) -> "Moment":
        made = super().__new__(cls, shown)
        made.iso, made.exactly = iso, exactly
        return made

    def __html__(self) -> str:
        return Markup('<time datetime="{}" title="{}">{}</time>').format(self.iso, self.exactly, str(self))


@dataclass(frozen=True)
class Words:
    language: str

    @property
    def direction(self) -> str:
        return "rtl" if self.language == "fa" else "ltr"

    def text(self, key: str, /, **params: Any) -> str:
        return i18n.text(self.language, key, **params)

    def first(self, *keys: str, **params: Any) -> str:
        """The first of ``keys`` that has a text; the last key itself when none has."""
        for key in keys:
            if i18n.has_text(self.language, key):
                return self.text(key, **params)
        return keys[-1]

    def has(self, key: str) -> bool:
        return i18n.has_text(self.language, key)

    def optional(self, key: str) -> str:
        return self.text(key) if self.has(key) else ""

    def optional_with(self, key: str, params: Params) -> str:
        return self.text(key, **params) if self.has(key) else ""

    def number(self, value: float | None, decimals: int | None = None) -> str:
        return "–" if value is None else i18n.number(self.language, value, decimals)

    def digits(self, latin: str) -> str:
        return i18n.digits(self.language, latin)

    def percent(self, share: float | None, decimals: int = 1) -> str:
        return "–" if share is None else i18n.percent(self.language, share, decimals)

    def size(self, size_bytes: float | None) -> str:
        return "–" if size_bytes is None else i18n.size(self.language, size_bytes)

    def duration(self, seconds: float | None) -> str:
        return "–" if seconds is None else i18n.duration(self.language, seconds)

    def duration_or_less(self, seconds: float | None) -> str:
        return self.text("time.under_second") if seconds is not None and seconds < 1 else self.duration(seconds)

    def date(self, moment: datetime | None) -> str:
        return "–" if moment is None else i18n.date(self.language, moment)

    def clock(self, moment: datetime) -> str:
        """Hour, minute and second of the reader's zone in Latin digits, as logs have it."""
        return moment.astimezone(i18n.zone_of(self.language)).strftime("%H:%M:%S")

    def ago(self, moment: datetime | None) -> str:
        """Relative under a day, else the date; in a page the exact moment goes with it."""
        return "–" if moment is None else Moment(self._ago(moment), moment.isoformat(timespec="seconds"), self.date(moment))

    def _ago(self, moment: datetime) -> str:
        passed = utc_now() - moment
        if passed >= timedelta(days=1):
            return i18n.date(self.language, moment, with_time=False)
        seconds = passed.total_seconds()
        if seconds < 60:
            return self.text("time.now")
        whole = seconds - seconds % (3600 if seconds >= 3600 else 60)
        return self.text("time.ago", passed=self.duration(whole))

    def message(self, prefix: str, said: dict[str, Any] | None) -> str:
        """The text of a stored ``{code, params}``: ``<prefix>.<code>``, or the code as a key of its own."""
        if not said:
            return ""
        code, params = str(said.get("code", "")), said.get("params") or {}
        params = self.amounts({**params, **self._memory_amounts(params)} if code in _OF_MEMORY else params)
        return self.first(f"{prefix}.{code}", code, **params)

    def _memory_amounts(self, params: Params) -> Params:
        """In the units in which memory is counted, as charts of it have them."""
        return {name: i18n.memory(self.language, value) for name, value in params.items() if name.endswith("_bytes")}

    def error(self, said: dict[str, Any] | None) -> str:
        text = self.message("error", said)
        return i18n.with_file(self.language, f"error.{said.get('code')}", said.get("params") or {}, text) if said else text

    def amounts(self, params: Params) -> Params:
        """``needed_bytes=5000`` becomes words with a unit; names of states, kinds and roles become their words."""
        shown = {name: i18n.amount(self.language, name, value) for name, value in params.items()}
        for name, value in params.items():
            if isinstance(value, list | tuple):
                shown[name] = self.text("list.comma").join(str(item) for item in value)
            elif name.endswith("_at") and isinstance(value, str):
                shown[name] = self.date(datetime.fromisoformat(value))
            elif name == "state":
                shown[name] = self.first(f"state.{value}", str(value))
        return shown
