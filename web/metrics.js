// @ts-check
/** The numbers on the page: of this page's own stream, and of the gateway as its `/metrics` tells them. */

const POLL_MS = 2000;
const NONE = "–";

/** Series of the gateway that the page shows. */
const ACTIVE_SESSIONS = "voxwire_sessions_active";
const AUDIO_SECONDS = "voxwire_audio_seconds_total";

/**
 * @typedef {object} Numbers Null where it is not known yet. Times in ms.
 * @property {number | null} firstFrame from the click to the first frame
 * @property {number | null} firstSound from the click to the first sample that can be heard
 * @property {number | null} serverFirst `ttfa_ms` of `ended`
 * @property {number | null} stop from the press of Stop to `cancelled`
 * @property {number} frames
 * @property {number} bytes
 * @property {number} buffered
 * @property {number} played
 * @property {number} underruns
 * @property {number} waits
 */

/** @returns {Numbers} */
export function noNumbers() {
  return {
    firstFrame: null,
    firstSound: null,
    serverFirst: null,
    stop: null,
    frames: 0,
    bytes: 0,
    buffered: 0,
    played: 0,
    underruns: 0,
    waits: 0,
  };
}

export class LiveMetrics {
  /** @param {HTMLElement} grid holds an element with `data-metric` for each number */
  constructor(grid) {
    /** @type {Map<string, HTMLElement>} */
    this.cells = new Map();
    for (const cell of /** @type {NodeListOf<HTMLElement>} */ (grid.querySelectorAll("[data-metric]"))) {
      this.cells.set(cell.dataset["metric"] ?? "", cell);
    }
  }

  /** @param {Numbers} numbers */
  show(numbers) {
    this.put("first-frame", ms(numbers.firstFrame));
    this.put("first-sound", ms(numbers.firstSound));
    this.put("server-first", ms(numbers.serverFirst));
    this.put("stop", ms(numbers.stop));
    this.put("frames", String(numbers.frames));
    this.put("bytes", kib(numbers.bytes));
    this.put("buffered", ms(numbers.buffered));
    this.put("played", seconds(numbers.played / 1000));
    this.put("underruns", String(numbers.underruns));
    this.put("waits", String(numbers.waits));
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  put(name, value) {
    const cell = this.cells.get(name);
    if (cell !== undefined && cell.textContent !== value) cell.textContent = value;
  }
}

/** Reads `/metrics` while the page is in sight. */
export class GatewayPoll {
  /**
   * @param {() => Promise<Response>} fetchMetrics
   * @param {LiveMetrics} view
   * @param {() => void} onback the gateway answers again
   */
  constructor(fetchMetrics, view, onback) {
    this.fetchMetrics = fetchMetrics;
    this.view = view;
    this.onback = onback;
    this.away = false;
    /** @type {{at: number, audio: number} | null} */
    this.before = null;
  }

  start() {
    void this.poll();
  }

  async poll() {
    if (!document.hidden) await this.read();
    setTimeout(() => void this.poll(), POLL_MS);
  }

  async read() {
    try {
      const response = await this.fetchMetrics();
      if (response.ok) this.show(parsePrometheus(await response.text()));
      if (this.away) this.onback();
      this.away = false;
    } catch {
      this.away = true;
      this.before = null;
      for (const name of ["active", "audio", "rate"]) this.view.put(name, NONE);
    }
  }

  /** @param {Map<string, number>} series */
  show(series) {
    const audio = series.get(AUDIO_SECONDS) ?? 0;
    const at = performance.now();
    const made = this.before === null ? 0 : Math.max(0, audio - this.before.audio);
    const rate = this.before === null ? 0 : (1000 * made) / (at - this.before.at);
    this.before = { at, audio };
    this.view.put("active", String(series.get(ACTIVE_SESSIONS) ?? 0));
    this.view.put("audio", seconds(audio));
    this.view.put("rate", `${rate.toFixed(1)} ×`);
  }
}

/**
 * @param {string} text the Prometheus exposition format
 * @returns {Map<string, number>} the sum over all labels, by name
 */
export function parsePrometheus(text) {
  /** @type {Map<string, number>} */
  const sums = new Map();
  for (const line of text.split("\n")) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{.*\})?\s+(\S+)/.exec(line);
    const value = Number(found?.[2]);
    if (found?.[1] !== undefined && Number.isFinite(value)) {
      sums.set(found[1], (sums.get(found[1]) ?? 0) + value);
    }
  }
  return sums;
}

/** @param {number | null} value */
function ms(value) {
  return value === null ? NONE : `${Math.round(value)} ms`;
}

/** @param {number} value */
function seconds(value) {
  return value < 100 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}

/** @param {number} bytes */
function kib(bytes) {
  return bytes < 1024 * 1000 ? `${Math.round(bytes / 1024)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
