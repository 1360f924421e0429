// What a session has while its transport is polling: the messages that wait for a poll, the poll that waits
// for messages, its post, and the WebSocket that may take over. Freed at the upgrade.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/engineio/dialect.h"
#include "worker/engineio/probe.h"
#include "worker/http/response.h"
#include "worker/http/server.h"
#include "worker/loop/accounts.h"
#include "worker/loop/buffer.h"
#include "worker/loop/clock.h"
#include "worker/loop/long_fifo.h"

namespace limpet::engineio {

/// Messages as WebSocket frames, the oldest first.
class PollQueue {
 public:
  /// Of a queued frame, beside its bytes: its handle and its block.
  static constexpr std::size_t kFrameCost = 48;

  [[nodiscard]] bool empty() const noexcept { return frames_.empty(); }
  /// What its frames count against Options::max_queued_bytes: each with its cost.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  /// Of its own memory, without the frames.
  [[nodiscard]] std::size_t footprint() const noexcept { return frames_.footprint(); }

  void push(loop::Buffer frame) {
    bytes_ += cost_of(frame);
    frames_.push_back(std::move(frame));
  }
  /// The oldest ones that count `most` bytes together, but one at least; none only if it is empty.
  [[nodiscard]] std::vector<loop::Buffer> take(std::size_t most);
  struct All {
    loop::LongFifo<loop::Buffer> frames;
    std::size_t bytes = 0;  ///< as bytes()
    /// Of the frames alone.
    [[nodiscard]] std::size_t frame_bytes() const noexcept { return bytes - frames.size() * kFrameCost; }
  };
  [[nodiscard]] All take_all() noexcept;

 private:
  static std::size_t cost_of(const loop::Buffer& frame) noexcept { return frame.size() + kFrameCost; }

  loop::LongFifo<loop::Buffer> frames_;
  std::size_t bytes_ = 0;
};

/// The GET that waits, if one does, and how its answer is written.
class ParkedPoll {
 public:
  [[nodiscard]] bool parked() const noexcept { return exchange_.open(); }
  /// Only while none is parked.
  void park(http::Exchange exchange);
  /// Of the parked one: `callback` is called when its client goes away.
  void on_abandoned(std::function<void()> callback) { exchange_.on_abandoned(std::move(callback)); }
  /// That of the parked one.
  [[nodiscard]] loop::Stream& stream() const noexcept { return exchange_.stream(); }
  /// Of the request that is answered next: its `j`, if it has one, and then the answer is a script.
  void set_jsonp(std::optional<std::string_view> index);
  [[nodiscard]] std::optional<std::string_view> jsonp() const noexcept;
  [[nodiscard]] http::Response render(std::string payload) const;
  /// Only while one is parked.
  void answer(std::string payload);
  /// Only while one is parked: it is to be answered by another process.
  [[nodiscard]] http::Exchange::Withdrawn withdraw();

 private:
  http::Exchange exchange_;
  std::string jsonp_index_;
  bool is_jsonp_ = false;
};

/// A post of which packets wait for a later turn; it is answered when all are taken.
struct UnfinishedPost {
  std::shared_ptr<const std::string> packets;
  std::size_t taken = 0;
  http::Exchange exchange;
};

class Polling {
 public:
  Polling(OpenSession& session, loop::TimePoint now) noexcept : probe(session), taken_at_(now) {}

  /// Answers the parked poll with the front of the queue and then `last` (a whole packet, or empty). What
  /// that cost, in units.
  std::uint32_t answer(const Dialect& dialect, std::string_view last, loop::TimePoint now);
  /// The same with a noop alone, if a poll is parked.
  void answer_with_noop();
  /// When a poll took something, or the session began to poll.
  [[nodiscard]] loop::TimePoint taken_at() const noexcept { return taken_at_; }

  /// A post whose body has not arrived completely. One that begins meanwhile is an overlap.
  [[nodiscard]] bool awaits_post() const noexcept { return awaited_posts_ > 0; }
  void begin_awaiting_post() noexcept { ++awaited_posts_; }
  void end_awaiting_post() noexcept;
  [[nodiscard]] bool has_post() const noexcept { return awaits_post() || post != nullptr; }
  /// Answers the post; what has not been taken of it is void.
  void end_post();

  PollQueue queue;
  ParkedPoll poll;
  std::unique_ptr<UnfinishedPost> post;
  Probe probe;
  loop::Noted noted;  ///< SessionAccounts'

 private:
  loop::TimePoint taken_at_;
  std::uint32_t awaited_posts_ = 0;
};

/// The answer to a post that was taken.
void answer_post(http::Exchange exchange);

}  // namespace limpet::engineio
