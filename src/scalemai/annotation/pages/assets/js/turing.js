// The page of a visual Turing test: a trial, an answer, how sure, the next. It is never told what is
// real, so it can tell nobody.

import { parseRegion } from "./region.js";
import { Refused, get, getBytes, post } from "./server.js";
import { Stopwatch } from "./stopwatch.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const KEPT = "turing-answer"; // an answer that the server has not acknowledged
const WAIT_MS = 1000;
const LONGEST_WAIT_MS = 8000;

const TASKS = {
  single: {
    question: (organ) => `${organ} lesion: real or synthetic?`,
    choices: [
      { answer: "synthetic", name: "Synthetic", key: "s", shown: "S" },
      { answer: "real", name: "Real", key: "r", shown: "R" },
    ],
  },
  "2afc": {
    question: (organ) => `${organ} lesions: which one is real?`,
    choices: [
      { answer: "left", name: "Left", key: "ArrowLeft", shown: "←" },
      { answer: "right", name: "Right", key: "ArrowRight", shown: "→" },
    ],
  },
};
const SURE = ["guess", "slightly", "fairly", "very", "certain"];
const KEYS = [
  ["1 – 5", "How sure you are; this goes on to the next"],
  ["Esc", "Choose again, before you say how sure you are"],
  ["↑ ↓", "Slice up, down (also the wheel)"],
  ["+ −", "Nearer, farther"],
  ["0", "Back to the middle of the lesion"],
  ["W", "Next window (dragging sets its own)"],
  ["P", "Pause: nothing is shown, and no time counts"],
  ["?", "These keys"],
];

const page = {
  me: null,
  task: null,
  trial: null,
  crops: new Map(), // trial -> promise of its regions
  watch: null,
  choice: null,
  busy: false,
  paused: false,
  windows: [],
  slices: new Set(),
  keys: 0,
  began: "",
};
const shared = { cursor: [0, 0, 0], window: { low_hu: -160, high_hu: 240 }, zoom: 1 };
const scenes = [newScene(), newScene()];
const views = [];

/** What one side shows. Both sides have one cursor, window and zoom. */
function newScene() {
  return {
    region: null,
    mask: null,
    shown: { cursor: true },
    brush: { on: false },
    ruler: null,
    get cursor() {
      return shared.cursor;
    },
    get window() {
      return shared.window;
    },
    get zoom() {
      return shared.zoom;
    },
  };
}

function redraw() {
  for (const view of views) view.draw();
  const { low_hu: low, high_hu: high } = shared.window;
  $("window").textContent = `${Math.round(low)} to ${Math.round(high)} HU`;
}

function say(text) {
  $("message").textContent = text;
  $("message").hidden = !text;
}

function curtain(text) {
  $("curtain").textContent = text;
  $("curtain").hidden = !text;
}

// ---------------------------------------------------------------- trials

/** The crops of a trial; asked for once, ahead of time if it can be. */
function cropsOf(trial) {
  if (!page.crops.has(trial.trial_id)) {
    const sides = Array.from({ length: trial.sides }, (_, side) =>
      getBytes(`/api/turing/trials/${trial.trial_id}/items/${side}`).then(parseRegion),
    );
    const all = Promise.all(sides);
    all.catch(() => page.crops.delete(trial.trial_id)); // whoever shows it hears of it
    page.crops.set(trial.trial_id, all);
  }
  return page.crops.get(trial.trial_id);
}

