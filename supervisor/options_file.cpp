#include "supervisor/options_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <toml++/toml.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

#include "supervisor/option_table.h"
#include "supervisor/suggestion.h"

namespace limpet::supervisor {
namespace {

constexpr std::string_view kAppTable = "app";
constexpr std::string_view kApplicationKey = "application";

boost::json::value to_json(const toml::node& node) {
  if (const auto* table = node.as_table()) {
    boost::json::object result;
    for (const auto& [key, value] : *table) result[std::string_view(key)] = to_json(value);
    return result;
  }
  if (const auto* array = node.as_array()) {
    boost::json::array result;
    for (const toml::node& each : *array) result.push_back(to_json(each));
    return result;
  }
  if (const auto text = node.value_exact<std::string>()) return boost::json::value(*text);
  if (const auto number = node.value_exact<std::int64_t>()) return *number;
  if (const auto number = node.value_exact<double>()) return *number;
  if (const auto truth = node.value_exact<bool>()) return *truth;
  std::ostringstream date;  // JSON has none: as TOML writes it
  node.visit([&](const auto& value) {
    if constexpr (toml::is_date<decltype(value)> || toml::is_time<decltype(value)> ||
                  toml::is_date_time<decltype(value)>) {
      date << value.get();
    }
  });
  return boost::json::value(date.str());
}

/// A scalar as its text, so that flags and file share one parser. nullopt: a table, or a list in a list.
std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto number = node.value_exact<std::int64_t>()) return std::to_string(*number);
  if (const auto number = node.value_exact<double>()) return fmt::format("{}", *number);
  if (const auto truth = node.value_exact<bool>()) return *truth ? "true" : "false";
  return std::nullopt;
}

std::optional<std::vector<std::string>> values_of(const toml::node& node) {
  std::vector<std::string> result;
  if (const auto* array = node.as_array()) {
    for (const toml::node& each : *array) {
      auto text = scalar_text(each);
      if (!text) return std::nullopt;
      result.push_back(*std::move(text));
    }
    return result;
  }
  auto text = scalar_text(node);
  if (!text) return std::nullopt;
  result.push_back(*std::move(text));
  return result;
}

class Reader {
 public:
  Reader(const std::string& file, Options* options) : file_(file), options_(options) {}

  std::vector<std::string> read(const toml::table& root) {
    for (const auto& [key, node] : root) {
      if (key.str() == kAppTable) {
        take_app(key, node);
      } else if (key.str() == kApplicationKey) {
        take_application(key, node);
      } else if (is_section(key.str())) {
        take_section(key, node);
      } else {
        take_value("", key, node);
      }
    }
    return std::move(mistakes_);
  }

 private:
  static bool is_section(std::string_view name) {
    for (const OptionRow& row : option_table()) {
      if (!row.section.empty() && row.section == name) return true;
    }
    return false;
  }

  void mistake(const toml::source_region& where, const std::string& sentence) {
    mistakes_.push_back(fmt::format("{}:{}: {}", file_, where.begin.line, sentence));
  }

  void take_app(const toml::key& key, const toml::node& node) {
    if (!node.is_table()) return mistake(key.source(), "'app' is no table; [app] begins one");
    options_->app_json = boost::json::serialize(to_json(node));
  }

  void take_application(const toml::key& key, const toml::node& node) {
    auto values = values_of(node);
    if (!values || values->empty()) {
      return mistake(key.source(), "'application' is no program; [\"./app\", \"argument\"] is right");
    }
    options_->application = *std::move(values);
  }

  void take_section(const toml::key& key, const toml::node& node) {
    const auto* table = node.as_table();
    if (table == nullptr)
      return mistake(key.source(), fmt::format("'{0}' is no table; [{0}] begins one", key.str()));
    for (const auto& [inner_key, inner] : *table) take_value(key.str(), inner_key, inner);
  }

  /// [[listen]]: an address each, and what holds for it alone.
  void take_listeners(const toml::array& tables) {
    std::vector<std::string> addresses;
    std::vector<std::vector<GivenFlag>> all;
    for (const toml::node& node : tables) {
      const toml::table& table = *node.as_table();
      std::vector<GivenFlag> given;
      const auto* address = table.get("address");
      if (address == nullptr || !address->is_string())
        mistake(node.source(), "listen: a table without address; address = \"tcp://*:3000\" is one");
      else
        addresses.push_back(address->value_exact<std::string>().value());
      for (const auto& [key, value] : table) {
        if (key.str() != "address") take_of_listener(key, value, &given);
      }
      all.push_back(std::move(given));
    }
    if (!mistakes_.empty()) return;
    for (std::size_t index = 0; index < addresses.size(); ++index) {
      const std::string why = assign(listen_row(), {addresses[index]}, options_);
      if (!why.empty()) return mistake(tables[index].source(), fmt::format("listen.address: {}", why));
    }
    options_->listen = std::move(addresses);
    options_->listen_tables = std::move(all);
  }

