// An loop::Stream over memory: what the test "sends" goes to the receiver as a socket's bytes would, what the
// server sends is collected.
#pragma once

#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/loop/allowance.h"
#include "worker/loop/stream.h"

namespace limpet::test {

class MemoryStream final : public loop::Stream {
 public:
  explicit MemoryStream(std::string address = "127.0.0.1") : address_(std::move(address)) {}

  // loop::Stream
  void send(loop::Buffer bytes) override {
    if (!finished_ && !aborted_) sent_ += bytes.view();
  }
  void send_all(loop::LongFifo<loop::Buffer> frames, std::size_t) override {
    for (const loop::Buffer& frame : frames) send(frame);
  }
  void send_file(loop::FileRange range) override {
    std::string content(range.length, '\0');
    const ssize_t got =
        ::pread(range.file.descriptor(), content.data(), content.size(), static_cast<off_t>(range.offset));
    content.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    if (!finished_ && !aborted_) sent_ += content;
    if (content.size() < range.length) aborted_ = true;
    files.push_back(std::move(range));
  }
  void finish() override { finished_ = true; }
  void abort() override { aborted_ = true; }
  void drop_unsent() override { unsent = 0; }
  void hold(std::ptrdiff_t bytes) override { held += bytes; }
  void discount(std::size_t bytes) override { discounted += bytes; }
  [[nodiscard]] std::size_t unsent_bytes() const noexcept override { return unsent; }
  [[nodiscard]] bool can_travel() const noexcept override { return may_travel; }
  [[nodiscard]] bool closing() const noexcept override { return finished_ || aborted_ || closed_; }
  void pause_reading(bool paused) override { paused_ = paused; }
  [[nodiscard]] std::string peer_address() const override { return address_; }
  void set_waiting(Waiting what) override { waiting_ = what; }
  [[nodiscard]] bool may_go_on(std::uint32_t units) override { return allowance.take(units); }

  void charge(std::uint32_t units) override { (void)allowance.take(units); }

  /// Bytes from the client.
  void receive(std::string_view bytes) {
    unread_ += bytes;
    deliver();
  }
  /// What the loop does behind the calls: bytes that waited while reading was paused.
  void deliver() {
    while (!unread_.empty() && !paused_ && !closing() && receiver() != nullptr) {
      auto* const before = receiver();
      // As the process layer's: bytes that may change under way and never return.
      std::string bytes = std::exchange(unread_, {});
      const std::size_t consumed = before->on_bytes(*this, {bytes.data(), bytes.size()});
      unread_ = bytes.substr(taken_ ? 0 : consumed) + unread_;
      if (taken_ || receiver() == before) return;
    }
  }
  /// The client's end, or that of finish() and abort().
  void close(int error = 0) {
    if (std::exchange(closed_, true) || receiver() == nullptr) return;
    receiver()->on_closed(*this, error);
  }
  /// For a handler that answers Route::Taken.
  void take() {
    taken_ = true;
    set_receiver(nullptr);
  }

  [[nodiscard]] const std::string& sent() const noexcept { return sent_; }
  /// What was sent since the last call.
  std::string take_sent() { return std::exchange(sent_, {}); }
  [[nodiscard]] const std::string& unread() const noexcept { return unread_; }
  [[nodiscard]] std::size_t unread_bytes() const noexcept override { return unread_.size(); }
  [[nodiscard]] bool finished() const noexcept { return finished_; }
  [[nodiscard]] bool aborted() const noexcept { return aborted_; }
  [[nodiscard]] bool paused() const noexcept { return paused_; }
  [[nodiscard]] Waiting waiting() const noexcept { return waiting_; }

  bool may_travel = true;
  std::vector<loop::FileRange> files;  ///< that were sent
  std::size_t unsent = 0;              ///< what unsent_bytes() says
  std::ptrdiff_t held = 0;             ///< sum of hold()
  std::size_t discounted = 0;          ///< sum of discount()
  loop::Allowance allowance = loop::Allowance::unlimited();

 private:
  std::string address_;
  std::string unread_;
  std::string sent_;
  Waiting waiting_ = Waiting::Nothing;
  bool finished_ = false;
  bool aborted_ = false;
  bool closed_ = false;
  bool paused_ = false;
  bool taken_ = false;
};

}  // namespace limpet::test
