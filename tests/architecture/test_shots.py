"""No page is forgotten where pages are pictured."""

import ast
import re
from pathlib import Path

from support.furnished import PARTS, page_routes

SHOTS = Path(__file__).parents[2] / "scripts" / "shots.py"


def pictured() -> list[str]:
    given = [node for node in ast.parse(SHOTS.read_text(encoding="utf-8")).body if isinstance(node, ast.Assign)]
    tables = [ast.literal_eval(node.value) for node in given if ast.unparse(node.targets[0]) in {"DOORS", "PAGES"}]
    return [address.partition("?")[0] for table in tables for address in table.values()]


def test_every_page_has_its_picture() -> None:
    pages = [path for path in page_routes() if not path.endswith(PARTS) or path in ("/login", "/register")]
    shapes = {path: re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))) for path in pages}
    assert [path for path, shape in shapes.items() if not any(map(shape.fullmatch, pictured()))] == []
