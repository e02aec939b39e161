// Deleting a checkpoint: one question for all of them, which names the one that is meant.
import { fill } from "./words.js";

const dialog = document.getElementById("delete-checkpoint");

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-delete-checkpoint]");
  if (!button) return;
  const title = dialog.querySelector("h2");
  title.textContent = fill(title.dataset.text, { step: button.dataset.step });
  dialog.querySelector("[name=name]").value = button.dataset.deleteCheckpoint;
  dialog.showModal();
});
