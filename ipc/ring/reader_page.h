// A reader's half of the rings: one page per worker incarnation, written by it alone, on which every writer
// sees whether the worker sleeps and how far it has read (layout.h). Owns the mapping. Never waits.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "ipc/birth/incarnation.h"
#include "ipc/ring/layout.h"
#include "ipc/shared/mapping.h"

namespace limpet::ipc {

/// The reader's own side.
class ReaderPage {
 public:
  /// Creates and seals it. `who` is the reader. Throws std::system_error.
  static ReaderPage create(const Incarnation& who, std::uint16_t lanes);

  /// The sealed memfd, for the supervisor.
  [[nodiscard]] int descriptor() const noexcept { return memory_.descriptor(); }
  [[nodiscard]] const Incarnation& who() const noexcept { return who_; }
  [[nodiscard]] std::uint16_t lanes() const noexcept { return lanes_; }

  /// I8: to be followed by a look at has_data() of every ring, and only then by the wait. Looking before this
  /// call would miss a writer that published in between and saw nobody asleep.
  void fall_asleep() noexcept;
  /// After the wait, before the rings are read. Does nothing if awake.
  void wake_up() noexcept;

  /// The line for the ring of `lane`; stays where it is when the page moves.
  [[nodiscard]] ReaderLine* line(std::uint16_t lane) noexcept;

 private:
  ReaderPage(Mapping memory, const Incarnation& who, std::uint16_t lanes);

  Mapping memory_;
  Incarnation who_;
  std::uint16_t lanes_;
};

/// A writer's side of somebody else's page.
class ReaderPageView {
 public:
  /// nullopt, with the reason in `*why`, if it is not a sealed page of `who`.
  static std::optional<ReaderPageView> map(const base::Descriptor& memory, const Incarnation& who,
                                           std::string* why);

  [[nodiscard]] const Incarnation& who() const noexcept { return who_; }
  [[nodiscard]] std::uint64_t sleep_epoch() const noexcept;
  /// The line for the ring of `lane`; nullptr if the page has no such lane.
  [[nodiscard]] const ReaderLine* line(std::uint16_t lane) const noexcept;

 private:
  ReaderPageView(Mapping memory, const Incarnation& who, std::uint16_t lanes);

  Mapping memory_;
  Incarnation who_;
  std::uint16_t lanes_;
};

}  // namespace limpet::ipc
