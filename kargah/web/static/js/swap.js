// Puts parts of a freshly fetched page in the place of the same parts here, by id; what is open and focused stays so.
export function swap(html, selector) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const part of fresh.querySelectorAll(selector)) {
    const old = part.id && document.getElementById(part.id);
    if (!old || old.isEqualNode(part)) continue;
    const open = [...old.querySelectorAll("details[open][id]")].map((details) => details.id);
    const focused = old.contains(document.activeElement) ? document.activeElement.id || document.activeElement.name : "";
    old.replaceWith(part);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    for (const button of part.querySelectorAll("[data-copy]")) button.hidden = false;
    if (focused) (document.getElementById(focused) ?? part.querySelector(`[name="${CSS.escape(focused)}"]`))?.focus();
  }
  return fresh;
}
