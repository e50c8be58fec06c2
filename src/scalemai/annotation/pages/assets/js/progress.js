// How a review stands, for who manages it: reads, findings, readers, agreement.

import { get, post } from "./server.js";

const EVERY_MS = 30_000;
const STEPS = { 1: "first", 2: "second", 3: "adjudication" };
const $ = (id) => document.getElementById(id);
const plain = (name) => String(name).replaceAll("_", " ");

function cell(content, heads) {
  const node = document.createElement(heads ? "th" : "td");
  if (heads) node.scope = "row";
  node.append(content);
  return node;
}

function bar(label, value, max) {
  const node = document.createElement("progress");
  node.max = max || 1;
  node.value = value;
  node.setAttribute("aria-label", `${label}: ${Math.round((100 * value) / (max || 1))} %`);
  return node;
}

function rows(id, lines, empty) {
  const body = $(id).querySelector("tbody");
  if (!lines.length) {
    const node = cell(empty);
    node.colSpan = $(id).querySelectorAll("thead th").length;
    lines = [[node]];
  }
  body.replaceChildren(
    ...lines.map((line) => {
      const row = document.createElement("tr");
      row.append(...line.map((one, n) => (one instanceof HTMLTableCellElement ? one : cell(one, n === 0))));
      return row;
    }),
  );
}

const digits = (value, places = 0) =>
  value === null || value === undefined ? "–" : value.toFixed(places);

/** A measure in words: a number, one with its interval, or how many there are. */
function told(value) {
  if (value === null || value === undefined) return "not yet known";
  if (typeof value !== "object") return typeof value === "number" ? String(Math.round(1000 * value) / 1000) : plain(value);
  const { value: point, estimate = point, low, high, n } = value;
  if (estimate === undefined) {
    return Object.entries(value).map(([name, one]) => `${plain(name)} ${told(one)}`).join(" · ");
  }
  const interval = typeof low === "number" && typeof high === "number" ? ` (${told(low)} to ${told(high)})` : "";
  return told(estimate) + interval + (n === undefined ? "" : `, n = ${n}`);
}

function showAgreement(agreement) {
  const entries = Object.entries(agreement ?? {});
  $("agreement").replaceChildren(
    ...(entries.length ? entries : [["two reads of one finding", "none yet"]]).flatMap(([name, value]) => {
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = plain(name);
      text.textContent = told(value);
      return [term, text];
    }),
  );
}

async function refresh() {
  const [progress, workload, agreement] = await Promise.all(
    ["progress", "workload", "agreement"].map((name) => get(`/api/${name}`)),
  );
  rows(
    "reads",
    progress.reads.map(({ step, open, leased, done }) => {
      const name = STEPS[step] ?? plain(step);
      return [name, done, leased, open, bar(name, done, done + leased + open)];
    }),
    "no read yet",
  );
  const total = progress.findings.reduce((sum, { n }) => sum + n, 0);
  rows(
    "findings",
    progress.findings.map(({ state, n }) => [plain(state), n, bar(plain(state), n, total)]),
    "no finding",
  );
  rows(
    "readers",
    workload.readers.map((one) => [
      one.name,
      plain(one.role),
      one.done,
      digits(one.active_minutes, 1),
      digits(one.per_finding_s, 1),
    ]),
    "nobody has read yet",
  );
  showAgreement(agreement.agreement);
  $("as-of").textContent = `as of ${new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`;
  say("");
}

function say(text) {
  $("message").textContent = text;
  $("message").hidden = !text;
}

async function keep() {
  try {
    await refresh();
  } catch (error) {
    say(error.status ? error.message : "The server cannot be reached; the numbers are old.");
  }
  document.body.dataset.ready = "1";
  setTimeout(keep, EVERY_MS);
}

async function start() {
  const me = await get("/api/me");
  document.title = $("title").textContent = `${me.review.title}: progress`;
  $("reader").textContent = me.reader.name;
  $("logout").addEventListener("click", async () => {
    await post("/api/logout", {}).catch(() => {});
    window.location.assign("/login");
  });
  await keep();
}

start().catch((error) => say(error.message));
