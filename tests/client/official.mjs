// Clients of the official package, with promises.
import http from "node:http";
import { io } from "socket.io-client";
import { within } from "../system/process.mjs";

export const bothTransports = [["polling"], ["websocket"]];

/// An official client, from the given address of 127.0.0.0/8 on every transport (its own `localAddress` does not reach
/// long-polling: an http.Agent does). As without an agent, each poll has a connection of its own: with keepAlive, a poll
/// whose reused connection is reset never ends (xmlhttprequest-ssl sends it again, without its end).
export function client(url, { from = "127.0.0.1", agent = undefined, ...options } = {}) {
  agent ??= new http.Agent({ localAddress: from });
  const socket = io(url, { agent, forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 500, timeout: 10_000, ...options });
  socket.ownAgent = agent;
  return socket;
}

/// The arguments of the next `event`.
export function next(socket, event, deadlineMs = 5_000) {
  return within(new Promise((resolve) => socket.once(event, (...args) => resolve(args))), `event ${event}`, deadlineMs);
}

/// A client that is connected.
export async function connected(url, options = {}) {
  const socket = client(url, options);
  try {
    if (!socket.connected) {
      await within(
        new Promise((resolve, reject) => {
          socket.once("connect", resolve);
          socket.once("connect_error", reject);
        }),
        "connect",
      );
    }
  } catch (error) {
    leave(socket);
    throw error;
  }
  return socket;
}

export function leave(...sockets) {
  for (const socket of sockets) {
    socket.io.reconnection(false);
    socket.disconnect();
    socket.io.engine?.close();
    socket.ownAgent?.destroy();
  }
}

/// `emitWithAck` that gives up.
export const ask = (socket, event, ...args) => socket.timeout(5_000).emitWithAck(event, ...args);