  void take_of_listener(const toml::key& key, const toml::node& node, std::vector<GivenFlag>* given) {
    std::vector<std::string> known = {"address"};
    for (std::size_t index = 0; index < option_table().size(); ++index) {
      const OptionRow& row = option_table()[index];
      if (!row.per_listener) continue;
      known.emplace_back(row.key);
      if (row.key != key.str()) continue;
      const auto values = values_of(node);
      Options scratch;
      const std::string why = values ? assign(row, *values, &scratch) : "is a table; a value is right";
      if (!why.empty()) return mistake(key.source(), fmt::format("listen.{}: {}", row.key, why));
      return given->push_back({index, *values});
    }
    const std::string meant = nearest(std::string(key.str()), known);
    mistake(key.source(), fmt::format("unknown key '{}' of a listener; {}", key.str(),
                                      meant.empty() ? fmt::format("{} are known", fmt::join(known, ", "))
                                                    : fmt::format("did you mean '{}'?", meant)));
  }

  static const OptionRow& listen_row() {
    const auto rows = option_table();
    return *std::find_if(rows.begin(), rows.end(),
                         [](const OptionRow& row) { return row.unit == Unit::Addresses; });
  }

  void take_value(std::string_view section, const toml::key& key, const toml::node& node) {
    const OptionRow* row = row_of(section, key);
    if (row == nullptr) return unknown(section, key);
    if (row->unit == Unit::Addresses && node.is_array_of_tables()) return take_listeners(*node.as_array());
    const auto values = values_of(node);
    if (!values)
      return mistake(key.source(), fmt::format("'{}' is a table; a value is right", name_in_file(*row)));
    const std::string why = assign(*row, *values, options_);
    if (!why.empty()) mistake(key.source(), fmt::format("{}: {}", name_in_file(*row), why));
  }

  static const OptionRow* row_of(std::string_view section, const toml::key& key) {
    for (const OptionRow& row : option_table()) {
      if (row.section == section && row.key == key.str()) return &row;
    }
    return nullptr;
  }

  void unknown(std::string_view section, const toml::key& key) {
    const std::string name =
        section.empty() ? std::string(key.str()) : fmt::format("{}.{}", section, key.str());
    std::vector<std::string> known = {std::string(kAppTable), std::string(kApplicationKey)};
    for (const OptionRow& row : option_table()) {
      known.push_back(name_in_file(row));
      if (!row.section.empty()) known.emplace_back(row.section);
      // The right word in the wrong table.
      if (row.key == key.str())
        return mistake(key.source(),
                       fmt::format("unknown key '{}'; did you mean '{}'?", name,
                                   known.back() == row.section ? name_in_file(row) : known.back()));
    }
    const std::string meant = nearest(name, known);
    mistake(key.source(), meant.empty()
                              ? fmt::format("unknown key '{}'; `limpet serve --help` lists all", name)
                              : fmt::format("unknown key '{}'; did you mean '{}'?", name, meant));
  }

  const std::string& file_;
  Options* options_;
  std::vector<std::string> mistakes_;
};

}  // namespace

std::vector<std::string> read_options_file(const std::string& file, Options* options) {
  struct stat status = {};
  if (::stat(file.c_str(), &status) != 0)
    return {fmt::format("{}: cannot be read: {}", file, std::strerror(errno))};
  // A pipe would be empty at the next reload, and who opens one may wait for ever.
  if (!S_ISREG(status.st_mode))
    return {fmt::format("{}: is not a regular file; it is read again at each reload", file)};
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return {fmt::format("{}: cannot be read: {}", file, std::strerror(errno))};
  try {
    return Reader(file, options).read(toml::parse(stream, file));
  } catch (const toml::parse_error& error) {
    return {fmt::format("{}:{}: {}", file, error.source().begin.line, error.description())};
  } catch (const std::exception& error) {
    return {fmt::format("{}: {}", file, error.what())};
  }
}

}  // namespace limpet::supervisor
