// Reads that this page holds: the one on the screen and the next ones, whose crops are fetched ahead.

import { fetchRegion } from "./region.js";
import { post } from "./server.js";

const AHEAD = 3;

export class Queue {
  constructor(sizeMm, leaseMs, outbox) {
    this.sizeMm = sizeMm;
    this.outbox = outbox;
    this.held = []; // {read, region: Promise}
    this.waiting = 0;
    this.refilling = null;
    this.beat = setInterval(() => this.keep(), Math.max(5000, leaseMs / 4));
  }

  /** The next read with its crop; null if the queue is empty. */
  async next() {
    if (!this.held.length) await this.refill();
    const first = this.held.shift() ?? null;
    this.current = first;
    this.refill(); // not awaited: it is for later
    return first;
  }

  refill() {
    this.refilling ??= this.claim().finally(() => {
      this.refilling = null;
    });
    return this.refilling;
  }

  async claim() {
    // What is decided but not yet acknowledged is still ours, and must not come again.
    const leaving = await this.outbox.reads();
    const holding = [...new Set([...leaving, ...this.all().map(({ read }) => read.read_id)])];
    const count = AHEAD + (this.current ? 0 : 1) - this.held.length;
    if (count <= 0) return;
    const { reads, waiting } = await post("/api/claims", { count, holding });
    this.waiting = waiting;
    for (const read of reads) {
      const region = fetchRegion(read, read.centre, this.sizeMm);
      region.catch(() => {}); // whoever shows it hears of it
      this.held.push({ read, region });
    }
  }

  all() {
    return this.current ? [this.current, ...this.held] : this.held;
  }

  /** Put a read back on the screen, after its decision was taken back. */
  again(entry) {
    if (this.current) this.held.unshift(this.current);
    this.current = entry;
  }

  async keep() {
    for (const { read } of this.all()) {
      try {
        const body = { lease: read.lease };
        const { lease_until_ms } = await post(`/api/reads/${read.read_id}/heartbeat`, body);
        read.lease_until_ms = lease_until_ms;
      } catch {
        // the next request about it will say what is wrong
      }
    }
  }

  /** Give back what was fetched ahead, when the page is left. */
  leave() {
    clearInterval(this.beat);
    for (const { read } of this.held) {
      const body = { lease: read.lease };
      post(`/api/reads/${read.read_id}/release`, body, { keepalive: true }).catch(() => {});
    }
  }
}