async function next() {
  const { task, trials, done, total, closed } = await persist(() => get("/api/turing/next"));
  page.task = TASKS[task];
  document.body.classList.toggle("two", task === "2afc");
  $("right").hidden = task !== "2afc";
  for (const id of page.crops.keys()) {
    if (!trials.some((trial) => trial.trial_id === id)) page.crops.delete(id);
  }
  const [trial, after] = trials;
  page.trial = null;
  document.body.dataset.trial = "";
  if (!trial) {
    $("where").textContent = total ? `${done} of ${total}` : "";
    $("question").textContent = "";
    for (const scene of scenes) scene.region = null;
    show(false);
    curtain(closed ? "This study is closed." : total ? "That was all. Thank you." : "There is nothing to read for you.");
    return;
  }
  const regions = await persist(() => cropsOf(trial));
  if (after) cropsOf(after).catch(() => {});
  regions.forEach((region, side) => {
    scenes[side].region = region;
  });
  $("where").textContent = `${done + 1} of ${total}`;
  $("question").textContent = page.task.question(trial.organ[0].toUpperCase() + trial.organ.slice(1));
  page.trial = trial;
  shared.window = { low_hu: trial.low_hu, high_hu: trial.high_hu };
  page.slices = new Set();
  centre();
  choose(null);
  show(true);
  page.keys = 0;
  page.began = new Date().toISOString();
  page.watch.restart();
  document.body.dataset.trial = trial.trial_id;
}

function centre() {
  shared.zoom = 1;
  shared.cursor = scenes[0].region.dims.map((n) => (n - 1) / 2);
  seen();
  redraw();
}

function seen() {
  page.slices.add(shared.cursor[2]);
}

/** Do it until the network lets it be done. */
async function persist(work) {
  for (let wait = WAIT_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    try {
      const result = await work();
      $("network").textContent = "";
      return result;
    } catch (error) {
      if (error instanceof Refused && error.status < 500) throw error;
      $("network").textContent = "offline · trying again";
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

// ---------------------------------------------------------------- answers

function show(asked) {
  $("choices").hidden = !asked;
  $("confidence").hidden = !asked;
  $("choices").replaceChildren(
    ...page.task.choices.map(({ answer, name, shown }) => button(name, shown, () => choose(answer), answer)),
  );
}

function button(name, key, act, answer) {
  const made = document.createElement("button");
  const hint = document.createElement("kbd");
  made.type = "button";
  made.append(`${name} `, hint);
  hint.textContent = key;
  if (answer) made.dataset.answer = answer;
  made.addEventListener("click", () => {
    made.blur();
    if (page.paused || page.busy) return;
    page.watch.input();
    act();
  });
  return made;
}

function choose(answer) {
  page.choice = answer;
  for (const one of $("choices").children) one.setAttribute("aria-pressed", one.dataset.answer === answer);
  for (const one of $("confidence").children) one.disabled = !answer;
}

async function sure(confidence) {
  if (!page.trial || !page.choice || page.busy || page.paused) return;
  page.busy = true;
  const answer = {
    event_id: crypto.randomUUID(),
    trial_id: page.trial.trial_id,
    answer: page.choice,
    confidence,
    ...page.watch.lap(),
    slices_viewed: page.slices.size,
    keys: page.keys,
    began: page.began,
    ended: new Date().toISOString(),
  };
  localStorage.setItem(KEPT, JSON.stringify({ reader: page.me.reader.id, answer }));
  try {
    await sendKept();
    await next();
  } catch (error) {
    say(error.message);
  } finally {
    page.busy = false;
  }
}

/** Send what a page before this one may have left, or this one; once it is in, forget it. */
async function sendKept() {
  const kept = JSON.parse(localStorage.getItem(KEPT) ?? "null");
  if (!kept || kept.reader !== page.me.reader.id) return;
  try {
    await persist(() => post("/api/turing/answers", kept.answer));
  } finally {
    localStorage.removeItem(KEPT); // taken, or refused for good
  }
}

function pause(on) {
  if (!page.trial || page.paused === on) return;
  const { watch } = page;
  if (on) watch.input();
  else {
    // What passed behind the curtain was a pause, however short.
    const now = watch.now();
    watch.idle += now - watch.last;
    watch.last = now;
  }
  page.paused = on;
  $("pause").setAttribute("aria-pressed", on);
  curtain(on ? "Paused. P goes on." : "");
}

// ---------------------------------------------------------------- looking

function scroll(axis, by) {
  const { region } = scenes[0];
  if (!region) return;
  shared.cursor[axis] = Math.min(region.dims[axis] - 1, Math.max(0, shared.cursor[axis] + by));
  seen();
  redraw();
}

function zoom(factor) {
  shared.zoom = Math.min(8, Math.max(1, shared.zoom * factor));
  redraw();
}

function nextWindow() {
  const at = page.windows.findIndex((w) => w.low_hu === shared.window.low_hu && w.high_hu === shared.window.high_hu);
  const { low_hu, high_hu } = page.windows[(at + 1) % page.windows.length];
  shared.window = { low_hu, high_hu };
  redraw();
}

function follow(canvas, view) {
  let drag = null;
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    page.watch.input();
    if (event.ctrlKey) zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
    else scroll(view.axes.through, event.deltaY < 0 ? 1 : -1);
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    page.watch.input();
    drag = { x: event.clientX, y: event.clientY, start: { ...shared.window } };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    page.watch.input();
    if (!drag) return;
    const { low_hu, high_hu } = drag.start;
    const width = Math.max(1, high_hu - low_hu + 2 * (event.clientX - drag.x));
    const level = (low_hu + high_hu) / 2 + (event.clientY - drag.y);
    shared.window = { low_hu: level - width / 2, high_hu: level + width / 2 };
    redraw();
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, () => {
      drag = null;
    });
  }
}

const LOOK = {
  ArrowUp: () => scroll(2, 1),
  ArrowDown: () => scroll(2, -1),
  "+": () => zoom(1.25),
  "=": () => zoom(1.25),
  "-": () => zoom(0.8),
  0: () => centre(),
  w: () => nextWindow(),
  Escape: () => choose(null),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!page.paused) page.watch.input();
  page.keys += 1;
  const choice = page.task?.choices.find((one) => one.key === key);
  let act = null;
  if (key === "?") act = () => $("help").showModal();
  else if (key === "p") act = () => pause(!page.paused);
  else if (!page.trial || page.paused || page.busy) return;
  else if (choice) act = () => choose(choice.answer);
  else if (/^[1-5]$/.test(key)) act = () => sure(Number(key));
  else act = LOOK[key];
  if (!act) return;
  event.preventDefault();
  if (event.repeat && (choice || /^[1-5]$/.test(key))) return; // a key held down answers once
  act();
}

