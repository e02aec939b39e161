"""What every page has around its work: where one is, the menu, who one is, and what the last act did."""

from dataclasses import dataclass, field
from urllib.parse import urlencode

from starlette.requests import Request

from kargah.web.pages.words import Words

MENU: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    ("", (("home", "/", "home"), ("runs", "/runs", "runs"), ("analytics", "/analytics", "monitor"), ("compare", "/compare", "compare"))),
    ("nav.materials", (("datasets", "/datasets", "dataset"), ("models", "/models", "model"), ("evaluations", "/evaluations", "rank"))),
    (
        "nav.workshop",
        (
            ("hardware", "/hardware", "chip"),
            ("people", "/people", "users"),
            ("settings", "/settings", "settings"),
            ("account", "/account", "key"),
        ),
    ),
    ("", (("start", "/start", "wand"), ("help", "/help", "info"))),
)
#: Places that are reached from other pages, and by the palette.
ELSEWHERE = (("scripts", "/scripts", "text"), ("notices", "/notices", "bell"), ("about", "/about", "tag"))
#: Links that only an admin can follow.
FOR_ADMINS = frozenset({"people", "settings"})
TABS = (
    ("home", "/", "home"),
    ("runs", "/runs", "runs"),
    ("new", "/runs/new", "plus"),
    ("datasets", "/datasets", "dataset"),
    ("models", "/models", "model"),
)
#: What the palette can do beside going somewhere: (name, icon, where it goes or what it presses, its keys).
ACTS = (
    ("new", "plus", "/runs/new", "N"),
    ("add_data", "upload", "/datasets#add", "U"),
    ("theme", "sun", "[data-theme-form] button", ""),
    ("language", "text", "[name=language]", ""),
    ("keys", "key", "[data-open=keys]", "?"),
    ("log_out", "exit", "[data-log-out]", ""),
)
#: After G, the letter of a place.
PLACES = {"home": "D", "runs": "R", "compare": "C", "models": "M", "deployments": "S"}
#: Keys of a page: (what is pressed, the name of what it does). Palette and places are added from the tables above.
PAGE_KEYS = (
    ("P", "pause"), ("J", "next_row"), ("K", "previous_row"), ("X", "pick"), ("Alt ↑", "move_up"), ("Alt ↓", "move_down"), ("Y", "copy"),
    ("Esc", "close"),
)  # fmt: skip
NEXT_THEME = {None: "dark", "dark": "light", "light": "dark"}


@dataclass(frozen=True)
class Link:
    text: str
    href: str = ""
    icon: str = ""
    current: bool = False
    add: bool = False


@dataclass(frozen=True)
class Group:
    title: str
    links: list[Link]


@dataclass(frozen=True)
class Command:
    """A line of the palette: goes to ``href``, or presses what ``press`` selects. ``keys``: pressed one after the other."""

    text: str
    icon: str
    href: str = ""
    press: str = ""
    keys: str = ""


@dataclass(frozen=True)
class KeyRow:
    keys: list[str]
    text: str


@dataclass(frozen=True)
class Page:
    """``stream``: the page's one event stream, when it has one. ``parts``: where its live parts are asked for again, if not here.

    ``put_back``: the places that a move in the line has changed, for the button that takes it back.
    """

    words: Words
    path: str
    section: str
    theme: str | None
    csrf: str
    user_name: str
    menu: list[Group]
    tabs: list[Link]
    crumbs: list[Link] = field(default_factory=list)
    stream: str | None = None
    parts: str | None = None
    notice: str = ""
    put_back: str = ""
    is_viewer: bool = False

    @property
    def commands(self) -> list[Command]:
        places = [link for group in self.menu for link in group.links]
        places += [_link(self.words, *link, self.section) for link in ELSEWHERE]
        going = [Command(link.text, link.icon, href=link.href, keys=_place_keys(link)) for link in places]
        return [*(_act(self.words, *act) for act in ACTS if not (self.is_viewer and act[3] in {"N", "U"})), *going]

    @property
    def key_rows(self) -> list[KeyRow]:
        """All keys there are, as the dialog shows them."""
        first = [KeyRow(["Ctrl", "K"], self.words.text("keys.palette")), KeyRow(["/"], self.words.text("keys.search"))]
        commands = [KeyRow(command.keys.split(), command.text) for command in self.commands if command.keys]
        return [*first, *commands, *(KeyRow([key], self.words.text(f"keys.{name}")) for key, name in PAGE_KEYS)]

    @property
    def initial(self) -> str:
        return self.user_name[:1]

    @property
    def next_theme(self) -> str:
        return NEXT_THEME[self.theme]


def page_of(
    request: Request, section: str, *, crumbs: tuple[tuple[str, str], ...] = (), stream: str | None = None, parts: str | None = None
) -> Page:
    """``crumbs``: (text, address) below the section's own."""
    words = Words(getattr(request.state, "language", "fa"))
    actor = getattr(request.state, "actor", None)
    theme = request.cookies.get("kargah_theme")
    return Page(
        words=words,
        path=_path_of(request),
        section=section,
        theme=theme if theme in {"light", "dark"} else None,
        csrf=getattr(request.state, "csrf_token", "") or "",
        user_name=actor.name if actor else "",
        menu=[_group(words, title, links, section, is_admin=bool(actor and actor.is_admin)) for title, links in MENU],
        tabs=[_link(words, *tab, section) for tab in TABS],
        crumbs=_crumbs(words, section, crumbs),
        stream=stream,
        parts=parts,
        notice=_notice(words, request),
        put_back=request.query_params.get("undo", "") if request.query_params.get("done") == "runs_moved" else "",
        is_viewer=bool(actor and actor.role == "viewer"),
    )


def _path_of(request: Request) -> str:
    """The address as asked, without what only said that something was done."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in {"done", "undo"}]
    return request.url.path + (f"?{urlencode(kept)}" if kept else "")


def _group(words: Words, title: str, links: tuple[tuple[str, str, str], ...], section: str, is_admin: bool) -> Group:
    shown = [_link(words, *link, section) for link in links if is_admin or link[0] not in FOR_ADMINS]
    return Group(words.text(title) if title else "", shown)


def _link(words: Words, name: str, href: str, icon: str, section: str) -> Link:
    return Link(words.text(f"nav.{name}"), href, icon, current=name == section, add=name == "new")


def _place_keys(link: Link) -> str:
    letter = next((letter for name, letter in PLACES.items() if link.href == ("/" if name == "home" else f"/{name}")), "")
    return f"G {letter}" if letter else ""


def _act(words: Words, name: str, icon: str, target: str, keys: str) -> Command:
    text = words.text(f"act.{name}")
    return Command(text, icon, href=target, keys=keys) if target.startswith("/") else Command(text, icon, press=target, keys=keys)


def _crumbs(words: Words, section: str, below: tuple[tuple[str, str], ...]) -> list[Link]:
    if not words.has(f"nav.{section}"):
        return [Link(text, href) for text, href in below]
    href = next((href for _, links in MENU for name, href, _ in links if name == section), "")
    return [Link(words.text(f"nav.{section}"), href if below else ""), *(Link(text, href) for text, href in below)]


def _notice(words: Words, request: Request) -> str:
    """What the act before did: ``?done=<code>`` names a text; any other code says nothing."""
    return words.optional(f"done.{request.query_params.get('done', '')}")
