// Official clients in rooms of ten that talk. What is counted: each word reaches every other member of its room exactly
// once, the words of one member arrive in their order, and nobody is ever disconnected.
import assert from "node:assert/strict";
import { ask, client, leave } from "../client/official.mjs";
import { within } from "./process.mjs";

const kRoom = 10;
/// In turn: polling only, polling then upgrade, WebSocket only.
const kTransports = [["polling"], ["polling", "websocket"], ["websocket"]];

class Talker {
  heard = new Map(); // member -> number of its last word
  words = 0;
  connects = 0;
  mistakes = [];
  #waiters = new Set();

  constructor(number, url, from) {
    this.name = `t${number}`;
    this.room = `room ${Math.floor(number / kRoom)}`;
    this.from = from;
    this.socket = client(url, { from, transports: kTransports[number % kTransports.length] });
    this.socket.on("connect", () => ((this.connects += 1), this.#wake()));
    this.socket.on("disconnect", (reason) => this.mistakes.push(`disconnected: ${reason}`));
    this.socket.on("connect_error", (error) => this.mistakes.push(`connect error: ${error.message}`));
    this.socket.on("word", (text) => this.#hear(text));
  }

  #hear(text) {
    const [member, number] = text.split(" ");
    const expected = (this.heard.get(member) ?? 0) + 1;
    if (Number(number) !== expected || member === this.name) this.mistakes.push(`heard ${text}, not number ${expected}`);
    this.heard.set(member, Number(number));
    this.words += 1;
    this.#wake();
  }

  #wake() {
    for (const look of [...this.#waiters]) look();
  }

  until(look, what, deadlineMs) {
    let waiter;
    const reached = new Promise((resolve) => {
      waiter = () => look() && resolve();
      this.#waiters.add(waiter);
      waiter();
    });
    return within(reached, `${this.name}: ${what}`, deadlineMs)
      .catch((error) => {
        throw new Error(`${error.message}; ${this.words} words, ${this.mistakes}`);
      })
      .finally(() => this.#waiters.delete(waiter));
  }
}

export class Rooms {
  said = 0;

  static async connect(url, addresses, deadlineMs = 30_000) {
    const rooms = new Rooms();
    rooms.talkers = addresses.map((from, i) => new Talker(i, url, from));
    try {
      await Promise.all(rooms.talkers.map((talker) => talker.until(() => talker.connects > 0, "connected", deadlineMs)));
      await Promise.all(rooms.talkers.map(({ socket, room }) => ask(socket, "join", room)));
    } catch (error) {
      rooms.leave();
      throw error;
    }
    return rooms;
  }

  /// Everyone says one word more; everyone else in the room hears it.
  async talk(deadlineMs = 20_000) {
    this.said += 1;
    await Promise.all(this.talkers.map(({ socket, name, room }) => ask(socket, "word", [room], [], `${name} ${this.said}`)));
    await Promise.all(this.talkers.map((talker) => talker.until(() => talker.words >= this.said * (this.#members(talker) - 1), `round ${this.said}`, deadlineMs)));
  }

  #members({ room }) {
    return this.talkers.filter((talker) => talker.room === room).length;
  }

  assertNoMistakes() {
    assert.deepEqual(this.talkers.flatMap(({ name, mistakes }) => mistakes.map((mistake) => `${name} ${mistake}`)), []);
    assert.deepEqual(this.talkers.map(({ connects }) => connects), this.talkers.map(() => 1));
    for (const talker of this.talkers) assert.equal(talker.words, this.said * (this.#members(talker) - 1), talker.name);
  }

  leave() {
    leave(...this.talkers.map(({ socket }) => socket));
  }
}
