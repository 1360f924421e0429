#include "worker/socketio/json_value.h"

#include <stdexcept>
#include <string>
#include <utility>

#include "worker/socketio/json_scan.h"

namespace limpet::socketio {

std::optional<boost::json::value> parse_json(std::string_view text, const boost::json::storage_ptr& storage) {
  boost::json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  boost::json::error_code problem;
  boost::json::value value = boost::json::parse({text.data(), text.size()}, problem, storage, options);
  if (!problem) return value;
  const std::string repaired = without_lone_surrogates(text);
  value = boost::json::parse(repaired, problem, storage, options);
  if (problem) return std::nullopt;
  return value;
}

boost::json::value json_value(std::string_view text, const boost::json::storage_ptr& storage) {
  std::optional<boost::json::value> parsed = parse_json(text, storage);
  if (!parsed) throw std::invalid_argument("JSON text: a number is out of range");
  return std::move(*parsed);
}

}  // namespace limpet::socketio
