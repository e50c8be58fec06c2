// The mask of a read while it is edited: strokes, tools, undo and redo, each an event.

import { fillSlice, stroke } from "./brush.js";
import { post } from "./server.js";

export class Editor {
  /** @param send called with an event for the server  @param changed called when the mask changed */
  constructor(read, region, { send, changed }) {
    this.read = read;
    this.region = region;
    this.mask = region.mask;
    this.send = send;
    this.changed = changed;
    this.done = []; // {id, name, patch}
    this.undone = [];
    this.before = null;
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
    const id = this.send({ action: "edit", comment: name, patch, ...more });
    this.done.push({ id, name, patch });
    this.undone = [];
    this.changed();
    return true;
  }

  undo() {
    const step = this.done.pop();
    if (!step) return null;
    this.region.paint(this.mask, step.patch.set, 0);
    this.region.paint(this.mask, step.patch.clear, 1);
    const id = this.send({ action: "undo", about: step.id });
    this.undone.push({ ...step, undo: id });
    this.changed();
    return step.name;
  }

  redo() {
    const step = this.undone.pop();
    if (!step) return null;
    this.region.paint(this.mask, step.patch.set, 1);
    this.region.paint(this.mask, step.patch.clear, 0);
    const id = this.send({ action: "redo", about: step.undo });
    this.done.push({ id, name: step.name, patch: step.patch, redone: true });
    this.changed();
    return step.name;
  }

  fill(plane, index) {
    this.begin();
    fillSlice(this.region, this.mask, plane, index);
    return this.end("fill");
  }

  runs() {
    return this.region.runs((place) => this.mask[place]);
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
    return !this.mask.some((value) => value);
  }
}
