"""In which languages the texts of a column are, by a sample."""

import re
from collections import Counter
from typing import Any

from kargah.text.normalise import in_another_language
from kargah.workers.doctor.places import Places
from kargah.workers.doctor.scope import Columns, Scope
from kargah.workers.reading.findings import Findings

SAMPLE_ROWS = 5000
#: A second language is worth saying from this share on.
MINOR_SHARE = 0.03
_ARABIC = re.compile("[\u0620-\u06ff\ufb50-\ufdff\ufe70-\ufefc]+")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]+")


class Languages:
    """Only the first ``SAMPLE_ROWS`` rows are looked at."""

    def __init__(self, scope: Scope) -> None:
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in scope.running}
        self._places: dict[tuple[str, str], Places] = {}
        self._rows_seen = 0

    def see(self, batch: Any, first_row: int) -> None:
        if first_row > SAMPLE_ROWS:
            return
        self._rows_seen += min(batch.num_rows, SAMPLE_ROWS)
        for name, counts in self._counts.items():
            for row, text in enumerate(batch.column(name).slice(0, SAMPLE_ROWS).to_pylist(), first_row):
                language = language_of(text) if text else None
                if language:
                    counts[language] += 1
                    self._places.setdefault((name, language), Places()).add([row])

    def say(self, columns: Columns, findings: Findings) -> None:
        for name, counts in self._counts.items():
            total = counts.total()
            minor = [language for language, count in counts.most_common()[1:] if count >= max(2, MINOR_SHARE * total)]
            if minor:
                count, rows = sum(counts[language] for language in minor), self._places[(name, minor[0])].rows
                shares = {language: round(100 * number / total, 1) for language, number in counts.most_common()}
                texts = dict(counts.most_common())
                params: dict[str, Any] = {"languages": shares, "looked_at": total, "texts": texts, "rows_seen": self._rows_seen}
                findings.note("LANGUAGE_MIX", "info", column=name, count=count, first_rows=rows, **params)


def language_of(text: str) -> str | None:
    """``persian``, ``arabic`` (and its neighbours: Urdu, Pashto, Kurdish), ``latin`` or ``mixed``; None without letters."""
    arabic, latin = (sum(map(len, letters.findall(text))) for letters in (_ARABIC, _LATIN))
    if not arabic + latin:
        return None
    if min(arabic, latin) * 3 > max(arabic, latin):
        return "mixed"
    if latin > arabic:
        return "latin"
    return "arabic" if in_another_language(text) else "persian"
