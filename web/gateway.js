// @ts-check
/** The gateway's addresses and its HTTP answers. */

import { GatewayAway } from "./errors.js";

/**
 * @typedef {object} Voice
 * @property {string} id
 * @property {string} name
 * @property {string} language
 * @property {string} provider
 */

export class Gateway {
  /** @param {URL} page its address; `?api_key=` there is passed on */
  constructor(page) {
    /** Where the gateway is: the page's folder, for a proxy may have put it under a path of its own. */
    this.root = new URL(".", page);
    this.root.search = "";
    this.key = page.searchParams.get("api_key");
    this.streamUrl = new URL("v1/stream", this.root);
    this.streamUrl.protocol = page.protocol === "https:" ? "wss:" : "ws:";
    if (this.key !== null) this.streamUrl.searchParams.set("api_key", this.key);
  }

  /**
   * @returns {Promise<Voice[]>}
   * @throws {GatewayAway}
   */
  async voices() {
    const response = await this.get("v1/voices");
    const body = await response.json();
    return Array.isArray(body) ? body : body.voices;
  }

  /** @returns {Promise<Response>} in the Prometheus text format */
  metrics() {
    return fetch(new URL("metrics", this.root), { headers: this.headers() });
  }

  /**
   * Whether it answers at all, and takes the key.
   * @throws {GatewayAway}
   */
  async probe() {
    await this.get("v1/voices");
  }

  /**
   * @param {string} path
   * @returns {Promise<Response>}
   */
  async get(path) {
    let response;
    try {
      response = await fetch(new URL(path, this.root), { headers: this.headers() });
    } catch {
      throw new GatewayAway("The gateway does not answer. Check that it is running (voxwire serve), then try again.");
    }
    if (response.status === 401) {
      throw new GatewayAway("The gateway asks for a key. Open this page with ?api_key=KEY at the end of its address.");
    }
    if (!response.ok) throw new GatewayAway(`The gateway answered ${response.status}. Try again in a moment.`);
    return response;
  }

  /** @returns {Record<string, string>} */
  headers() {
    return this.key === null ? {} : { Authorization: `Bearer ${this.key}` };
  }
}
