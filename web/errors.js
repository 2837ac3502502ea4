// @ts-check
/** What went wrong, as a sentence for the person at the page. */

/** @typedef {import("./protocol.js").Failed} Failed */

/** @type {Record<string, string>} */
const SENTENCES = {
  unknown_voice: "The gateway does not have this voice.",
  unknown_provider: "The gateway does not have this engine.",
  unsupported_format: "The gateway cannot make sound at the rate of this browser's output.",
  nothing_to_speak: "There is nothing here that can be spoken. Type some words first.",
  text_too_long: "This text is longer than the gateway takes at once.",
  too_many_contexts: "Too many utterances are open on this connection.",
  unauthorized: "The gateway asks for a key. Open this page with ?api_key=KEY at the end of its address.",
  rate_limited: "You have reached the gateway's rate limit.",
  overloaded: "The gateway is full at the moment.",
  engine_failed: "The speech engine failed while it was speaking.",
  engine_unavailable: "The speech engine cannot be reached.",
  engine_busy: "The speech engine has no room at the moment.",
  engine_not_installed: "This speech engine is not installed on the gateway.",
  timed_out: "The gateway waited too long and closed this utterance.",
  internal: "The gateway met a defect of its own. Its log has the cause.",
};

/**
 * @param {Failed} error
 * @returns {string}
 */
export function sentence(error) {
  const known = SENTENCES[error.code];
  // The gateway's own message lists what there is, so it is worth showing behind ours.
  const parts = known === undefined ? [stop(error.message)] : [known, stop(error.message)];
  if (error.retry_after_ms) {
    parts.push(`Try again in ${Math.max(1, Math.ceil(error.retry_after_ms / 1000))} s.`);
  } else if (error.retryable) {
    parts.push("Another try may help.");
  }
  return parts.filter((part) => part !== "").join(" ");
}

/** @param {string | undefined} message */
function stop(message) {
  if (!message) return "";
  const text = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** The gateway cannot be reached, or it refuses. Its message is a sentence for the page. */
export class GatewayAway extends Error {}
