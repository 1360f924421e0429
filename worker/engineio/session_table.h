// Sessions by sid: chains through the sessions themselves, 8 to 16 bytes of table per session. In 64 parts,
// so that the growth of one part (all of its sessions are looked at) holds up no turn. Owns no session.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "worker/engineio/open_session.h"

namespace limpet::engineio {

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
    for (Place place; !is_end(place); ++place.chain) {
      OpenSession* session = first_at(place);
      while (session != nullptr) {
        OpenSession* next = session->next_in_bucket;
        visit(*session);
        session = next;
      }
    }
  }

  /// A chain of the table. Whoever goes on from a place meets everybody who was here when the first was
  /// looked at, also if the table grows meanwhile: then some meet twice.
  struct Place {
    std::uint32_t part = 0;
    std::uint32_t chain = 0;  ///< to be counted up by whoever goes on
  };
  /// No chain is at `place` or behind it. Goes on to the next part behind the end of one.
  [[nodiscard]] bool is_end(Place& place) const noexcept {
    while (place.part < kParts && place.chain >= parts_[place.part].chains.size())
      place = {place.part + 1, 0};
    return place.part == kParts;
  }
  /// Not at the end.
  [[nodiscard]] OpenSession* first_at(const Place& place) const noexcept {
    return parts_[place.part].chains[place.chain];
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
  [[nodiscard]] static std::size_t part_of(std::uint64_t hash) noexcept { return hash >> 58; }

  std::array<Part, kParts> parts_;
};

}  // namespace limpet::engineio
