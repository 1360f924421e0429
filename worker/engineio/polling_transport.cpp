#include "worker/engineio/polling_transport.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "worker/engineio/packet.h"
#include "worker/websocket/utf8.h"

namespace limpet::engineio {
namespace {

// What pieces of work cost (loop/allowance.h).
constexpr std::uint32_t kUnitsOfAnswer = 4;
/// How often the bytes of a post are gone over: checked; unwrapped.
constexpr std::uint32_t kCopies = 2;
constexpr std::uint32_t kCopiesOfJsonp = 8;
/// And those of a packet that has come, the text of which is JSON.
constexpr std::uint32_t kCopiesOfPacket = 4;
/// Packets of one post before others have their turn.
constexpr std::uint32_t kUnitsOfPost = 512;
/// A session with more than these times Options::max_queued_bytes is ended at once.
constexpr std::size_t kOverfull = 4;

/// One post whose body is on its way; its session may end meanwhile.
class AwaitedPost final : public http::AwaitedBody {
 public:
  AwaitedPost(const Lives& lives, OpenSession& session) : lives_(lives) {
    std::copy_n(session.sid().begin(), base::kIdBytes, sid_.begin());
    session.polling->begin_awaiting_post();
  }
  ~AwaitedPost() override {
    OpenSession* session = lives_.find({sid_.data(), sid_.size()});
    if (session != nullptr && session->polling) session->polling->end_awaiting_post();
  }
  [[nodiscard]] std::string_view sid() const noexcept override { return {sid_.data(), sid_.size()}; }
  AwaitedPost(const AwaitedPost&) = delete;
  AwaitedPost& operator=(const AwaitedPost&) = delete;

