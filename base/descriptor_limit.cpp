#include "base/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>

namespace limpet::base {
namespace {

/// 0: it was never raised.
std::uint64_t original = 0;
/// What can be used without the reserve; 0: nothing is set aside.
std::uint64_t below_reserve = 0;

rlimit limits() noexcept {
  rlimit result{};
  ::getrlimit(RLIMIT_NOFILE, &result);
  return result;
}

bool set_soft_limit(std::uint64_t soft) noexcept {
  rlimit wanted = limits();
  wanted.rlim_cur = soft;
  return ::setrlimit(RLIMIT_NOFILE, &wanted) == 0;
}

}  // namespace

void raise_descriptor_limit() noexcept {
  const rlimit found = limits();
  if (original == 0) original = found.rlim_cur;
  const rlim_t wanted = std::min<rlim_t>(found.rlim_max, kMostDescriptors);
  // Refused where fs.nr_open has become lower than the hard limit: then it stays as it is.
  if (wanted > found.rlim_cur) (void)set_soft_limit(wanted);
}

std::uint64_t descriptor_limit() noexcept { return limits().rlim_cur; }

std::uint64_t original_descriptor_limit() noexcept { return original == 0 ? descriptor_limit() : original; }

void remember_descriptor_limit(std::uint64_t of_image_before) noexcept { original = of_image_before; }

bool give_descriptor_limit_back() noexcept { return original == 0 || set_soft_limit(original); }

void set_aside_descriptors() noexcept {
  const std::uint64_t whole = descriptor_limit();
  // A worker of a supervisor has far more: that one counts before it starts.
  if (below_reserve != 0 || whole <= 2 * kReservedDescriptors) return;
  if (set_soft_limit(whole - kReservedDescriptors)) below_reserve = whole - kReservedDescriptors;
}

DescriptorReserve::DescriptorReserve(std::uint64_t count) noexcept : used_(count > 0 && below_reserve != 0) {
  if (used_) (void)set_soft_limit(below_reserve + std::min(count, kReservedDescriptors));
}

DescriptorReserve::~DescriptorReserve() {
  if (used_) (void)set_soft_limit(below_reserve);
}

}  // namespace limpet::base
