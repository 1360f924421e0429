// Sessions by sid: chains through the sessions themselves, 8 to 16 bytes of table per session. Owns no
// session.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

#include "worker/engineio/open_session.h"

namespace limpet::engineio {

class SessionTable {
 public:
  [[nodiscard]] OpenSession* find(std::string_view sid) const noexcept {
    if (sid.size() != kSidBytes || buckets_.empty()) return nullptr;
    OpenSession* session = buckets_[place(sid)];
    while (session != nullptr && session->sid() != sid) session = session->next_in_bucket;
    return session;
  }
  void insert(OpenSession& session) {
    if (size_ == buckets_.size()) grow();
    link(session);
    ++size_;
  }
  void remove(OpenSession& session) noexcept {
    OpenSession** at = &buckets_[place(session.sid())];
    while (*at != &session) at = &(*at)->next_in_bucket;
    *at = session.next_in_bucket;
    --size_;
  }
  /// `visit` may free the session it is given.
  template <class Visit>
  void for_each(Visit visit) {
    for (OpenSession* session : buckets_) {
      while (session != nullptr) {
        OpenSession* next = session->next_in_bucket;
        visit(*session);
        session = next;
      }
    }
  }

  // One place after the other. Whoever goes on from a place meets everybody who was here when the first was
  // looked at, also if the table grows meanwhile: then some meet twice.
  [[nodiscard]] std::size_t places() const noexcept { return buckets_.size(); }
  [[nodiscard]] OpenSession* first_at(std::size_t place) const noexcept { return buckets_[place]; }

 private:
  /// A sid is random (but for its first two characters) and only our own ever get in: two words of it, mixed,
  /// will do.
  [[nodiscard]] std::size_t place(std::string_view sid) const noexcept {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::memcpy(&first, sid.data() + 2, sizeof first);
    std::memcpy(&last, sid.data() + kSidBytes - sizeof last, sizeof last);
    const std::uint64_t mixed = (first ^ last * 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;
    return static_cast<std::size_t>(mixed >> 32) & (buckets_.size() - 1);
  }
  void link(OpenSession& session) noexcept {
    OpenSession*& bucket = buckets_[place(session.sid())];
    session.next_in_bucket = bucket;
    bucket = &session;
  }
  void grow() {
    std::vector<OpenSession*> old(buckets_.empty() ? 64 : buckets_.size() * 2, nullptr);
    old.swap(buckets_);
    for (OpenSession* session : old) {
      while (session != nullptr) {
        OpenSession* next = session->next_in_bucket;
        link(*session);
        session = next;
      }
    }
  }

  std::vector<OpenSession*> buckets_;  // a power of two
  std::size_t size_ = 0;
};

}  // namespace limpet::engineio