 private:
  const Lives& lives_;
  std::array<char, base::kIdBytes> sid_{};
};

}  // namespace

void PollingTransport::end_as_fault(OpenSession& session) {
  lives_.end(session, CloseReason::TransportError, websocket::CloseCode::Normal);
}

std::unique_ptr<http::AwaitedBody> PollingTransport::on_post_awaited(OpenSession& session) {
  if (session.polling->awaits_post()) {
    end_as_fault(session);
    return nullptr;
  }
  return std::make_unique<AwaitedPost>(lives_, session);
}

void PollingTransport::on_poll(OpenSession& session, http::Exchange exchange,
                               std::optional<std::string_view> jsonp) {
  Polling& polling = *session.polling;
  if (polling.poll.parked()) {
    exchange.answer(http::Response(400));
    return end_as_fault(session);
  }
  polling.poll.set_jsonp(jsonp);
  polling.poll.park(std::move(exchange));
  if (!polling.queue.empty()) {
    loop::Stream& stream = polling.poll.stream();
    if (const std::uint32_t units = answer_poll(session, {}); units > 0) stream.charge(units);
    // It takes what is left for it: that may be many answers.
    if (!session.open()) lives_.linger(session);
  } else if (!session.open()) {
    answer_poll(session, "1");
    lives_.release(session);
  } else {
    polling.poll.on_abandoned([this, &session] { end_as_fault(session); });
  }
}

void PollingTransport::on_post(OpenSession& session, http::Exchange exchange, const http::Request& request,
                               std::optional<std::string_view> jsonp) {
  if (session.polling->has_post() || request.head.header("Content-Type") == "application/octet-stream") {
    exchange.answer(http::Response(400));
    return end_as_fault(session);
  }
  loop::Stream& stream = exchange.stream();
  if (const std::uint32_t units = loop::units_of_bytes(request.body.size()); units > 0)
    stream.charge(units * (jsonp ? kCopiesOfJsonp : kCopies));
  const std::string unwrapped = jsonp ? unwrap_jsonp(request.body) : std::string();
  const std::string_view payload = jsonp ? unwrapped : request.body;
  if (!websocket::is_valid_utf8(payload)) {
    lives_.end(session, CloseReason::ParseError, websocket::CloseCode::Normal);
    return answer_post(std::move(exchange));
  }
  const auto rest = take_payload(
      session, payload, [&] { return stream.may_go_on(); },
      [&](std::uint32_t units) { stream.charge(units); });
  if (!rest) return answer_post(std::move(exchange));
  keep_post(session, std::move(exchange), *rest);
}

std::optional<std::string_view> PollingTransport::take_payload(
    OpenSession& session, std::string_view payload, const std::function<bool()>& may_go_on,
    const std::function<void(std::uint32_t)>& charge) {
  for (bool more = true; more && session.open();) {
    if (!may_go_on()) return payload;
    const std::string_view packet = next_packet(session.dialect(), payload, more);
    if (!take_packet(session, packet)) break;
    // Afterwards: a packet may be longer than any turn allows.
    if (const std::uint32_t units = loop::units_of_bytes(packet.size()); units > 0)
      charge(units * kCopiesOfPacket);
  }
  return std::nullopt;
}

bool PollingTransport::take_packet(OpenSession& session, std::string_view text) {
  const Packet packet = parse_packet(text);
  // The client knows: its own poll need not be told `1`.
  if (packet.type == PacketType::Close) session.polling->answer_with_noop();
  return incoming_.take(session, packet);
}

void PollingTransport::keep_post(OpenSession& session, http::Exchange exchange, std::string_view rest) {
  auto post = std::make_unique<UnfinishedPost>();
  post->packets = std::make_shared<const std::string>(rest);
  post->exchange = std::move(exchange);
  post->exchange.stream().hold(static_cast<std::ptrdiff_t>(rest.size()));
  session.polling->post = std::move(post);
  list_post(session);
}

void PollingTransport::list_post(OpenSession& session) {
  CHECK(!session.has_post, "a session has one post at a time");
  session.has_post = true;
  posts_.push_back(&session);
}

/// One visit for each: those that have more to take wait until the others had theirs.
void PollingTransport::continue_posts(loop::Allowance& allowance) {
  for (std::size_t visits = posts_.size(); visits > 0 && allowance.take(); --visits) {
    OpenSession& session = *posts_.pop_front();
    session.has_post = false;
    // Else it was answered by the end of its session.
    if (session.polling && session.polling->post) continue_post(session, allowance);
  }
}

void PollingTransport::continue_post(OpenSession& session, loop::Allowance& allowance) {
  // A handler may end the session, and the post with it: what the handler was given stays until then.
  const std::size_t taken = session.polling->post->taken;
  const std::shared_ptr<const std::string> packets = session.polling->post->packets;
  std::uint32_t units = kUnitsOfPost;
  const auto rest = take_payload(
      session, std::string_view(*packets).substr(taken), [&] { return units-- > 0 && allowance.take(); },
      [&](std::uint32_t of_piece) {
        units -= std::min(units, of_piece);
        (void)allowance.take(of_piece);
      });
  if (rest && session.open()) {
    session.polling->post->taken = packets->size() - rest->size();
    list_post(session);
  } else if (session.polling->post) {
    session.polling->end_post();
  }
}

void PollingTransport::queue(OpenSession& session, std::span<const loop::Buffer> frames) {
  Polling& polling = *session.polling;
  if (polling.queue.bytes() > options_.max_queued_bytes && !makes_room(session)) return;
  for (const auto& frame : frames) polling.queue.push(frame);
  accounts_.note_queue(session);
  if (!polling.poll.parked() || session.flush_pending) return;
  session.flush_pending = true;
  poll_flush_.push_back(&session);
}

/// Looked at before more is queued, so that a single emit may have any size. False: the session has ended.
bool PollingTransport::makes_room(OpenSession& session) {
  const Polling& polling = *session.polling;
  const bool overfull = polling.queue.bytes() > kOverfull * options_.max_queued_bytes;
  // Whose poll is parked is not stalled.
  const bool waits = polling.poll.parked() || clock_.now() - polling.taken_at() < options_.send_stall;
  if (!overfull && waits) return true;
  if (overfull && polling.poll.parked()) {
    answer_poll(session, {});
    return true;
  }
  ++(overfull ? overflowed_ : stalled_);
  accounts_.drop_queue(session);
  end_as_fault(session);
  return false;
}

/// What an answer costs is known when it is made: the next one waits if that was much. At the end of the
/// turn, so that what was sent in one turn goes out in one response.
void PollingTransport::flush_polls(loop::Allowance& allowance) {
  while (!poll_flush_.empty() && allowance.take(kUnitsOfAnswer)) {
    OpenSession* const session = poll_flush_.pop_front();
    session->flush_pending = false;
    if (session->open() && session->poll_parked() && !session->polling->queue.empty()) {
      if (const std::uint32_t units = answer_poll(*session, {}); units > 0) (void)allowance.take(units);
    }
  }
}

std::uint32_t PollingTransport::answer_poll(OpenSession& session, std::string_view last) {
  const std::uint32_t units = session.polling->answer(session.dialect(), last, clock_.now());
  accounts_.note_queue(session);
  return units;
}

}  // namespace limpet::engineio
