// Cases as pictures, and one of them whole in NiiVue, which is loaded only when a case is opened.

import { get } from "./server.js";

const $ = (id) => document.getElementById(id);
const NIIVUE = "/assets/vendor/niivue-0.69.0.js";
let viewer = null;

function say(text) {
  $("message").textContent = text;
  $("message").hidden = !text;
}

function item(text, act) {
  const entry = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.append(text);
  button.addEventListener("click", act);
  entry.append(button);
  return entry;
}

async function list() {
  const { cases } = await get("/api/cases");
  $("count").textContent = `${cases.length} ${cases.length === 1 ? "case" : "cases"}`;
  $("cases").replaceChildren(
    ...cases.map((one) => {
      const entry = item("", () => {
        location.hash = one.case_key;
      });
      const button = entry.firstChild;
      button.dataset.key = one.case_key;
      const picture = new Image();
      picture.loading = "lazy";
      picture.alt = "";
      picture.src = `/api/cases/${one.case_key}/slice?plane=coronal&index=${Math.floor(one.shape[1] / 2)}`;
      const name = document.createElement("span");
      name.textContent = `${one.case_name} · ${one.findings} ${one.findings === 1 ? "finding" : "findings"}`;
      button.append(picture, name);
      return entry;
    }),
  );
}

async function open(key) {
  const about = await get(`/api/cases/${key}`);
  $("case").hidden = false;
  $("name").textContent = about.case_name;
  for (const button of $("cases").querySelectorAll("button")) {
    button.setAttribute("aria-current", button.dataset.key === key);
  }
  const facts = { ...about.facts, voxels: about.shape.join(" × "), spacing_mm: about.spacing_mm.map((s) => s.toFixed(2)).join(" × ") };
  $("facts").replaceChildren(
    ...Object.entries(facts).flatMap(([name, value]) => {
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = name.replaceAll("_", " ");
      dd.textContent = value;
      return [dt, dd];
    }),
  );
  $("structures").textContent = about.structures.map((name) => name.replaceAll("_", " ")).join(", ");
  $("findings").replaceChildren(
    ...about.findings.map((one) => {
      const size = one.diameter_mm ? ` · ${one.diameter_mm.toFixed(1)} mm` : "";
      const mine = one.mine ? ` · you: ${one.mine}` : "";
      return item(`${one.structure.replaceAll("_", " ")}${size}${mine}`, () => jump(about, one.box));
    }),
  );
  $("conflicts").hidden = !about.conflicts.length;
  $("conflicts").querySelector("ul").replaceChildren(
    ...about.conflicts.map((text) => Object.assign(document.createElement("li"), { textContent: String(text) })),
  );
  await show(key);
}

async function show(key) {
  const { Niivue, SLICE_TYPE } = await import(NIIVUE);
  if (!viewer) {
    viewer = new Niivue({ backColor: [0, 0, 0, 1], isRadiologicalConvention: true, dragAndDropEnabled: false, logLevel: "error" });
    await viewer.attachTo("scan");
  }
  viewer.setSliceType(SLICE_TYPE.MULTIPLANAR);
  await viewer.loadVolumes([{ url: `/api/cases/${key}/volume.nii.gz`, cal_min: -160, cal_max: 240 }]);
  document.body.dataset.shown = key;
}

/** Put the crosshair into the middle of a finding; mm by the volume's own affine, never by spacing. */
function jump(about, box) {
  if (!viewer?.volumes.length) return;
  const centre = [0, 1, 2].map((a) => (box[0][a] + box[1][a] - 1) / 2);
  const mm = [0, 1, 2].map((r) => about.affine[r].reduce((sum, m, c) => sum + m * (c < 3 ? centre[c] : 1), 0));
  viewer.scene.crosshairPos = viewer.mm2frac(mm, 0, true);
  viewer.drawScene();
}

async function follow() {
  const key = location.hash.slice(1);
  if (!key) return;
  say("");
  try {
    await open(key);
  } catch (error) {
    say(error.message);
  }
}

window.addEventListener("hashchange", follow);
list()
  .then(follow)
  .then(() => {
    document.body.dataset.ready = "1";
  })
  .catch((error) => say(error.message));
