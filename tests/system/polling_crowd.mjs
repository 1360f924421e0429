// Very many polling sessions, which cost no descriptor each: opened over a few connections from many addresses, connected to
// the main namespace, and then silent. For that their ping_interval must be longer than the test.
import assert from "node:assert/strict";
import net from "node:net";
import { addresses } from "./cluster.mjs";

const pipelined = 50;

class Line {
  #text = "";
  #answers = [];
  #wanted = 0;
  #done;

  constructor(port, from) {
    this.socket = net.connect({ port, host: "127.0.0.1", localAddress: from, noDelay: true });
    this.ended = new Promise((_, reject) => {
      this.socket.on("error", reject);
      this.socket.on("close", () => reject(new Error(`the server ended the connection of ${from}`)));
    });
    this.ended.catch(() => {}); // who cares waits for it
    this.socket.setEncoding("latin1");
    this.socket.on("data", (text) => this.#take(text));
  }
  #take(text) {
    this.#text += text;
    for (;;) {
      const head = this.#text.indexOf("\r\n\r\n");
      if (head < 0) return;
      const length = Number(/content-length: (\d+)/i.exec(this.#text.slice(0, head))?.[1] ?? 0);
      if (this.#text.length < head + 4 + length) return;
      this.#answers.push(this.#text.slice(head + 4, head + 4 + length));
      this.#text = this.#text.slice(head + 4 + length);
      if (this.#answers.length === this.#wanted) this.#done(this.#answers.splice(0));
    }
  }
  /// The bodies of the answers, in order.
  ask(requests) {
    this.#wanted = requests.length;
    const answered = new Promise((resolve) => (this.#done = resolve));
    this.socket.write(requests.join(""));
    return Promise.race([answered, this.ended]);
  }
}

const target = "/socket.io/?EIO=4&transport=polling";
const handshake = `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`;
const connect = (sid) => `POST ${target}&sid=${sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n40`;

async function openOn(line, count) {
  for (let left = count; left > 0; left -= pipelined) {
    const opened = await line.ask(Array(Math.min(left, pipelined)).fill(handshake));
    const connected = await line.ask(opened.map((body) => connect(JSON.parse(body.slice(1)).sid)));
    assert.ok(connected.every((body) => body === "ok"), `connect: ${connected.find((body) => body !== "ok")}`);
  }
}

/// Opens `sessions` of them in all.
export async function openPollingCrowd(port, sessions, from = addresses(64, 7)) {
  const lines = from.map((address) => new Line(port, address));
  try {
    const share = (i) => Math.floor(((i + 1) * sessions) / lines.length) - Math.floor((i * sessions) / lines.length);
    await Promise.all(lines.map((line, i) => openOn(line, share(i))));
  } finally {
    for (const line of lines) line.socket.destroy();
  }
}
