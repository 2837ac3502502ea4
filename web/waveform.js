// @ts-check
/** The picture of the sound: bars that were heard, bars that wait in the buffer, and the playhead between them. */

import { BAR_MS } from "./recording.js";

const STEP_PX = 5;
const BAR_PX = 3;
/** Where the playhead stays, as a part of the width, once the sound is longer than the picture. */
const HOLD = 0.8;
const CALM_MS = 500;

export class Waveform {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    /** @type {number[]} */
    this.peaks = [];
    this.playedMs = 0;
    this.drawnAt = 0;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /**
   * @param {number[]} peaks one a bar, 0 to 1
   * @param {number} playedMs
   * @param {number | null} now ms, to draw less often where less motion is asked for; null draws in any case
   */
  show(peaks, playedMs, now) {
    if (now !== null && this.calm.matches && now - this.drawnAt < CALM_MS) return;
    this.peaks = peaks;
    this.playedMs = playedMs;
    this.drawnAt = now ?? 0;
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const scale = devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    if (pen === null || width === 0) return;
    const style = getComputedStyle(canvas);
    const colours = { heard: style.getPropertyValue("--accent"), waiting: style.getPropertyValue("--waiting") };
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);

    const bars = Math.floor(width / STEP_PX);
    const head = this.playedMs / BAR_MS;
    const from = Math.max(0, Math.min(head - bars * HOLD, this.peaks.length - bars * HOLD));
    const shift = this.calm.matches ? Math.floor(from) : from;
    for (let bar = Math.floor(shift); bar < shift + bars; bar += 1) {
      const peak = this.peaks[bar];
      pen.fillStyle = peak !== undefined && bar + 1 <= head ? colours.heard : colours.waiting;
      // The square root lifts quiet speech to where the eye sees it.
      const tall = peak === undefined ? 2 : Math.max(2, Math.sqrt(peak) * (height - 8));
      pen.beginPath();
      pen.roundRect((bar - shift) * STEP_PX, (height - tall) / 2, BAR_PX, tall, BAR_PX / 2);
      pen.fill();
    }
  }
}
