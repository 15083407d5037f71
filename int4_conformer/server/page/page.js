// Words while they are spoken. `recognizer.js` beside this file is who hears them: it tells facts of
// the model, opens streams, and makes subtitles. The server's page has one that asks the server;
// export/browser has one that runs the model itself.

import * as recognizer from "./recognizer.js";

// Seconds of audio that a stream is fed at once.
const STEP = 0.1;
// Peaks of the waveform that are kept: two minutes.
const MOST_PEAKS = 1200;
const CONFIDENCES = [0.4, 0.6, 0.75, 0.9];

const element = (id) => document.getElementById(id);
const lines = element("lines");
const partial = element("partial");
const status = element("status");
const button = element("microphone");
// Utterances that have ended, each a list of words.
let said = [];
// The words that were shown last, to tell which have changed.
let shown = [];
// Seconds of audio before the one that is heard, so that times go on.
let offset = 0;
let peaks = [];
let facts = null;
// Ends what is being heard; null while nothing is.
let stop = null;

async function showModel() {
  facts = await recognizer.facts();
  element("model").textContent = `${facts.id}, ${megabytes(facts.bytes)}`;
  const rows = [
    ["Name", facts.id],
    ["Size of its file", megabytes(facts.bytes)],
    ["Parameters", facts.parameters?.toLocaleString("en")],
    ["Sizes", facts.preset ?? "its own"],
    ["Integers", facts.recipe],
    ["Hears at", `${facts.sample_rate} Hz`],
    ["Hears", facts.hears_streams ? "speech while it is spoken" : "whole utterances, at their ends"],
  ];
  element("facts").replaceChildren(
    ...rows
      .filter(([, value]) => value !== undefined)
      .flatMap(([name, value]) => [made("dt", name), made("dd", value)]),
  );
}

// --- Hearing

async function hear(source, announcement) {
  if (stop !== null) return;
  fail(null);
  const begun = said.length;
  peaks = [];
  try {
    stop = () => {};
    setBusy(true, announcement);
    const seconds = await source();
    offset += seconds;
    const count = said.slice(begun).reduce((sum, words) => sum + words.length, 0);
    status.textContent = `${count} ${count === 1 ? "word" : "words"} in ${seconds.toFixed(1)} s.`;
  } catch (error) {
    fail(error.message);
    status.textContent = "";
  } finally {
    settle();
    stop = null;
    setBusy(false);
  }
}

async function hearMicrophone() {
  if (!navigator.mediaDevices) {
    throw new Error("Browsers give a microphone to pages of https:// or of localhost alone.");
  }
  const media = await navigator.mediaDevices.getUserMedia({
    // What makes calls sound better takes away what a recogniser hears.
    audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false },
  });
  const context = new AudioContext(recognizer.TAKES_ANY_RATE ? {} : { sampleRate: rate() });
  try {
    await context.audioWorklet.addModule("microphone.js");
    const stream = recognizer.opened(context.sampleRate, shows);
    const node = new AudioWorkletNode(context, "microphone", {
      numberOfOutputs: 0,
      processorOptions: { seconds: STEP },
    });
    let samples = 0;
    node.port.onmessage = ({ data }) => {
      samples += data.length;
      addPeak(data);
      stream.feed(data);
    };
    context.createMediaStreamSource(media).connect(node);
    status.textContent = "Listening.";
    stop = () => {
      node.port.onmessage = null;
      stream.finish();
      status.textContent = "The last words …";
    };
    await stream.ended;
    return samples / context.sampleRate;
  } finally {
    for (const track of media.getTracks()) track.stop();
    await context.close();
  }
}

async function hearFile(file) {
  let audio;
  try {
    const context = new OfflineAudioContext(1, 1, rate());
    audio = await context.decodeAudioData(await file.arrayBuffer());
  } catch {
    throw new Error(`This browser cannot decode ${file.name}; choose a recording.`);
  }
  const samples = mixed(audio);
  const stream = recognizer.opened(rate(), shows);
  const step = Math.round(STEP * rate());
  let isStopped = false;
  stop = () => {
    isStopped = true;
  };
  let place = 0;
  while (place < samples.length && !isStopped && !stream.isOver) {
    if (stream.isFull) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      continue;
    }
    const part = samples.subarray(place, place + step);
    addPeak(part);
    stream.feed(part);
    place = Math.min(place + step, samples.length);
  }
  stream.finish();
  await stream.ended;
  return place / rate();
}

// The model's.
function rate() {
  return facts?.sample_rate ?? 16000;
}

// The mean of the channels.
function mixed(audio) {
  const samples = new Float32Array(audio.length);
  for (let channel = 0; channel < audio.numberOfChannels; channel++) {
    const values = audio.getChannelData(channel);
    for (let i = 0; i < values.length; i++) samples[i] += values[i] / audio.numberOfChannels;
  }
  return samples;
}

