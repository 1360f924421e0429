// The long-polling transport.
#include <algorithm>
#include <utility>

#include "worker/engineio/core.h"
#include "worker/websocket/utf8.h"

namespace limpet::engineio {

/// One post whose body is on its way; its session may end meanwhile.
class AwaitedPost final : public http::AwaitedBody {
 public:
  AwaitedPost(Core& core, const OpenSession& session) : core_(core) {
    std::copy_n(session.sid().begin(), kSidBytes, sid_.begin());
  }
  ~AwaitedPost() override {
    OpenSession* session = core_.table_.find({sid_.data(), sid_.size()});
    if (session != nullptr && session->polling) --session->polling->awaited_posts;
  }
  AwaitedPost(const AwaitedPost&) = delete;
  AwaitedPost& operator=(const AwaitedPost&) = delete;

 private:
  Core& core_;
  std::array<char, kSidBytes> sid_{};
};

namespace {

http::Response make_poll_response(const Polling& polling, std::string payload) {
  http::Response response =
      polling.jsonp
          ? http::Response(200, "text/javascript; charset=UTF-8", wrap_jsonp(polling.jsonp_index, payload))
          : http::Response(200, "text/plain; charset=UTF-8", std::move(payload));
  response.add_header("cache-control", "no-store");
  return response;
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
    answer_poll(session, {});
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
  const bool overlaps = session.polling->awaited_posts > 0;
  if (overlaps || request.head.header("Content-Type") == "application/octet-stream") {
    exchange.answer(http::Response(400));
    end(session, CloseReason::TransportError, websocket::CloseCode::Normal);
    return;
  }
  if (query.jsonp) {
    take_payload(session, unwrap_jsonp(request.body));
  } else {
    take_payload(session, request.body);
  }
  http::Response response(200, "text/html", "ok");
  response.add_header("cache-control", "no-store");
  exchange.answer(std::move(response));
}

void Core::take_payload(OpenSession& session, std::string_view payload) {
  if (!websocket::is_valid_utf8(payload)) {
    end(session, CloseReason::ParseError, websocket::CloseCode::Normal);
    return;
  }
  for (bool more = true; more && session.open();) {
    if (!take_polled_packet(session, next_packet(payload, more))) return;
  }
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

void Core::queue(OpenSession& session, std::span<const http::Buffer> frames) {
  Polling& polling = *session.polling;
  for (const auto& frame : frames) {
    polling.queue.push_back(frame);
    polling.queued_bytes += frame.size();
  }
  if (polling.queued_bytes > options_.max_queued_bytes) {
    ++counts_.overflowed;
    polling.queue.clear();
    end(session, CloseReason::TransportError, websocket::CloseCode::Normal);
  } else if (polling.poll.open() && !session.flush_pending) {
    session.flush_pending = true;
    poll_flush_.push_back(&session);
  }
}

/// At the end of the turn, so that what was sent in one turn goes out in one response.
void Core::flush_polls() {
  const std::vector<OpenSession*> sessions = std::exchange(poll_flush_, {});
  for (OpenSession* session : sessions) {
    session->flush_pending = false;
    if (session->open() && session->poll_parked() && !session->polling->queue.empty())
      answer_poll(*session, {});
  }
}

void Core::answer_poll(OpenSession& session, std::string_view last) {
  Polling& polling = *session.polling;
  const auto frames = std::exchange(polling.queue, {});
  polling.queued_bytes = 0;
  polling.poll.answer(make_poll_response(polling, make_payload(frames, last)));
}

void Core::answer_poll_with_noop(OpenSession& session) {
  if (session.poll_parked()) session.polling->poll.answer(make_poll_response(*session.polling, "6"));
}

}  // namespace limpet::engineio
