"""The hours in which downloads that are begun on a page may run: two fields, kept in the page's address."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kargah.jobs.terms import Window
from kargah.kit import moments
from kargah.web.pages.words import Words

START, END = "window_start", "window_end"
FIELDS = (START, END)


@dataclass(frozen=True)
class Hours:
    """As they were written. ``text``: said once they are understood; ``errors`` where they are not."""

    values: dict[str, str]
    window: Window | None = None
    text: str = ""
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def kept(self) -> dict[str, str]:
        """What goes on with the next address and the next form."""
        return self.values if self.window else {}


def read(words: Words, given: Mapping[str, str]) -> Hours:
    values = {name: given.get(name, "").strip()[:20] for name in FIELDS}
    if not any(values.values()):
        return Hours(values)
    if not all(values.values()):
        missing = next(name for name in FIELDS if not values[name])
        return Hours(values, errors={missing: words.text("terms.window.needs_both")})
    clocks, errors = {}, {}
    for name in FIELDS:
        try:
            clocks[name] = moments.clock_of(values[name])
        except (ValueError, OverflowError):
            errors[name] = words.text(f"terms.{name}.bad")
    if errors:
        return Hours(values, errors=errors)
    window = Window(start=clocks[START], end=clocks[END], zone=zone_of(words))
    shown = {name: words.digits(f"{clock:%H:%M}") for name, clock in clocks.items()}
    zone = words.text("zone.utc" if window.zone == "UTC" else "zone.tehran")
    return Hours(values, window, words.text("download.hours_now", start=shown[START], end=shown[END], zone=zone))


def zone_of(words: Words) -> str:
    return "Asia/Tehran" if words.language == "fa" else "UTC"
