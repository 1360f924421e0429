// The version of this build.
#pragma once

namespace limpet::supervisor {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace limpet::supervisor
