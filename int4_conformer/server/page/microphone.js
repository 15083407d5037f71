// What takes samples from the microphone, in the browser's audio thread.

class Microphone extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.samples = new Float32Array(Math.round(processorOptions.seconds * sampleRate));
    this.count = 0;
  }

  process([channels]) {
    if (channels.length === 0) return true;
    for (const sample of channels[0]) {
      this.samples[this.count++] = sample;
      if (this.count === this.samples.length) {
        this.port.postMessage(this.samples.slice());
        this.count = 0;
      }
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
