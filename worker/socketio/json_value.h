// Text that json_scan.h has found valid, as a value: lone surrogates, which boost::json refuses, become
// U+FFFD.
#pragma once

#include <boost/json.hpp>
#include <optional>
#include <string_view>

namespace limpet::socketio {

/// In memory of `storage`, which outlives it. Nothing: a number is out of range.
[[nodiscard]] std::optional<boost::json::value> parse_json(std::string_view text,
                                                           const boost::json::storage_ptr& storage = {});
/// The same; throws std::invalid_argument instead.
[[nodiscard]] boost::json::value json_value(std::string_view text,
                                            const boost::json::storage_ptr& storage = {});

}  // namespace limpet::socketio
