// Names with the same std::hash of libstdc++ (MurmurHash64A with a seed that everybody knows), one a line in
// hex:
//   colliding_names COUNT
// Two blocks of 8 bytes: the first is a number, the second is what brings the hash's state back to one value,
// taken if it is ASCII. So any unseeded table keyed by such names is a list.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

namespace {

constexpr std::uint64_t kMul = 0xc6a4a7935bd1e995;
constexpr std::uint64_t kSeed = 0xc70f6907;
constexpr std::size_t kLength = 16;
constexpr std::uint64_t kState = 0x0123456789abcdef;  // of every name after its second block

constexpr std::uint64_t inverse(std::uint64_t odd) {
  std::uint64_t value = odd;
  for (int i = 0; i < 6; ++i) value *= 2 - odd * value;
  return value;
}

constexpr std::uint64_t kInverse = inverse(kMul);
static_assert(kMul * kInverse == 1);

constexpr std::uint64_t shift_mix(std::uint64_t value) { return value ^ (value >> 47); }  // its own inverse
constexpr std::uint64_t mixed(std::uint64_t block) { return shift_mix(block * kMul) * kMul; }
constexpr std::uint64_t unmixed(std::uint64_t block) { return shift_mix(block * kInverse) * kInverse; }

/// A number as 8 ASCII characters.
std::uint64_t letters(std::uint64_t number) {
  std::uint64_t block = 0;
  for (int i = 0; i < 8; ++i, number >>= 4) block |= (('a' + (number & 15)) & 0x7f) << (8 * i);
  return block;
}

}  // namespace

int main(int argc, char** argv) {
  long wanted = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 0;
  std::size_t hash = 0;
  for (std::uint64_t number = 0; wanted > 0; ++number) {
    const std::uint64_t first = letters(number);
    const std::uint64_t state = ((kSeed ^ (kLength * kMul)) ^ mixed(first)) * kMul;
    const std::uint64_t second = unmixed(state ^ (kState * kInverse));
    if ((second & 0x8080808080808080) != 0) continue;
    char name[kLength];
    std::memcpy(name, &first, 8);
    std::memcpy(name + 8, &second, 8);
    const std::size_t its = std::hash<std::string_view>()({name, kLength});
    if (hash != 0 && its != hash) return 1;  // not this library's hash
    hash = its;
    for (const char each : name) std::printf("%02x", static_cast<unsigned char>(each));
    std::printf("\n");
    --wanted;
  }
  return 0;
}
