// Sessions by sid: chains through the sessions themselves, 8 to 16 bytes of table per session. In 64 parts,
// so that the growth of one part (all of its sessions are looked at) holds up no turn. Owns no session.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "worker/engineio/open_session.h"
#include "worker/loop/allowance.h"

namespace limpet::engineio {

/// One look at every session, in pieces. Who was there at its start and stays is met, also if the table grows
/// meanwhile: then some are met twice. Who comes while it lasts may be met or not.
struct Round {
  std::uint32_t part = 0;   ///< of the table,
  std::uint32_t chain = 0;  ///< and what of it comes next
  std::size_t seen = 0;     ///< sessions looked at so far
  bool over = false;
};

class SessionTable {
 public:
  [[nodiscard]] OpenSession* find(std::string_view sid) const noexcept {
    if (sid.size() != base::kIdBytes) return nullptr;
    const std::uint64_t hash = hash_of(sid);
    const Part& part = parts_[part_of(hash)];
    if (part.chains.empty()) return nullptr;
    OpenSession* session = part.chains[part.place_of(hash)];
    while (session != nullptr && session->sid() != sid) session = session->next_in_bucket;
    return session;
  }
  void insert(OpenSession& session) {
    const std::uint64_t hash = hash_of(session.sid());
    Part& part = parts_[part_of(hash)];
    if (part.size == part.chains.size()) part.grow();
    part.link(session, hash);
    ++part.size;
  }
  void remove(OpenSession& session) noexcept {
    const std::uint64_t hash = hash_of(session.sid());
    Part& part = parts_[part_of(hash)];
    OpenSession** at = &part.chains[part.place_of(hash)];
    while (*at != &session) at = &(*at)->next_in_bucket;
    *at = session.next_in_bucket;
    --part.size;
  }
  /// `visit` may free the session it is given.
  template <class Visit>
  void for_each(Visit visit) {
    for (Part& part : parts_) {
      for (OpenSession* session : part.chains) {
        while (session != nullptr) {
          OpenSession* next = session->next_in_bucket;
          visit(*session);
          session = next;
        }
      }
    }
  }
  /// The next sessions of `round` for which `which` is true: about `at_most`, and no more than `allowance`
  /// suffices to look for.
  [[nodiscard]] std::vector<Session*> go_round(Round& round, std::size_t at_most, loop::Allowance& allowance,
                                               const std::function<bool(const Session&)>& which) const {
    std::vector<Session*> sessions;
    while (!is_end(round) && sessions.size() < at_most && allowance.take()) {
      for (OpenSession* session = parts_[round.part].chains[round.chain]; session != nullptr;
           session = session->next_in_bucket) {
        ++round.seen;
        if (which(*session)) sessions.push_back(session);
      }
      ++round.chain;
    }
    round.over = is_end(round);
    return sessions;
  }

 private:
  static constexpr std::size_t kParts = 64;

  struct Part {
    [[nodiscard]] std::size_t place_of(std::uint64_t hash) const noexcept {
      return static_cast<std::size_t>(hash >> 32) & (chains.size() - 1);
    }
    void link(OpenSession& session, std::uint64_t hash) noexcept {
      OpenSession*& first = chains[place_of(hash)];
      session.next_in_bucket = first;
      first = &session;
    }
    void grow() {
      std::vector<OpenSession*> old(chains.empty() ? 8 : chains.size() * 2, nullptr);
      old.swap(chains);
      for (OpenSession* session : old) {
        while (session != nullptr) {
          OpenSession* next = session->next_in_bucket;
          link(*session, hash_of(session->sid()));
          session = next;
        }
      }
    }
    std::vector<OpenSession*> chains;  // a power of two
    std::size_t size = 0;
  };

  /// A sid is random (but for its first two characters) and only our own ever get in: two words of it, mixed,
  /// will do.
  [[nodiscard]] static std::uint64_t hash_of(std::string_view sid) noexcept {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::memcpy(&first, sid.data() + 2, sizeof first);
    std::memcpy(&last, sid.data() + base::kIdBytes - sizeof last, sizeof last);
    return (first ^ last * 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;
  }
  /// No chain is at that place of the round or after it. Goes on to the next part after the end of one.
  [[nodiscard]] bool is_end(Round& round) const noexcept {
    while (round.part < kParts && round.chain >= parts_[round.part].chains.size()) {
      ++round.part;
      round.chain = 0;
    }
    return round.part == kParts;
  }

  [[nodiscard]] static std::size_t part_of(std::uint64_t hash) noexcept { return hash >> 58; }

  std::array<Part, kParts> parts_;
};

}  // namespace limpet::engineio
