#include "worker/loop/keyed_hash.h"

#include <sodium/core.h>
#include <sodium/crypto_shorthash.h>

#include <array>
#include <cstdlib>

namespace limpet::loop {
namespace {

struct Key {
  Key() noexcept {
    if (::sodium_init() < 0) std::abort();  // no random numbers on this machine: nothing could be kept secret
    ::crypto_shorthash_keygen(bytes.data());
  }
  std::array<unsigned char, crypto_shorthash_KEYBYTES> bytes{};
};

}  // namespace

std::uint64_t keyed_hash(std::string_view bytes) noexcept {
  static const Key key;
  std::uint64_t hash = 0;
  static_assert(sizeof hash == crypto_shorthash_BYTES);
  (void)::crypto_shorthash(reinterpret_cast<unsigned char*>(&hash),
                           reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                           key.bytes.data());
  return hash;
}

}  // namespace limpet::loop
