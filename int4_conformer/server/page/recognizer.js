// The server, as the page's recogniser.

export const TAKES_ANY_RATE = true;
// Bytes that wait in this browser before more is read of a file.
const MOST_WAITING = 1 << 18;

const element = (id) => document.getElementById(id);

// The model's, as /v1/models tells them.
export async function facts() {
  const { data } = await (await ask("v1/models")).json();
  element("access").hidden = true;
  return data[0];
}

// Words of utterances as a file, "srt" or "vtt".
export async function subtitles(format, utterances) {
  const answer = await ask(`v1/subtitles/${format}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ utterances }),
  });
  return answer.text();
}

// A stream: feed it samples, float32 at a rate; it shows words that are `partial` or `final`.
export function opened(rate, shows) {
  const url = new URL("v1/stream", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const token = sessionStorage.getItem("token");
  const socket = new WebSocket(url, ["int4-conformer", ...(token ? [`bearer.${token}`] : [])]);
  socket.binaryType = "arraybuffer";
  let waiting = [];
  let isReady = false;
  let refusal = null;
  const ended = new Promise((resolve, reject) => {
    socket.onopen = () => {
      const phrases = element("phrases").value.split("\n").filter((line) => line.trim());
      const only = element("only").checked && phrases.length > 0;
      const opening = { sample_rate: rate, format: "s16le", phrases, only };
      if (!element("second_pass").checked) opening.second_pass = false;
      socket.send(JSON.stringify(opening));
    };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "ready") {
        isReady = true;
        for (const content of waiting) socket.send(content);
        waiting = [];
      } else if (message.type === "partial") {
        shows.partial(message.words);
      } else if (message.type === "final") {
        shows.final(message.words);
      } else if (message.type === "error") {
        refusal = message.error.message;
      }
    };
    socket.onclose = ({ code }) => {
      if (refusal === null && ![1000, 1001].includes(code)) {
        refusal = "The connection to the server was lost.";
      }
      if (refusal === null) resolve();
      else reject(new Error(refusal));
    };
  });
  // Whoever waits for it is told; that may be later.
  ended.catch(() => {});
  const send = (content) => {
    if (!isReady) waiting.push(content);
    else if (socket.readyState === WebSocket.OPEN) socket.send(content);
  };
  return {
    ended,
    get isFull() {
      return !isReady || socket.bufferedAmount > MOST_WAITING;
    },
    get isOver() {
      return socket.readyState > WebSocket.OPEN;
    },
    feed(samples) {
      send(pcm16(samples));
    },
    finish() {
      send('{"type": "end"}');
    },
  };
}

async function ask(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const access = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { ...options, headers: { ...access, ...options.headers } });
  if (answer.ok) return answer;
  if (answer.status === 401) element("access").hidden = false;
  const { error } = await answer.json();
  throw new Error(error.message);
}

function pcm16(samples) {
  const view = new DataView(new ArrayBuffer(2 * samples.length));
  samples.forEach((sample, i) => {
    view.setInt16(2 * i, Math.round(32767 * Math.max(-1, Math.min(1, sample))), true);
  });
  return view.buffer;
}

element("access").onsubmit = (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", element("token").value.trim());
  dispatchEvent(new Event("allowed"));
};