// ---------------------------------------------------------------- start

async function start() {
  page.me = await get("/api/me");
  $("title").textContent = document.title = page.me.review.title;
  $("reader").textContent = page.me.reader.name;
  page.windows = page.me.windows;
  page.watch = new Stopwatch(page.me.review.idle_ms);
  for (const canvas of document.querySelectorAll("canvas")) {
    const view = new View(canvas, canvas.dataset.plane, scenes[Number(canvas.dataset.side)]);
    views.push(view);
    follow(canvas, view);
  }
  $("confidence").replaceChildren(...SURE.map((name, n) => button(name, n + 1, () => sure(n + 1))));
  $("pause").addEventListener("click", () => {
    pause(!page.paused);
    $("pause").blur();
  });
  $("help-button").addEventListener("click", () => $("help").showModal());
  $("logout").addEventListener("click", async () => {
    await post("/api/logout", {});
    window.location.assign("/login");
  });
  document.addEventListener("keydown", onKey, { capture: true });
  try {
    await sendKept();
  } catch (error) {
    say(error.message);
  }
  await next();
  const rows = [...page.task.choices.map(({ shown, name }) => [shown, `${name} is the answer`]), ...KEYS];
  $("help").querySelector("table").replaceChildren(
    ...rows.map(([key, what]) => {
      const row = document.createElement("tr");
      for (const text of [key, what]) row.insertCell().textContent = text;
      return row;
    }),
  );
}

start().catch((error) => say(error.message));
