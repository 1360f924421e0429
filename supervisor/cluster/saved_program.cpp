#include "supervisor/cluster/saved_program.h"

#include <fmt/format.h>

#include "supervisor/options/table.h"
#include "supervisor/upgrade/descriptors.h"

namespace limpet::supervisor {
namespace {

/// What the [[listen]] table of one address says goes by the name listen[2].backlog.
std::string name_in_state(std::size_t listener, const OptionRow& row) {
  return fmt::format("listen[{}].{}", listener, name_in_file(row));
}

/// "" or what is wrong with one option. Those of listeners come behind `listen`, of which there may be a few.
std::string restore_option(const upgrade::NamedValues& from, Options* into) {
  const auto table = option_table();
  for (std::size_t number = 0; number < table.size(); ++number) {
    const OptionRow& row = table[number];
    std::string why;
    if (name_in_file(row) == from.name) {
      why = assign(row, from.values, into);
      return why.empty() ? "" : fmt::format("option {}: {}", from.name, why);
    }
    for (std::size_t listener = 0; listener < into->listen.size(); ++listener) {
      if (name_in_state(listener, row) != from.name) continue;
      Options scratch;
      why = assign(row, from.values, &scratch);
      if (!why.empty()) return fmt::format("option {}: {}", from.name, why);
      into->listen_tables.resize(into->listen.size());
      into->listen_tables[listener].push_back({number, from.values});
      return "";
    }
  }
  return fmt::format("option {}: there is none of that name", from.name);
}

RunningFile restore_file(const upgrade::ProgramState& state, const base::Descriptor& image) {
  // Of a script nothing is open, and an older build has told no mark.
  RunningFile file =
      image ? running_file(state.executable, image) : RunningFile{state.executable, state.executable, {}};
  if (state.mark != FileMark{}) file.mark = state.mark;
  return file;
}

}  // namespace

std::string objection_to(const upgrade::ProgramState& program) {
  Options ignored;
  for (const upgrade::NamedValues& each : program.options) {
    if (std::string why = restore_option(each, &ignored); !why.empty()) return why;
  }
  return "";
}

upgrade::ProgramState save(const Program& program) {
  upgrade::ProgramState state;
  // Not what stands at its default: an image of an older build may not know that there is such an option.
  const Options defaults = load_options(CommandLine{}).options;
  for (const OptionRow& row : option_table()) {
    std::vector<std::string> values = values_of(row, program.options);
    if (values != values_of(row, defaults)) state.options.push_back({name_in_file(row), std::move(values)});
  }
  for (std::size_t listener = 0; listener < program.options.listen_tables.size(); ++listener) {
    for (const GivenFlag& given : program.options.listen_tables[listener])
      state.options.push_back({name_in_state(listener, option_table()[given.row]), given.values});
  }
  state.application = program.options.application;
  state.executable = program.file.name;
  state.arguments = program.arguments;
  state.image = program.image.get();
  state.settings = program.settings.get();
  state.directory = program.directory.get();
  state.mark = program.file.mark;
  return state;
}

Options restore_options(const upgrade::ProgramState& state) {
  // Defaults for what the image before did not know.
  Options options = load_options(CommandLine{}).options;
  for (const upgrade::NamedValues& each : state.options) (void)restore_option(each, &options);
  options.application = state.application;
  return options;
}

std::vector<SharedProgram> restore_programs(const upgrade::SupervisorState& state) {
  std::vector<SharedProgram> result;
  for (const upgrade::ProgramState& each : state.programs) {
    auto program = std::make_shared<Program>();
    program->options = restore_options(each);
    program->arguments = each.arguments;
    program->image = adopt(each.image);
    program->directory = adopt(each.directory);
    program->file = restore_file(each, program->image);
    program->settings = adopt(each.settings);
    result.push_back(std::move(program));
  }
  return result;
}

}  // namespace limpet::supervisor