// --- Words

// What a stream tells.
const shows = { partial: showPartial, final: showFinal };

function showPartial(words) {
  partial.replaceChildren(...lineOf(words, true));
  shown = words;
}

function showFinal(words) {
  if (words.length > 0) {
    const line = made("p");
    line.className = "line";
    line.append(...lineOf(words, false));
    lines.append(line);
    said.push(words.map((word) => later(word)));
    line.scrollIntoView({ block: "nearest" });
  }
  partial.replaceChildren();
  shown = [];
  setBusy(stop !== null);
}

// What was shown and not ended stays, where the server is gone.
function settle() {
  if (shown.length > 0) showFinal(shown);
}

function lineOf(words, isPartial) {
  if (words.length === 0) return [];
  const begun = made("time", clock(words[0].start + offset));
  const spans = words.flatMap((word, place) => {
    const span = made("span", word.text);
    const level = CONFIDENCES.filter((least) => word.confidence >= least).length;
    span.className = `word c${level}`;
    if (isPartial && !word.final) span.classList.add("open");
    const before = shown[place];
    const corrected = before && before.text !== word.text && !word.text.startsWith(before.text);
    // A correction stays visible as long as its utterance is.
    word.was = corrected && (word.final ?? true) ? before.text : before?.was;
    if (word.was !== undefined) span.classList.add("corrected");
    const times = `${(word.start + offset).toFixed(2)} to ${(word.end + offset).toFixed(2)} s`;
    const was = word.was === undefined ? "" : `, before: ${word.was}`;
    span.title = `${times}, ${Math.round(100 * word.confidence)}%${was}`;
    span.append(made("small", (word.start + offset).toFixed(2)));
    return [span, " "];
  });
  return [begun, ...spans];
}

function later({ text, start, end, confidence }) {
  return { text, start: start + offset, end: end + offset, confidence };
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

async function download(format) {
  let content;
  if (format === "txt") {
    content = said.map((words) => `${words.map((word) => word.text).join(" ")}\n`).join("");
  } else {
    content = await recognizer.subtitles(format, said);
  }
  const link = made("a");
  link.href = URL.createObjectURL(new Blob([content], { type: "text/plain" }));
  link.download = `words.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// --- The look of it

function addPeak(samples) {
  let peak = 0;
  for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  peaks.push(peak);
  if (peaks.length > MOST_PEAKS) peaks.shift();
  requestAnimationFrame(draw);
}

function draw() {
  const canvas = element("wave");
  const scale = devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = canvas.clientHeight * scale;
  const pen = canvas.getContext("2d");
  pen.fillStyle = getComputedStyle(canvas).color;
  const width = 3 * scale;
  const count = Math.floor(canvas.width / width);
  peaks.slice(-count).forEach((peak, i) => {
    // Quiet speech is to be seen, too.
    const height = Math.max(scale, Math.sqrt(peak) * canvas.height);
    pen.fillRect(i * width, (canvas.height - height) / 2, width - scale, height);
  });
}

function setBusy(isBusy, announcement) {
  button.setAttribute("aria-pressed", String(isBusy));
  button.textContent = isBusy ? "Stop" : "Microphone";
  element("file").disabled = isBusy;
  for (const one of document.querySelectorAll(".downloads button")) {
    one.disabled = isBusy || said.length === 0;
  }
  if (announcement) status.textContent = announcement;
}

function fail(message) {
  element("error").hidden = message === null;
  element("error").textContent = message ?? "";
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0)} MB`;
}

function made(name, text = "") {
  const node = document.createElement(name);
  node.textContent = text;
  return node;
}

function told(error) {
  fail(error.message);
}

// --- What people do

button.onclick = () => {
  if (stop === null) hear(hearMicrophone, "Asking for the microphone …");
  else stop();
};
element("file").onchange = ({ target }) => {
  const [file] = target.files;
  if (file) hear(() => hearFile(file), `Hearing ${file.name} …`);
  target.value = "";
};
element("times").onchange = ({ target }) => {
  document.body.classList.toggle("with-times", target.checked);
};
element("clear").onclick = () => {
  said = [];
  offset = 0;
  lines.replaceChildren();
  setBusy(false);
};
for (const one of document.querySelectorAll("[data-format]")) {
  one.onclick = () => download(one.dataset.format).catch(told);
}
// Whoever was refused before may ask now.
addEventListener("allowed", () => {
  fail(null);
  showModel().catch(told);
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", kind === "dragover");
    const [file] = kind === "drop" ? event.dataTransfer.files : [];
    if (file) hear(() => hearFile(file), `Hearing ${file.name} …`);
  });
}
addEventListener("resize", draw);
showModel().catch(told);
