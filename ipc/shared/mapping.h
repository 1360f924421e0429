// Sealed shared memory: one process creates it, maps it writable and then seals it, so that the kernel
// refuses every further writable mapping, anywhere, for ever; all others map it read-only. Owns the mapping
// and, in the process that created it, the memfd. Must never map a peer's memory without looking at its size
// and seals first: a mapping past the end of the file is a SIGBUS later. Creating fails with
// std::system_error, mapping a peer's memory with a value.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "base/descriptor.h"

namespace limpet::ipc {

/// A mapping of a whole memfd. Its address does not change when the object moves.
class Mapping {
 public:
  /// Zeroed memory of at least `bytes` (rounded up to pages), all of it allocated now, writable here and
  /// sealed. `name` is what /proc shows. Throws std::system_error.
  static Mapping create(const char* name, std::size_t bytes);
  /// The same for a ring: behind the header the data lies twice, back to back, so that nothing wraps. Both
  /// sizes are multiples of the page size.
  static Mapping create_ring(const char* name, std::size_t header_bytes, std::size_t data_bytes);

  /// A peer's memory, read-only. nullopt, with the reason in `*why`, if it is shorter than `min_bytes` or not
  /// sealed against shrinking, growing, writable mappings and further seals. The descriptor may be closed
  /// afterwards.
  static std::optional<Mapping> map_read_only(const base::Descriptor& memory, std::size_t min_bytes,
                                              std::string* why);
  /// The same for a ring: everything behind the header is data and lies twice.
  static std::optional<Mapping> map_ring_read_only(const base::Descriptor& memory, std::size_t header_bytes,
                                                   std::string* why);

  Mapping(Mapping&&) noexcept;
  Mapping& operator=(Mapping&&) noexcept;
  ~Mapping();

  [[nodiscard]] const std::byte* data() const noexcept { return address_; }
  /// Only of memory that this process created.
  [[nodiscard]] std::byte* writable() const noexcept;
  /// Bytes of the memfd; what lies twice is counted once.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// The sealed memfd, to be sent to peers; -1 for a peer's memory.
  [[nodiscard]] int descriptor() const noexcept;

 private:
  struct Regions;
  Mapping(std::unique_ptr<Regions> regions, base::Descriptor memory);

  std::unique_ptr<Regions> regions_;
  base::Descriptor memory_;  // open if this process created the memory
  std::byte* address_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace limpet::ipc
