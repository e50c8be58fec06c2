// Questions that a decision asks: why, and how sure. One is open at a time; a digit answers it.

import { $, page } from "./room.js";
import { keyed, plain } from "./panel.js";

const SURE = ["a guess", "rather unsure", "even", "rather sure", "certain"];

let answers = null;
let asker = null;

function ask(list, labels, chosen) {
  answers = labels.map((_, n) => () => {
    close();
    chosen(n);
  });
  list.replaceChildren(
    ...labels.map((label, n) => {
      const item = document.createElement("li");
      item.append(keyed(label, n + 1, answers[n]));
      return item;
    }),
  );
  $("question").hidden = false;
  list.hidden = false;
  document.body.dataset.asking = list.id;
  asker = document.activeElement;
  list.querySelector("button").focus();
}

export function askReason(chosen) {
  const { reasons } = page.me;
  $("question-text").textContent = "What is it?";
  ask($("reasons"), reasons.map(plain), (n) => chosen(reasons[n]));
}

export function askConfidence(chosen) {
  $("question-text").textContent = "How sure?";
  ask($("confidence"), SURE, (n) => chosen(n + 1));
}

/** Close the question without an answer. */
export function close() {
  if (!answers) return;
  answers = null;
  for (const id of ["question", "reasons", "confidence"]) $(id).hidden = true;
  delete document.body.dataset.asking;
  asker?.focus?.({ preventScroll: true });
}

/** Whether a key belongs to the open question; if so, it is answered, closed or moved about in. */
export function takes(event) {
  if (!answers) return false;
  if (event.key === "Escape") close();
  else if (answers[Number(event.key) - 1]) answers[Number(event.key) - 1]();
  else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const all = [...$("question").querySelectorAll("button")].filter((b) => b.offsetParent);
    const at = all.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : all.length - 1);
    all[at % all.length].focus();
  } else if (["Enter", " ", "Tab"].includes(event.key)) return null; // the browser's own
  return true;
}
