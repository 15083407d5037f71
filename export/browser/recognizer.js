// The model itself, as the page's recogniser: no audio leaves this browser.

import { loadAndCompile, loadLiteRt } from "./litertjs/core/dist/index.js";
import { metadataOf } from "./model_file.js";
import { UtterancePasses } from "./utterance_passes.js";
import { wordsOf } from "./words.js";

const FILE = "model.tflite";
// The browser resamples, recordings and the microphone alike.
export const TAKES_ANY_RATE = false;

const loaded = load();
// Whoever asks for it is told; that may be later.
loaded.catch(() => {});

async function load() {
  const answer = await fetch(FILE);
  if (!answer.ok) throw new Error(`There is no ${FILE} beside this page.`);
  const content = new Uint8Array(await answer.arrayBuffer());
  const metadata = metadataOf(content);
  await loadLiteRt("litertjs/core/wasm/");
  const model = await loadAndCompile(content, { accelerator: "wasm" });
  return { metadata, signatures: model.signatures, bytes: content.length };
}

// The model's, as a server's /v1/models tells them; counting parameters is left out.
export async function facts() {
  const { metadata, signatures, bytes } = await loaded;
  document.getElementById("options").hidden = !("second_pass" in signatures);
  return {
    id: FILE,
    bytes,
    preset: metadata.model.name,
    recipe: metadata.recipe,
    sample_rate: metadata.sample_rate,
    hears_streams: true,
  };
}

// A stream, an utterance of its own: feed it samples, float32 at the model's rate; it shows words
// that are `partial` or `final`.
export function opened(rate, shows) {
  const hasSecond = document.getElementById("second_pass").checked;
  let waiting = 0;
  let isOver = false;
  let end;
  const finished = new Promise((resolve) => {
    end = resolve;
  });
  // What is done one after the other, each with what the one before gave.
  let work = loaded.then(({ metadata, signatures }) => {
    if (rate !== metadata.sample_rate) {
      throw new Error(`The model hears ${metadata.sample_rate} Hz, and it was just loaded; try again.`);
    }
    const passes = new UtterancePasses(signatures, metadata.block_samples, hasSecond);
    const frameSeconds = metadata.frame_samples / metadata.sample_rate;
    const words = () => wordsOf(metadata.vocabulary.pieces, passes.tokens(), frameSeconds);
    return { passes, words };
  });
  const then = (step) => {
    work = work.then(async (state) => {
      await step(state);
      return state;
    });
    work.catch(() => {
      isOver = true;
      end();
    });
  };
  return {
    // Fails as what was done did.
    ended: finished.then(() => work).then(() => {}),
    get isFull() {
      return waiting > rate;
    },
    get isOver() {
      return isOver;
    },
    feed(samples) {
      const heard = samples.slice();
      waiting += heard.length;
      then(async ({ passes, words }) => {
        const hasNew = await passes.hear(heard);
        waiting -= heard.length;
        if (!hasNew) return;
        shows.partial(words());
        // The page is drawn, and takes what people do.
        await new Promise((resolve) => setTimeout(resolve));
      });
    },
    finish() {
      then(async ({ passes, words }) => {
        await passes.finish();
        passes.delete();
        shows.final(words());
        end();
      });
    },
  };
}
