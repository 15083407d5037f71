// One utterance, heard segment by segment through the passes of a file.

import { Tensor } from "./litertjs/core/dist/index.js";

export class UtterancePasses {
  #first;
  #second;
  #blockSamples;
  #heard = 0;
  // Tokens of the last pass.
  #final = [];
  // Frames and tokens of each segment that the second pass has not seen.
  #pending = [];

  // Args:
  //   signatures: the file's, by name.
  //   blockSamples: an utterance is padded with silence to a multiple of so many.
  //   hasSecond: whether the second of two passes runs, too.
  constructor(signatures, blockSamples, hasSecond) {
    const { first_pass: first, second_pass: second } = signatures;
    this.#first = new Pass(first, "pcm");
    this.#second = second && hasSecond ? new Pass(second, "encoded") : null;
    this.#blockSamples = blockSamples;
  }

  // Hears samples that follow, a Float32Array; tells whether there may be other words now.
  async hear(samples) {
    this.#heard += samples.length;
    return this.#listen(samples, false);
  }

  // Ends the utterance; all tokens are final then.
  async finish() {
    const block = this.#blockSamples;
    const missing = (block - (this.#heard % block)) % block;
    await this.#listen(new Float32Array(missing), true);
    if (this.#second !== null) await this.#correct(new Float32Array(0), true);
  }

  // All tokens so far.
  tokens() {
    return [...this.#final, ...this.#pending.flatMap(({ tokens }) => tokens)];
  }

  // Frees what it holds in the runtime's memory.
  delete() {
    this.#first.delete();
    this.#second?.delete();
  }

  async #listen(samples, isLast) {
    let hasNew = false;
    for await (const { tokens, encoded, length } of this.#first.run(samples, isLast)) {
      hasNew = true;
      if (this.#second === null) {
        this.#add(tokens);
      } else {
        this.#pending.push({ length, tokens });
        await this.#correct(encoded, false);
      }
    }
    return hasNew;
  }

  // Gives the second pass frames of the first, whose words give way to its own.
  async #correct(encoded, isLast) {
    for await (const { tokens } of this.#second.run(encoded, isLast)) {
      this.#add(tokens);
      for (let frames = this.#second.segment; frames > 0 && this.#pending.length > 0; ) {
        frames -= this.#pending.shift().length;
      }
    }
  }

  #add(tokens) {
    this.#final.push(...tokens.map((token) => ({ ...token, final: true })));
  }
}

// A signature, and its state between segments, which begins as zeros.
class Pass {
  #signature;
  #given;
  // Of the input that is heard: its shape, and values a sample or frame.
  #shape;
  #width;
  #state = {};
  #waiting = new Float32Array(0);

  constructor(signature, given) {
    this.#signature = signature;
    this.#given = given;
    for (const { name, dtype, shape } of signature.getInputDetails()) {
      if (name === given) {
        this.#shape = [...shape];
        this.#width = sizeOf(shape.subarray(2));
        this.segment = shape[1];
      } else if (name !== "length") {
        const values = dtype === "int32" ? Int32Array : Float32Array;
        this.#state[name] = new Tensor(new values(sizeOf(shape)), [...shape]);
      }
    }
  }

  // What is found in each segment that has become whole, and in the rest if it is the last.
  async *run(values, isLast) {
    this.#waiting = joined(this.#waiting, values);
    const size = this.segment * this.#width;
    while (this.#waiting.length >= size) {
      yield await this.#step(this.#waiting.subarray(0, size));
      this.#waiting = this.#waiting.subarray(size);
    }
    // Also without a rest: a stream ends with a segment, if one of padding alone.
    if (isLast) yield await this.#step(this.#waiting);
  }

  delete() {
    for (const tensor of Object.values(this.#state)) tensor.delete();
  }

  async #step(values) {
    const padded = new Float32Array(this.segment * this.#width);
    padded.set(values);
    const inputs = {
      [this.#given]: new Tensor(padded, this.#shape),
      length: new Tensor(new Int32Array([values.length / this.#width]), [1]),
      ...this.#state,
    };
    const outputs = await this.#signature.run(inputs);
    const found = foundIn(outputs);
    for (const tensor of Object.values(inputs)) tensor.delete();
    for (const [name, tensor] of Object.entries(outputs)) {
      if (name in this.#state) this.#state[name] = tensor;
      else tensor.delete();
    }
    return found;
  }
}

// The tokens among a pass's outputs, and, of a first one, the frames for a second.
function foundIn(outputs) {
  const [ids, frames, logProbs, [count]] = ["tokens", "frames", "log_probs", "count"].map((name) =>
    outputs[name].toTypedArray(),
  );
  const tokens = Array.from({ length: count }, (_, i) => ({
    id: ids[i],
    frame: frames[i],
    logProb: logProbs[i],
    final: false,
  }));
  if (!("length" in outputs)) return { tokens };
  const [length] = outputs.length.toTypedArray();
  const encoded = outputs.encoded.toTypedArray();
  return { tokens, length, encoded };
}

function joined(first, second) {
  const values = new Float32Array(first.length + second.length);
  values.set(first);
  values.set(second, first.length);
  return values;
}

function sizeOf(shape) {
  return shape.reduce((product, size) => product * size, 1);
}
