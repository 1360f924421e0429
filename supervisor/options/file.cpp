#include "supervisor/options/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <functional>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "base/descriptor.h"
#include "supervisor/options/suggestion.h"
#include "supervisor/options/table.h"

namespace limpet::supervisor {
namespace {

constexpr std::string_view kAppTable = "app";
constexpr std::string_view kApplicationKey = "application";
/// What is larger is no option file.
constexpr std::size_t kMostFileBytes = std::size_t{1} << 20;
/// Of a key.
constexpr int kMostParts = 32;
/// Tables and arrays of [app], one in the other: Boost.JSON reads 32 again in the worker, and the settings
/// are one around them.
constexpr int kMostDepth = 31;
/// Then their number says enough.
constexpr std::size_t kMostMistakes = 20;

/// Throws std::runtime_error in words.
std::string read_whole(const std::string& file) {
  const auto fail = [&file](std::string_view why) {
    throw std::runtime_error(fmt::format("{}: {}", file, why));
  };
  const auto fail_to_read = [&] { fail(fmt::format("cannot be read: {}", std::strerror(errno))); };
  // O_NONBLOCK: whoever opens a FIFO may wait for ever.
  const base::Descriptor opened(::open(file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat status = {};
  if (!opened || ::fstat(opened.get(), &status) != 0) fail_to_read();
  // A pipe would be empty at the next reload.
  if (!S_ISREG(status.st_mode)) fail("is not a regular file; it is read again at each reload");
  std::string text;
  for (;;) {
    char piece[16 * 1024];
    const ssize_t got = ::read(opened.get(), piece, sizeof piece);
    if (got == -1) fail_to_read();
    if (got == 0) return text;
    text.append(piece, static_cast<std::size_t>(got));
    if (text.size() > kMostFileBytes) fail(fmt::format("has more than {} bytes", kMostFileBytes));
  }
}

/// Behind the string that begins at `at`: a closing quote, or for one without, its line's end.
std::size_t end_of_string(std::string_view text, std::size_t at) {
  const char quote = text[at];
  const std::string three(3, quote);
  const bool has_lines = text.substr(at).starts_with(three);
  for (at += has_lines ? 3 : 1; at < text.size(); ++at) {
    if (text[at] == '\\' && quote == '"') {
      ++at;
    } else if (has_lines && text.substr(at).starts_with(three)) {
      // Two more may stand before the three that end it.
      return std::min({text.find_first_not_of(quote, at), at + 5, text.size()});
    } else if (!has_lines && (text[at] == quote || text[at] == '\n')) {
      return at + 1;
    }
  }
  return text.size();
}

/// The line of a key with more than kMostParts parts ("a.a.a"): toml++ makes as many tables of it, one in the
/// other, and its functions go into each by recursion. 0: there is none.
std::size_t line_of_deep_key(std::string_view text) {
  std::size_t line = 1;
  int dots = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    if (text[at] == '"' || text[at] == '\'') {
      at = end_of_string(text, at);
    } else if (text[at] == '#') {
      at = std::min(text.find('\n', at), text.size());
    } else {
      if (text[at] == '.' && ++dots == kMostParts) return line;
      if (std::string_view(",=[]{}\n").find(text[at]) != std::string_view::npos) dots = 0;
      ++at;
    }
    line += static_cast<std::size_t>(std::count(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                                text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
  }
  return 0;
}

struct NoJson {
  toml::source_region where;
  std::string why;
};

/// Throws NoJson.
boost::json::value to_json(const toml::node& node, int depth = 1) {
  if (depth > kMostDepth && (node.is_table() || node.is_array()))
    throw NoJson{node.source(), fmt::format("is nested more than {} deep", kMostDepth)};
  if (const auto* table = node.as_table()) {
    boost::json::object result;
    for (const auto& [key, value] : *table) result[std::string_view(key)] = to_json(value, depth + 1);
    return result;
  }
  if (const auto* array = node.as_array()) {
    boost::json::array result;
    for (const toml::node& each : *array) result.push_back(to_json(each, depth + 1));
    return result;
  }
  if (const auto text = node.value_exact<std::string>()) return boost::json::value(*text);
  if (const auto number = node.value_exact<std::int64_t>()) return *number;
  if (const auto number = node.value_exact<double>()) {
    if (!std::isfinite(*number)) throw NoJson{node.source(), "has nan or inf, which JSON has not"};
    return *number;
  }
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
  Reader(const std::string& file, const std::string& limpet, Options* options)
      : file_(file), limpet_(limpet), options_(options) {}

  FileContents read(const toml::table& root) {
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
    return {told(), std::move(places_)};
  }

 private:
  struct Mistake {
    toml::source_position where;
    std::function<std::string()> sentence;
  };

  /// In the order in which they stand in the file, which is not the one in which toml++ has its keys.
  std::vector<std::string> told() {
    std::stable_sort(mistakes_.begin(), mistakes_.end(),
                     [](const Mistake& one, const Mistake& other) { return one.where < other.where; });
    std::vector<std::string> result;
    for (std::size_t index = 0; index < std::min(mistakes_.size(), kMostMistakes); ++index) {
      const auto& [where, sentence] = mistakes_[index];
      result.push_back(fmt::format("{}: {}", place_of(where), sentence()));
    }
    if (mistakes_.size() > kMostMistakes)
      result.push_back(fmt::format("{}: and {} mistakes more", file_, mistakes_.size() - kMostMistakes));
    return result;
  }

  [[nodiscard]] std::string place_of(const toml::source_position& where) const {
    return fmt::format("{}:{}", file_, where.line);
  }

  static bool is_section(std::string_view name) {
    for (const OptionRow& row : option_table()) {
      if (!row.section.empty() && row.section == name) return true;
    }
    return false;
  }

  void mistake(const toml::source_region& where, std::string sentence) {
    mistakes_.push_back({where.begin, [sentence = std::move(sentence)] { return sentence; }});
  }

  void take_app(const toml::key& key, const toml::node& node) {
    if (!node.is_table()) return mistake(key.source(), "'app' is no table; [app] begins one");
    try {
      options_->app_json = boost::json::serialize(to_json(node));
    } catch (const NoJson& found) {
      mistake(found.where, "[app] " + found.why);
    }
  }

  void take_application(const toml::key& key, const toml::node& node) {
    const toml::array* const words = node.as_array();
    auto values = values_of(node);
    const bool has_numbers = words != nullptr && !words->is_homogeneous(toml::node_type::string);
    if (!values || values->empty() || has_numbers) {
      return mistake(key.source(), "'application' is no program; [\"./app\", \"argument\"] is right");
    }
    for (const std::string& value : *values)
      if (value.find('\0') != std::string::npos)
        return mistake(key.source(), "application: has a zero byte in it; no value may");
    options_->application = *std::move(values);
    options_->application_place = place_of(key.source().begin);
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
      if (auto address = address_of(table)) addresses.push_back(*std::move(address));
      for (const auto& [key, value] : table) {
        if (key.str() != "address") take_of_listener(key, value, &given);
      }
      all.push_back(std::move(given));
    }
    if (!mistakes_.empty()) return;
    options_->listen = std::move(addresses);
    options_->listen_tables = std::move(all);
  }

  std::optional<std::string> address_of(const toml::table& listener) {
    const auto* node = listener.get("address");
    if (node == nullptr || !node->is_string()) {
      mistake(listener.source(), "listen: a table without address; address = \"tcp://*:3000\" is one");
      return std::nullopt;
    }
    std::string text = node->value_exact<std::string>().value();
    Options scratch;
    std::string why = assign(listen_row(), {text}, &scratch);
    if (why.empty() && scratch.listen.size() > 1)
      why = fmt::format("'{}' is more than one; each has a table", text);
    if (why.empty()) return text;
    mistake(node->source(), fmt::format("listen.address: {}", why));
    return std::nullopt;
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
    places_[name_in_file(*row)] = place_of(key.source().begin);
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
    // To find what was meant costs more than all else: only for those that are told.
    mistakes_.push_back(
        {key.source().begin, [this, section = std::string(section), name = std::string(key.str())] {
           return words_for_unknown(section, name);
         }});
  }

  [[nodiscard]] std::string words_for_unknown(const std::string& section, const std::string& key) const {
    const std::string name = section.empty() ? key : fmt::format("{}.{}", section, key);
    for (const OptionRow& row : option_table())
      if (section.empty() && key == name_in_file(row))
        return fmt::format("unknown key \"{0}\"; without quotes {0} is one", key);
    std::vector<std::string> known = {std::string(kAppTable), std::string(kApplicationKey)};
    for (const OptionRow& row : option_table()) {
      known.push_back(name_in_file(row));
      if (!row.section.empty()) known.emplace_back(row.section);
      // The right word in the wrong table.
      if (row.key == key)
        return fmt::format("unknown key '{}'; did you mean '{}'?", name,
                           known.back() == row.section ? name_in_file(row) : known.back());
    }
    const std::string meant = nearest(name, known);
    return meant.empty() ? fmt::format("unknown key '{}'; `{} serve --help` lists all", name, limpet_)
                         : fmt::format("unknown key '{}'; did you mean '{}'?", name, meant);
  }

  const std::string& file_;
  const std::string& limpet_;
  Options* options_;
  std::vector<Mistake> mistakes_;
  std::map<std::string, std::string> places_;
};

bool is_toml(const std::string& text) {
  try {
    (void)toml::parse(text);
    return true;
  } catch (const toml::parse_error&) {
    return false;
  }
}

/// The byte of `text` that stands at `where`, whose columns are characters.
std::size_t byte_at(std::string_view text, const toml::source_position& where) {
  std::size_t at = 0;
  for (toml::source_index line = 1; line < where.line && at < text.size(); ++line)
    at = std::min(text.find('\n', at), text.size() - 1) + 1;
  const auto continues = [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; };
  for (toml::source_index column = 1; column < where.column && at < text.size(); ++column) {
    ++at;
    while (at < text.size() && continues(text[at])) ++at;
  }
  return at;
}

/// The text without quotes that stands there in place of a value: `log_level = info`. "": there is none.
std::string unquoted_text_at(std::string_view text, const toml::source_position& where) {
  constexpr std::string_view kBlanks = " \t\r\n";
  constexpr std::string_view kNoPart = " \t\r\n,=[]{}\"'#";
  std::size_t begin = byte_at(text, where);
  while (begin > 0 && kNoPart.find(text[begin - 1]) == std::string_view::npos) --begin;
  const std::string word(text.substr(begin, text.find_first_of(kNoPart, begin) - begin));
  const std::size_t before = begin == 0 ? begin : text.find_last_not_of(kBlanks, begin - 1);
  if (word.empty() || before >= begin || std::string_view("=[,").find(text[before]) == std::string_view::npos)
    return "";
  // A line that begins with a bracket is the head of a table.
  const std::size_t line = text.rfind('\n', before) + 1;
  if (text[text.find_first_not_of(kBlanks, line)] == '[') return "";
  return !is_toml("x = " + word) && is_toml("x = \"" + word + "\"") ? word : "";
}

std::string words_for(const toml::parse_error& error, std::string_view text) {
  const std::string unquoted = unquoted_text_at(text, error.source().begin);
  if (unquoted.empty()) return std::string(error.description());
  return fmt::format("{} has no quotes; text must stand between quotes, as in \"text\" ({})", unquoted,
                     error.description());
}

}  // namespace

FileContents read_options_file(const std::string& file, const std::string& limpet, Options* options) {
  std::string text;
  try {
    text = read_whole(file);
    if (const std::size_t line = line_of_deep_key(text); line > 0)
      return {{fmt::format("{}:{}: a key with more than {} parts", file, line, kMostParts)}, {}};
    return Reader(file, limpet, options).read(toml::parse(text, file));
  } catch (const toml::parse_error& error) {
    return {{fmt::format("{}:{}: {}", file, error.source().begin.line, words_for(error, text))}, {}};
  } catch (const std::exception& error) {
    return {{error.what()}, {}};
  }
}

}  // namespace limpet::supervisor
