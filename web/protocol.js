// @ts-check
/**
 * The native protocol, version 1, as a browser needs it: pure functions, no socket. See docs/protocol.md.
 */

export const SUBPROTOCOL = "voxwire.v1";
export const HEADER_BYTES = 16;

const VERSION = 1;
const TYPE_AUDIO = 1;
const FLAG_FIRST = 1;

/**
 * @typedef {{type: "start", context: string, voice?: string, provider?: string, format: "pcm16", sample_rate: number,
 *   speed?: number, pace: "realtime" | "burst", timestamps: boolean}} Start
 * @typedef {{type: "text", context: string, text: string, flush?: boolean}} Text
 * @typedef {{type: "end", context: string}} End
 * @typedef {{type: "cancel", context: string, played_ms: number}} Cancel
 * @typedef {{type: "playhead", context: string, played_ms: number, underruns: number}} Playhead
 * @typedef {Start | Text | End | Cancel | Playhead} ClientMessage
 */

/**
 * @typedef {{text: string, start_ms: number, end_ms: number}} Word
 * @typedef {{type: "queued", context: string, position: number, eta_ms: number | null}} Queued
 * @typedef {{type: "started", context: string, number: number, generation: number, token: string, provider: string,
 *   voice: string, format: string, sample_rate: number}} Started
 * @typedef {{type: "words", context: string, words: Word[], estimated: boolean}} Words
 * @typedef {{type: "ended", context: string, audio_ms: number, ttfa_ms: number | null, frames: number}} Ended
 * @typedef {{type: "cancelled", context: string, stop_ms: number, text_spoken: string,
 *   text_remaining: string}} Cancelled
 * @typedef {{type: "error", context?: string | null, code: string, message: string, retryable: boolean,
 *   final: boolean, retry_after_ms?: number | null}} Failed
 * @typedef {{type: "goaway", deadline_ms: number}} GoAway
 * @typedef {{type: "pong"}} Pong
 * @typedef {Queued | Started | Words | Ended | Cancelled | Failed | GoAway | Pong} ServerEvent
 */

/**
 * @typedef {object} Frame One binary message: a header, then PCM.
 * @property {number} number of the context, from `started`
 * @property {number} generation from `started`
 * @property {number} sequence from 0, without gaps
 * @property {number} position samples of the context before this frame
 * @property {boolean} first
 * @property {Int16Array} samples s16le mono
 */

/**
 * @param {ClientMessage} message
 * @returns {string} the text frame
 */
export function encode(message) {
  return JSON.stringify(message);
}

/**
 * @param {string} text a text frame
 * @returns {ServerEvent} types this page does not know come through too: a `switch` ignores them
 * @throws {Error} where the frame is no event
 */
export function parseEvent(text) {
  const event = JSON.parse(text);
  if (typeof event !== "object" || event === null || typeof event.type !== "string") {
    throw new Error("The gateway sent a message that is no event.");
  }
  return event;
}

/**
 * @param {ArrayBuffer} buffer a binary frame with a pcm16 payload
 * @returns {Frame | null} null for a frame type that this version does not define
 * @throws {Error} where the header cannot be read
 */
export function parseFrame(buffer) {
  if (buffer.byteLength < HEADER_BYTES) {
    throw new Error("The gateway sent a binary frame that is shorter than its header.");
  }
  const view = new DataView(buffer);
  if (view.getUint8(0) !== VERSION) {
    throw new Error(`The gateway speaks version ${view.getUint8(0)} of the frame header; this page knows 1.`);
  }
  if (view.getUint8(1) !== TYPE_AUDIO) return null;
  const flags = view.getUint8(2);
  return {
    number: view.getUint16(4),
    generation: view.getUint16(6),
    sequence: view.getUint32(8),
    position: view.getUint32(12),
    first: (flags & FLAG_FIRST) !== 0,
    samples: samplesOf(view),
  };
}

/**
 * @param {DataView} view
 * @returns {Int16Array}
 */
function samplesOf(view) {
  const count = (view.byteLength - HEADER_BYTES) >> 1;
  const samples = new Int16Array(count);
  for (let index = 0; index < count; index += 1) {
    // The wire is little-endian whatever the machine is.
    samples[index] = view.getInt16(HEADER_BYTES + 2 * index, true);
  }
  return samples;
}
