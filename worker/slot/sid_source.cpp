#include "worker/slot/sid_source.h"

#include <sys/random.h>

#include <array>

#include "base/descriptor.h"
#include "base/limits.h"
#include "ipc/shared/bucket_table.h"

namespace limpet::slot {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::size_t kBucketCharacters = 2;
/// Random bytes fetched by one system call.
constexpr std::size_t kRefillBytes = 4096;

constexpr std::array<std::uint8_t, 256> make_values() {
  std::array<std::uint8_t, 256> values{};
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<std::uint8_t>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}
constexpr std::array<std::uint8_t, 256> kValues = make_values();

}  // namespace

void SidSource::fill(std::span<char, base::kIdBytes> sid) {
  const std::uint16_t bucket = own_bucket();
  if (random_.size() < base::kIdBytes) refill();
  sid[0] = kAlphabet[bucket >> 6];
  sid[1] = kAlphabet[bucket & 63];
  for (std::size_t i = kBucketCharacters; i < base::kIdBytes; ++i) {
    sid[i] = kAlphabet[random_.back() & 63];
    random_.pop_back();
  }
}

std::uint16_t SidSource::own_bucket() {
  if (random_.size() < sizeof(std::uint16_t)) refill();
  std::uint16_t bucket = random_.back();
  random_.pop_back();
  bucket = static_cast<std::uint16_t>((bucket << 8 | random_.back()) % ipc::kBuckets);
  random_.pop_back();
  if (table_ == nullptr) return bucket;
  // From a random bucket to the next one of ours. A slot without a bucket keeps the random one, for a
  // handshake that was here already when it lost the last: such a session moves like the others.
  for (std::uint16_t step = 0; step < ipc::kBuckets; ++step) {
    const auto candidate = static_cast<std::uint16_t>((bucket + step) % ipc::kBuckets);
    if (table_->owner(candidate) == slot_) return candidate;
  }
  return bucket;
}

void SidSource::refill() {
  random_.resize(kRefillBytes);
  std::size_t have = 0;
  while (have < random_.size()) {
    const ssize_t got = ::getrandom(random_.data() + have, random_.size() - have, 0);
    if (got < 0 && errno == EINTR) continue;
    have += static_cast<std::size_t>(base::require(static_cast<int>(got), "read random bytes"));
  }
}

std::uint16_t bucket_of(std::string_view sid) noexcept {
  return static_cast<std::uint16_t>(kValues[static_cast<std::uint8_t>(sid[0])] << 6 |
                                    kValues[static_cast<std::uint8_t>(sid[1])]);
}

}  // namespace limpet::slot
