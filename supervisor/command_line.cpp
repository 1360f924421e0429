#include "supervisor/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "base/limits.h"
#include "supervisor/options/suggestion.h"
#include "supervisor/options/table.h"
#include "supervisor/system/runtime_dir.h"
#include "supervisor/system/version.h"

namespace limpet::supervisor {
namespace {

constexpr int kUsage = 2;

constexpr const char* kServeFooter =
    "\nFile (-c FILE) keys are those in [brackets]; a flag beats the file. Table [app] of the file is the "
    "application's.\n"
    "The application's own options come after --: limpet serve ./app -- --its-option\n";

std::string unit_hint(const OptionRow& row) {
  switch (row.unit) {
    case Unit::Duration:
      return "TIME";
    case Unit::Bytes:
      return "SIZE";
    case Unit::Memory:
      return "SIZE|auto";
    case Unit::Plain:
      return "N";
    case Unit::Workers:
      return "N|auto";
    case Unit::Addresses:
      return "ADDRESS";
    case Unit::Networks:
      return "NETWORK";
    case Unit::Mode:
      return "MODE";
    case Unit::AddressHeader:
    case Unit::Placement:
      return "NAME";
    case Unit::Transports:
      return "LIST";
    case Unit::Text:
      return "TEXT";
    case Unit::LogLevel:
      return "LEVEL";
    case Unit::Switch:
      return "";
  }
  return "";
}

std::string help_of(const OptionRow& row) {
  const std::string standard = row.default_text.empty() || row.unit == Unit::Switch
                                   ? ""
                                   : fmt::format(" (default {})", row.default_text);
  return fmt::format("{}{} [{}]", row.help, standard, name_in_file(row));
}

/// Holds what CLI11 writes into while it parses.
struct ServeWords {
  CommandLine result;
  std::vector<std::vector<std::string>> values{option_table().size()};
  std::vector<CLI::Option*> options;
};

void add_option(CLI::App* serve, std::size_t index, ServeWords* words) {
  const OptionRow& row = option_table()[index];
  const std::string help = help_of(row);
  CLI::Option* option = nullptr;
  if (row.unit == Unit::Switch) {
    option = serve->add_flag(std::string(row.flag), help)->disable_flag_override();
  } else {
    option = serve->add_option(std::string(row.flag), words->values[index], help);
    option->expected(1)->allow_extra_args(false)->type_name(unit_hint(row));
    const bool is_list = std::holds_alternative<std::vector<std::string> Options::*>(row.member);
    option->multi_option_policy(is_list ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::TakeLast);
  }
  words->options.push_back(option);
}

CLI::App* add_serve(CLI::App* app, ServeWords* words) {
  CLI::App* serve = app->add_subcommand("serve", "run a cluster of workers");
  serve
      ->add_option("application", words->result.application,
                   "the application and its arguments; default: chat, beside limpet")
      ->type_name("[APP [ARGS...]]");
  serve->add_option("-c,--config", words->result.file, "read options from this file (limpet.toml)")
      ->type_name("FILE");
  serve->add_flag("--check", words->result.check_only, "check the options and the file, say so, and exit")
      ->disable_flag_override();
  for (std::size_t index = 0; index < option_table().size(); ++index) add_option(serve, index, words);
  serve->footer(kServeFooter);
  return serve;
}

CommandLine finish(ServeWords* words) {
  for (std::size_t index = 0; index < option_table().size(); ++index) {
    if (words->options[index]->count() == 0) continue;
    const OptionRow& row = option_table()[index];
    const std::vector<std::string> turned = {row.default_text == "true" ? "false" : "true"};
    words->result.flags.push_back({index, row.unit == Unit::Switch ? turned : words->values[index]});
  }
  return std::move(words->result);
}

/// CLI11 takes octal and hexadecimal numbers, signs, blanks and "nan" as well.
bool is_decimal(std::string_view word) {
  return !word.empty() && word.find_first_not_of("0123456789.") == std::string_view::npos &&
         std::count(word.begin(), word.end(), '.') <= 1 && word.back() != '.' &&
         (word.front() != '0' || word.size() == 1 || word[1] == '.');
}

CLI::Validator number_of_workers() {
  const auto complaint = [](const std::string& word) -> std::string {
    const bool good = is_decimal(word) && word.size() <= 3 && word.find('.') == std::string::npos &&
                      std::stoi(word) >= 1 && std::stoi(word) <= base::kMostSlots;
    return good ? "" : fmt::format("'{}' is no number of workers; 1 to {} is right", word, base::kMostSlots);
  };
  return {complaint, "", "workers"};
}

CLI::Validator number_of_seconds() {
  const auto complaint = [](const std::string& word) -> std::string {
    const bool good =
        is_decimal(word) && word.size() <= 20 && std::stod(word) >= 0.001 && std::stod(word) <= 1e6;
    return good ? "" : fmt::format("'{}' is no number of seconds; 0.001 to 1000000 is right", word);
  };
  return {complaint, "", "seconds"};
}

CLI::App* add_ctl(CLI::App* app, CtlCommand* command) {
  CLI::App* ctl = app->add_subcommand("ctl", "inspect and control a running cluster");
  ctl->add_option("--runtime-dir", command->runtime_dir,
                  "of the supervisor to talk to (default " + default_runtime_dir() + ")")
      ->type_name("DIR");
  ctl->require_subcommand(1);
  for (const CtlVerb& verb : ctl_verbs()) {
    CLI::App* each = ctl->add_subcommand(std::string(verb.name), std::string(verb.help));
    each->add_option("--runtime-dir", command->runtime_dir, "as before the verb")->type_name("DIR");
    if (verb.has_json)
      each->add_flag("--json", command->json, "as JSON, with a schema_version")->disable_flag_override();
    if (verb.has_now)
      each->add_flag("--now", command->now, "do not drain: kill the workers")->disable_flag_override();
    if (verb.has_count) {
      each->add_option("workers", command->count, "how many")
          ->type_name("N")
          ->required()
          ->check(number_of_workers());
    }
    if (verb.waits) {
      each->add_flag("--no-wait", command->no_wait, "exit as soon as the operation has begun, or was refused")
          ->disable_flag_override();
      each->add_option("--timeout", command->timeout_s, "stop waiting after this time; the operation goes on")
          ->type_name("SECONDS")
          ->check(number_of_seconds());
    }
    each->callback([command, &verb] { command->verb = &verb; });
  }
  ctl->footer(
      "\nExit codes: 0 done, 1 refused or failed, 2 usage, 3 no supervisor runs there, 124 --timeout.\n");
  return ctl;
}

/// "--now, --no-wait, --timeout SECONDS, --runtime-dir DIR"
std::string words_of(const CLI::App& verb) {
  std::string result;
  for (const CLI::Option* each : verb.get_options()) {
    const std::string name = each->get_positional() ? each->get_type_name() : each->get_name();
    if (name == "-h,--help" || name == "--help") continue;
    const bool has_value = !each->get_positional() && each->get_items_expected_max() > 0;
    result +=
        fmt::format("{}{}{}", result.empty() ? "" : ", ", name, has_value ? " " + each->get_type_name() : "");
  }
  return result;
}

/// The options that a command has, as they are written.
std::vector<std::string> names_of_options(const CLI::App& command) {
  std::vector<std::string> result;
  for (const CLI::Option* each : command.get_options()) {
    if (!each->get_positional()) result.push_back("--" + each->get_lnames().front());
  }
  return result;
}

/// An option that stands at the end without its value, or one that has none with one; "" if that is not what
/// is wrong.
std::string missing_value(const CLI::App& command, const CLI::ParseError& error) {
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) == nullptr) return "";
  const std::string text = error.what();  // "--timeout: 1 required SECONDS missing"
  if (text.ends_with("disallowed flag override"))
    return fmt::format("--{} takes no value: it is there, or it is not", text.substr(0, text.find(' ')));
  const std::string name = text.substr(0, text.find(':'));
  const CLI::Option* option = command.get_option_no_throw(name);
  if (option == nullptr) return "";
  return fmt::format("{0} needs a value: {0} {1}", name, option->get_type_name());
}

