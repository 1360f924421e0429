// Memory that strangers can make a worker hold (issue 8, B), and the other way round: what a fast client must get.
import { Hose, frame, get, many, packet, repeat, webSocket } from "./hose.mjs";

const both = ["node"];
const unserved = ({ served }) => (served ? undefined : "the attacker was not served to the end");
const kLittle = { "limits.memory": "64MiB" };

/// Until nothing is taken any more; the connection stays, unread.
async function unreadPings(target) {
  const hose = await webSocket(target, 0, { reading: false });
  const done = await hose.pour(repeat(frame(0x89, ""), 10_000), 1_000, 2_000);
  return { sent: done * 10_000 };
}

async function unreadFiles(target) {
  const hoses = await many(25, (i) => new Hose(target, i, { reading: false }).connected);
  await Promise.all(hoses.map((hose) => hose.pour(repeat(get("/64KB"), 240))));
  await new Promise((resolve) => setTimeout(resolve, 2_000)); // as long as an attacker likes
  return {};
}

/// `count` clients send all attachments of a packet but the last, and the next one announces it for nothing.
async function heldAttachments(target) {
  const places = Array.from({ length: 10 }, (_, num) => `{"_placeholder":true,"num":${num}}`).join(",");
  const attachment = frame(0x82, Buffer.alloc(990_000));
  const hoses = await many(40, (i) => webSocket(target, i));
  await Promise.all(
    hoses.map(async (hose) => {
      await hose.pour(packet(`4510-["nothing",${places}]`));
      await hose.pour(attachment, 9);
    }),
  );
  await Promise.all(hoses.map((hose) => hose.pour(frame(0x89, "all of it")).then(() => hose.until(({ tail }) => tail.includes("all of it"), 5_000))));
  const accounted = target.runtime && (await target.stats()).memory_accounted.total; // a peer has no such count
  return { accounted, open: hoses.filter(({ end }) => !end).length, closed: hoses.filter(({ tail }) => isClose(tail, 1013)).length };
}

/// Does it end with a close frame of that code?
const isClose = (tail, code) => tail.includes(String.fromCharCode(code >> 8, code & 255)) && tail.lastIndexOf("\x88") >= 0;

const shed = ({ closed, open }, { moved }) => {
  const gone = 40 - open;
  if (moved("shed_for_memory") === 0) return "nobody was shed";
  // One that is still sending when the 2 s of lingering are over sees a reset instead: without a CPU some are.
  return gone === moved("shed_for_memory") && closed >= gone / 2 ? undefined : `${moved("shed_for_memory")} shed, ${gone} gone, ${closed} of them told 1013`;
};

/// A fragment of 900,000 bytes has come when max_payload becomes 100,000; the next byte is too many.
async function loweredPayload(target) {
  const hoses = await many(10, (i) => webSocket(target, i));
  await Promise.all(hoses.map((hose) => hose.pour(frame(0x01, Buffer.alloc(900_000, "x")))));
  await Promise.all(hoses.map((hose) => hose.pour(frame(0x89, "all of it")).then(() => hose.until(({ tail }) => tail.includes("all of it")))));
  target.write({ maxHttpBufferSize: 100_000 });
  const { code } = await target.ctl("reload");
  const taken = await Promise.all(hoses.map((hose) => hose.pour(frame(0x00, Buffer.alloc(90_000, "x")), 20, 2_000)));
  const closed = await Promise.all(hoses.map((hose) => hose.until(() => false, 10_000).then(() => hose.end !== undefined)));
  return { code, taken, closed: closed.every(Boolean), told: hoses.filter(({ tail }) => isClose(tail, 1009)).length };
}

async function largeHeads(target) {
  const request = get("/socket.io/?EIO=4&transport=polling", `X-Filler: ${"x".repeat(15_000)}\r\n`);
  const hoses = await many(40, (i) => new Hose(target, i).connected);
  const answers = hoses.map((hose) => {
    const seen = { refused: 0, rest: "" };
    hose.socket.on("data", (data) => {
      const parts = (seen.rest + data.toString("latin1")).split("HTTP/1.1 503");
      seen.refused += parts.length - 1;
      seen.rest = parts.at(-1).slice(-11); // it may go on in the next one
    });
    return seen;
  });
  await Promise.all(hoses.map((hose) => hose.pour(repeat(request, 25), 10)));
  await Promise.all(hoses.map((hose) => hose.pour(Buffer.from(get("/worker", "Connection: close\r\n")))));
  await Promise.all(hoses.map((hose) => hose.until(() => false, 20_000)));
  return { refused: answers.reduce((sum, { refused }) => sum + refused, 0), told: hoses.some(({ tail }) => /Retry-After: \d+/i.test(tail)) };
}

