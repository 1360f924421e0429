// The memory that this process may use at the most, for defaults that are a share of it.
#pragma once

#include <cstdint>
#include <string>

namespace limpet::base {

/// The machine's memory, or less if the cgroup (v1 or v2) that we are in, or one above it, has a limit. In
/// bytes, never 0. `root`: "" but in tests.
[[nodiscard]] std::uint64_t usable_memory(const std::string& root = "");

/// What clients may make each of `workers` hold if nobody says otherwise: a quarter of that, divided by them.
[[nodiscard]] std::uint64_t default_memory_of_worker(std::uint64_t workers);

}  // namespace limpet::base
