// The bystanders of an attack: official clients that chat at a steady pace whatever happens to them, half over polling and
// half over WebSocket. Each line has its sender's number and the time at which it was due, so that a line that is lost, comes
// twice, out of order or late is seen; so is whoever is disconnected.
import { client, leave } from "../client/official.mjs";
import { until, within } from "../system/process.mjs";
import { Latencies } from "../soak/load.mjs";

const kEveryMs = 25; // a line, of one of them in turn

class Bystander {
  said = 0;
  heard = new Map(); // sender -> number of the last line

  constructor(crowd, number, url, from, transports) {
    Object.assign(this, { crowd, number });
    this.socket = client(url, { from, transports: [transports[number % transports.length]] });
    this.socket.on("disconnect", (reason) => crowd.disconnects.push(`bystander ${number}: ${reason}`));
    this.socket.on("chat message", (line) => this.#hear(line));
    this.connected = new Promise((resolve) => this.socket.once("connect", resolve));
  }

  /// A line that is due while its sender is away is not said.
  say(due) {
    if (!this.socket.connected) return;
    this.said += 1;
    this.crowd.said += 1;
    this.socket.emit("chat message", String(this.number), `${this.said} ${due}`);
  }

  #hear(line) {
    const [, number, due, sender] = line.match(/^(\d+) ([\d.]+) from (\d+)$/) ?? [];
    if (sender === undefined) return; // an attacker's
    const last = this.heard.get(sender) ?? 0;
    if (Number(number) !== last + 1 || Number(sender) === this.number) this.crowd.mistakes.push(`bystander ${this.number} heard line ${number} of ${sender} behind ${last}`);
    this.heard.set(sender, Number(number));
    this.crowd.heard += 1;
    this.crowd.lateness.add(performance.now() - Number(due));
  }
}

export class Crowd {
  said = 0;
  heard = 0;
  disconnects = [];
  mistakes = [];
  lateness = new Latencies();

  static async connect(url, addresses, transports = ["polling", "websocket"]) {
    const crowd = new Crowd();
    crowd.members = addresses.map((from, i) => new Bystander(crowd, i, url, from, transports));
    try {
      await within(Promise.all(crowd.members.map(({ connected }) => connected)), "the bystanders' connects", 20_000);
    } catch (error) {
      crowd.leave();
      throw error;
    }
    return crowd;
  }

  start() {
    const begun = performance.now();
    let lines = 0;
    this.timer = setInterval(() => {
      for (const now = performance.now(); begun + lines * kEveryMs <= now; lines += 1) this.members[lines % this.members.length].say(begun + lines * kEveryMs);
    }, 5);
  }

  get missing() {
    return this.said * (this.members.length - 1) - this.heard;
  }

  /// No more lines, and those that were said have come; or have not within that time.
  async stop(deadlineMs = 10_000) {
    clearInterval(this.timer);
    await until(() => this.missing <= 0, "all lines have come", deadlineMs).catch(() => {});
  }

  /// What they noticed, in words.
  complaints() {
    return [...this.disconnects, ...this.mistakes.slice(0, 5), ...(this.missing > 0 ? [`${this.missing} of ${this.said * (this.members.length - 1)} lines did not come`] : [])];
  }

  leave() {
    clearInterval(this.timer);
    leave(...this.members.map(({ socket }) => socket));
  }
}
