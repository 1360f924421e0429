// By which another file is known from this one: also one that has the same place with other contents
// (base/file_id.h is the place alone). A value.
#pragma once

#include <cstdint>

namespace limpet::supervisor {

struct FileMark {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;  ///< 0: not known
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;
  bool operator==(const FileMark&) const = default;
};

}  // namespace limpet::supervisor
