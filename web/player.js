// @ts-check
/** Owns the AudioContext and its worklet node: samples in, sound and reports out. */

/** @typedef {import("./worklet.js").Report} Report */
/** @typedef {import("./worklet.js").ToWorklet} ToWorklet */

/** Rates (Hz) that the gateway makes; a device that runs outside them is given 48 kHz and resamples itself. */
const LOWEST_RATE = 8000;
const HIGHEST_RATE = 48000;
/** Samples on their way to an audio thread that does not run (a suspended context) are bounded too. */
const MAX_AHEAD_MS = 20_000;

/** @type {Report} */
const NOTHING = {
  epoch: 0,
  state: "idle",
  played: 0,
  audible: 0,
  peak: 0,
  buffered: 0,
  underruns: 0,
  waits: 0,
  dropped: 0,
};

export class Player {
  constructor() {
    /** @type {AudioContext | null} */
    this.context = null;
    /** @type {Promise<AudioWorkletNode> | null} */
    this.loading = null;
    /** @type {AudioWorkletNode | null} */
    this.node = null;
    this.epoch = 0;
    this.pushed = 0;
    this.refused = 0;
    /** The latest report of the current utterance. @type {Report} */
    this.report = NOTHING;
    /** @type {(report: Report) => void} */
    this.onreport = () => {};
    /** @type {(state: AudioContextState) => void} */
    this.onstate = () => {};
  }

  /** Hz; what to ask the gateway for, so that nothing is resampled here. */
  get sampleRate() {
    return this.open().sampleRate;
  }

  /** "running" only when the browser lets the page be heard. */
  get state() {
    return this.context?.state ?? "suspended";
  }

  /** How much the listener has heard of the current utterance, in ms: what was rendered less the device's delay. */
  get playedMs() {
    if (this.context === null) return 0;
    const rendered = (1000 * this.report.played) / this.context.sampleRate;
    const drained = this.report.state === "drained";
    return drained ? rendered : Math.max(0, rendered - 1000 * (this.context.outputLatency || 0));
  }

  get bufferedMs() {
    return this.context === null ? 0 : (1000 * this.report.buffered) / this.context.sampleRate;
  }

  /** Samples that found no room. */
  get dropped() {
    return this.report.dropped + this.refused;
  }

  /**
   * Loads the worklet and wakes the context. Call it from a gesture: browsers keep a page silent until there is one.
   * @returns {Promise<AudioWorkletNode>}
   * @throws {Error} with a sentence, where this browser or address cannot play
   */
  ready() {
    const context = this.open();
    // Not awaited: it settles only when the browser lets the page sound, and the text may go out before.
    if (context.state !== "running") context.resume().catch(() => {});
    this.loading ??= this.load(context).catch((error) => {
      this.loading = null;
      throw error;
    });
    return this.loading;
  }

  /**
   * A new utterance: what is left of the one before is dropped.
   * @param {boolean} textOpen text is still to come, so running dry is no underrun
   */
  begin(textOpen) {
    this.epoch += 1;
    this.pushed = 0;
    this.refused = 0;
    this.report = { ...NOTHING, epoch: this.epoch, state: "filling" };
    this.post({ type: "begin", epoch: this.epoch, textOpen });
  }

  /** @param {Int16Array} pcm mono, at `sampleRate` */
  push(pcm) {
    const ahead = this.pushed - this.report.played;
    if ((1000 * (ahead + pcm.length)) / this.sampleRate > MAX_AHEAD_MS) {
      this.refused += pcm.length;
      return;
    }
    this.pushed += pcm.length;
    const samples = Float32Array.from(pcm, (sample) => sample / 32768);
    this.post({ type: "samples", epoch: this.epoch, samples }, [samples.buffer]);
  }

  /** All the text has gone out: from now on running dry is an underrun. */
  closeText() {
    this.post({ type: "textClosed", epoch: this.epoch });
  }

  /** All the sound has come: the rest is played. */
  finish() {
    this.post({ type: "finish", epoch: this.epoch });
  }

  /** Falls silent within a few milliseconds. */
  stop() {
    this.post({ type: "stop", epoch: this.epoch });
  }

  /** @returns {AudioContext} */
  open() {
    if (this.context !== null) return this.context;
    let context = new AudioContext({ latencyHint: "interactive" });
    if (context.sampleRate < LOWEST_RATE || context.sampleRate > HIGHEST_RATE) {
      void context.close();
      context = new AudioContext({ latencyHint: "interactive", sampleRate: HIGHEST_RATE });
    }
    context.onstatechange = () => this.onstate(context.state);
    this.context = context;
    return context;
  }

  /**
   * @param {AudioContext} context
   * @returns {Promise<AudioWorkletNode>}
   */
  async load(context) {
    if (context.audioWorklet === undefined) {
      throw new Error("Browsers play live audio only on https or localhost. Open this page at one of those.");
    }
    await context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
    const node = new AudioWorkletNode(context, "voxwire-playback", {
      numberOfInputs: 0,
      numberOfOutputs: 1,
      outputChannelCount: [1],
    });
    node.port.onmessage = (/** @type {MessageEvent<Report>} */ event) => this.take(event.data);
    node.connect(context.destination);
    this.node = node;
    return node;
  }

  /** @param {Report} report */
  take(report) {
    if (report.epoch !== this.epoch) return;
    this.report = report;
    this.onreport(report);
  }

  /**
   * @param {ToWorklet} message
   * @param {Transferable[]} [transfer]
   */
  post(message, transfer = []) {
    this.node?.port.postMessage(message, transfer);
  }
}
