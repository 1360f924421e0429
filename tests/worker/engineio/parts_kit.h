// Sessions without a Server: an owner that writes down what it is told, and the parts that know of a
// session's life and memory, for tests of one part.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/worker/engineio/rig.h"
#include "worker/engineio/lives.h"
#include "worker/engineio/open_session.h"
#include "worker/engineio/options.h"
#include "worker/engineio/session_accounts.h"

namespace limpet::test {

class RecordingOwner final : public engineio::SessionOwner {
 public:
  void queue(engineio::OpenSession& session, std::span<const loop::Buffer> frames) override {
    log.push_back("queue " + std::to_string(frames.size()));
    for (const loop::Buffer& frame : frames) session.polling->queue.push(frame);
  }
  void close(engineio::OpenSession&, engineio::CloseReason reason) override {
    log.push_back("close " + std::string(to_string(reason)));
  }
  void note_held(engineio::OpenSession& session, std::size_t before,
                 std::ptrdiff_t own_bytes) noexcept override {
    accounts.note_held(session, before, own_bytes);
  }

  std::vector<std::string> log;
  loop::MemoryTotal total;
  engineio::SessionAccounts accounts{&total};
};

/// As the members of engineio::Server, as far as they go.
struct Parts {
  engineio::OpenSession& open(engineio::Transport transport) {
    return lives.open("GET / HTTP/1.1", "127.0.0.1", transport);
  }
  /// With a stream of its own.
  engineio::OpenSession& open_websocket() {
    engineio::OpenSession& session = open(engineio::Transport::WebSocket);
    streams.push_back(std::make_unique<MemoryStream>());
    session.stream = streams.back().get();
    return session;
  }
  void advance(std::chrono::milliseconds by) { clock.advance_to(clock.now() + by); }

  int sids = 0;
  engineio::Options options;
  engineio::Hooks hooks{.new_sid =
                            [this](std::span<char, base::kIdBytes> sid) {
                              std::snprintf(sid.data(), sid.size(), "aa%016d-", ++sids), sid[19] = '_';
                            },
                        .wall_clock_ms = [] { return 1234; },
                        .refuse = {}};
  loop::Clock clock;
  RecordingHandler handler;
  RecordingOwner owner;
  std::vector<std::unique_ptr<MemoryStream>> streams;
  engineio::Lives lives{owner, clock, handler, hooks, owner.accounts};
};

}  // namespace limpet::test
