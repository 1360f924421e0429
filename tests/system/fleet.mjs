// Many official clients that chat. What is counted: each line reaches every other client exactly once, and the lines of
// one sender arrive in their order.
import assert from "node:assert/strict";
import { ask, client, leave } from "../client/official.mjs";
import { within } from "./process.mjs";

class Member {
  constructor(name, url, options) {
    this.name = name;
    this.connects = 0;
    this.heard = new Map(); // sender -> lines
    this.mistakes = [];
    this.waiting = new Set();
    this.reasons = [];
    this.socket = client(url, options);
    this.socket.on("connect", () => (this.connects += 1, this.#wake()));
    this.socket.on("disconnect", (reason) => (this.reasons.push(reason), this.#wake()));
    this.socket.on("chat message", (text) => this.#hear(text));
  }

  #hear(text) {
    const [, round, number, sender] = text.match(/^(\d+)\.(\d+) from (.*)$/) ?? [];
    const lines = this.heard.get(sender) ?? [];
    this.heard.set(sender, lines);
    const expected = lines.at(-1)?.round === Number(round) ? lines.at(-1).number + 1 : 0;
    if (sender === undefined || sender === this.name || Number(number) !== expected) this.mistakes.push(`${text}, not number ${expected}`);
    lines.push({ round: Number(round), number: Number(number) });
    this.#wake();
  }

  #wake() {
    for (const look of [...this.waiting]) look();
  }

  until(look, what, deadlineMs) {
    let waiter;
    const reached = new Promise((resolve) => {
      waiter = () => look() && resolve();
      this.waiting.add(waiter);
      waiter();
    });
    return within(reached, `${this.name}: ${what()}`, deadlineMs)
      .catch((error) => {
        throw new Error(`${error.message}; now ${what()}`);
      })
      .finally(() => this.waiting.delete(waiter));
  }

  linesOf(round) {
    let count = 0;
    for (const lines of this.heard.values()) for (let i = lines.length - 1; i >= 0 && lines[i].round === round; i -= 1) count += 1;
    return count;
  }
}

/// What Fleet.connect asks for each member: a third each with polling only, WebSocket only, polling then upgrade.
export const inThirds = (from, i) => ({ transports: [["polling"], ["websocket"], ["polling", "websocket"]][i % 3] });

export class Fleet {
  round = 0;

  /// One client per address; transports take turns, or are those of `options`.
  constructor(url, addresses, options) {
    const transports = [["polling"], ["websocket"]];
    this.members = addresses.map((from, i) => new Member(`c${i}`, url, { from, transports: transports[i % 2], ...options(from, i) }));
  }

  static async connect(url, addresses, options = () => ({})) {
    const fleet = new Fleet(url, addresses, options);
    try {
      await fleet.connected();
    } catch (error) {
      fleet.leave();
      throw error;
    }
    return fleet;
  }

  /// All are connected, for at least the `times`th time.
  connected(times = 1, members = this.members, deadlineMs = 20_000) {
    return Promise.all(members.map((member) => member.until(() => member.socket.connected && member.connects >= times, () => `connected ${member.connects} times of ${times}`, deadlineMs)));
  }

  /// Everyone says `lines` lines at once; everyone else hears each exactly once and in order. What a line too many
  /// would be is seen at the next round, or by `assertNoMistakes` after one.
  async chat(lines, deadlineMs = 20_000) {
    const round = (this.round += 1);
    for (let number = 0; number < lines; number += 1) {
      for (const { socket, name } of this.members) socket.emit("chat message", name, `${round}.${number}`);
    }
    const expected = lines * (this.members.length - 1);
    await Promise.all(
      this.members.map((member) => member.until(() => member.linesOf(round) >= expected, () => `${member.linesOf(round)} of ${expected} lines`, deadlineMs)),
    );
    this.assertNoMistakes();
  }

  /// The slot that owns each member's session: its address's, unless that was routed around when it connected.
  slots() {
    return Promise.all(this.members.map(async ({ socket }) => (await ask(socket, "whoami")).slot));
  }

  assertNoMistakes() {
    assert.deepEqual(this.members.flatMap((member) => member.mistakes.map((mistake) => `${member.name} heard ${mistake}`)), []);
  }

  assertNobodyDisconnected() {
    assert.deepEqual(this.members.flatMap(({ name, reasons }) => reasons.map((reason) => `${name}: ${reason}`)), []);
  }

  /// No mistakes, and everyone is still on the connection with which they came.
  assertNobodyNoticed() {
    this.assertNoMistakes();
    this.assertNobodyDisconnected();
    assert.deepEqual(this.members.filter(({ connects }) => connects !== 1).map(({ name }) => name), []);
  }

  leave() {
    leave(...this.members.map((member) => member.socket));
  }
}
