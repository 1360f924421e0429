// Asks for /worker every 20 ms, each time on a connection of its own from another address, whether or not answers come: what a
// newcomer waits. Counts from the time at which the request was due.
import http from "node:http";
import { Latencies } from "../soak/load.mjs";
import { addresses } from "../system/cluster.mjs";

const kEveryMs = 20;
const kPatienceMs = 5_000;

export class Prober {
  lateness = new Latencies();
  failed = 0;
  sent = 0;
  #from = addresses(50, 9);

  constructor(port) {
    const begun = performance.now();
    this.timer = setInterval(() => {
      for (const now = performance.now(); begun + this.sent * kEveryMs <= now; this.sent += 1) this.#ask(port, begun + this.sent * kEveryMs);
    }, 5);
  }

  #ask(port, due) {
    const options = { port, host: "127.0.0.1", path: "/worker", agent: false, localAddress: this.#from[this.sent % this.#from.length], timeout: kPatienceMs };
    const ended = (good) => {
      this.failed += good ? 0 : 1;
      this.lateness.add(performance.now() - due);
      this.waiting.delete(asked);
    };
    const asked = http.get(options, (response) => response.resume().on("end", () => ended(response.statusCode === 200)).on("error", () => ended(false)));
    asked.on("timeout", () => asked.destroy(new Error("no answer")));
    asked.on("error", () => this.waiting.has(asked) && ended(false));
    this.waiting.add(asked);
  }

  waiting = new Set();

  /// What was answered, and what is still waited for at most so long.
  async stop() {
    clearInterval(this.timer);
    const end = performance.now() + kPatienceMs;
    while (this.waiting.size > 0 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
    return { ...this.lateness.summary(), failed: this.failed };
  }
}
