// An engineio::Server behind an http::Server, with clients over memory and a clock that the test sets.
#pragma once

#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "tests/worker/memory_stream.h"
#include "tests/worker/plenty.h"
#include "tests/worker/websocket_client.h"
#include "worker/engineio/server.h"
#include "worker/websocket/frame.h"

namespace limpet::test {

struct Reply {
  int status = 0;
  std::string headers;
  std::string body;
  [[nodiscard]] bool has(std::string_view line) const { return headers.find(line) != std::string::npos; }
  bool operator==(const Reply&) const = default;
};

/// Takes the first response from the front of `bytes`; status 0 if there is none.
inline Reply take_reply(std::string& bytes) {
  Reply reply;
  const auto end = bytes.find("\r\n\r\n");
  if (end == std::string::npos) return reply;
  reply.headers = bytes.substr(0, end + 2);
  reply.status = std::stoi(reply.headers.substr(9, 3));
  const auto at = reply.headers.find("Content-Length: ");
  const std::size_t size = at == std::string::npos ? 0 : std::stoul(reply.headers.substr(at + 16));
  reply.body = bytes.substr(end + 4, size);
  bytes.erase(0, end + 4 + size);
  return reply;
}

inline loop::Buffer text_message(std::string_view message) {
  websocket::FrameBuilder builder(message.size() + 1);
  builder.append('4');
  builder.append(message);
  return std::move(builder).finish(websocket::Opcode::Text);
}
inline loop::Buffer binary_message(std::string_view message) {
  return websocket::make_frame(websocket::Opcode::Binary, message);
}

/// Writes down what happens; does with text what `on_message` says.
class RecordingHandler final : public engineio::SessionHandler {
 public:
  void on_open(engineio::Session& session) override {
    log.push_back("open");
    last = &session;
    if (opened) opened(session);
  }
  void on_text(engineio::Session& session, std::string_view text) override {
    log.push_back("text " + std::string(text));
    if (on_message) on_message(session, text);
  }
  void on_binary(engineio::Session&, std::string_view bytes) override {
    log.push_back("binary " + std::string(bytes));
  }
  void on_close(engineio::Session& session, engineio::CloseReason reason) override {
    log.push_back("close " + std::string(to_string(reason)));
    if (closed) closed(session);
  }

  std::vector<std::string> log;
  engineio::Session* last = nullptr;
  std::function<void(engineio::Session&)> opened;
  std::function<void(engineio::Session&)> closed;
  std::function<void(engineio::Session&, std::string_view)> on_message;
};

class Rig : public http::RequestHandler {
 public:
  explicit Rig(engineio::Options options = {},
               std::function<std::optional<std::string>(const http::RequestHead&)> refuse = {},
               loop::MemoryTotal* memory = nullptr)
      : engine(std::move(options), clock, handler,
               {.new_sid =
                    [this](std::span<char, base::kIdBytes> sid) {
                      std::snprintf(sid.data(), sid.size(), "aa%016d", ++sids), sid[18] = '-', sid[19] = '_';
                    },
                .wall_clock_ms = [] { return 1234; },
                .refuse = std::move(refuse),
                .memory = memory}) {}
  ~Rig() override {
    for (auto& stream : streams) stream->close();
  }

  // http::RequestHandler
  Route route(loop::Stream&, const http::RequestHead&, std::size_t) override { return Route::Here; }
  std::size_t body_limit(const http::RequestHead&) override { return engine.body_limit(); }
  std::unique_ptr<http::AwaitedBody> on_body_awaited(const http::RequestHead& head) override {
    return engine.on_body_awaited(head);
  }
  void on_request(http::Exchange exchange, const http::Request& request) override {
    if (!engine.matches(request.head)) return exchange.answer(http::Response(404));
    engine.on_request(std::move(exchange), request);
  }

  /// A new connection.
  MemoryStream& connect(std::string address = "127.0.0.1") {
    streams.push_back(std::make_unique<MemoryStream>(std::move(address)));
    http.adopt(*streams.back());
    return *streams.back();
  }
  static std::string request(std::string_view method, std::string_view query, std::string_view body = {},
                             std::string_view more = {}) {
    std::string bytes = std::string(method) + " /socket.io/?" + std::string(query) +
                        " HTTP/1.1\r\nHost: h\r\n" + std::string(more);
    if (!body.empty() || method == "POST") bytes += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return bytes + "\r\n" + std::string(body);
  }
  static std::string upgrade_request(std::string_view query) {
    return request("GET", query, {},
                   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
                   "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n");
  }
  /// One request on a connection of its own, and what is answered within the turn.
  Reply ask(std::string_view method, std::string_view query, std::string_view body = {},
            std::string_view more = {}) {
    MemoryStream& stream = connect();
    stream.receive(request(method, query, body, more));
    engine.tick(test::plenty());
    std::string sent = stream.take_sent();
    return take_reply(sent);
  }
  Reply ask_upgrade(std::string_view query) {
    MemoryStream& stream = connect();
    stream.receive(upgrade_request(query));
    std::string sent = stream.take_sent();
    return take_reply(sent);
  }
  /// A polling session; gives the query of its requests.
  std::string open_polling() {
    const Reply reply = ask("GET", "EIO=4&transport=polling");
    return "EIO=4&transport=polling&sid=" + std::string(handler.last->sid());
  }
  /// A poll that waits.
  MemoryStream& poll(const std::string& query) {
    MemoryStream& stream = connect();
    stream.receive(request("GET", query));
    return stream;
  }
  static Reply reply_of(MemoryStream& stream) {
    std::string sent = stream.take_sent();
    return take_reply(sent);
  }
  /// A WebSocket session; its handshake and open packet are taken.
  MemoryStream& open_websocket() {
    MemoryStream& stream = connect();
    stream.receive(upgrade_request("EIO=4&transport=websocket"));
    stream.take_sent();
    return stream;
  }
  /// A WebSocket for an upgrade of a polling session.
  MemoryStream& probe(const std::string& polling_query) {
    MemoryStream& stream = connect();
    stream.receive(upgrade_request("EIO=4&transport=websocket&sid=" +
                                   polling_query.substr(polling_query.size() - base::kIdBytes)));
    std::string sent = stream.take_sent();
    probe_reply = take_reply(sent);
    return stream;
  }
  static std::vector<ServerFrame> frames_of(MemoryStream& stream) {
    return server_frames(stream.take_sent());
  }
  void advance(std::chrono::milliseconds by) {
    clock.advance_to(clock.now() + by);
    engine.tick(test::plenty());
  }

  loop::Clock clock;
  RecordingHandler handler;
  int sids = 0;
  engineio::Server engine;
  http::Server http{*this, {}};
  std::vector<std::unique_ptr<MemoryStream>> streams;
  Reply probe_reply;
};

}  // namespace limpet::test
