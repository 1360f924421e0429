// The official server with the handlers of ../system/probe_app.cpp (and of examples/chat): what it does is what the
// tests of this folder expect of Limpet. One process, or with WORKERS > 1 a cluster as the official guide builds it; under
// pm2 it is a worker of pm2's cluster. STICKY: another version of @socket.io/sticky (sticky-1).
import cluster from "node:cluster";
import http from "node:http";
import { createAdapter, setupPrimary } from "@socket.io/cluster-adapter";
import { Server } from "socket.io";

const { setupMaster: setupSticky, setupWorker } = await import(process.env.STICKY ?? "@socket.io/sticky");
const settings = JSON.parse(process.env.SETTINGS ?? "{}");
const workers = Number(process.env.WORKERS ?? 1);

function acknowledge(args) {
  return typeof args.at(-1) === "function" ? args.pop() : () => {};
}

export function handlers(io) {
  io.on("connection", (socket) => {
    socket.on("chat message", (user, message) => socket.broadcast.emit("chat message", `${message} from ${user}`));

    socket.on("echo", (...args) => {
      if (typeof args.at(-1) === "function") args.pop()(...args);
      else socket.emit("echo", ...args);
    });
    socket.on("ask me", (question) => {
      socket.emit("question", question, (...answers) => socket.emit("answered", ...answers));
    });
    socket.on("ask me within", (milliseconds) => {
      socket.timeout(milliseconds).emit("question", "in time?", (error) => socket.emit("answered", error ? "too late" : "in time"));
    });
    socket.on("whoami", (ack) => {
      const { address, query, auth, headers } = socket.handshake;
      ack({ id: socket.id, address, query, auth, agent: headers["user-agent"] ?? "" });
    });

    socket.on("join", (room, ack) => (socket.join(room), ack()));
    socket.on("leave", (room, ack) => (socket.leave(room), ack()));
    socket.on("enter", (room) => socket.join(room));
    socket.on("say", (room, sender, number) => socket.to(room).emit("say", sender, number));
    socket.on("rooms", (ack) => ack([...socket.rooms].sort()));
    // word(target, exceptRoom, text): a word to a room, from the socket (leaves it out) or from the server.
    socket.on("word", (room, except, text, ack) => (socket.to(room).except(except).emit("word", text), ack()));
    socket.on("server word", (room, except, text, ack) => (io.to(room).except(except).emit("word", text), ack()));
    socket.on("word to all", (text, ack) => (io.emit("word", text), ack()));
    socket.on("word to others", (...args) => {
      const ack = acknowledge(args);
      socket.broadcast.emit("word", ...args);
      ack();
    });

    socket.on("burst", (count, text) => {
      for (let i = 0; i < count; i += 1) socket.emit("burst", i, text);
    });
    socket.on("disconnect me", (close) => socket.disconnect(close));
    socket.on("throw", () => {
      throw new Error("a handler's mistake");
    });
    socket.on("disconnect", (reason) => io.emit("gone", socket.id, reason));
  });

  io.of("/other").on("connection", (socket) => {
    socket.emit("welcome", socket.handshake.auth);
    socket.on("echo", (...args) => acknowledge(args)(...args));
    socket.on("word to all", (text, ack) => (io.of("/other").emit("word", text), ack()));
    socket.on("disconnect me", (close) => socket.disconnect(close));
    socket.on("disconnect", (reason) => io.of("/other").emit("gone", socket.id, reason));
  });
}

function answer(request, response) {
  if (request.url === "/worker") {
    response.setHeader("Content-Type", "text/plain");
    response.end(`worker: ${(cluster.worker?.id ?? 1) - 1}\n`);
    return;
  }
  response.statusCode = 404;
  response.end();
}

function ready(port) {
  console.log(`reference: serving on tcp://127.0.0.1:${port} with ${workers} workers`);
}

if (workers > 1 && cluster.isPrimary) {
  const server = http.createServer();
  setupSticky(server, { loadBalancingMethod: "least-connection" });
  setupPrimary();
  cluster.setupPrimary({ serialization: "advanced" });
  let listening = 0;
  for (let i = 0; i < workers; i += 1) {
    cluster.fork().on("message", (message) => {
      if (message === "ready" && ++listening === workers) server.listen(0, "127.0.0.1", () => ready(server.address().port));
    });
  }
} else if (cluster.isWorker) {
  const server = http.createServer(answer);
  const io = new Server(server, settings);
  io.adapter(createAdapter());
  setupWorker(io);
  handlers(io);
  process.on("SIGINT", () => io.close(() => process.exit(0))); // what pm2 asks of a graceful stop
  process.send("ready");
} else {
  const server = http.createServer(answer);
  handlers(new Server(server, settings));
  server.listen(0, "127.0.0.1", () => ready(server.address().port));
}
