// What this browser keeps of one's wishes: switches marked [data-keep], "on" unless switched off ([data-keep-off]: off unless on).
const NAME = "kargah.";

export function kept(name, otherwise = true) {
  try {
    const value = localStorage.getItem(NAME + name);
    return value === null ? otherwise : value === "on";
  } catch {
    return otherwise; // a browser that keeps nothing
  }
}

export function keep(name, on) {
  try {
    localStorage.setItem(NAME + name, on ? "on" : "off");
  } catch {
    // it holds for this page only
  }
}

for (const input of document.querySelectorAll("input[data-keep]")) {
  input.checked = kept(input.dataset.keep, !("keepOff" in input.dataset));
}

document.addEventListener("change", (event) => {
  const { keep: name } = event.target.dataset ?? {};
  if (!name) return;
  keep(name, event.target.checked);
  for (const other of document.querySelectorAll(`input[data-keep="${name}"]`)) other.checked = event.target.checked;
});
