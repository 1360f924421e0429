// An application and its Socket.IO server over sessions in memory, and clients who say what they like.
#pragma once

#include <limpet/app.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "tests/worker/plenty.h"
#include "worker/application/application.h"
#include "worker/engineio/session.h"
#include "worker/loop/clock.h"
#include "worker/websocket/frame.h"

namespace limpet::socketio {

using Texts = std::vector<std::string>;

/// Keeps what it is given: texts as Socket.IO packets, binaries as "bin:" and the bytes.
class FakeSession final : public engineio::Session {
 public:
  explicit FakeSession(std::string head) : head_(std::move(head)) {}
  [[nodiscard]] std::string_view sid() const noexcept override { return "sid00000000000000000"; }
  [[nodiscard]] engineio::Transport transport() const noexcept override {
    return engineio::Transport::WebSocket;
  }
  void send(std::span<const loop::Buffer> frames) override {
    for (const loop::Buffer& frame : frames) {
      const bool text = websocket::opcode_of(frame) == websocket::Opcode::Text;
      sent.push_back(text ? std::string(frame.payload().substr(1)) : "bin:" + std::string(frame.payload()));
      if (text) {
        EXPECT_EQ(frame.payload().front(), '4');
      }
      last_frame = frame.view().data();
    }
  }
  [[nodiscard]] bool writable() const noexcept override { return is_writable; }
  void close(engineio::CloseReason reason) override { closed.push_back(reason); }
  [[nodiscard]] std::string_view handshake_head() const noexcept override { return head_; }
  [[nodiscard]] std::string address() const override { return "127.0.0.9"; }
  [[nodiscard]] bool secure() const noexcept override { return false; }
  [[nodiscard]] std::int64_t issued_ms() const noexcept override { return 1'700'000'000'123; }
  void hold(std::ptrdiff_t bytes) noexcept override { held += bytes; }
  void hold_frames(std::ptrdiff_t bytes) noexcept override { held += bytes; }

  Texts sent;
  std::vector<engineio::CloseReason> closed;
  bool is_writable = true;
  const char* last_frame = nullptr;
  std::ptrdiff_t held = 0;

 private:
  std::string head_;
};

/// One client. Must not outlive its World.
class Client {
 public:
  Client(Server& server, std::string head)
      : server_(server), session_(std::make_unique<FakeSession>(std::move(head))) {
    server_.on_open(*session_);
  }
  ~Client() { close(); }
  Client(Client&& other) noexcept = default;

  Client& say(std::string_view text) {
    server_.on_text(*session_, text);
    return *this;
  }
  Client& bytes(std::string_view data) {
    server_.on_binary(*session_, data);
    return *this;
  }
  /// What it has received since the last call.
  Texts heard() { return std::exchange(session_->sent, {}); }
  void close(engineio::CloseReason reason = engineio::CloseReason::TransportClose) {
    if (session_ != nullptr && session_->user != nullptr) server_.on_close(*session_, reason);
  }
  [[nodiscard]] bool closed_by_server() const { return !session_->closed.empty(); }
  FakeSession& session() { return *session_; }

 private:
  Server& server_;
  std::unique_ptr<FakeSession> session_;
};

struct World {
  World() : World(Options()) {}
  explicit World(const Options& options)
      : application(clock, with(options),
                    [this](std::span<char, base::kIdBytes> id) {
                      const std::string text = std::to_string(100000 + ++ids);
                      std::fill(id.begin(), id.end(), 'x');
                      std::copy(text.begin(), text.end(), id.begin());
                    }),
        server(application.socketio()),
        io(application) {}

  static application::Options with(const Options& options) {
    application::Options all;
    all.socketio = options;
    return all;
  }
  Client open(std::string head =
                  "GET /socket.io/?EIO=4&transport=websocket&room=caf%C3%A9 HTTP/1.1\r\n"
                  "Host: localhost\r\nX-Token: 42\r\nOrigin: http://elsewhere\r\n\r\n") {
    return Client(server, std::move(head));
  }
  /// A client that has joined "/"; what it heard so far is forgotten.
  Client join(std::string_view packet = "0") {
    Client client = open();
    client.say(packet);
    client.heard();
    return client;
  }
  void advance(std::chrono::milliseconds by) {
    clock.advance_to(clock.now() + by);
    application.tick(test::plenty());
  }
  /// The id that the n-th socket (from 1) got.
  static std::string id(int n) { return std::to_string(100000 + n) + std::string(14, 'x'); }

  loop::Clock clock;
  int ids = 0;
  application::Application application;
  Server& server;
  Io io;
};

}  // namespace limpet::socketio
