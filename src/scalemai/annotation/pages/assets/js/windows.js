// Grey-level windows: one that suits the structure, or the one that the reader last chose for it.

import { $, page, redraw, scene } from "./room.js";
import { keyed } from "./panel.js";

const SUITED = [
  [/lung|bronch/, "lung"],
  [/bone|vertebra|rib/, "bone"],
  [/liver/, "liver"],
];
const chosen = new Map();
let structure = "";

export function makeWindows() {
  const buttons = page.me.windows.map((preset) => {
    const choice = keyed(preset.name, preset.key, () => setWindow(preset));
    choice.dataset.key = preset.key;
    return choice;
  });
  $("window").replaceChildren(...buttons);
  apply(page.me.windows[0]);
}

/** The window in which a structure is looked at. */
export function chooseWindow(name) {
  structure = name ?? "";
  const suited = SUITED.find(([pattern]) => pattern.test(structure))?.[1];
  const { windows } = page.me;
  apply(chosen.get(structure) ?? windows.find((w) => w.name === suited) ?? windows[0]);
}

/** Take a window, for this structure from now on. */
export function setWindow(window) {
  if (!window) return;
  chosen.set(structure, window);
  apply(window);
}

function apply(window) {
  scene.window = { low_hu: window.low_hu, high_hu: window.high_hu };
  for (const button of $("window").children) {
    button.setAttribute("aria-pressed", button.dataset.key === window.key);
  }
  redraw();
}