/// One attachment that ten placeholders name: what comes back is no more than twice what was sent.
async function oneForTen(target) {
  const hose = await webSocket(target, 0);
  const places = Array(10).fill('{"_placeholder":true,"num":0}').join(",");
  const before = hose.received;
  await hose.pour(packet(`451-["echo",${places}]`));
  await hose.pour(frame(0x82, Buffer.alloc(900_000)));
  await hose.echo(10_000);
  return { received: hose.received - before };
}

async function wholeBurst(target) {
  const hose = await webSocket(target, 0);
  await hose.pour(packet(`42["burst",44,"${"x".repeat(500_000)}"]`));
  return { served: await hose.echo() && hose.received > 44 * 500_000, end: hose.end };
}

async function wholeFile(target) {
  const hose = new Hose(target, 0);
  await hose.pour(Buffer.from(get("/16MB", "Connection: close\r\n")));
  await hose.until(() => false, 20_000);
  return { served: hose.end === "end" && hose.received > 16 * 1024 * 1024, received: hose.received };
}

export const kMemory = [
  { name: "10,000,000 empty pings on one WebSocket, never read", attack: unreadPings, rssMiB: 32, peers: both },
  { name: "25 connections with 8 KB of pipelined requests for a file of 64 KB, never read", app: "chat", attack: unreadFiles, rssMiB: 32, peers: ["nginx"] },
  { name: "nine of ten attachments of 1 MB, held by 40 clients", attack: heldAttachments, settings: kLittle, right: shed, moves: { shed_for_memory: 1 }, rssMiB: 64 + 32, peers: both },
  {
    name: "nine of ten attachments of 1 MB, held by 40 clients, with the default limits.memory",

    attack: heldAttachments,
    right: ({ accounted, open }) => (open === 40 && accounted >= 40 * 9 * 990_000 && accounted < 1.25 * 40 * 9 * 990_000 ? undefined : `${open} clients, ${accounted} bytes accounted of ${40 * 9 * 990_000}`),
    rssMiB: 40 * 9 * 1.25,
  },
  {
    name: "10 fragments of 900,000 bytes, and a reload that lowers max_payload to 100,000",

    attack: loweredPayload,
    right: ({ code, taken, closed, told }) => (code === 0 && closed && told === 10 ? undefined : `exit code ${code}; ${taken} × 90,000 bytes were taken after that; all closed: ${closed}, told 1009: ${told}`),
    replaces: true,
    rssMiB: 48,
  },
  {
    name: "10,000 handshakes with heads of 15 KB",

    settings: { ...kLittle, connectTimeout: 5_000 },
    attack: largeHeads,
    // Those before are shed for the next one, or the next one is refused; what a connection has not taken is gone with it
    // when it is shed, refusals too.
    right: ({ refused, told }, { moved }) => {
      const [sheds, refusals] = [moved("shed_for_memory"), moved("refused_for_memory")];
      const allTold = sheds > 0 ? refused <= refusals : refused === refusals;
      return sheds + refusals > 0 && allTold && told === refused > 0 ? undefined : `${sheds} shed; ${refused} answers 503, with Retry-After: ${told}; ${refusals} counted`;
    },
    rssMiB: 64 + 32,
    peers: both,
  },
  { name: "one attachment of 900 KB named by ten placeholders", attack: oneForTen, right: ({ received }) => (received < 1_800_000 ? undefined : `${received} bytes came back`), rssMiB: 16, peers: both },
  { name: "44 emits of 500 KB in one handler, to a client that reads", attack: wholeBurst, right: unserved, rssMiB: 64, turnUs: 10_000, peers: both },
  { name: "a file of 16 MiB, to a client that reads", app: "chat", attack: wholeFile, right: unserved, rssMiB: 32, peers: ["nginx"] },
];
