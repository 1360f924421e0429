// The body of one request that has not arrived completely: counts (Content-Length) or decodes (chunked, by
// Boost.Beast) what the stream holds. Up to kMaxUnreadBytes it only looks; beyond that it takes a copy of the
// head and consumes. Internal to worker/http.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "worker/http/request.h"

namespace limpet::http {

class IncomingBody {
 public:
  enum class Progress : std::uint8_t { Complete, Incomplete, TooLarge, Malformed };

  /// `limit_bytes`: of the body. `overhead_bytes`: how long the framing between two pieces of a chunked body
  /// may be, and that of the whole body beside what its bytes allow (framing.h).
  IncomingBody(const RequestHead& head, std::size_t limit_bytes, std::size_t overhead_bytes);
  ~IncomingBody();
  IncomingBody(const IncomingBody&) = delete;
  IncomingBody& operator=(const IncomingBody&) = delete;

  /// `unread`: the stream's unread bytes (head included until half_read()).
  Progress look_at(std::string_view unread);
  /// The bytes at the front of `unread` that can be consumed now: 0 while the request can still travel. After
  /// Complete: those of the whole rest of the request, once request() is not needed any more.
  [[nodiscard]] std::size_t consumable() const noexcept { return consumable_; }
  /// To be called when consumable() bytes were consumed, if the request is not complete.
  void consumed() noexcept;
  [[nodiscard]] bool half_read() const noexcept { return half_read_; }
  /// What it has taken of memory since the last call, or given back: for Stream::hold().
  [[nodiscard]] std::ptrdiff_t newly_held() noexcept;
  /// Bytes of a chunked body's framing that look_at() has seen since the last call.
  [[nodiscard]] std::size_t new_framing() noexcept;
  /// The sum of all that newly_held() gave.
  [[nodiscard]] std::ptrdiff_t held() const noexcept { return noted_; }
  /// After Complete; views into `unread` and into this object.
  [[nodiscard]] Request request(std::string_view unread) const;

 private:
  struct Decoder;
  Progress look_at_counted(std::string_view unread);
  Progress look_at_chunked(std::string_view unread);
  void start_consuming(std::string_view unread);
  [[nodiscard]] std::uint64_t framing() const noexcept;
  void append(std::string_view piece);

  std::string head_copy_;  // once half read
  std::string body_;       // counted: once half read
  std::unique_ptr<Decoder> decoder_;
  std::size_t head_bytes_;
  std::size_t limit_bytes_;
  std::size_t overhead_bytes_;
  std::size_t body_bytes_ = 0;  // counted: expected
  std::size_t seen_ = 0;        // bytes at the front of unread that were dealt with
  std::size_t consumable_ = 0;
  std::uint64_t decoded_ = 0;  // chunked: bytes behind the head that were dealt with
  std::uint64_t told_framing_ = 0;
  std::ptrdiff_t noted_ = 0;
  bool half_read_ = false;
};

}  // namespace limpet::http
