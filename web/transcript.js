// @ts-check
/** The text of an utterance, with its words lighting up as they are heard. */

/** @typedef {import("./protocol.js").Word} Word */
/** @typedef {{span: HTMLSpanElement, startMs: number, endMs: number, upTo: number}} Shown */

/** An engine may read "3" as "three": such a word is not searched for farther than this. */
const REACH = 60;

export class Transcript {
  /** @type {Shown[]} */
  words = [];
  /** Index of the first word that has not begun. */
  next = 0;
  /** All that has gone out. */
  text = "";
  /** The part of it, at the end, whose words have no times yet. */
  tail = document.createTextNode("");

  /** @param {HTMLElement} box */
  constructor(box) {
    this.box = box;
    this.clear();
  }

  clear() {
    this.words = [];
    this.next = 0;
    this.text = "";
    this.tail = document.createTextNode("");
    this.box.replaceChildren(this.tail);
  }

  /** How many words have begun to be heard. */
  get lit() {
    return this.next;
  }

  /** @param {string} piece text that has gone out */
  append(piece) {
    this.text += piece;
    this.tail.data += piece;
  }

  /** @param {Word[]} words in order, timed from the start of the utterance */
  place(words) {
    for (const word of words) this.placeOne(word);
  }

  /** @param {Word} word */
  placeOne(word) {
    const spoken = word.text.trim();
    const at = this.tail.data.slice(0, REACH + spoken.length).toLowerCase().indexOf(spoken.toLowerCase());
    if (spoken === "" || at < 0) return;
    const span = document.createElement("span");
    span.className = "word";
    span.textContent = this.tail.data.slice(at, at + spoken.length);
    this.box.insertBefore(document.createTextNode(this.tail.data.slice(0, at)), this.tail);
    this.box.insertBefore(span, this.tail);
    this.tail.data = this.tail.data.slice(at + spoken.length);
    const upTo = this.text.length - this.tail.data.length;
    this.words.push({ span, startMs: word.start_ms, endMs: word.end_ms, upTo });
  }

  /** @param {number} playedMs */
  light(playedMs) {
    for (let word = this.words[this.next]; word && word.startMs <= playedMs; word = this.words[this.next]) {
      this.words[this.next - 1]?.span.classList.remove("now");
      word.span.classList.add("heard", "now");
      this.follow(word.span);
      this.next += 1;
    }
    const last = this.words[this.next - 1];
    if (last && playedMs >= last.endMs) last.span.classList.remove("now");
  }

  /** All was heard. */
  finish() {
    this.light(Infinity);
  }

  /** Nothing more will be heard. */
  halt() {
    this.words[this.next - 1]?.span.classList.remove("now");
  }

  /**
   * @param {number} playedMs
   * @returns {[string, string]} what was heard and what was not, by the word times known here
   */
  split(playedMs) {
    const heard = this.words.filter((word) => word.endMs <= playedMs).pop();
    const cut = heard?.upTo ?? 0;
    return [this.text.slice(0, cut), this.text.slice(cut)];
  }

  /**
   * @param {string} heard
   * @param {string} unheard
   */
  settle(heard, unheard) {
    this.box.replaceChildren(part("heard", heard), part("unheard", unheard));
  }

  /** Keeps the word in sight in a long text. @param {HTMLElement} span */
  follow(span) {
    const below = span.offsetTop + span.offsetHeight - (this.box.scrollTop + this.box.clientHeight);
    if (below > 0) this.box.scrollTop += below + span.offsetHeight;
  }
}

/**
 * @param {string} name
 * @param {string} text
 */
function part(name, text) {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  return span;
}
