// @ts-check
/**
 * The player's ring buffer: bounded, starts once enough has come, counts each time it runs dry. Pure: the worklet
 * feeds it and asks it for samples.
 */

/** @typedef {"idle" | "filling" | "playing" | "fading" | "drained"} State */

/** A sample above this (-60 dBFS) counts as sound. */
const AUDIBLE = 0.001;
const FADE_MS = 6;

export class JitterBuffer {
  /** @type {State} */
  state = "idle";
  /** More text may come, so running dry is a wait for text and no underrun. */
  textOpen = false;
  finished = false;
  readAt = 0;
  buffered = 0;
  gain = 1;
  /** The last value put out. */
  tail = 0;
  played = 0;
  audible = 0;
  peak = 0;
  underruns = 0;
  waits = 0;
  dropped = 0;

  /**
   * @param {number} rate samples a second
   * @param {number} capacityMs what comes beyond it is dropped and counted
   * @param {number} startMs how much must wait before play begins, or begins again
   */
  constructor(rate, capacityMs, startMs) {
    this.ring = new Float32Array(Math.ceil((rate * capacityMs) / 1000));
    this.startSamples = Math.ceil((rate * startMs) / 1000);
    this.fadeStep = 1000 / (rate * FADE_MS);
  }

  /**
   * Forgets everything and waits for a new stream.
   * @param {boolean} textOpen
   */
  begin(textOpen) {
    this.state = "filling";
    this.textOpen = textOpen;
    this.finished = false;
    this.readAt = 0;
    this.buffered = 0;
    this.gain = 1;
    this.tail = 0;
    this.played = 0;
    this.audible = 0;
    this.peak = 0;
    this.underruns = 0;
    this.waits = 0;
    this.dropped = 0;
  }

  /** @param {Float32Array} samples */
  write(samples) {
    if (this.state === "idle" || this.state === "fading" || this.state === "drained") return;
    const count = Math.min(samples.length, this.ring.length - this.buffered);
    this.dropped += samples.length - count;
    const at = (this.readAt + this.buffered) % this.ring.length;
    const head = Math.min(count, this.ring.length - at);
    this.ring.set(samples.subarray(0, head), at);
    this.ring.set(samples.subarray(head, count), 0);
    this.buffered += count;
  }

  /** No more samples will come: play what is left. */
  finish() {
    this.finished = true;
  }

  /** Falls silent over a few milliseconds, and forgets what is left. */
  stop() {
    if (this.state === "playing") {
      this.state = "fading";
    } else if (this.state !== "fading") {
      this.rest("idle");
    }
  }

  /** @param {Float32Array} out filled with sound or silence */
  read(out) {
    if (this.state === "filling") this.startIfReady();
    const sounding = this.state === "playing" || this.state === "fading";
    const count = sounding ? Math.min(out.length, this.buffered) : 0;
    for (let index = 0; index < count; index += 1) out[index] = this.next();
    if (this.state === "fading" && (this.gain === 0 || count < out.length)) this.rest("idle");
    if (this.state === "playing" && count < out.length) this.ranDry();
    for (let index = count; index < out.length; index += 1) {
      // Sound that breaks off decays from its last value: a step to zero would click.
      this.tail = Math.abs(this.tail) < 1e-5 ? 0 : this.tail * 0.95;
      out[index] = this.tail;
    }
  }

  startIfReady() {
    if (this.buffered >= this.startSamples || (this.finished && this.buffered > 0)) {
      this.gain = this.played === 0 ? 1 : 0;
      this.state = "playing";
    } else if (this.finished) {
      this.rest("drained");
    }
  }

  /** @returns {number} */
  next() {
    const sample = this.ring[this.readAt] ?? 0;
    this.readAt = this.readAt + 1 === this.ring.length ? 0 : this.readAt + 1;
    this.buffered -= 1;
    if (this.state === "fading") {
      this.gain = Math.max(0, this.gain - this.fadeStep);
    } else {
      this.gain = Math.min(1, this.gain + this.fadeStep);
      this.count(Math.abs(sample));
    }
    this.tail = sample * this.gain;
    return this.tail;
  }

  /** @param {number} level */
  count(level) {
    this.played += 1;
    if (level >= AUDIBLE) this.audible += 1;
    if (level > this.peak) this.peak = level;
  }

  ranDry() {
    if (this.finished) {
      this.rest("drained");
      return;
    }
    if (this.textOpen) this.waits += 1;
    else this.underruns += 1;
    this.state = "filling";
  }

  /** @param {State} state */
  rest(state) {
    this.state = state;
    this.buffered = 0;
  }
}
