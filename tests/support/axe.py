"""axe-core over a page: what it finds against WCAG 2.2 AA and its own best practice."""

from pathlib import Path

from playwright.sync_api import Page

SCRIPT = Path(__file__).parents[1] / "browser" / "vendor" / "axe-core" / "axe.min.js"
RUN = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  const why = node => node.failureSummary.split("\\n").slice(1).join(";").trim();
  return found.violations.flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.target.join(" ")} (${why(node)})`));
}"""


def faults_of(page: Page) -> list[str]:
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    faults: list[str] = page.evaluate(RUN)
    return faults
