#include "worker/engineio/polling.h"

#include "base/check.h"
#include "worker/engineio/packet.h"
#include "worker/loop/allowance.h"
#include "worker/websocket/frame.h"

namespace limpet::engineio {
namespace {

/// What one poll is answered with, a single message apart; its client asks for the rest at once. As JSONP
/// each byte is looked at, and may become six.
constexpr std::size_t kMostPerPoll = 1024 * 1024;
constexpr std::size_t kMostPerJsonpPoll = 256 * 1024;
/// How often the bytes of an answer are gone over until they are sent: joined and rendered; encoded; escaped.
constexpr std::uint32_t kCopies = 2;
constexpr std::uint32_t kCopiesOfBase64 = 4;
constexpr std::uint32_t kCopiesOfJsonp = 8;

/// What is to be done for an answer, beside what every answer costs.
std::uint32_t units_of_answer(bool jsonp, std::span<const loop::Buffer> frames) {
  std::size_t bytes = 0, encoded = 0;
  for (const loop::Buffer& frame : frames) {
    bytes += frame.size();
    const bool is_binary = websocket::opcode_of(frame) == websocket::Opcode::Binary;
    if (is_binary && frame.find_rendering(render_binary_packet) == nullptr) encoded += frame.size();
  }
  return loop::units_of_bytes(bytes) * (jsonp ? kCopiesOfJsonp : kCopies) +
         loop::units_of_bytes(encoded) * kCopiesOfBase64;
}

}  // namespace

std::vector<loop::Buffer> PollQueue::take(std::size_t most) {
  std::vector<loop::Buffer> frames;
  std::size_t bytes = 0;
  while (!frames_.empty() && (frames.empty() || bytes + cost_of(frames_.front()) <= most)) {
    bytes += cost_of(frames_.front());
    frames.push_back(frames_.pop_front());
  }
  CHECK(bytes <= bytes_, "a queue counts every frame when it comes");
  bytes_ -= bytes;
  return frames;
}

PollQueue::All PollQueue::take_all() noexcept {
  return {std::exchange(frames_, {}), std::exchange(bytes_, 0)};
}

void ParkedPoll::park(http::Exchange exchange) {
  CHECK(!parked(), "a second poll ends its session");
  exchange_ = std::move(exchange);
}

void ParkedPoll::set_jsonp(std::optional<std::string_view> index) {
  is_jsonp_ = index.has_value();
  jsonp_index_.assign(index.value_or(""));
}

std::optional<std::string_view> ParkedPoll::jsonp() const noexcept {
  return is_jsonp_ ? std::optional<std::string_view>(jsonp_index_) : std::nullopt;
}

http::Response ParkedPoll::render(std::string payload) const {
  http::Response response =
      is_jsonp_ ? http::Response(200, "text/javascript; charset=UTF-8", wrap_jsonp(jsonp_index_, payload))
                : http::Response(200, "text/plain; charset=UTF-8", std::move(payload));
  response.add_header("cache-control", "no-store");
  return response;
}

void ParkedPoll::answer(std::string payload) {
  CHECK(parked(), "an answer has its request");
  exchange_.answer(render(std::move(payload)));
}

http::Exchange::Withdrawn ParkedPoll::withdraw() {
  CHECK(parked(), "a request that moves is here");
  return exchange_.withdraw();
}

std::uint32_t Polling::answer(const Dialect& dialect, std::string_view last, loop::TimePoint now) {
  const bool is_jsonp = poll.jsonp().has_value();
  const std::vector<loop::Buffer> frames = queue.take(is_jsonp ? kMostPerJsonpPoll : kMostPerPoll);
  taken_at_ = now;
  const std::uint32_t units = units_of_answer(is_jsonp, frames);
  poll.answer(make_payload(dialect, frames, last));
  return units;
}

void Polling::answer_with_noop() {
  if (poll.parked()) poll.answer("6");
}

void Polling::end_awaiting_post() noexcept {
  CHECK(awaited_posts_ > 0, "a body that was awaited ends once");
  --awaited_posts_;
}

void Polling::end_post() {
  const std::unique_ptr<UnfinishedPost> ended = std::move(post);
  if (!ended->exchange.open()) return;
  ended->exchange.stream().hold(-static_cast<std::ptrdiff_t>(ended->packets->size()));
  answer_post(std::move(ended->exchange));
}

void answer_post(http::Exchange exchange) {
  http::Response response(200, "text/html", "ok");
  response.add_header("cache-control", "no-store");
  exchange.answer(std::move(response));
}

}  // namespace limpet::engineio
