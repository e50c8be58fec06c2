// What the page says beside the planes: facts, tools, what is saved.

import { $, page, scene, views } from "./room.js";
import { PLANES } from "./brush.js";

const ENDED = { accept: "accepted", reject: "rejected", unsure: "unsure" };

export function say(text) {
  $("message").textContent = text;
  $("message").title = text;
  $("message").hidden = !text;
}

export function button(act) {
  return document.querySelector(`button[data-act="${act}"]`);
}

/** Children of a node: elements with text, as [tag, text] pairs. */
export function fill(node, pairs) {
  node.replaceChildren(
    ...pairs.map(([tag, text]) => Object.assign(document.createElement(tag), { textContent: text })),
  );
}

/** A button with a label and the key that does the same. */
export function keyed(label, key, call) {
  const choice = document.createElement("button");
  choice.type = "button";
  choice.append(`${label} `, Object.assign(document.createElement("kbd"), { textContent: key }));
  choice.addEventListener("click", call);
  return choice;
}

export function plain(name) {
  return (name ?? "").replaceAll("_", " ");
}

export function refreshTools() {
  const { brush } = scene;
  const { editor } = page;
  const pressed = {
    edit: brush.on && !brush.erase,
    erase: brush.on && brush.erase,
    solid: brush.solid,
    threshold: brush.alike,
    measure: page.measuring,
    organs: scene.shown.structures,
    hide: !scene.shown.mask,
  };
  for (const [act, on] of Object.entries(pressed)) button(act)?.setAttribute("aria-pressed", on);
  $("radius").value = brush.radius;
  $("radius-mm").textContent = `${brush.radius} mm`;
  $("within").value = brush.within;
  $("within-hu").textContent = `± ${brush.within} HU`;
  $("within").closest("label").hidden = !brush.alike;
  button("undo").disabled = !editor?.canUndo;
  button("redo").disabled = !editor?.canRedo;
  $("undo-name").textContent = editor?.done.at(-1)?.name ?? "";
  $("redo-name").textContent = editor?.undone.at(-1)?.name ?? "";
  button("back").disabled = !page.past.length;
}

let asked = 0;

/** Say what is with the server: everything, or how much is still kept here. */
export async function refreshSaved() {
  const mine = ++asked;
  if (page.outbox.adding) showSaved(page.outbox.adding);
  const waiting = await page.outbox.waiting();
  if (mine === asked) showSaved(waiting);
}

function showSaved(waiting) {
  const { online } = page.outbox;
  const state = !waiting ? "saved" : online ? "saving" : "offline";
  const sketch = page.entry?.read.unit === "case" && page.editor?.canUndo;
  document.body.dataset.waiting = waiting;
  $("saved").dataset.state = state;
  $("saved").textContent = {
    saved: sketch ? "sketch kept here" : "saved",
    saving: "saving …",
    offline: `offline · ${waiting} kept here`,
  }[state];
}

export function showFacts(read) {
  const rows = [];
  const mm = (value) => `${value.toFixed(1)} mm`;
  const { sizes } = read;
  if (sizes.diameter_mm) rows.push(["longest axial", mm(sizes.diameter_mm)]);
  if (sizes.perpendicular_mm) rows.push(["across it", mm(sizes.perpendicular_mm)]);
  if (sizes.volume_mm3) rows.push(["volume", `${(sizes.volume_mm3 / 1000).toFixed(2)} mL`]);
  if (sizes.mean_hu !== undefined) rows.push(["mean", `${Math.round(sizes.mean_hu)} HU`]);
  if (sizes.site) rows.push(["site", sizes.site]);
  if (read.step === 2) rows.push(["read", "second"]);
  fill(
    $("facts"),
    rows.flatMap(([name, value]) => [
      ["dt", name],
      ["dd", value],
    ]),
  );
  $("earlier").hidden = read.step !== 3;
  for (const { step, outcome, reason } of read.earlier ?? []) {
    const said = reason ? `${ENDED[outcome]}: ${plain(reason)}` : ENDED[outcome];
    $(step === 1 ? "said-first" : "said-second").textContent = said;
  }
}

/** Under each plane: which slice it is, and what is under the pointer. */
export function refreshPlaces() {
  const { region, cursor } = scene;
  $("slice").disabled = !region;
  if (!region) return;
  for (const [plane, view] of Object.entries(views)) {
    const { through } = PLANES[plane];
    const at = `${region.low[through] + cursor[through] + 1} / ${region.shape[through]}`;
    $(`at-${plane}`).textContent = view.pointer ? `${at} · ${underneath(view.pointer)}` : at;
  }
  $("slice").max = region.shape[2];
  $("slice").value = region.low[2] + cursor[2] + 1;
}

function underneath(pointer) {
  const { region } = scene;
  const voxel = pointer.map(Math.round);
  if (!voxel.every((v, a) => v >= 0 && v < region.dims[a])) return "";
  const place = region.at(...voxel);
  const organ = region.structureNames[region.structures[place] - 1];
  return organ ? `${region.ct[place]} HU · ${plain(organ)}` : `${region.ct[place]} HU`;
}