/// What is wrong with the words behind `serve`, where CLI11 says it in words of its own; "" else.
std::string misused_serve(const CLI::App& serve, const CLI::ParseError& error) {
  const std::vector<std::string> extras = serve.remaining();
  if (extras.empty()) return missing_value(serve, error);
  const std::string word = extras.front().substr(0, extras.front().find('='));
  const std::string meant = nearest(word, names_of_options(serve));
  return fmt::format(
      "serve: '{}' means nothing to it; {}", word,
      meant.empty() ? "options of the application come after --" : fmt::format("did you mean {}?", meant));
}

/// What is wrong with the words behind a verb of `ctl`, where CLI11 says it in words of its own; "" else.
std::string misused_verb(const CLI::App& ctl, const CLI::ParseError& error, const std::string& limpet) {
  const auto verbs = ctl.get_subcommands();
  if (verbs.empty()) return "";
  const CLI::App& verb = *verbs.front();
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr)
    return fmt::format("{0}: a number of workers is missing, 1 to {2}: `{1} ctl {0} 4`", verb.get_name(),
                       limpet, base::kMostSlots);
  const std::vector<std::string> extras = verb.remaining();
  if (extras.empty()) {
    const std::string of_verb = missing_value(verb, error);
    return of_verb.empty() ? missing_value(ctl, error) : of_verb;
  }
  const std::string& word = extras.front();
  const std::string meant = nearest(word, names_of_options(verb));
  return fmt::format(
      "{}: '{}' means nothing to it; {}", verb.get_name(), word,
      meant.empty() ? fmt::format("it takes {}", words_of(verb)) : fmt::format("did you mean {}?", meant));
}

