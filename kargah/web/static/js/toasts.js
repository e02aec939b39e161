// What the user just did, said for a while and out of the way; undone where it can be. Texts come from the page.
const READING_MS = 8000;
const place = document.getElementById("toasts");

// The page says it without scripts as well: as a note at its beginning, which moves here.
export function toast(text, { bad = false, undo = null } = {}) {
  if (!place) return;
  const box = document.createElement("div");
  box.className = bad ? "toast bad" : "toast";
  box.append(icon(bad ? "error" : "done"), document.createTextNode(text));
  if (undo) box.append(undo);
  place.append(box);
  leave(box);
}

function icon(name) {
  const known = document.querySelector("use[href*='icons.svg#']").closest("svg").cloneNode(true);
  known.setAttribute("class", "i s");
  const use = known.querySelector("use");
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#i-${name}`));
  return known;
}

// Goes away by itself, but not while it is read with the mouse on it or has the focus, and not when it can be undone.
function leave(box) {
  if (box.querySelector("button")) return;
  setTimeout(() => (box.matches(":hover, :focus-within") ? leave(box) : box.remove()), READING_MS);
}

// The note at the beginning of a page, or of one that was fetched to exchange parts of this.
export function sayNotice(page = document) {
  const said = page.querySelector("main > .notice");
  if (!said || !place) return;
  const undo = said.querySelector("form");
  said.remove();
  toast(said.querySelector("span").textContent.trim(), { undo: undo && document.adoptNode(undo) });
}

const undone = new URL(location.href).searchParams.get("undo");
const restore = undone && document.querySelector(`main form[action$="/${CSS.escape(undone)}/restore"]`);
if (restore) document.querySelector("main > .notice")?.append(restore);
if (document.querySelector("main > .notice") && place) {
  sayNotice();
  const address = new URL(location.href);
  for (const name of ["done", "undo"]) address.searchParams.delete(name);
  history.replaceState(history.state, "", address);
}
