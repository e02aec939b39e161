"""What people write is shown as what they wrote: forty attacks in every field that can be written, and none is ever more than text."""

import csv
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser
from support.browser_people import Person, arrive, enter
from support.furnished import addresses_of
from support.server import EMAIL, PASSWORD, Server, running_with_admin

from kargah.client import Kargah

CALL = "pwned('{n}')"
ATTACKS = [
    "<script>{call}</script>",
    '"><script>{call}</script>',
    "'><script>{call}</script>",
    "</title><script>{call}</script>",
    "</textarea><script>{call}</script>",
    "</option></select><script>{call}</script>",
    "</bdi></td></table><script>{call}</script>",
    "--><script>{call}</script>",
    "]]><script>{call}</script>",
    "<ScRiPt>{call}</sCrIpT>",
    "<scr<script>ipt>{call}</scr</script>ipt>",
    "<script src=data:,{call}></script>",
    "<script/xss src=//127.0.0.1/{n}.js></script>",
    "<img src=x onerror={call}>",
    '"><img src=x onerror={call}>',
    '\'><img src=x onerror="{call}">',
    "<img src=`x`onerror={call}>",
    "<svg onload={call}>",
    "<svg/onload={call}//",
    "<svg><script>{call}</script></svg>",
    "<svg><animate onbegin={call} attributeName=x dur=1s>",
    "<body onload={call}>",
    "<input onfocus={call} autofocus>",
    '" onfocus="{call}" autofocus x="',
    "' onmouseover='{call}' x='",
    '" autofocus onfocus={call} tabindex=0 ',
    "<details open ontoggle={call}>",
    "<video><source onerror={call}></video>",
    "<audio src=x onerror={call}>",
    '<iframe src="javascript:{call}"></iframe>',
    "<iframe srcdoc='<script>parent.{call}</script>'></iframe>",
    "<object data=javascript:{call}></object>",
    "<embed src=javascript:{call}>",
    "<a href=javascript:{call}>x</a>",
    "javascript:{call}",
    "<math><mtext><table><mglyph><style><img src=x onerror={call}>",
    "<style>@import'//127.0.0.1/{n}.css';</style>",
    '<link rel=stylesheet href=//127.0.0.1/{n}.css><base href="//127.0.0.1/">',
    '<meta http-equiv=refresh content="0;url=javascript:{call}">',
    "{{{{constructor.constructor('{call}')()}}}}${{{call}}}<%= {call} %>",
]
PAYLOADS = [attack.format(call=CALL.format(n=n), n=n) for n, attack in enumerate(ATTACKS)]
WATCH = """
window.told = [];
window.pwned = n => window.told.push(`ran ${n}`);
for (const name of ["alert", "confirm", "prompt"]) window[name] = () => window.told.push(`ran ${name}`);
document.addEventListener("securitypolicyviolation", event => window.told.push(`${event.violatedDirective} ${event.blockedURI}`));
"""
#: Elements and attributes that none of our pages has: where one stands, a text became markup.
STRANGE = """() => [...document.querySelectorAll("*")].filter(element =>
  element.matches("img, iframe, object, embed, math, style, base, video, audio, marquee, animate, [srcdoc], [http-equiv], " +
    "a[href^='javascript'], script:not([src^='/static/']):not([type='application/json']), link:not([href^='/static/'])")
  || [...element.attributes].some(attribute => attribute.name.startsWith("on"))).map(element => element.outerHTML.slice(0, 200))"""


