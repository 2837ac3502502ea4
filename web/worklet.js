// @ts-check
/** The audio thread: a jitter buffer behind a message port. */

import { JitterBuffer } from "./jitter.js";

/**
 * @typedef {{type: "begin", epoch: number, textOpen: boolean} | {type: "samples", epoch: number, samples: Float32Array}
 *   | {type: "textClosed", epoch: number} | {type: "finish", epoch: number} | {type: "stop", epoch: number}} ToWorklet
 */

/**
 * @typedef {object} Report What the audio thread has done in the utterance `epoch`. Counts are samples.
 * @property {number} epoch
 * @property {import("./jitter.js").State} state
 * @property {number} played
 * @property {number} audible those above -60 dBFS
 * @property {number} peak 0 to 1
 * @property {number} buffered
 * @property {number} underruns
 * @property {number} waits times it ran dry while more text was still to come
 * @property {number} dropped
 */

/**
 * The names of the AudioWorkletGlobalScope, which TypeScript's DOM library leaves out.
 * @typedef {object} Scope
 * @property {number} sampleRate
 * @property {new () => {port: MessagePort}} AudioWorkletProcessor
 * @property {(name: string, processor: Function) => void} registerProcessor
 */
const scope = /** @type {Scope} */ (/** @type {unknown} */ (globalThis));

const CAPACITY_MS = 20_000;
const START_MS = 60;
/** Blocks of 128 samples between two reports: about 23 ms. */
const REPORT_BLOCKS = 8;

class Playback extends scope.AudioWorkletProcessor {
  constructor() {
    super();
    this.buffer = new JitterBuffer(scope.sampleRate, CAPACITY_MS, START_MS);
    this.epoch = 0;
    this.blocks = 0;
    this.port.onmessage = (/** @type {MessageEvent<ToWorklet>} */ event) => this.take(event.data);
  }

  /** @param {ToWorklet} message */
  take(message) {
    if (message.type === "begin") {
      this.epoch = message.epoch;
      this.buffer.begin(message.textOpen);
    } else if (message.epoch !== this.epoch) {
      return;
    } else if (message.type === "samples") {
      this.buffer.write(message.samples);
    } else if (message.type === "textClosed") {
      this.buffer.textOpen = false;
    } else if (message.type === "finish") {
      this.buffer.finish();
    } else {
      this.buffer.stop();
    }
  }

  /**
   * @param {Float32Array[][]} _inputs
   * @param {Float32Array[][]} outputs
   * @returns {boolean}
   */
  process(_inputs, outputs) {
    const out = outputs[0]?.[0];
    if (out === undefined) return true;
    const { state, audible } = this.buffer;
    this.buffer.read(out);
    this.blocks += 1;
    // The first sound and each change of state are told at once, the rest at a steady pace.
    const news = this.buffer.state !== state || (audible === 0 && this.buffer.audible > 0);
    const busy = this.buffer.state === "playing" || this.buffer.state === "filling";
    if (news || (busy && this.blocks >= REPORT_BLOCKS)) this.report();
    return true;
  }

  report() {
    this.blocks = 0;
    const { state, played, audible, peak, buffered, underruns, waits, dropped } = this.buffer;
    /** @type {Report} */
    const report = { epoch: this.epoch, state, played, audible, peak, buffered, underruns, waits, dropped };
    this.port.postMessage(report);
  }
}

scope.registerProcessor("voxwire-playback", Playback);
