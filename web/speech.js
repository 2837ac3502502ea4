// @ts-check
/** One utterance: from the press of Speak to the last sample, the stop or the error. */

import { sentence } from "./errors.js";
import { noNumbers } from "./metrics.js";
import { Recording } from "./recording.js";

/**
 * @typedef {"waiting" | "speaking" | "stopping" | "ended" | "stopped" | "failed"} SpeechState
 * `waiting` for the first frame; `speaking` until the last sample is heard; the last three are final.
 */

/**
 * @typedef {object} Choice
 * @property {string} voice
 * @property {string} provider
 * @property {number} speed
 * @property {boolean} textOpen text goes out bit by bit
 */

/**
 * @typedef {object} View What the page shows of it.
 * @property {(speech: Speech, message: string) => void} status
 * @property {(piece: string) => void} sent
 * @property {(words: import("./protocol.js").Word[]) => void} words
 * @property {(playedMs: number) => [string, string]} split
 * @property {(speech: Speech) => void} over
 */

const PLAYHEAD_MS = 1000;

let count = 0;

export class Speech {
  /**
   * @param {import("./connection.js").Connection} connection open
   * @param {import("./player.js").Player} player ready
   * @param {import("./feeder.js").Feeder} feeder
   * @param {Choice} choice
   * @param {number} clickedAt performance.now() of the press
   * @param {View} view
   */
  constructor(connection, player, feeder, choice, clickedAt, view) {
    count += 1;
    this.context = `page-${count}`;
    this.connection = connection;
    this.player = player;
    this.feeder = feeder;
    this.choice = choice;
    this.clickedAt = clickedAt;
    this.view = view;
    /** @type {SpeechState} */
    this.state = "waiting";
    this.recording = new Recording(player.sampleRate);
    this.numbers = noNumbers();
    /** What its binary frames carry. @type {{number: number, generation: number} | null} */
    this.started = null;
    /** The gateway is through with it; what is buffered still plays. */
    this.serverDone = false;
    this.reportedMs = 0;
    /** What was played when Stop was pressed, and when that was. */
    this.stoppedMs = 0;
    this.stopAskedAt = clickedAt;
    this.heard = "";
    this.unheard = "";
    this.error = "";
  }

  get over() {
    return this.state === "ended" || this.state === "stopped" || this.state === "failed";
  }

  start() {
    const { voice, provider, speed, textOpen } = this.choice;
    const chosen = voice === "" ? {} : { voice, provider };
    this.player.begin(textOpen);
    this.connection.send({
      type: "start",
      context: this.context,
      ...chosen,
      format: "pcm16",
      sample_rate: this.player.sampleRate,
      speed,
      pace: "realtime",
      timestamps: true,
    });
    this.feeder.start({
      text: (text) => {
        this.view.sent(text);
        this.connection.send({ type: "text", context: this.context, text });
      },
      flush: () => this.connection.send({ type: "text", context: this.context, text: "", flush: true }),
      end: () => {
        this.player.closeText();
        this.connection.send({ type: "end", context: this.context });
      },
    });
  }

  /** Stops the sound at once and asks the gateway what was heard. */
  stop() {
    if (this.over || this.state === "stopping") return;
    this.state = "stopping";
    this.feeder.stop();
    this.stoppedMs = this.player.playedMs;
    this.stopAskedAt = performance.now();
    this.player.stop();
    if (this.serverDone) {
      this.stopped(...this.view.split(this.stoppedMs), "Stopped.");
    } else {
      this.connection.send({ type: "cancel", context: this.context, played_ms: Math.round(this.stoppedMs) });
    }
  }

  /** @param {string} why a sentence */
  fail(why) {
    if (this.over) return;
    this.error = why;
    this.feeder.stop();
    this.player.stop();
    this.finish("failed", why);
  }

