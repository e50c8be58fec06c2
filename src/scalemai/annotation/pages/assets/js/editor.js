// The mask of a read while it is edited: strokes, tools, undo and redo, each an event. The crop may
// move meanwhile: what was drawn goes along, and what lies outside of it is remembered as runs.

import { fillSlice, stroke } from "./brush.js";
import { minus, plus } from "./runs.js";
import { post } from "./server.js";

export class Editor {
  /** @param send called with an event for the server  @param changed called when the mask changed */
  constructor(read, region, { send, changed }) {
    this.read = read;
    this.region = region;
    this.send = send;
    this.changed = changed;
    this.done = []; // {id, name, patch}
    this.undone = [];
    this.log = []; // every patch since the crop came, undone ones and their inverses too
    this.known = null; // runs of the whole mask, as far as any crop has shown it
    this.before = null;
  }

  get mask() {
    return this.region.mask;
  }

  get canUndo() {
    return this.done.length > 0;
  }

  get canRedo() {
    return this.undone.length > 0;
  }

  begin() {
    this.before = this.mask.slice();
  }

  draw(plane, from, to, options) {
    if (stroke(this.region, this.mask, plane, from, to, options)) this.changed();
  }

  /** Make what changed since `begin` an event of this name, if anything did. */
  end(name, more = {}) {
    const patch = this.region.patch(this.before, this.mask);
    this.before = null;
    if (!patch.set.length && !patch.clear.length) return false;
    this.record(patch);
    const id = this.send({ action: "edit", comment: name, patch, ...more });
    this.done.push({ id, name, patch });
    this.undone = [];
    this.changed();
    return true;
  }

  record(patch) {
    this.log.push(patch);
    if (this.known) this.known = plus(minus(this.known, patch.clear), patch.set);
  }

  apply(patch) {
    this.region.paint(this.mask, patch.set, 1);
    this.region.paint(this.mask, patch.clear, 0);
    this.record(patch);
  }

  undo() {
    const step = this.done.pop();
    if (!step) return null;
    this.apply({ set: step.patch.clear, clear: step.patch.set });
    const id = this.send({ action: "undo", about: step.id });
    this.undone.push({ ...step, undo: id });
    this.changed();
    return step.name;
  }

  redo() {
    const step = this.undone.pop();
    if (!step) return null;
    this.apply(step.patch);
    const id = this.send({ action: "redo", about: step.undo });
    this.done.push({ id, name: step.name, patch: step.patch });
    this.changed();
    return step.name;
  }

  /**
   * Go on in another crop of the same read. The server may not know the latest strokes yet; doing
   * all of them again, in their order, leads to the same mask whatever it knows.
   */
  move(region) {
    const known = this.runs();
    this.region = region;
    for (const patch of this.log) {
      region.paint(region.mask, patch.set, 1);
      region.paint(region.mask, patch.clear, 0);
    }
    this.known = plus(known, region.runs(region.mask));
  }

  /** Begin anew with an empty mask, after what was drawn became a finding of its own. */
  clear() {
    this.mask.fill(0);
    this.known = [];
    this.done = [];
    this.undone = [];
    this.log = [];
    this.changed();
  }

  fill(plane, index) {
    this.begin();
    fillSlice(this.region, this.mask, plane, index);
    return this.end("fill");
  }

  /** Take another mask of the crop over, as one step. */
  take(mask, name) {
    this.begin();
    this.mask.set(mask);
    return this.end(name);
  }

  /** The mask as runs, what lies outside of the crop included. */
  runs() {
    return this.known ?? this.region.runs(this.mask);
  }

  /** Ask the server's tool for a mask, and take it over as one step. */
  async propose(tool, more = {}) {
    const body = { lease: this.read.lease, tool, ...more };
    if (tool !== "grow") body.runs = this.runs();
    const { runs } = await post(`/api/reads/${this.read.read_id}/assist`, body);
    this.begin();
    if (tool !== "grow") this.mask.fill(0);
    this.region.paint(this.mask, runs, 1);
    return this.end(tool);
  }

  /** The pieces that the mask falls into. */
  async pieces() {
    const body = { lease: this.read.lease, tool: "split", runs: this.runs() };
    return (await post(`/api/reads/${this.read.read_id}/assist`, body)).pieces;
  }

  isEmpty() {
    return !this.runs().length;
  }
}
