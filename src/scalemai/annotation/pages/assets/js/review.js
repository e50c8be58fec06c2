// The reading page: starts the parts, and hands keys and buttons to what they mean.

import { takes } from "./asking.js";
import { refreshBackdrops } from "./backdrop.js";
import { PLANES } from "./brush.js";
import { jump } from "./crops.js";
import { KEYS, meaning } from "./keys.js";
import { Outbox } from "./outbox.js";
import { refreshPlaces, refreshSaved, say } from "./panel.js";
import { listen } from "./pointer.js";
import { refreshPrevious, shift } from "./previous.js";
import { Queue } from "./queue.js";
import { advance, count, decisions, refused } from "./reads.js";
import { $, active, inScan, onDraw, page, redraw, scene, views } from "./room.js";
import { get, post } from "./server.js";
import { Stopwatch } from "./stopwatch.js";
import { move, setRadius, setWithin, tools, zoom } from "./tools.js";
import { View } from "./view.js";
import { makeWindows, setWindow } from "./windows.js";

const MOVES = {
  ArrowUp: [0, 0, 1],
  ArrowDown: [0, 0, -1],
  PageUp: [0, 0, 5],
  PageDown: [0, 0, -5],
  ArrowLeft: [-1, 0, 0],
  ArrowRight: [1, 0, 0],
};
const SHIFTED = { ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0], ArrowLeft: [-5, 0, 0], ArrowRight: [5, 0, 0] };
const SLIDING = new Set(["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "PageUp", "PageDown", "Home", "End"]);

async function act(name) {
  say("");
  try {
    await (decisions[name] ?? tools[name])?.();
  } catch (error) {
    say(error.status ? error.message : "The server cannot be reached; strokes and decisions are kept here.");
  }
}

function onKey(event) {
  page.watch.input();
  count("keys");
  if (event.key === "Shift") swap(true);
  if ($("help").open) return;
  const taken = takes(event);
  if (taken === null) return;
  if (!taken) {
    const { target } = event;
    if (target.matches("input[type=range]") && SLIDING.has(event.key)) return;
    if (target.matches("button, a") && (event.key === "Enter" || event.key === " ")) return;
    const name = meaning(event);
    if (!name) return;
    if (name === "scroll") move(active(), (event.shiftKey ? SHIFTED : MOVES)[event.key] ?? MOVES[event.key]);
    else if (name === "zoom") zoom(event.key === "-" ? 1 / 1.25 : 1.25);
    else if (name === "window") setWindow(page.me.windows.find((w) => w.key === event.key));
    else act(name);
  }
  event.preventDefault();
  event.stopImmediatePropagation();
}

function swap(on) {
  scene.brush.swapped = on;
  if (scene.brush.on) redraw();
}

function showKeys() {
  const names = { " ": "Space", ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→" };
  const rows = KEYS.map(({ keys, ctrl, help }) => {
    const row = document.createElement("tr");
    const [key, text] = [document.createElement("td"), document.createElement("td")];
    const label = (k) => (ctrl ? "Ctrl " : "") + (names[k] ?? k);
    key.append(...keys.map((k) => Object.assign(document.createElement("kbd"), { textContent: label(k) })));
    text.textContent = help;
    row.append(key, text);
    return row;
  });
  const half = Math.ceil(rows.length / 2);
  const tables = document.querySelectorAll("#help table");
  tables[0].replaceChildren(...rows.slice(0, half));
  tables[1].replaceChildren(...rows.slice(half));
}

function slider(id, call) {
  $(id).addEventListener("input", (event) => {
    page.watch.input();
    call(Number(event.target.value));
  });
}

function listenToPage() {
  document.addEventListener("keydown", onKey, { capture: true });
  document.addEventListener("keyup", (event) => event.key === "Shift" && swap(false));
  document.addEventListener("pointerdown", () => page.watch.input(), { capture: true });
  window.addEventListener("blur", () => swap(false));
  for (const choice of document.querySelectorAll("button[data-act]")) {
    choice.addEventListener("click", () => act(choice.dataset.act));
  }
  slider("radius", setRadius);
  slider("within", setWithin);
  slider("slice", (number) => {
    count("slices", `axial ${number - 1}`);
    const [x, y] = inScan(scene.cursor);
    jump([x, y, number - 1]).catch((error) => say(error.message));
  });
  $("previous").addEventListener("wheel", (event) => {
    page.watch.input();
    shift(event.deltaY < 0 ? 1 : -1);
  }, { passive: true });
  $("previous-back").addEventListener("click", () => shift(-1));
  $("previous-on").addEventListener("click", () => shift(1));
  $("logout").addEventListener("click", async () => {
    if (page.outbox.online) await page.outbox.flush();
    page.queue.leave();
    await post("/api/logout", {}).catch(() => {});
    window.location.assign("/login");
  });
  window.addEventListener("pagehide", () => page.queue.leave());
  window.addEventListener("online", () => !page.entry && advance());
}

async function start() {
  page.me = await get("/api/me");
  document.title = $("title").textContent = page.me.review.title;
  $("reader").textContent = page.me.reader.name;
  $("manage").hidden = page.me.reader.role !== "manager";
  page.watch = new Stopwatch(page.me.review.idle_ms);
  page.outbox = await Outbox.open(page.me.reader.id);
  page.outbox.addEventListener("change", refreshSaved);
  page.outbox.addEventListener("refused", ({ detail }) => refused(detail));
  await page.outbox.flush();
  page.queue = new Queue(page.me.review.lease_ms, page.outbox);
  for (const plane of Object.keys(PLANES)) {
    views[plane] = new View($(plane), plane, scene);
    listen(views[plane]);
  }
  makeWindows();
  showKeys();
  onDraw.push(refreshPlaces, refreshBackdrops, refreshPrevious);
  listenToPage();
  await advance();
  document.body.dataset.ready = "1";
}

start().catch((error) => say(error.message));
