#include "ipc/shared/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/interprocess/mapped_region.hpp>
#include <utility>

#include "base/check.h"

namespace limpet::ipc {
namespace {

namespace bip = boost::interprocess;

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;
constexpr int kFinalSeals = F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
constexpr unsigned kNoExecSeal = 8;  // MFD_NOEXEC_SEAL, Linux 6.3; Debian 12's headers do not have it

// What Boost.Interprocess calls a memory-mappable object: anything with a descriptor.
class Mappable {
 public:
  explicit Mappable(int descriptor) noexcept : descriptor_(descriptor) {}
  [[nodiscard]] bip::mapping_handle_t get_mapping_handle() const noexcept {
    bip::mapping_handle_t handle{};
    handle.handle = descriptor_;
    return handle;
  }

 private:
  int descriptor_;
};

std::size_t page_bytes() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

std::size_t whole_pages(std::size_t bytes) {
  return (bytes + page_bytes() - 1) / page_bytes() * page_bytes();
}

base::Descriptor open_memory(const char* name) {
  int number = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | kNoExecSeal);
  if (number == -1 && errno == EINVAL) number = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  return base::Descriptor(base::require(number, std::string("create shared memory ") + name));
}

// Allocated now: a full machine is an error here and not a SIGBUS in a publish.
base::Descriptor create_memory(const char* name, std::size_t bytes) {
  base::Descriptor memory = open_memory(name);
  base::require(::fallocate(memory.get(), 0, 0, static_cast<off_t>(bytes)),
                std::string("allocate shared memory ") + name);
  base::require(::fcntl(memory.get(), F_ADD_SEALS, kSizeSeals), std::string("seal the size of ") + name);
  return memory;
}

// After this the mapping made before is the only writable one that there will ever be.
void seal_for_good(const base::Descriptor& memory, const char* name) {
  base::require(::fcntl(memory.get(), F_ADD_SEALS, kFinalSeals), std::string("seal shared memory ") + name);
}

bip::mapped_region map_region(const base::Descriptor& memory, bip::mode_t mode, std::size_t offset,
                              std::size_t bytes, const std::byte* at = nullptr) {
  int options = mode == bip::read_write ? MAP_POPULATE : 0;
  if (at != nullptr) options |= MAP_FIXED;
  try {
    return bip::mapped_region(Mappable(memory.get()), mode, static_cast<bip::offset_t>(offset), bytes, at,
                              options);
  } catch (const bip::interprocess_exception& failure) {
    base::throw_system_error("map shared memory", failure.get_native_error());
  }
}

// The size of a peer's memory, or nullopt with the reason.
std::optional<std::size_t> checked_size(const base::Descriptor& memory, std::size_t min_bytes,
                                        std::string* why) {
  struct stat status {};
  const int seals = ::fcntl(memory.get(), F_GET_SEALS);
  if (seals == -1 || ::fstat(memory.get(), &status) == -1) {
    *why = "shared memory: not a memfd";
    return std::nullopt;
  }
  if ((seals & (kSizeSeals | kFinalSeals)) != (kSizeSeals | kFinalSeals)) {
    *why = "shared memory: not sealed (seals " + std::to_string(seals) + ")";
    return std::nullopt;
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size < min_bytes || size % page_bytes() != 0) {
    *why = "shared memory: " + std::to_string(size) + " bytes, wanted pages of at least " +
           std::to_string(min_bytes);
    return std::nullopt;
  }
  return size;
}

}  // namespace

struct Mapping::Regions {
  static std::unique_ptr<Regions> once(const base::Descriptor& memory, bip::mode_t mode, std::size_t bytes);
  static std::unique_ptr<Regions> data_twice(const base::Descriptor& memory, bip::mode_t mode,
                                             std::size_t header_bytes, std::size_t data_bytes);

  bip::mapped_region whole;
  bip::mapped_region data_again;
};

std::unique_ptr<Mapping::Regions> Mapping::Regions::once(const base::Descriptor& memory, bip::mode_t mode,
                                                         std::size_t bytes) {
  auto regions = std::make_unique<Regions>();
  regions->whole = map_region(memory, mode, 0, bytes);
  return regions;
}

// Reserves the addresses first, so that MAP_FIXED replaces nothing of anybody else's.
std::unique_ptr<Mapping::Regions> Mapping::Regions::data_twice(const base::Descriptor& memory,
                                                               bip::mode_t mode, std::size_t header_bytes,
                                                               std::size_t data_bytes) {
  auto regions = std::make_unique<Regions>();
  const std::size_t once_bytes = header_bytes + data_bytes;
  void* reserved =
      ::mmap(nullptr, once_bytes + data_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) base::throw_system_error("reserve addresses for a ring");
  auto* base = static_cast<std::byte*>(reserved);
  std::size_t taken = 0;
  try {
    regions->whole = map_region(memory, mode, 0, once_bytes, base);
    taken = once_bytes;
    regions->data_again = map_region(memory, mode, header_bytes, data_bytes, base + once_bytes);
  } catch (...) {
    ::munmap(base + taken, once_bytes + data_bytes - taken);
    throw;
  }
  return regions;
}

Mapping::Mapping(std::unique_ptr<Regions> regions, base::Descriptor memory)
    : regions_(std::move(regions)),
      memory_(std::move(memory)),
      address_(static_cast<std::byte*>(regions_->whole.get_address())),
      size_(regions_->whole.get_size()) {}

Mapping::Mapping(Mapping&&) noexcept = default;
Mapping& Mapping::operator=(Mapping&&) noexcept = default;
Mapping::~Mapping() = default;

Mapping Mapping::create(const char* name, std::size_t bytes) {
  bytes = whole_pages(bytes);
  base::Descriptor memory = create_memory(name, bytes);
  auto regions = Regions::once(memory, bip::read_write, bytes);
  seal_for_good(memory, name);
  return {std::move(regions), std::move(memory)};
}

Mapping Mapping::create_ring(const char* name, std::size_t header_bytes, std::size_t data_bytes) {
  CHECK(header_bytes == whole_pages(header_bytes) && data_bytes == whole_pages(data_bytes) && data_bytes > 0,
        "a ring's header and data are whole pages");
  base::Descriptor memory = create_memory(name, header_bytes + data_bytes);
  auto regions = Regions::data_twice(memory, bip::read_write, header_bytes, data_bytes);
  seal_for_good(memory, name);
  return {std::move(regions), std::move(memory)};
}

std::optional<Mapping> Mapping::map_read_only(const base::Descriptor& memory, std::size_t min_bytes,
                                              std::string* why) {
  const auto size = checked_size(memory, min_bytes, why);
  if (!size) return std::nullopt;
  try {
    return Mapping(Regions::once(memory, bip::read_only, *size), base::Descriptor());
  } catch (const std::system_error& failure) {
    *why = failure.what();
    return std::nullopt;
  }
}

std::optional<Mapping> Mapping::map_ring_read_only(const base::Descriptor& memory, std::size_t header_bytes,
                                                   std::string* why) {
  const auto size = checked_size(memory, header_bytes + page_bytes(), why);
  if (!size) return std::nullopt;
  try {
    return Mapping(Regions::data_twice(memory, bip::read_only, header_bytes, *size - header_bytes),
                   base::Descriptor());
  } catch (const std::system_error& failure) {
    *why = failure.what();
    return std::nullopt;
  }
}

std::byte* Mapping::writable() const noexcept {
  CHECK(memory_, "only the process that created shared memory writes it");
  return address_;
}

int Mapping::descriptor() const noexcept { return memory_.get(); }

}  // namespace limpet::ipc
