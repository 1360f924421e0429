// Clients that do anything to an engineio::Server: the input is a list of steps (requests, frames, time, the
// layer above). No step may break the books: sessions opened and ended, each reported once.
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>

#include "tests/worker/engineio/rig.h"
#include "tests/worker/plenty.h"

namespace {

using namespace limpet;

class Steps {
 public:
  explicit Steps(std::span<const std::uint8_t> input) : input_(input) {
    rig_.handler.opened = [this](engineio::Session& session) { open_.insert(&session); };
    rig_.handler.closed = [this](engineio::Session& session) {
      if (open_.erase(&session) != 1) __builtin_trap();
    };
  }

  void run() {
    for (int steps = 0; !input_.empty() && steps < 60; ++steps) step(next());
    rig_.engine.tick(test::plenty());
    if (rig_.engine.session_count() != open_.size()) __builtin_trap();
    std::uint64_t closed = 0;
    for (const auto count : rig_.engine.counts().closed) closed += count;
    if (rig_.engine.counts().opened != closed + open_.size()) __builtin_trap();
  }

 private:
  std::uint8_t next() {
    if (input_.empty()) return 0;
    const auto byte = input_.front();
    input_ = input_.subspan(1);
    return byte;
  }
  std::string bytes() {
    const std::size_t size = std::min<std::size_t>(next() % 32u, input_.size());
    std::string text(reinterpret_cast<const char*>(input_.data()), size);
    input_ = input_.subspan(size);
    return text;
  }
  /// One of the sids that were given out, perhaps of a session that ended.
  std::string query(std::string_view transport) {
    char sid[32];
    std::snprintf(sid, sizeof sid, "aa%016d-_", 1 + next() % (rig_.sids + 1));
    return "EIO=4&transport=" + std::string(transport) + "&sid=" + sid;
  }
  test::MemoryStream* stream() {
    return rig_.streams.empty() ? nullptr : rig_.streams[next() % rig_.streams.size()].get();
  }
  engineio::Session* session() {
    if (open_.empty()) return nullptr;
    auto at = open_.begin();
    std::advance(at, next() % open_.size());
    return *at;
  }

  void step(std::uint8_t which) {
    switch (which % 16u) {
      case 0:
        rig_.connect().receive(test::Rig::request("GET", "EIO=4&transport=polling"));
        break;
      case 1:
        rig_.connect().receive(test::Rig::upgrade_request("EIO=4&transport=websocket"));
        break;
      case 2:
        rig_.connect().receive(test::Rig::request("GET", query("polling")));
        break;
      case 3:
        rig_.connect().receive(test::Rig::request("POST", query("polling"), bytes()));
        break;
      case 4:
        rig_.connect().receive(test::Rig::upgrade_request(query("websocket")));
        break;
      case 5:
        receive(test::text_frame(bytes()));
        break;
      case 6:
        receive(test::text_frame("2probe"));
        break;
      case 7:
        receive(test::text_frame("5"));
        break;
      case 8:
        receive(bytes());
        break;
      case 9:
        receive(test::client_frame(next() % 16, bytes(), {.fin = next() % 2 == 0}));
        break;
      case 10:
        if (auto* client = stream()) client->close();
        break;
      case 11:
        rig_.advance(std::chrono::milliseconds(next() * 100));
        break;
      case 12:
        send();
        break;
      case 13:
        if (auto* victim = session()) victim->close(engineio::CloseReason::ForcedClose);
        break;
      case 14:
        half_a_post();
        break;
      default:
        rig_.engine.drain(next() % 3u, test::plenty());
        break;
    }
  }
  void receive(const std::string& what) {
    if (auto* client = stream()) client->receive(what);
  }
  void send() {
    auto* to = session();
    if (to == nullptr) return;
    const loop::Buffer frames[] = {test::text_message(bytes()), test::binary_message(bytes())};
    to->send(frames);
  }
  void half_a_post() {
    const std::string post = test::Rig::request("POST", query("polling"), "4hello");
    rig_.connect().receive(post.substr(0, post.size() - 1));
  }

  std::span<const std::uint8_t> input_;
  std::set<engineio::Session*> open_;  // outlives rig_, whose end still reports to it
  test::Rig rig_{{.max_payload_bytes = 100, .max_queued_bytes = 1000}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Steps({data, size}).run();
  return 0;
}
