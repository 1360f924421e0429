// How many descriptors this process may have open (RLIMIT_NOFILE, getrlimit(2)): the soft limit, which is
// often 1,024 of far more. Each process of Limpet raises its own at its start and gives what it found back to
// every program that it starts: one that uses select(2) breaks with a descriptor above 1,023. A limit belongs
// to the process, as this does: for its main thread. Nothing here throws.
//
// A worker lives a little below what it could have, so that the messages of its supervisor find numbers for
// their descriptors whatever its clients and its application have opened (DescriptorReserve).
#pragma once

#include <cstdint>

namespace limpet::base {

/// No soft limit is raised beyond it: some programs walk through all numbers.
inline constexpr std::uint64_t kMostDescriptors = 1'048'576;
/// What set_aside_descriptors() keeps: twice what comes beside one message and a migration stream.
inline constexpr std::uint64_t kReservedDescriptors = 64;
/// Of those, what connections that come from other workers may take.
inline constexpr std::uint64_t kReservedForConnections = 32;

/// To the hard limit, or kMostDescriptors; never lower. Keeps in mind what it was, once.
void raise_descriptor_limit() noexcept;
/// The soft limit now.
[[nodiscard]] std::uint64_t descriptor_limit() noexcept;
/// That of before the first raise; without one, that of now.
[[nodiscard]] std::uint64_t original_descriptor_limit() noexcept;
/// The image before this one has raised it: what it found. 0: it has not.
void remember_descriptor_limit(std::uint64_t original) noexcept;
/// In a child, before exec: async-signal-safe. False with errno set.
[[nodiscard]] bool give_descriptor_limit_back() noexcept;

/// Lowers the soft limit by kReservedDescriptors, behind raise_descriptor_limit(). At most once.
void set_aside_descriptors() noexcept;

/// While it lives, `count` of the reserve may be used; 0, or where nothing was set aside: it does nothing.
/// What was opened meanwhile stays open. Another thread may take them too: for moments only.
class DescriptorReserve {
 public:
  explicit DescriptorReserve(std::uint64_t count) noexcept;
  ~DescriptorReserve();
  DescriptorReserve(const DescriptorReserve&) = delete;
  DescriptorReserve& operator=(const DescriptorReserve&) = delete;

 private:
  bool used_;
};

}  // namespace limpet::base
