// An answer that a client waits for: one state for each event that asks for one, shared by all who may give
// the answer, so that it is given once.
#pragma once

#include <cstdint>
#include <utility>

namespace limpet::socketio {

class Server;

struct AckState {
  Server* server;
  std::uint64_t id;
  std::uint32_t index;  ///< of the socket, with `epoch`
  std::uint32_t epoch;
  std::uint32_t references;
  bool answered;
};

/// Keeps an AckState as long as one of its copies lives. One thread.
class AckRef {
 public:
  AckRef() = default;
  /// Takes over one reference.
  explicit AckRef(AckState* state) noexcept : state_(state) {}
  AckRef(const AckRef& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) ++state_->references;
  }
  AckRef(AckRef&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  AckRef& operator=(AckRef other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~AckRef() {
    if (state_ != nullptr && --state_->references == 0) delete state_;
  }

  /// Null: nobody waits.
  [[nodiscard]] AckState* get() const noexcept { return state_; }

 private:
  AckState* state_ = nullptr;
};

}  // namespace limpet::socketio
