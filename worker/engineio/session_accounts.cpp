#include "worker/engineio/session_accounts.h"

#include <utility>

namespace limpet::engineio {
namespace {

/// What a session costs while it is idle, without its handshake's head: itself, what the layer above keeps of
/// it, what the allocator adds.
constexpr std::size_t kSessionBytes = 512;

}  // namespace

SessionAccounts::SessionAccounts(loop::MemoryTotal* total) noexcept
    : total_(total != nullptr ? *total : own_total_), accounts_(total_) {}

void SessionAccounts::count(const OpenSession& session, bool here) noexcept {
  const auto bytes = static_cast<std::ptrdiff_t>(kSessionBytes + session.handshake_head().size());
  total_.add(here ? bytes : -bytes);
}

void SessionAccounts::note_queue(OpenSession& session) {
  const std::size_t held = session.open() ? session.held() : 0;
  accounts_.note(session, session.polling->noted, session.polling->queue.footprint(),
                 session.polling->queue.bytes() + held);
}

void SessionAccounts::note_held(OpenSession& session, std::size_t before, std::ptrdiff_t own_bytes) noexcept {
  total_.add(own_bytes);
  rank_held(session, before);
}

void SessionAccounts::rank_held(OpenSession& session, std::size_t before) noexcept {
  constexpr std::size_t kLarge = std::size_t{loop::Accounts<OpenSession>::kLargeKib} << 10;
  if (!session.open()) return;
  if (before < kLarge && session.held() < kLarge) return;
  if (session.polling) return note_queue(session);
  // In the total already: only the rank is to be noted.
  loop::Noted& noted = large_held_[&session];
  accounts_.note(session, noted, 0, session.held());
  if (noted.rank_kib == 0) large_held_.erase(&session);
}

void SessionAccounts::note_upgrade(OpenSession& session, Polling& polling) noexcept {
  accounts_.forget(session, polling.noted);
  rank_held(session, session.held());
}

void SessionAccounts::forget_held(OpenSession& session) {
  const auto found = large_held_.find(&session);
  if (found == large_held_.end()) return;
  accounts_.forget(session, found->second);
  large_held_.erase(found);
}

void SessionAccounts::forget(OpenSession& session) {
  forget_held(session);
  if (session.polling) accounts_.forget(session, session.polling->noted);
}

void SessionAccounts::drop_queue(OpenSession& session) {
  release(session.polling->queue);
  note_queue(session);
}

void SessionAccounts::release(PollQueue& queue) {
  PollQueue::All all = queue.take_all();
  released_.add(std::move(all.frames), all.bytes);
}

}  // namespace limpet::engineio
