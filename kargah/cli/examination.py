"""The command ``kargah doctor``."""

import typer

from kargah.cli.options import Home, Json
from kargah.cli.words import t

_MARKS = {"good": "✓", "optional": "·", "warning": "!", "broken": "✗"}


def doctor(json: Json = False, home: Home = None) -> None:
    from kargah.cli import screen
    from kargah.cli.doctor import Finding, Verdict, examine
    from kargah.kit import settings

    findings: list[Finding] = []
    for finding in examine(settings.load(home=home)):
        findings.append(finding)
        if not json:
            screen.line(f"{_MARKS[finding.verdict]} {t(f'cli.doctor.{finding.code}', **finding.params)}")
    if json:
        screen.as_json([finding.as_dict() for finding in findings])
    if any(finding.verdict is Verdict.BROKEN for finding in findings):
        raise typer.Exit(1)
