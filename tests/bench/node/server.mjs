// The two handlers of bench_app.cpp on Node: socket.io with cluster, @socket.io/sticky and @socket.io/cluster-adapter,
// 2 workers, set up as their documentation says.
// Prints `node: serving on tcp://127.0.0.1:PORT with 2 workers` once both serve; ends on SIGTERM.
import cluster from "node:cluster";
import http from "node:http";
import { createAdapter, setupPrimary } from "@socket.io/cluster-adapter";
import { setupMaster, setupWorker } from "@socket.io/sticky";
import { Server } from "socket.io";

const workerCount = 2;

function startPrimary() {
  const server = http.createServer();
  setupMaster(server, { loadBalancingMethod: "least-connection" });
  setupPrimary();
  cluster.setupPrimary({ serialization: "advanced" });
  const workers = Array.from({ length: workerCount }, () => cluster.fork());
  let stopping = false;
  process.on("SIGTERM", () => {
    stopping = true;
    for (const worker of workers) worker.process.kill("SIGKILL");
  });
  let gone = 0;
  cluster.on("exit", () => {
    if (!stopping) process.exit(1);
    if (++gone === workerCount) process.exit(0);
  });
  // The workers say when they have joined; a connection before that would be lost.
  let ready = 0;
  cluster.on("message", (_worker, message) => {
    if (message !== "ready" || ++ready < workerCount) return;
    server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
      console.log(`node: serving on tcp://127.0.0.1:${server.address().port} with ${workerCount} workers`);
    });
  });
}

function startWorker() {
  const io = new Server(http.createServer());
  io.adapter(createAdapter());
  setupWorker(io);
  io.on("connection", (socket) => {
    socket.on("b", (argument) => io.emit("b", argument));
    socket.on("e", (argument, acknowledge) => acknowledge(argument));
  });
  process.send("ready");
}

if (cluster.isPrimary) startPrimary();
else startWorker();
