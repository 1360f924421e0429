// Why a client is refused, or why no reply came.
#pragma once

#include <boost/json.hpp>
#include <optional>
#include <string>

namespace limpet::socketio {

struct Error {
  std::string message;
  /// Sent to a refused client as the `data` of its error.
  std::optional<boost::json::value> data = std::nullopt;
};

}  // namespace limpet::socketio
