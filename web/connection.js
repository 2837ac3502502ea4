// @ts-check
/** The one WebSocket of the page: opened when needed, kept for the next utterance, opened again when it was lost. */

import { GatewayAway } from "./errors.js";
import { SUBPROTOCOL, encode, parseEvent, parseFrame } from "./protocol.js";

/** @typedef {"closed" | "connecting" | "open"} ConnectionState */

const AWAY = "The gateway does not answer. Check that it is running (voxwire serve), then try again.";

export class Connection {
  /**
   * @param {URL} url of `/v1/stream`
   * @param {() => Promise<void>} probe asks the gateway over HTTP why a handshake failed; throws GatewayAway
   */
  constructor(url, probe) {
    this.url = url;
    this.probe = probe;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {Promise<void> | null} */
    this.opening = null;
    /** @type {(state: ConnectionState) => void} */
    this.onstate = () => {};
    /** @type {(event: import("./protocol.js").ServerEvent) => void} */
    this.onevent = () => {};
    /** @type {(frame: import("./protocol.js").Frame, bytes: number) => void} */
    this.onframe = () => {};
    /** The socket closed, or said something unreadable. @type {(why: string) => void} */
    this.onlost = () => {};
  }

  /** @returns {ConnectionState} */
  get state() {
    if (this.socket === null) return "closed";
    return this.socket.readyState === WebSocket.OPEN ? "open" : "connecting";
  }

  /**
   * @returns {Promise<void>}
   * @throws {GatewayAway} with a sentence
   */
  open() {
    if (this.state === "open") return Promise.resolve();
    this.opening ??= this.handshake().finally(() => {
      this.opening = null;
    });
    return this.opening;
  }

  /** @param {import("./protocol.js").ClientMessage} message */
  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(encode(message));
  }

  /** Lets this socket go, so that the next utterance opens a fresh one. */
  retire() {
    this.socket?.close(1000);
  }

  /** @returns {Promise<void>} */
  handshake() {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(this.url, SUBPROTOCOL);
      socket.binaryType = "arraybuffer";
      let opened = false;
      socket.onopen = () => {
        opened = true;
        this.onstate("open");
        resolve();
      };
      socket.onmessage = (event) => this.take(socket, event.data);
      socket.onclose = (event) => {
        if (this.socket === socket) this.socket = null;
        this.onstate("closed");
        if (opened) {
          this.onlost(closedBecause(event.code));
        } else {
          // A browser does not tell a page why a handshake was refused; plain HTTP does.
          this.probe().then(() => reject(new GatewayAway(AWAY)), reject);
        }
      };
      this.socket = socket;
      this.onstate("connecting");
    });
  }

  /**
   * @param {WebSocket} socket
   * @param {string | ArrayBuffer} data
   */
  take(socket, data) {
    if (socket !== this.socket) return;
    try {
      if (typeof data === "string") {
        this.onevent(parseEvent(data));
        return;
      }
      const frame = parseFrame(data);
      if (frame !== null) this.onframe(frame, data.byteLength);
    } catch (error) {
      this.socket = null;
      socket.close(1000);
      this.onlost(error instanceof Error ? error.message : String(error));
    }
  }
}

/** @param {number} code */
function closedBecause(code) {
  if (code === 1012) return "The gateway is restarting. Try again in a moment.";
  if (code === 1013) return "The gateway has no room for another connection. Try again in a moment.";
  if (code === 1009) return "The text was too long for one message.";
  if (code === 1008) return "The gateway refused this connection.";
  return "The connection to the gateway was lost. Press Speak to connect again.";
}
