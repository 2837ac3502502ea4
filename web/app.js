// @ts-check
/** Wires the page: controls, connection, player and views. */

import { Connection } from "./connection.js";
import { GatewayAway, sentence } from "./errors.js";
import { asTyped, whole, wordByWord } from "./feeder.js";
import { Gateway } from "./gateway.js";
import { GatewayPoll, LiveMetrics, noNumbers } from "./metrics.js";
import { Player } from "./player.js";
import { Speech } from "./speech.js";
import { Transcript } from "./transcript.js";
import { fillSnippets } from "./snippets.js";
import { Waveform } from "./waveform.js";

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
function element(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} called ${id}`);
  return found;
}

const textField = element("text", HTMLTextAreaElement);
const voiceField = element("voice", HTMLSelectElement);
const speedField = element("speed", HTMLInputElement);
const speedValue = element("speed-value", HTMLOutputElement);
const modeField = element("mode", HTMLSelectElement);
const speakButton = element("speak", HTMLButtonElement);
const stopButton = element("stop", HTMLButtonElement);
const saveButton = element("save", HTMLButtonElement);
const statusLine = element("status", HTMLElement);
const problem = element("problem", HTMLElement);
const connectionPill = element("connection", HTMLElement);
const verdict = element("verdict", HTMLElement);

const gateway = new Gateway(new URL(location.href));
const connection = new Connection(gateway.streamUrl, () => gateway.probe());
const player = new Player();
const transcript = new Transcript(element("transcript", HTMLElement));
const waveform = new Waveform(element("waveform", HTMLCanvasElement));
const metrics = new LiveMetrics(document.body);
const poll = new GatewayPoll(() => gateway.metrics(), metrics, () => void prepare());

/** @type {Speech | null} */
let speech = null;
/** Between the press and the start of an utterance. */
let starting = false;
let utterances = 0;
let painting = false;

async function speak() {
  if (starting) return;
  if (speech !== null && !speech.over) {
    finishTyping();
    return;
  }
  const clickedAt = performance.now();
  const text = textField.value;
  const mode = modeField.value;
  showProblem("");
  if (text.trim() === "" && mode !== "typed") {
    showProblem("Type some words first.");
    textField.focus();
    return;
  }
  starting = true;
  showButtons();
  statusLine.textContent = "Connecting.";
  try {
    await Promise.all([player.ready(), connection.open()]);
    begin(text, mode, clickedAt);
  } catch (error) {
    showProblem(error instanceof Error ? error.message : String(error));
    statusLine.textContent = "Not speaking.";
  } finally {
    starting = false;
    showButtons();
  }
}

/**
 * @param {string} text
 * @param {string} mode of the select
 * @param {number} clickedAt
 */
function begin(text, mode, clickedAt) {
  const feeder = mode === "typed" ? asTyped(textField) : mode === "words" ? wordByWord(text) : whole(text);
  const option = voiceField.selectedOptions[0];
  const choice = {
    voice: option?.dataset["voice"] ?? "",
    provider: option?.dataset["provider"] ?? "",
    speed: Number(speedField.value),
    textOpen: mode !== "whole",
  };
  utterances += 1;
  transcript.clear();
  showVerdict("", "");
  speech = new Speech(connection, player, feeder, choice, clickedAt, view);
  statusLine.textContent = mode === "typed" ? "Listening to what you type." : "Waiting for the first sound.";
  speech.start();
  showBlocked();
  if (mode === "typed") textField.focus();
  if (!painting) requestAnimationFrame(paint);
  painting = true;
}

/** @type {import("./speech.js").View} */
const view = {
  status(of, message) {
    if (of !== speech) return;
    statusLine.textContent = message;
    if (of.state === "failed") {
      showProblem(message);
      statusLine.textContent = "Not speaking.";
    }
  },
  sent: (piece) => transcript.append(piece),
  words: (words) => transcript.place(words),
  split: (playedMs) => transcript.split(playedMs),
  over(of) {
    if (of !== speech) return;
    if (of.state === "ended") transcript.finish();
    if (of.state === "failed") transcript.halt();
    if (of.state === "stopped") {
      transcript.settle(of.heard, of.unheard);
      showVerdict(of.heard, of.unheard);
    }
    showButtons();
    // What had the focus may just have been disabled.
    if (document.activeElement === document.body) speakButton.focus({ preventScroll: true });
  },
};

function finishTyping() {
  if (speech?.choice.textOpen && modeField.value === "typed") speech.feeder.finish();
}

/** @param {number} now */
function paint(now) {
  if (speech === null) return;
  const { numbers, recording } = speech;
  const playedMs = speech.state === "speaking" ? player.playedMs : numbers.played;
  if (speech.state === "speaking" && playedMs > 0) transcript.light(playedMs);
  waveform.show(recording.peaks, playedMs, speech.over ? null : now);
  metrics.show(numbers);
  painting = !speech.over;
  if (painting) requestAnimationFrame(paint);
}

function showButtons() {
  const busy = starting || (speech !== null && !speech.over);
  const typing = busy && modeField.value === "typed";
  speakButton.textContent = typing && !starting ? "Finish" : "Speak";
  speakButton.disabled = busy && !(typing && !starting);
  stopButton.disabled = speech === null || speech.over;
  saveButton.disabled = speech === null || speech.recording.samples === 0;
  for (const field of [voiceField, speedField, modeField]) field.disabled = busy;
}

/** @param {string} message */
function showProblem(message) {
  problem.textContent = message;
  problem.hidden = message === "";
}

/**
 * @param {string} heard
 * @param {string} unheard
 */
function showVerdict(heard, unheard) {
  verdict.hidden = heard === "" && unheard === "";
  const words = (/** @type {string} */ text) => text.match(/\S+/gu)?.length ?? 0;
  verdict.textContent = `Heard ${words(heard)} words, not heard ${words(unheard)}.`;
}

/** A browser may keep the page silent until it is touched. */
function showBlocked() {
  if (speech !== null && !speech.over && player.state !== "running") {
    showProblem("The browser holds the sound back. Click anywhere on this page to hear it.");
  } else if (problem.textContent?.startsWith("The browser holds")) {
    showProblem("");
  }
}

function save() {
  if (speech === null) return;
  const url = URL.createObjectURL(speech.recording.wav());
  const link = document.createElement("a");
  link.href = url;
  link.download = `voxwire-${utterances}.wav`;
  link.click();
  // The click has taken its reference when the task ends.
  setTimeout(() => URL.revokeObjectURL(url), 0);
}

/** Connects ahead of the first press, so that the press costs only the speech. */
async function prepare() {
  try {
    await Promise.all([connection.open(), voiceField.dataset["loaded"] ? null : loadVoices()]);
    if (speech === null || speech.over) showProblem("");
  } catch (error) {
    showProblem(error instanceof GatewayAway ? error.message : String(error));
  }
}

async function loadVoices() {
  const voices = await gateway.voices();
  /** @type {Map<string, HTMLOptGroupElement>} */
  const groups = new Map();
  for (const voice of voices) {
    const group = groups.get(voice.provider) ?? document.createElement("optgroup");
    group.label = voice.provider;
    groups.set(voice.provider, group);
    const option = new Option(`${voice.name} (${voice.language})`, `${voice.provider}/${voice.id}`);
    option.dataset["voice"] = voice.id;
    option.dataset["provider"] = voice.provider;
    group.append(option);
  }
  voiceField.replaceChildren(...groups.values());
  voiceField.dataset["loaded"] = "true";
}

connection.onstate = (state) => {
  connectionPill.dataset["state"] = state;
  connectionPill.textContent = { open: "Connected", connecting: "Connecting", closed: "Not connected" }[state];
};
connection.onframe = (frame, bytes) => {
  speech?.takeFrame(frame, bytes);
  if (saveButton.disabled) showButtons();
};
connection.onevent = (event) => {
  if (event.type === "goaway") {
    if (speech === null || speech.over) connection.retire();
  } else if ("context" in event && event.context != null) {
    if (event.context === speech?.context) speech.takeEvent(event);
  } else if (event.type === "error") {
    showProblem(sentence(event));
  }
};
connection.onlost = (why) => {
  if (speech !== null && !speech.over && !speech.serverDone) speech.fail(why);
};
player.onreport = (report) => speech?.takeReport(report);
player.onstate = showBlocked;

speakButton.addEventListener("click", () => void speak());
stopButton.addEventListener("click", () => speech?.stop());
saveButton.addEventListener("click", save);
speedField.addEventListener("input", () => {
  speedValue.textContent = `${Number(speedField.value).toFixed(2)} ×`;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    void speak();
  } else if (event.key === "Escape") {
    speech?.stop();
  }
});
// The first touch wakes the sound, so that the press of Speak does not wait for it.
for (const gesture of ["pointerdown", "keydown"]) {
  document.addEventListener(gesture, () => void player.ready().catch(() => {}));
}

/**
 * The page's own diagnostic handle, for the browser's console and for the tests: what the player did in the current
 * utterance. Samples are counted at `sampleRate`, times are in ms.
 */
const diagnostics = {
  get state() {
    return speech?.state ?? "idle";
  },
  get connection() {
    return connection.state;
  },
  get audioContext() {
    return player.state;
  },
  /** 0 before the first gesture. */
  get sampleRate() {
    return player.context?.sampleRate ?? 0;
  },
  get utterances() {
    return utterances;
  },
  /** Samples that came from the gateway. */
  get received() {
    return speech?.recording.samples ?? 0;
  },
  /** Samples that the worklet has put out, and those of them above -60 dBFS. */
  get rendered() {
    return player.report.played;
  },
  get nonSilent() {
    return player.report.audible;
  },
  get peak() {
    return player.report.peak;
  },
  get underruns() {
    return player.report.underruns;
  },
  get waits() {
    return player.report.waits;
  },
  get dropped() {
    return player.dropped;
  },
  get playedMs() {
    return player.playedMs;
  },
  get bufferedMs() {
    return player.bufferedMs;
  },
  get wordsLit() {
    return transcript.lit;
  },
  get wordsKnown() {
    return transcript.words.length;
  },
  get heard() {
    return speech?.heard ?? "";
  },
  get unheard() {
    return speech?.unheard ?? "";
  },
  get error() {
    return speech?.error ?? "";
  },
  get numbers() {
    return { ...(speech?.numbers ?? noNumbers()) };
  },
};
Object.assign(window, { voxwire: diagnostics });

fillSnippets(gateway.root.href.replace(/\/$/, ""));
metrics.show(noNumbers());
waveform.draw();
showButtons();
void prepare();
poll.start();
