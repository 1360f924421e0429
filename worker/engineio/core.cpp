#include "worker/engineio/core.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "worker/websocket/frame.h"

namespace limpet::engineio {
namespace {

/// What a session costs while it is idle, without its handshake's head: itself, what the layer above keeps of
/// it, what the allocator adds.
constexpr std::size_t kSessionBytes = 512;
/// One end that is reported (loop/allowance.h): the handlers of its sockets run.
constexpr std::uint32_t kUnitsOfEnd = 8;

}  // namespace

HandshakeRecord::HandshakeRecord(std::string_view head, std::string_view address) {
  head = head.substr(0, head.find_last_not_of("\r\n") + 1);
  address = address.substr(0, std::numeric_limits<std::uint16_t>::max());
  bytes_.reset(new char[kSizesBytes + head.size() + address.size()]);
  const Sizes sizes{static_cast<std::uint32_t>(head.size()), static_cast<std::uint16_t>(address.size())};
  std::memcpy(bytes_.get(), &sizes, kSizesBytes);
  char* place = std::copy(head.begin(), head.end(), bytes_.get() + kSizesBytes);
  std::copy(address.begin(), address.end(), place);
}

HandshakeRecord::Sizes HandshakeRecord::sizes() const noexcept {
  Sizes sizes{};
  std::memcpy(&sizes, bytes_.get(), kSizesBytes);
  return sizes;
}

std::string_view HandshakeRecord::head() const noexcept { return {bytes_.get() + kSizesBytes, sizes().head}; }

std::string_view HandshakeRecord::address() const noexcept {
  return {bytes_.get() + kSizesBytes + sizes().head, sizes().address};
}

OpenSession::OpenSession(Core& core, std::string_view handshake_head, std::string_view address,
                         std::int64_t issued_ms)
    : core_(core), handshake_(handshake_head, address), issued_ms_(issued_ms) {}

void OpenSession::send(std::span<const loop::Buffer> frames) { core_.send(*this, frames); }

void OpenSession::hold(std::ptrdiff_t bytes) noexcept {
  core_.memory_.add(bytes);
  hold_frames(bytes);
}

void OpenSession::hold_frames(std::ptrdiff_t bytes) noexcept {
  const std::size_t before = held_;
  held_ += static_cast<std::uint32_t>(bytes);
  core_.note_held(*this, before);
}

bool OpenSession::writable() const noexcept {
  if (!open()) return false;
  if (polling) return polling->poll.open() && polling->queue.empty();
  return stream->unsent_bytes() == 0;
}

void OpenSession::close(CloseReason why) { core_.close(*this, why, websocket::CloseCode::Normal); }

Core::Core(Options options, const loop::Clock& clock, SessionHandler& handler, Hooks hooks)
    : options_(std::move(options)),
      clock_(clock),
      handler_(handler),
      hooks_(std::move(hooks)),
      ping_frame_(websocket::make_frame(websocket::Opcode::Text, "2")),
      memory_(hooks_.memory != nullptr ? *hooks_.memory : own_memory_),
      accounts_(memory_) {
  if (hooks_.wall_clock_ms) return;
  hooks_.wall_clock_ms = [] {
    using std::chrono::duration_cast;
    using std::chrono::milliseconds;
    return static_cast<std::int64_t>(
        duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
  };
}

Core::~Core() {
  // In the table: open and lingering ones. Only in `ended_`: those that were ended and not yet freed.
  for (OpenSession* session : ended_)
    if (session->phase == OpenSession::Phase::Ended) delete session;
  for (OpenSession* session : freed_) delete session;
  table_.for_each([](OpenSession& session) { delete &session; });
}

OpenSession& Core::create(const http::RequestHead& head, std::string_view address) {
  auto* session = new OpenSession(*this, head.raw, address, hooks_.wall_clock_ms());
  hooks_.new_sid(session->sid_bytes());
  table_.insert(*session);
  next_ping_.join(*session, clock_.now() + options_.ping_interval);
  ++open_count_;
  ++counts_.opened;
  count_memory(*session, true);
  return *session;
}

void Core::count_memory(const OpenSession& session, bool here) noexcept {
  const auto bytes = static_cast<std::ptrdiff_t>(kSessionBytes + session.handshake_head().size());
  memory_.add(here ? bytes : -bytes);
}

std::string Core::open_packet(const OpenSession& session) const {
  return make_open_packet(
      {.sid = session.sid(),
       .offer_websocket = session.polling && options_.websocket && options_.allow_upgrades,
       .ping_interval = options_.ping_interval,
       .ping_timeout = options_.ping_timeout,
       .max_payload_bytes = options_.max_payload_bytes});
}

void Core::announce(OpenSession& session) { handler_.on_open(session); }

OpenSession* Core::find_open(std::string_view sid) const noexcept {
  OpenSession* session = table_.find(sid);
  return session != nullptr && session->open() ? session : nullptr;
}

OpenSession* Core::first_open() const noexcept {
  loop::TimerHook* const hook = next_ping_.front() != nullptr ? next_ping_.front() : pong_overdue_.front();
  return static_cast<OpenSession*>(hook);
}

void Core::send(OpenSession& session, std::span<const loop::Buffer> frames) {
  if (!session.open()) return;
  if (session.polling) {
    queue(session, frames);
    return;
  }
  for (const auto& frame : frames) session.stream->send(frame);
}

void Core::close(OpenSession& session, CloseReason reason, websocket::CloseCode code) {
  if (!session.open()) return;
  if (!session.polling || (session.poll_parked() && session.polling->queue.empty())) {
    end(session, reason, code);
    return;
  }
  // The client acts on a close before it decodes the messages of the same payload: these go first, alone.
  if (session.poll_parked()) answer_poll(session, {});
  abandon_probe(session);
  mark_closed(session, OpenSession::Phase::Lingering, reason);
  linger_.join(session, clock_.now() + kLinger);
}

void Core::end(OpenSession& session, CloseReason reason, websocket::CloseCode code) {
  if (!session.open()) return;
  if (session.stream != nullptr) hang_up(*std::exchange(session.stream, nullptr), code);
  if (session.polling) abandon_probe(session);
  if (session.poll_parked()) answer_poll(session, "1");
  mark_closed(session, OpenSession::Phase::Ended, reason);
  table_.remove(session);
}

void Core::mark_closed(OpenSession& session, OpenSession::Phase phase, CloseReason reason) {
  session.leave();
  // What has not been taken of a post is void; its client is told that it came.
  if (session.polling && session.polling->post) end_post(session);
  session.phase = phase;
  session.reason = reason;
  // From here on it counts only with the queue for its last polls.
  forget_held(session);
  if (session.polling && phase == OpenSession::Phase::Ended) forget_account(session, *session.polling);
  if (session.polling && phase == OpenSession::Phase::Lingering) note_account(session);
  --open_count_;
  if (session.polling) --counts_.polling;
  ++counts_.closed[static_cast<std::size_t>(reason)];
  ended_.push_back(&session);
}

/// A lingering session has told its client, or waited long enough.
void Core::release(OpenSession& session) {
  session.leave();
  session.phase = OpenSession::Phase::Ended;
  table_.remove(session);
  if (session.reported) ended_.push_back(&session);
}

void Core::report_ended(loop::Allowance& allowance) {
  while (!ended_.empty() && allowance.take(kUnitsOfEnd)) {
    OpenSession* const session = ended_.pop_front();
    if (!session->reported) {
      session->reported = true;
      handler_.on_close(*session, session->reason);
    }
    if (session->phase == OpenSession::Phase::Ended) {
      freed_.push_back(session);
    } else {
      forget_handshake(*session);
    }
  }
}

/// Of one that lingers nobody asks for it any more.
void Core::forget_handshake(OpenSession& session) {
  count_memory(session, false);
  session.forget_handshake();
  count_memory(session, true);
}

void Core::free_ended(loop::Allowance& allowance) {
  for (std::size_t left = freed_.size(); left > 0 && allowance.take(); --left) {
    OpenSession* const session = freed_.pop_front();
    // The lists of polls and posts may name it: they are worked off first.
    if (session->flush_pending || session->has_post) {
      freed_.push_back(session);
      continue;
    }
    if (session->polling) {
      forget_account(*session, *session->polling);
      released_.add(std::move(session->polling->queue), session->polling->queued_bytes);
    }
    forget_held(*session);
    count_memory(*session, false);
    delete session;
  }
  released_.free_some(allowance);
}

void Core::on_pong(OpenSession& session) {
  session.awaits_pong = false;
  next_ping_.join(session, clock_.now() + options_.ping_interval);
}

void Core::send_pings(loop::TimePoint now, loop::Allowance& allowance) {
  for (loop::TimerHook* hook = next_ping_.due(now); hook != nullptr && allowance.take();
       hook = next_ping_.due(now)) {
    auto& session = static_cast<OpenSession&>(*hook);
    session.awaits_pong = true;
    pong_overdue_.join(session, now + options_.ping_timeout);
    ++counts_.pings_sent;
    send(session, {&ping_frame_, 1});
  }
}

void Core::end_overdue(loop::TimePoint now, loop::Allowance& allowance) {
  const auto next_due = [now, &allowance](loop::TimerWheel& list) -> loop::TimerHook* {
    loop::TimerHook* const hook = list.due(now);
    return hook != nullptr && allowance.take() ? hook : nullptr;
  };
  while (loop::TimerHook* hook = next_due(pong_overdue_)) {
    auto& session = static_cast<OpenSession&>(*hook);
    // Nobody there takes what is queued: waiting for it to be written would keep the stream.
    if (session.stream != nullptr && session.stream->unsent_bytes() > 0) session.stream->abort();
    end(session, CloseReason::PingTimeout, websocket::CloseCode::Normal);
  }
  while (loop::TimerHook* hook = next_due(linger_)) release(static_cast<OpenSession&>(*hook));
  while (loop::TimerHook* hook = next_due(probe_overdue_))
    abandon_probe(*static_cast<PollingHook*>(hook)->session);
  while (loop::TimerHook* hook = next_due(next_noop_)) {
    next_noop_.join(*hook, now + kNoopInterval);
    answer_poll_with_noop(*static_cast<PollingHook*>(hook)->session);
  }
}

void Core::tick(loop::Allowance& allowance) {
  const loop::TimePoint now = clock_.now();
  // Long posts use up what all have: in every second turn the others are first.
  posts_first_ = !posts_first_;
  if (posts_first_) continue_posts(allowance);
  end_overdue(now, allowance);
  send_pings(now, allowance);
  flush_polls(allowance);
  // What is sent while ends are reported goes out in this turn as well.
  report_ended(allowance);
  flush_polls(allowance);
  free_ended(allowance);
  if (!posts_first_) continue_posts(allowance);
}

void Core::note_held(OpenSession& session, std::size_t before) noexcept {
  constexpr std::size_t kLarge = std::size_t{loop::Accounts<OpenSession>::kLargeKib} << 10;
  if (!session.open()) return;
  if (before < kLarge && session.held() < kLarge) return;
  if (session.polling) return note_account(session);
  // In the total already: only the rank is to be noted.
  loop::Noted& noted = large_held_[&session];
  accounts_.note(session, noted, 0, session.held());
  if (noted.rank_kib == 0) large_held_.erase(&session);
}

void Core::shed_largest() {
  OpenSession& session = *accounts_.largest();
  if (session.open()) ++counts_.shed;
  if (session.polling) {
    drop_queue(session);
    forget_account(session, *session.polling);
  } else if (session.stream != nullptr) {
    session.stream->drop_unsent();
  }
  forget_held(session);
  end(session, CloseReason::TransportError, websocket::CloseCode::TryAgainLater);
}

void Core::forget_held(OpenSession& session) {
  const auto found = large_held_.find(&session);
  if (found == large_held_.end()) return;
  accounts_.forget(session, found->second);
  large_held_.erase(found);
}

std::optional<loop::TimePoint> Core::next_deadline() const noexcept {
  const bool has_work = !ended_.empty() || !freed_.empty() || !poll_flush_.empty() || !posts_.empty();
  if (has_work || !released_.empty()) return clock_.now();
  std::optional<loop::TimePoint> next;
  for (const loop::TimerWheel* list : {&next_ping_, &pong_overdue_, &linger_, &probe_overdue_, &next_noop_}) {
    const loop::TimerHook* first = list->front();
    if (first != nullptr && (!next || first->due < *next)) next = first->due;
  }
  return next;
}

}  // namespace limpet::engineio
