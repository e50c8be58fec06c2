// Beside the search of a scan: what is marked in it, what the report says, what was added.

import { jump } from "./crops.js";
import { $, page } from "./room.js";
import { fill, plain } from "./panel.js";
import { get } from "./server.js";

const SAID = { accept: "accepted by you", reject: "rejected by you", unsure: "you were unsure" };

/** Show what is known of the case of a search; nothing for other reads. */
export async function showCase(entry) {
  const searching = entry?.read.unit === "case";
  $("case").hidden = !searching;
  if (!searching) return;
  $("marked").replaceChildren();
  $("conflicts").replaceChildren();
  entry.about ??= get(`/api/cases/${entry.read.case_key}`);
  let about;
  try {
    about = await entry.about;
  } catch {
    entry.about = null; // no network: the list can wait, the scan cannot
    return;
  }
  if (page.entry !== entry) return;
  const facts = Object.entries(about.facts).filter(([, value]) => typeof value !== "object");
  fill(
    $("facts"),
    facts.flatMap(([name, value]) => [
      ["dt", plain(name)],
      ["dd", value],
    ]),
  );
  fill(
    $("conflicts"),
    about.conflicts.map((one) => ["li", typeof one === "string" ? one : (one.text ?? one.message ?? "")]),
  );
  list(entry, about.findings);
}

/** The list of findings, with those that were added since. */
export function list(entry, findings = []) {
  entry.marked ??= findings.map(({ structure, box, diameter_mm, mine }) => ({
    name: plain(structure).replace(/ lesion$/, "") + (diameter_mm ? ` ${Math.round(diameter_mm)} mm` : ""),
    said: SAID[mine] ?? "",
    centre: box[0].map((low, a) => Math.floor((low + box[1][a] - 1) / 2)),
  }));
  $("marked").replaceChildren(
    ...entry.marked.map(({ name, said, centre }) => {
      const item = document.createElement("li");
      const choice = document.createElement("button");
      choice.type = "button";
      choice.append(name, Object.assign(document.createElement("span"), { textContent: said }));
      choice.addEventListener("click", () => jump(centre).catch(() => {}));
      item.append(choice);
      return item;
    }),
  );
}
