// How long a reader worked and paused. A time without any input that is longer than the protocol's
// is a pause, all of it; what is shorter is work. A page that is hidden gets no input, so being
// elsewhere is a pause too.

export class Stopwatch {
  constructor(idleMs, now = () => performance.now()) {
    this.idleMs = idleMs;
    this.now = now;
    this.restart();
  }

  restart() {
    this.last = this.now();
    this.active = 0;
    this.idle = 0;
  }

  /** An input: key, move, scroll, touch. */
  input() {
    const now = this.now();
    const gap = now - this.last;
    if (gap > this.idleMs) this.idle += gap;
    else this.active += gap;
    this.last = now;
  }

  /** Times since the last lap, in whole milliseconds; what is cut off goes to the next lap. */
  lap() {
    this.input();
    const active = Math.floor(this.active);
    const idle = Math.floor(this.idle);
    this.active -= active;
    this.idle -= idle;
    return { active_ms: active, idle_ms: idle };
  }
}