  /**
   * @param {import("./protocol.js").Frame} frame
   * @param {number} bytes
   */
  takeFrame(frame, bytes) {
    const mine = frame.number === this.started?.number && frame.generation === this.started.generation;
    // A frame that was on its way when Stop was pressed, or that belongs to an earlier utterance.
    if (!mine || this.over || this.state === "stopping") return;
    if (this.numbers.firstFrame === null) {
      this.numbers.firstFrame = performance.now() - this.clickedAt;
      this.state = "speaking";
      this.view.status(this, "Speaking.");
    }
    this.numbers.frames += 1;
    this.numbers.bytes += bytes;
    const samples = /** @type {Int16Array<ArrayBuffer>} */ (frame.samples);
    this.recording.add(samples);
    this.player.push(samples);
  }

  /** @param {import("./protocol.js").ServerEvent} event of this context */
  takeEvent(event) {
    switch (event.type) {
      case "queued":
        this.view.status(this, waiting(event));
        break;
      case "started":
        this.started = { number: event.number, generation: event.generation };
        break;
      case "words":
        this.view.words(event.words);
        break;
      case "ended":
        this.serverDone = true;
        this.numbers.serverFirst = event.ttfa_ms;
        this.feeder.stop();
        this.player.closeText();
        this.player.finish();
        // It ended before the cancel reached it, so nobody else will say what was heard.
        if (this.state === "stopping") this.stopped(...this.view.split(this.stoppedMs), "Stopped.");
        break;
      case "cancelled":
        this.numbers.stop = performance.now() - this.stopAskedAt;
        this.stopped(event.text_spoken, event.text_remaining, stoppedIn(event.stop_ms));
        break;
      case "error":
        if (event.final) this.fail(sentence(event));
        else if (!this.over && !this.serverDone) this.view.status(this, sentence(event));
        break;
    }
  }

  /** @param {import("./worklet.js").Report} report */
  takeReport(report) {
    if (this.over || this.state === "stopping") return;
    const { numbers, player } = this;
    if (numbers.firstSound === null && report.audible > 0) {
      numbers.firstSound = performance.now() - this.clickedAt;
    }
    numbers.buffered = player.bufferedMs;
    numbers.played = player.playedMs;
    numbers.underruns = report.underruns;
    numbers.waits = report.waits;
    this.tellPlayhead();
    if (report.state === "drained") this.finish("ended", endedWith(player, report));
  }

  tellPlayhead() {
    const { played, underruns } = this.numbers;
    if (this.serverDone || played - this.reportedMs < PLAYHEAD_MS) return;
    this.reportedMs = played;
    this.connection.send({
      type: "playhead",
      context: this.context,
      played_ms: Math.round(played),
      underruns,
    });
  }

  /**
   * @param {string} heard
   * @param {string} unheard
   * @param {string} message
   */
  stopped(heard, unheard, message) {
    if (this.over) return;
    this.feeder.stop();
    this.player.stop();
    this.heard = heard;
    this.unheard = unheard;
    this.finish("stopped", message);
  }

  /**
   * @param {SpeechState} state
   * @param {string} message
   */
  finish(state, message) {
    this.state = state;
    this.numbers.buffered = 0;
    this.view.over(this);
    this.view.status(this, message);
  }
}

/** @param {import("./protocol.js").Queued} event */
function waiting(event) {
  const eta = event.eta_ms === null ? "" : `, about ${Math.max(1, Math.round(event.eta_ms / 1000))} s`;
  return `The gateway is full. Your place in the queue: ${event.position}${eta}.`;
}

/** @param {number} ms */
function stoppedIn(ms) {
  return `Stopped. The gateway took ${ms.toFixed(ms < 10 ? 1 : 0)} ms to stop the engine.`;
}

/**
 * @param {import("./player.js").Player} player
 * @param {import("./worklet.js").Report} report
 */
function endedWith(player, report) {
  const length = `${(player.playedMs / 1000).toFixed(1)} s`;
  if (player.dropped > 0) return `Finished after ${length}. Some sound came faster than it was played and was dropped.`;
  if (report.underruns > 0) return `Finished. ${length} of speech, ${times(report.underruns, "gap")}.`;
  if (report.waits > 0) return `Finished. ${length} of speech, ${times(report.waits, "wait")} for text.`;
  return `Finished. ${length} of speech, without a gap.`;
}

/**
 * @param {number} many
 * @param {string} what
 */
function times(many, what) {
  return `${many} ${what}${many === 1 ? "" : "s"}`;
}
