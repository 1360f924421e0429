#include "worker/http/connection.h"

#include <utility>

#include "worker/http/body.h"

namespace limpet::http {
namespace {

/// Parsing, routing, a short answer.
constexpr std::uint32_t kUnitsOfRequest = 16;

}  // namespace

Connection::Connection(Server& server, loop::Stream& stream) : server_(server), stream_(&stream) {
  link();
  ++server_.connection_count_;
  stream.set_receiver(this);
  wait_for(loop::Stream::Waiting::Header);
}

Connection::~Connection() {
  if (exchange_ != nullptr) exchange_->connection_ = nullptr;
  unlink();
  --server_.connection_count_;
}

Connection*& Connection::list() const noexcept {
  return asks_later_ ? server_.asking_later_ : server_.connections_;
}

void Connection::link() noexcept {
  Connection*& first = list();
  previous_ = nullptr;
  next_ = first;
  if (next_ != nullptr) next_->previous_ = this;
  first = this;
}

void Connection::unlink() noexcept {
  if (previous_ != nullptr) previous_->next_ = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  if (Connection*& first = list(); first == this) first = next_;
  if (server_.next_look_ == this) server_.next_look_ = next_;
  if (server_.next_unfinished_ == this) server_.next_unfinished_ = next_;
}

void Connection::set_asks_later(bool later) noexcept {
  unlink();
  asks_later_ = later;
  link();
}

void Connection::wait_for(loop::Stream::Waiting what) { stream_->set_waiting(what); }

std::size_t Connection::on_bytes(loop::Stream&, std::span<char> bytes) {
  inside_ = true;
  std::size_t consumed = 0;
  bool stalled = false;
  while (!stalled && consumed < bytes.size() && (state_ == State::Idle || state_ == State::Body) &&
         stream_->may_go_on(kUnitsOfRequest))
    consumed += step(bytes.subspan(consumed), stalled);
  inside_ = false;
  if (state_ == State::Ending) consumed = bytes.size();
  if (state_ == State::Gone) delete this;
  return consumed;
}

std::size_t Connection::step(std::span<char> bytes, bool& stalled) {
  const std::string_view text(bytes.data(), bytes.size());
  if (state_ == State::Body) return take_body(text, stalled);
  // RFC 9112 section 2.2: an empty line in front of a request is to be ignored.
  if (text.starts_with("\r\n")) return 2;
  if (text == "\r") {
    stalled = true;
    return 0;
  }
  return take_head(text, stalled);
}

std::size_t Connection::take_head(std::string_view bytes, bool& stalled) {
  const ParsedHead parsed = parse_head(bytes, server_.options_.header_bytes, searched_);
  if (parsed.status == HeadStatus::Incomplete) {
    if (searched_ == 0) wait_for(loop::Stream::Waiting::Header);
    searched_ = bytes.size();
    stalled = true;
    return 0;
  }
  searched_ = 0;
  if (parsed.status == HeadStatus::Bad) {
    keep_alive_ = false;
    head_only_ = http_1_0_ = false;
    refuse(parsed.error);
    return bytes.size();
  }
  const RequestHead& head = parsed.head;
  // What nobody would answer stays here, whoever it is for.
  const auto route = head.implemented ? server_.handler_.route(*stream_, head, bytes.size() - head.raw.size())
                                      : RequestHandler::Route::Here;
  switch (route) {
    case RequestHandler::Route::Here:
      break;
    case RequestHandler::Route::Taken:
      ++server_.counts_.taken;
      state_ = State::Gone;
      return 0;
    case RequestHandler::Route::Later:
      set_asks_later(true);
      stream_->pause_reading(true);
      wait_for(loop::Stream::Waiting::Response);
      stalled = true;
      return 0;
  }
  keep_alive_ = head.keep_alive;
  head_only_ = head.method == "HEAD";
  http_1_0_ = head.version == 10;
  if (head.has_body()) return begin_body(head, bytes, stalled);
  hand_over(head, {});
  return head.raw.size();
}

std::size_t Connection::begin_body(const RequestHead& head, std::string_view bytes, bool& stalled) {
  body_ =
      std::make_unique<IncomingBody>(head, server_.handler_.body_limit(head), server_.options_.header_bytes);
  state_ = State::Body;
  const bool asks = head.expect_continue && bytes.size() == head.raw.size();
  const std::size_t consumed = take_body(bytes, stalled);
  if (state_ != State::Body) return consumed;
  awaited_ = server_.handler_.on_body_awaited(head);
  if (asks) stream_->send(loop::Buffer::copy_of("HTTP/1.1 100 Continue\r\n\r\n"));
  return consumed;
}

std::size_t Connection::take_body(std::string_view bytes, bool& stalled) {
  const auto progress = body_->look_at(bytes);
  if (progress == IncomingBody::Progress::TooLarge || progress == IncomingBody::Progress::Malformed) {
    end_body();
    refuse(progress == IncomingBody::Progress::TooLarge ? 413 : 400);
    return bytes.size();
  }
  const std::size_t consumed = body_->consumable();
  if (progress == IncomingBody::Progress::Incomplete) {
    body_->consumed();
    if (const std::ptrdiff_t more = body_->newly_held(); more != 0) stream_->hold(more);
    wait_for(loop::Stream::Waiting::Body);
    if (const std::size_t framing = body_->new_framing(); framing > 0) stream_->discount(framing);
    stalled = true;
    return consumed;
  }
  const auto body = end_body();
  const Request request = body->request(bytes);
  hand_over(request.head, request.body);
  return consumed;
}

std::unique_ptr<IncomingBody> Connection::end_body() {
  if (body_ && body_->held() > 0) stream_->hold(-body_->held());
  awaited_.reset();
  return std::move(body_);
}

void Connection::hand_over(const RequestHead& head, std::string_view body) {
  state_ = State::Pending;
  if (!head.implemented) return answer(Response(501));
  ++server_.counts_.requests;
  server_.handler_.on_request(Exchange(*this), Request{head, body});
  if (state_ != State::Pending) return;
  stream_->pause_reading(true);
  wait_for(loop::Stream::Waiting::Response);
}

void Connection::refuse(int status) {
  ++server_.counts_.bad_requests;
  keep_alive_ = false;
  answer(Response(status));
}

void Connection::answer(Response response) {
  if (response.status >= 400) ++server_.counts_.errors;
  const bool was_parked = state_ == State::Pending && !inside_;
  const bool keep = keep_alive_ && !response.close && !server_.draining_;
  const loop::Clock* const clock = server_.options_.clock;
  stream_->send(render(response, {.head_only = head_only_,
                                  .keep_alive = keep,
                                  .say_keep_alive = http_1_0_,
                                  .date = clock == nullptr ? std::string_view() : clock->date()}));
  if (response.file.file && !head_only_) stream_->send_file(std::move(response.file));
  served_ = true;
  if (!keep) {
    state_ = State::Ending;
    stream_->finish();
    return;
  }
  state_ = State::Idle;
  wait_for(loop::Stream::Waiting::NextRequest);
  // Only now: a stream that resumes may find the next request at once.
  if (was_parked) stream_->pause_reading(false);
}

loop::Stream& Connection::upgrade(Response switching, loop::StreamReceiver& receiver, void* attachment) {
  loop::Stream& stream = *stream_;
  ++server_.counts_.upgraded;
  switching.status = 101;
  stream.send(render(switching, {}));
  stream.set_receiver(&receiver, attachment);
  stream.set_waiting(loop::Stream::Waiting::Nothing);
  state_ = State::Gone;
  if (inside_) return stream;  // on_bytes deletes this
  stream.pause_reading(false);
  delete this;
  return stream;
}

void Connection::on_closed(loop::Stream&, int) {
  end_body();
  if (Exchange* exchange = std::exchange(exchange_, nullptr); exchange != nullptr) {
    ++server_.counts_.abandoned;
    exchange->connection_ = nullptr;
    const auto abandoned = std::exchange(exchange->abandoned_, nullptr);
    // The callback may destroy the exchange: it is not touched behind this.
    if (abandoned) abandoned();
  }
  delete this;
}

void Connection::ask_again() {
  set_asks_later(false);
  wait_for(loop::Stream::Waiting::Header);
  stream_->pause_reading(false);
}

loop::Stream* Connection::leave_if_idle() {
  if (state_ != State::Idle || inside_ || stream_->closing() || !stream_->can_travel()) return nullptr;
  loop::Stream* const stream = stream_;
  stream->set_receiver(nullptr);
  delete this;
  return stream;
}

Exchange::Withdrawn Connection::withdraw() {
  const Exchange::Withdrawn withdrawn{stream_, keep_alive_, http_1_0_};
  stream_->set_receiver(nullptr);
  delete this;
  return withdrawn;
}

void Connection::end_if_unfinished(const std::function<bool(const AwaitedBody*)>& which) {
  if (state_ != State::Body || (which && !which(awaited_.get()))) return;
  end_body();
  refuse(408);
}

void Connection::end_if_waiting() {
  if (state_ == State::Body) return end_if_unfinished(nullptr);
  if (state_ != State::Idle) return;
  if (searched_ != 0) {
    head_only_ = http_1_0_ = false;
    refuse(408);
  } else if (!served_ && stream_->unread_bytes() == 0) {
    state_ = State::Ending;
    stream_->finish();
  }
}

void Connection::end_if_idle() {
  if (state_ != State::Idle || searched_ != 0 || !served_) return;
  state_ = State::Ending;
  stream_->finish();
}

}  // namespace limpet::http
