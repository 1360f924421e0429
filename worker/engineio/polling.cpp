// The long-polling transport.
#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "worker/engineio/core.h"
#include "worker/websocket/utf8.h"

namespace limpet::engineio {

/// One post whose body is on its way; its session may end meanwhile.
class AwaitedPost final : public http::AwaitedBody {
 public:
  AwaitedPost(Core& core, const OpenSession& session) : core_(core) {
    std::copy_n(session.sid().begin(), base::kIdBytes, sid_.begin());
  }
  ~AwaitedPost() override {
    OpenSession* session = core_.table_.find({sid_.data(), sid_.size()});
    if (session != nullptr && session->polling) --session->polling->awaited_posts;
  }
  [[nodiscard]] std::string_view sid() const noexcept override { return {sid_.data(), sid_.size()}; }
  AwaitedPost(const AwaitedPost&) = delete;
  AwaitedPost& operator=(const AwaitedPost&) = delete;

 private:
  Core& core_;
  std::array<char, base::kIdBytes> sid_{};
};

namespace {

// What pieces of work cost (loop/allowance.h).
constexpr std::uint32_t kUnitsOfAnswer = 4;
/// What one poll is answered with, a single message apart; its client asks for the rest at once. As JSONP
/// each byte is looked at, and may become six.
constexpr std::size_t kMostPerPoll = 1024 * 1024;
constexpr std::size_t kMostPerJsonpPoll = 256 * 1024;
/// How often the bytes of an answer are gone over until they are sent: joined and rendered; encoded; escaped.
constexpr std::uint32_t kCopies = 2;
constexpr std::uint32_t kCopiesOfBase64 = 4;
/// And those of a packet that has come, the text of which is JSON.
constexpr std::uint32_t kCopiesOfPacket = 4;
constexpr std::uint32_t kCopiesOfJsonp = 8;
/// Packets of one post before others have their turn.
constexpr std::uint32_t kUnitsOfPost = 512;
/// A session with more than these times Options::max_queued_bytes is ended at once.
constexpr std::size_t kOverfull = 4;

http::Response make_poll_response(const Polling& polling, std::string payload) {
  http::Response response =
      polling.jsonp
          ? http::Response(200, "text/javascript; charset=UTF-8", wrap_jsonp(polling.jsonp_index, payload))
          : http::Response(200, "text/plain; charset=UTF-8", std::move(payload));
  response.add_header("cache-control", "no-store");
  return response;
}

/// What was done for an answer, beside kUnitsOfAnswer.
std::uint32_t units_of_answer(const Polling& polling, std::span<const loop::Buffer> frames) {
  std::size_t bytes = 0, encoded = 0;
  for (const loop::Buffer& frame : frames) {
    bytes += frame.size();
    if (websocket::opcode_of(frame) == websocket::Opcode::Binary) encoded += frame.size();
  }
  return loop::units_of_bytes(bytes) * (polling.jsonp ? kCopiesOfJsonp : kCopies) +
         loop::units_of_bytes(encoded) * kCopiesOfBase64;
}

void answer_post(http::Exchange exchange) {
  http::Response response(200, "text/html", "ok");
  response.add_header("cache-control", "no-store");
  exchange.answer(std::move(response));
}

void note_jsonp(Polling& polling, std::optional<std::string_view> index) {
  polling.jsonp = index.has_value();
  polling.jsonp_index.assign(index.value_or(""));
}

}  // namespace

std::unique_ptr<http::AwaitedBody> Core::on_body_awaited(const http::RequestHead& head) {
  if (head.method != "POST") return nullptr;
  OpenSession* session = find_open(sid_of(head).value_or(""));
  if (session == nullptr || !session->polling) return nullptr;
  if (session->polling->awaited_posts > 0) {
    end(*session, CloseReason::TransportError, websocket::CloseCode::Normal);
    return nullptr;
  }
  ++session->polling->awaited_posts;
  return std::make_unique<AwaitedPost>(*this, *session);
}

void Core::open_polling(http::Exchange exchange, const http::RequestHead& head, const Query& query) {
  OpenSession& session = create(head, exchange.peer_address());
  session.polling = std::make_unique<Polling>();
  session.polling->taken_at = clock_.now();
  session.polling->probe_overdue.session = session.polling->next_noop.session = &session;
  ++counts_.polling;
  note_jsonp(*session.polling, query.jsonp);
  exchange.answer(make_poll_response(*session.polling, open_packet(session)));
  announce(session);
}

void Core::on_poll(OpenSession& session, http::Exchange exchange, const Query& query) {
  Polling& polling = *session.polling;
  if (session.poll_parked()) {
    exchange.answer(http::Response(400));
    end(session, CloseReason::TransportError, websocket::CloseCode::Normal);
    return;
  }
  note_jsonp(polling, query.jsonp);
  polling.poll = std::move(exchange);
  if (!polling.queue.empty()) {
    loop::Stream& stream = polling.poll.stream();
    if (const std::uint32_t units = answer_poll(session, {}); units > 0) stream.charge(units);
    // It takes what is left for it: that may be many answers.
    if (!session.open()) linger_.join(session, clock_.now() + kLinger);
  } else if (!session.open()) {
    answer_poll(session, "1");
    release(session);
  } else {
    polling.poll.on_abandoned([this, &session] { on_poll_abandoned(session); });
  }
}

void Core::on_poll_abandoned(OpenSession& session) {
  end(session, CloseReason::TransportError, websocket::CloseCode::Normal);
}

void Core::on_post(OpenSession& session, http::Exchange exchange, const http::Request& request,
                   const Query& query) {
  const bool overlaps = session.polling->awaited_posts > 0 || session.polling->post;
  if (overlaps || request.head.header("Content-Type") == "application/octet-stream") {
    exchange.answer(http::Response(400));
    end(session, CloseReason::TransportError, websocket::CloseCode::Normal);
    return;
  }
  loop::Stream& stream = exchange.stream();
  if (const std::uint32_t units = loop::units_of_bytes(request.body.size()); units > 0)
    stream.charge(units * (query.jsonp ? kCopiesOfJsonp : kCopies));
  const std::string unwrapped = query.jsonp ? unwrap_jsonp(request.body) : std::string();
  const std::string_view payload = query.jsonp ? unwrapped : request.body;
  if (!websocket::is_valid_utf8(payload)) {
    end(session, CloseReason::ParseError, websocket::CloseCode::Normal);
    return answer_post(std::move(exchange));
  }
  const auto rest = take_payload(
      session, payload, [&] { return stream.may_go_on(); },
      [&](std::uint32_t units) { stream.charge(units); });
  if (!rest) return answer_post(std::move(exchange));
  keep_post(session, std::move(exchange), *rest);
}

std::optional<std::string_view> Core::take_payload(OpenSession& session, std::string_view payload,
                                                   const std::function<bool()>& may_go_on,
                                                   const std::function<void(std::uint32_t)>& charge) {
  for (bool more = true; more && session.open();) {
    if (!may_go_on()) return payload;
    const std::string_view packet = next_packet(payload, more);
    if (!take_polled_packet(session, packet)) break;
    // Afterwards: a packet may be longer than any turn allows.
    if (const std::uint32_t units = loop::units_of_bytes(packet.size()); units > 0)
      charge(units * kCopiesOfPacket);
  }
  return std::nullopt;
}

void Core::keep_post(OpenSession& session, http::Exchange exchange, std::string_view rest) {
  auto post = std::make_unique<UnfinishedPost>();
  post->packets = std::make_shared<const std::string>(rest);
  post->exchange = std::move(exchange);
  post->exchange.stream().hold(static_cast<std::ptrdiff_t>(rest.size()));
  session.polling->post = std::move(post);
  session.has_post = true;
  posts_.push_back(&session);
}

/// One visit for each: those that have more to take wait behind the others.
void Core::continue_posts(loop::Allowance& allowance) {
  for (std::size_t visits = posts_.size(); visits > 0 && allowance.take(); --visits) {
    OpenSession& session = *posts_.pop_front();
    session.has_post = false;
    if (!session.polling || !session.polling->post) continue;  // answered by its end
    // A handler may end the session, and the post with it: what the handler was given stays until then.
    const UnfinishedPost& kept = *session.polling->post;
    const std::size_t taken = kept.taken;
    const std::shared_ptr<const std::string> packets = kept.packets;
    std::uint32_t units = kUnitsOfPost;
    const auto rest = take_payload(
        session, std::string_view(*packets).substr(taken), [&] { return units-- > 0 && allowance.take(); },
        [&](std::uint32_t of_piece) {
          units -= std::min(units, of_piece);
          (void)allowance.take(of_piece);
        });
    if (rest && session.open()) {
      session.polling->post->taken = packets->size() - rest->size();
      session.has_post = true;
      posts_.push_back(&session);
    } else if (session.polling->post) {
      end_post(session);
    }
  }
}

void Core::end_post(OpenSession& session) {
  const std::unique_ptr<UnfinishedPost> post = std::move(session.polling->post);
  if (!post->exchange.open()) return;
  post->exchange.stream().hold(-static_cast<std::ptrdiff_t>(post->packets->size()));
  answer_post(std::move(post->exchange));
}

bool Core::take_polled_packet(OpenSession& session, std::string_view text) {
  const Packet packet = parse_packet(text);
  switch (packet.type) {
    case PacketType::Message:
      ++counts_.messages_in;
      handler_.on_text(session, packet.data);
      return true;
    case PacketType::Binary:
      deliver_base64(session, packet.data);
      return true;
    case PacketType::Pong:
      on_pong(session);
      return true;
    case PacketType::Open:
    case PacketType::Upgrade:
    case PacketType::Noop:
      return true;
    case PacketType::Close:
      // The client knows: its own poll need not be told `1`.
      answer_poll_with_noop(session);
      end(session, CloseReason::TransportClose, websocket::CloseCode::Normal);
      return false;
    case PacketType::Ping:
      end(session, CloseReason::TransportError, websocket::CloseCode::Normal);
      return false;
    case PacketType::Invalid:
      break;
  }
  end(session, CloseReason::ParseError, websocket::CloseCode::Normal);
  return false;
}

void Core::deliver_base64(OpenSession& session, std::string_view text) {
  ++counts_.messages_in;
  handler_.on_binary(session, from_base64(text));
}

void Core::queue(OpenSession& session, std::span<const loop::Buffer> frames) {
  Polling& polling = *session.polling;
  if (polling.queued_bytes > options_.max_queued_bytes && !makes_room(session)) return;
  for (const auto& frame : frames) {
    polling.queue.push_back(frame);
    polling.queued_bytes += cost_of(frame);
  }
  note_account(session);
  if (!polling.poll.open() || session.flush_pending) return;
  session.flush_pending = true;
  poll_flush_.push_back(&session);
}

/// Looked at before more is queued, so that a single emit may have any size. False: the session has ended.
bool Core::makes_room(OpenSession& session) {
  Polling& polling = *session.polling;
  const bool overfull = polling.queued_bytes > kOverfull * options_.max_queued_bytes;
  // Whose poll is parked is not stalled.
  const bool waits = polling.poll.open() || clock_.now() - polling.taken_at < options_.send_stall;
  if (!overfull && waits) return true;
  if (overfull && polling.poll.open()) {
    answer_poll(session, {});
    return true;
  }
  ++(overfull ? counts_.overflowed : counts_.stalled);
  drop_queue(session);
  end(session, CloseReason::TransportError, websocket::CloseCode::Normal);
  return false;
}

/// One that is polling has one rank, for its queue and what the layer above holds for it.
void Core::note_account(OpenSession& session) {
  const std::size_t held = session.open() ? session.held() : 0;
  accounts_.note(session, session.polling->noted, session.polling->queue.footprint(),
                 session.polling->queued_bytes + held);
}

void Core::drop_queue(OpenSession& session) {
  released_.add(std::exchange(session.polling->queue, {}), std::exchange(session.polling->queued_bytes, 0));
  note_account(session);
}

void Core::forget_account(OpenSession& session, Polling& polling) {
  accounts_.forget(session, polling.noted);
}

/// What an answer costs is known when it is made: the next one waits if that was much. At the end of the
/// turn, so that what was sent in one turn goes out in one response.
void Core::flush_polls(loop::Allowance& allowance) {
  while (!poll_flush_.empty() && allowance.take(kUnitsOfAnswer)) {
    OpenSession* const session = poll_flush_.pop_front();
    session->flush_pending = false;
    if (session->open() && session->poll_parked() && !session->polling->queue.empty()) {
      if (const std::uint32_t units = answer_poll(*session, {}); units > 0) (void)allowance.take(units);
    }
  }
}

std::uint32_t Core::answer_poll(OpenSession& session, std::string_view last) {
  Polling& polling = *session.polling;
  const std::size_t most = polling.jsonp ? kMostPerJsonpPoll : kMostPerPoll;
  std::vector<loop::Buffer> frames;
  std::size_t bytes = 0;
  while (!polling.queue.empty() && (frames.empty() || bytes + cost_of(polling.queue.front()) <= most)) {
    bytes += cost_of(polling.queue.front());
    frames.push_back(polling.queue.pop_front());
  }
  polling.queued_bytes -= bytes;
  polling.taken_at = clock_.now();
  note_account(session);
  const std::uint32_t units = units_of_answer(polling, frames);
  polling.poll.answer(make_poll_response(polling, make_payload(frames, last)));
  return units;
}

void Core::answer_poll_with_noop(OpenSession& session) {
  if (session.poll_parked()) session.polling->poll.answer(make_poll_response(*session.polling, "6"));
}

}  // namespace limpet::engineio
