// @ts-check
/** Three ways for text to reach the gateway: whole, word by word as a language model makes it, or as it is typed. */

/**
 * @typedef {object} Sink
 * @property {(piece: string) => void} text
 * @property {() => void} flush speak what has come, without a look at what follows
 * @property {() => void} end
 */

/**
 * @typedef {object} Feeder
 * @property {(sink: Sink) => void} start
 * @property {() => void} finish ends the text early, with what there is
 * @property {() => void} stop sends nothing more
 */

/** Between two words, in ms: about the speed of a fast language model. */
const WORD_MS = 60;
/** A typist who rests this long behind a punctuation mark is heard. */
const REST_MS = 500;

/**
 * @param {string} text
 * @returns {Feeder}
 */
export function whole(text) {
  return {
    start(sink) {
      sink.text(text);
      sink.end();
    },
    finish() {},
    stop() {},
  };
}

/**
 * @param {string} text
 * @returns {Feeder}
 */
export function wordByWord(text) {
  const pieces = tokens(text);
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;
  return {
    start(sink) {
      timer = setInterval(() => {
        const piece = pieces.shift();
        if (piece !== undefined) sink.text(piece);
        if (pieces.length > 0) return;
        clearInterval(timer);
        sink.end();
      }, WORD_MS);
    },
    finish() {},
    stop() {
      clearInterval(timer);
    },
  };
}

/**
 * @param {HTMLTextAreaElement} field what is in it goes out at once, then each word as it is completed
 * @returns {Feeder}
 */
export function asTyped(field) {
  let sent = "";
  /** @type {Sink | null} */
  let sink = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let rest;
  const forward = () => {
    send(completed(field.value, sent));
    clearTimeout(rest);
    rest = setTimeout(() => {
      if (restsAtMark(field.value, sent)) sink?.flush();
    }, REST_MS);
  };
  /** @param {string} piece */
  const send = (piece) => {
    if (sink === null || piece === "") return;
    sent += piece;
    sink.text(piece);
  };
  const detach = () => {
    field.removeEventListener("input", forward);
    clearTimeout(rest);
    sink = null;
  };
  return {
    start(target) {
      sink = target;
      field.addEventListener("input", forward);
      forward();
    },
    finish() {
      const target = sink;
      if (field.value.startsWith(sent)) send(field.value.slice(sent.length));
      detach();
      target?.end();
    },
    stop: detach,
  };
}

/**
 * @param {string} text
 * @returns {string[]} words with the space behind them; joined they are `text` again
 */
export function tokens(text) {
  if (typeof Intl.Segmenter !== "function") return text.match(/\s*\S+\s*$|\s*\S+/gu) ?? [text];
  /** @type {string[]} */
  const pieces = [];
  for (const { segment, isWordLike } of new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)) {
    if (isWordLike || pieces.length === 0) pieces.push(segment);
    else pieces[pieces.length - 1] += segment;
  }
  return pieces;
}

/**
 * @param {string} value what the field holds
 * @param {string} sent what has gone out; text that was changed after it went out cannot be taken back
 * @returns {string} what may go out now: up to the last space or punctuation mark
 */
export function completed(value, sent) {
  if (!value.startsWith(sent)) return "";
  return value.slice(sent.length).match(/^.*[\s\p{P}]/su)?.[0] ?? "";
}

/**
 * @param {string} value what the field holds
 * @param {string} sent what has gone out
 * @returns {boolean} all of it has gone out, and it ends a clause
 */
export function restsAtMark(value, sent) {
  return value === sent && /[.!?,;:\u2026\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f\n]["')\]\s]*$/u.test(value);
}
