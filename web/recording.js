// @ts-check
/** What was received of one utterance: its PCM for a WAV file, its peaks for the picture. */

/** Ms of sound for one bar of the picture. */
export const BAR_MS = 40;
/** More than this is not kept: a page must not fill the memory of its machine. */
const MAX_SECONDS = 600;
const WAV_HEADER_BYTES = 44;

export class Recording {
  /** @param {number} rate Hz */
  constructor(rate) {
    this.rate = rate;
    this.samples = 0;
    /** @type {Int16Array<ArrayBuffer>[]} */
    this.parts = [];
    /** One number a bar, 0 to 1. @type {number[]} */
    this.peaks = [];
    this.barSamples = Math.round((rate * BAR_MS) / 1000);
  }

  get full() {
    return this.samples >= this.rate * MAX_SECONDS;
  }

  /** @param {Int16Array<ArrayBuffer>} pcm */
  add(pcm) {
    if (this.full) return;
    this.parts.push(pcm);
    for (let index = 0; index < pcm.length; index += 1) {
      const bar = Math.floor((this.samples + index) / this.barSamples);
      const level = Math.abs(pcm[index] ?? 0) / 32768;
      this.peaks[bar] = Math.max(this.peaks[bar] ?? 0, level);
    }
    this.samples += pcm.length;
  }

  /** @returns {Blob} a WAV file, 16-bit mono */
  wav() {
    const bytes = 2 * this.samples;
    const header = new DataView(new ArrayBuffer(WAV_HEADER_BYTES));
    const tag = (/** @type {number} */ at, /** @type {string} */ name) => {
      for (let index = 0; index < name.length; index += 1) header.setUint8(at + index, name.charCodeAt(index));
    };
    tag(0, "RIFF");
    header.setUint32(4, WAV_HEADER_BYTES - 8 + bytes, true);
    tag(8, "WAVEfmt ");
    header.setUint32(16, 16, true);
    header.setUint16(20, 1, true);
    header.setUint16(22, 1, true);
    header.setUint32(24, this.rate, true);
    header.setUint32(28, 2 * this.rate, true);
    header.setUint16(32, 2, true);
    header.setUint16(34, 16, true);
    tag(36, "data");
    header.setUint32(40, bytes, true);
    return new Blob([header, ...this.parts], { type: "audio/wav" });
  }
}