def packed(longest: int) -> list[str]:
    """All payloads, joined to as few names as fit."""
    names = [""]
    for payload in PAYLOADS:
        if len(names[-1]) + len(payload) > longest:
            names.append("")
        names[-1] += payload
    return names


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A home in which every name, cell and label was written by an enemy."""
    folder = tmp_path_factory.mktemp("hostile")
    with running_with_admin(folder / "home", sign_ups="open") as server, Kargah(server.url, server.token) as kargah:
        api = server.client()
        yield server, {**written(api, kargah, table_in(folder)), **named(api)}


def table_in(folder: Path) -> Path:
    """Texts, labels and heads of columns, and a file name, that attack."""
    path = folder / '"><img src=x onerror=pwned(1)>.csv'
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f"text {PAYLOADS[0]}", f"label {PAYLOADS[13]}", *PAYLOADS])
        for turn in range(8):
            writer.writerows([f"{payload} {turn}", payload, *[f"{payload}{turn}"] * len(PAYLOADS)] for payload in PAYLOADS[:20])
    return path


def written(api: httpx.Client, kargah: Kargah, table: Path) -> dict[str, str]:
    titles = packed(290)
    dataset = kargah.datasets.upload(table, title=titles[0])
    columns = {"text": [f"text {PAYLOADS[0]}"], "label": f"label {PAYLOADS[13]}"}
    run = kargah.trainings.start(
        datasets=[dataset.id], recipe="text-classification", spec={"columns": columns, "epochs": 2}, title=titles[0]
    )
    for title in titles[1:]:
        kargah.jobs.stop(kargah.trainings.start(datasets=[dataset.id], title=title).job.id)
        kargah.datasets.upload(table, title=title, wait=False)
    kargah.jobs.wait(run.job.id)
    version = kargah.trainings.models(run.run_id)[0]
    kargah.models.predict(version.id, PAYLOADS)
    told = {"evaluation_id": str(kargah.evaluations.start(version.id, dataset.id, title=titles[0], wait=True)["id"])}
    other = str(api.get("/api/v1/runs").json()["items"][0]["id"])
    told |= {"dataset_id": dataset.id, "run_id": run.run_id, "other_run_id": other}
    return {**told, "version_id": version.id, "model_id": version.model_id}


def named(api: httpx.Client) -> dict[str, str]:
    """Sessions, tokens and people."""
    for n, payload in enumerate(PAYLOADS):
        api.post("/api/v1/auth/tokens", json={"name": payload[:100]}).raise_for_status()
        login = {"email": EMAIL, "password": PASSWORD}
        api.post("/api/v1/auth/login", json=login, headers={"User-Agent": payload.strip()}).raise_for_status()
        if n < len(packed(190)):
            person = {"email": f"enemy{n}@example.org", "password": PASSWORD, "name": packed(190)[n], "role": "viewer"}
            api.post("/api/v1/users", json=person).raise_for_status()
    return {}


@pytest.fixture(scope="module")
def watcher(chromium: Browser, hostile: tuple[Server, dict[str, str]]) -> Iterator[Person]:
    server, _ = hostile
    someone = arrive(chromium, server)
    someone.context.add_init_script(WATCH)
    enter(someone, server)
    yield someone
    someone.context.close()


def harm_at(someone: Person, path: str) -> list[str]:
    page = someone.go(path)
    page.wait_for_load_state("load")
    return harm_on(someone, path)


def harm_on(someone: Person, path: str) -> list[str]:
    found: list[str] = [*someone.page.evaluate("() => window.told"), *someone.page.evaluate(STRANGE)]
    return [f"{path}: {what}" for what in found]


def test_no_page_runs_what_was_written_into_a_name_a_cell_or_a_label(hostile: tuple[Server, dict[str, str]], watcher: Person) -> None:
    _, ids = hostile
    pages = addresses_of(ids)
    compared = [f"/compare?run={ids['run_id']}&run={ids['other_run_id']}"] if "/compare" in pages else []
    more = [f"/runs/new?dataset={ids['dataset_id']}", f"/runs/new?like={ids['run_id']}", "/models/trash"]
    harm = [found for path in [*pages, *more, *compared] for found in harm_at(watcher, path)]
    assert not harm, "\n".join(harm)


def test_a_name_that_changes_is_as_harmless_as_one_that_was_there(hostile: tuple[Server, dict[str, str]], watcher: Person) -> None:
    server, ids = hostile
    api, harm = server.client(), []
    for title in packed(190):
        api.patch("/api/v1/auth/me", json={"name": title}).raise_for_status()
        api.patch(f"/api/v1/models/{ids['model_id']}", json={"title": title}).raise_for_status()
        api.patch(f"/api/v1/datasets/{ids['dataset_id']}", json={"title": title}).raise_for_status()
        for path in ("/account", f"/models/{ids['model_id']}", f"/datasets/{ids['dataset_id']}"):
            harm += harm_at(watcher, path)
    assert not harm, "\n".join(harm)


def test_what_is_asked_is_said_back_as_text(hostile: tuple[Server, dict[str, str]], watcher: Person) -> None:
    _, ids = hostile
    asked = "".join(PAYLOADS)[:1500]
    harm = []
    for path in ("/runs", "/datasets", "/models", "/login", "/no/such", f"/runs/{ids['run_id']}"):
        query = httpx.QueryParams({"q": asked, "next": asked, "done": asked, "state": asked, "cursor": "", "language": asked})
        harm += harm_at(watcher, f"{path}?{query}")
    for asked in packed(600):
        page = watcher.go(f"/models/versions/{ids['version_id']}/try")
        page.fill("#try textarea", asked)
        page.click("#try form button")
        page.wait_for_selector("#try .answer")
        assert page.input_value("#try textarea") == asked
        harm += harm_on(watcher, "try")
    assert not harm, "\n".join(harm)


def test_long_and_strange_names_are_shown_as_themselves(hostile: tuple[Server, dict[str, str]], watcher: Person, tmp_path: Path) -> None:
    """300 characters, a change of direction, emoji, a cell of 30,000: whole, apart from what stands beside, and no page the wider."""
    server, _ = hostile
    name, cell = "راست‌به‌چپ \u202eevil\u2066 😀👩🏽‍🚀 " + "ن" * 270, "سلام‌" * 6000
    path = tmp_path / "long.csv"
    path.write_text(f"متن,برچسب\n{cell},الف\nکوتاه,ب\n", encoding="utf-8")
    with Kargah(server.url, server.token) as kargah:
        dataset = kargah.datasets.upload(path, title=name)
    page = watcher.go(f"/datasets/{dataset.id}")
    for width in (360, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert watcher.overflow_pixels() <= 0
    assert page.text_content("h1 bdi") == dataset.title

    assert any(len(text) > 100 for text in page.locator("td bdi.cell").all_text_contents())


#: Texts that are shown with something in them that turns what stands beside them.
TURNING = """() => {
  const texts = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const { data, parentElement } = texts.currentNode;
    let depth = 0;
    const step = (mark) => (depth += /[\\u2066-\\u2068]/.test(mark) - (mark === "\\u2069"));
    const turns = [...data].some((mark) => /[\\u202a-\\u202e]/.test(mark) || step(mark) < 0);
    if ((turns || depth) && !parentElement.closest("textarea, script")) found.push(parentElement.outerHTML.slice(0, 200));
  }
  return found;
}"""
#: Where the letters of a word stand, from the left.
PLACES = """([selector, word]) => {
  const texts = document.createTreeWalker(document.querySelector(selector), NodeFilter.SHOW_TEXT);
  while (texts.nextNode() && !texts.currentNode.data.includes(word));
  const at = texts.currentNode.data.indexOf(word);
  return [...word].map((_, index) => {
    const range = document.createRange();
    range.setStart(texts.currentNode, at + index);
    range.setEnd(texts.currentNode, at + index + 1);
    return range.getBoundingClientRect().left;
  });
}"""


def test_what_turns_a_text_around_is_shown_and_turns_nothing(hostile: tuple[Server, dict[str, str]], watcher: Person) -> None:
    """An override, and a closing mark that would end the isolation in which a name stands."""
    server, ids = hostile
    api, name = server.client(), "\u2069\u202eevil\u2067 نام 👩🏽‍🚀"
    api.patch(f"/api/v1/models/{ids['model_id']}", json={"title": name}).raise_for_status()
    api.post("/api/v1/auth/tokens", json={"name": name}).raise_for_status()
    with Kargah(server.url, server.token) as kargah:
        run = kargah.trainings.start(datasets=[ids["dataset_id"]], title=name)
        kargah.jobs.stop(run.job.id)
    pages = ["/", "/runs", f"/runs/{run.run_id}", "/models", f"/models/{ids['model_id']}", "/account", "/people", "/notices", "/analytics"]
    turned = []
    for path in [*pages, f"/runs/new?like={run.run_id}", f"/compare?run={run.run_id}&run={ids['run_id']}"]:
        page = watcher.go(path)
        turned += [f"{path}: {text}" for text in page.evaluate(TURNING)]
    assert not turned, "\n".join(turned)
    page = watcher.go(f"/runs/{run.run_id}")
    assert page.inner_text("h1 bdi") == "⟨U+2069⟩⟨U+202E⟩evil⟨U+2067⟩ نام 👩🏽‍🚀"
    places = page.evaluate(PLACES, ["h1 bdi", "evil"])
    assert places == sorted(places)
    page = watcher.go(f"/runs/new?like={run.run_id}")
    assert page.input_value("[name=title]") == name, "what is edited is kept as it is"


def test_the_watch_sees_what_it_watches_for(watcher: Person) -> None:
    page = watcher.go("/about")
    for payload in PAYLOADS:
        page.evaluate("payload => document.body.insertAdjacentHTML('beforeend', payload)", payload)
    page.wait_for_function("() => window.told.length > 3")
    assert len(harm_on(watcher, "about")) > 20
