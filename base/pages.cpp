#include "base/pages.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>

namespace limpet::base {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

/// To those pages that lie wholly in the memory.
void advise(void* memory, std::size_t bytes, std::size_t page, std::size_t least, int advice) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  const std::size_t skipped = (page - begin % page) % page;
  if (bytes < skipped + least) return;
  const int error = errno;  // whoever asks for memory does not expect it to change
  ::madvise(static_cast<char*>(memory) + skipped, (bytes - skipped) / page * page, advice);
  errno = error;
}

}  // namespace

void make_resident(void* memory, std::size_t bytes) noexcept {
#ifdef MADV_POPULATE_WRITE
  if (bytes >= kWorthMakingResident) advise(memory, bytes, kPage, kPage, MADV_POPULATE_WRITE);
#else
  (void)memory, (void)bytes;
#endif
}

void prefer_huge_pages(void* memory, std::size_t bytes) noexcept {
  advise(memory, bytes, kHugePage, 2 * kHugePage, MADV_HUGEPAGE);
}

}  // namespace limpet::base