/// What is wrong with the words if they name no command, or no verb of `ctl`; "" if they do.
std::string unknown_command(int count, char** words, const std::string& limpet) {
  if (count < 2) return "limpet needs a command: serve or ctl";
  const std::string command = words[1];
  if (command == "serve") return "";
  if (command.starts_with("-"))
    return fmt::format("'{}' means nothing to limpet; it needs a command: serve or ctl", command);
  if (command == "help") return fmt::format("help: no command of limpet; did you mean `{} --help`?", limpet);
  std::vector<std::string> verbs;
  for (const CtlVerb& verb : ctl_verbs()) verbs.emplace_back(verb.name);
  const auto is_verb = [&verbs](const std::string& word) {
    return std::find(verbs.begin(), verbs.end(), word) != verbs.end();
  };
  if (command != "ctl" && is_verb(command))
    return fmt::format("{0}: no command of limpet; did you mean `{1} ctl {0}`?", command, limpet);
  if (command != "ctl") {
    const std::string meant = nearest(command, {"serve", "ctl"});
    return fmt::format("{}: no command of limpet; did you mean `{} {}`?", command, limpet,
                       meant.empty() ? "serve " + command : meant);
  }
  std::string first;
  for (int index = 2; index < count; ++index) {
    const std::string word = words[index];
    if (is_verb(word)) return "";
    if (word == "--runtime-dir") ++index;
    if (!word.starts_with("-") && first.empty()) first = word;
  }
  if (first.empty()) return fmt::format("ctl needs a verb: {}", fmt::join(verbs, ", "));
  if (first == "start") return fmt::format("start: no verb of ctl; `{} serve` starts a server", limpet);
  const std::string meant = first == "restart" ? "reload" : nearest(first, verbs);
  return fmt::format("{}: no verb of ctl; {}", first,
                     meant.empty() ? fmt::format("it has {}", fmt::join(verbs, ", "))
                                   : fmt::format("did you mean {}?", meant));
}

/// How many words there are before `--`, with which `serve` says that the rest is the application and its own
/// words: CLI11 refuses it behind the application.
int count_before_application(int count, char** words) {
  if (count < 2 || std::string_view(words[1]) != "serve") return count;
  return static_cast<int>(std::find(words, words + count, std::string_view("--")) - words);
}

}  // namespace

Command parse_command_line(int count, char** words, const std::string& limpet) {
  const int own = count_before_application(count, words);
  CLI::App app(
      "Limpet: a server for real-time applications. One worker per CPU, clients stay with their worker.",
      "limpet");
  app.set_version_flag("--version", std::string("limpet ") + kVersion);
  app.require_subcommand(1);
  ServeWords serve_words;
  CtlCommand ctl_command;
  const CLI::App* serve = add_serve(&app, &serve_words);
  const CLI::App* ctl = add_ctl(&app, &ctl_command);
  ctl_command.limpet = limpet;
  try {
    app.parse(own, words);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return ExitNow{app.exit(error)};
    std::string why = unknown_command(count, words, limpet);
    if (why.empty()) why = serve->parsed() ? misused_serve(*serve, error) : misused_verb(*ctl, error, limpet);
    if (why.empty()) why = error.what();
    std::fprintf(stderr, "limpet: %s\nlimpet: `%s%s --help` says more\n", why.c_str(), limpet.c_str(),
                 serve->parsed()                               ? " serve"
                 : count > 1 && std::string(words[1]) == "ctl" ? " ctl"
                                                               : "");
    return ExitNow{kUsage};
  }
  if (serve->parsed()) {
    CommandLine result = finish(&serve_words);
    for (int index = own + 1; index < count; ++index) result.application.emplace_back(words[index]);
    return result;
  }
  return ctl_command;
}

}  // namespace limpet::supervisor
