// Every key of the reading page: what it does, and what the help says of it.

export const KEYS = [
  { keys: ["a"], name: "accept", help: "It is a lesion, and the mask is right" },
  { keys: ["r"], name: "reject", help: "It is no lesion; then a digit says what it is" },
  { keys: ["u"], name: "unsure", help: "Cannot tell: somebody else reads it too" },
  { keys: ["c"], name: "close", help: "The whole scan is searched (reads of a case)" },
  { keys: ["n"], name: "skip", help: "Give it back undecided, and go on" },
  { keys: ["Backspace"], name: "back", help: "Take back the last decision" },
  { keys: ["e"], name: "edit", help: "Brush on and off" },
  { keys: ["x"], name: "erase", help: "Brush or eraser; hold Shift to swap them" },
  { keys: ["["], name: "smaller", help: "Smaller brush" },
  { keys: ["]"], name: "larger", help: "Larger brush" },
  { keys: [" "], name: "dab", help: "Draw once at the cursor (with the brush on)" },
  { keys: ["d"], name: "solid", help: "Disc in this slice, or ball through slices" },
  { keys: ["t"], name: "threshold", help: "Draw only what looks like the voxel under the pointer" },
  { keys: ["{"], name: "narrower", help: "Alike only: a narrower range of HU" },
  { keys: ["}"], name: "broader", help: "Alike only: a wider range of HU" },
  { keys: ["f"], name: "fill", help: "Fill what the outline encloses in this slice" },
  { keys: ["i"], name: "interpolate", help: "Fill in the slices between those that are drawn" },
  { keys: ["g"], name: "grow", help: "Outline the even region under the pointer" },
  { keys: ["m"], name: "smooth", help: "Smooth the border" },
  { keys: ["k"], name: "split", help: "Split into the pieces that it falls into" },
  { keys: ["j"], name: "merge", help: "Take up the dashed finding under the pointer" },
  { keys: [","], name: "first", help: "Take the first reader's mask (adjudication)" },
  { keys: ["."], name: "second", help: "Take the second reader's mask (adjudication)" },
  { keys: ["s"], name: "add", help: "Record what was drawn as a lesion of its own (reads of a case)" },
  { keys: ["z"], ctrl: true, name: "undo", help: "Undo" },
  { keys: ["y"], ctrl: true, name: "redo", help: "Redo" },
  { keys: ["ArrowUp", "ArrowDown", "PageUp", "PageDown"], name: "scroll", help: "Slice up, down; by five (also the wheel)" },
  { keys: ["ArrowLeft", "ArrowRight"], name: "scroll", help: "Cursor left, right; Shift and arrows in the plane" },
  { keys: ["+", "=", "-"], name: "zoom", help: "Nearer, farther (also Ctrl and the wheel)" },
  { keys: ["0"], name: "centre", help: "Back to the finding" },
  { keys: ["1", "2", "3", "4", "5"], name: "window", help: "Window presets" },
  { keys: ["h"], name: "hide", help: "Hide and show outlines" },
  { keys: ["o"], name: "organs", help: "Outlines of organs" },
  { keys: ["w"], name: "whole", help: "The whole slice, and back" },
  { keys: ["l"], name: "measure", help: "Drag to measure" },
  { keys: ["v"], name: "scan", help: "The whole scan in a page of its own" },
  { keys: ["?"], name: "help", help: "These keys" },
];

/** What a key means; null if nothing. */
export function meaning(event) {
  const control = event.ctrlKey || event.metaKey;
  if (event.altKey) return null;
  if (control && event.shiftKey && event.key.toLowerCase() === "z") return "redo";
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return KEYS.find((k) => k.keys.includes(key) && Boolean(k.ctrl) === control)?.name ?? null;
}
