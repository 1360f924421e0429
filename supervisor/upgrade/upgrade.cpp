#include "supervisor/upgrade/upgrade.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "supervisor/options/settings.h"
#include "supervisor/system/log.h"
#include "supervisor/upgrade/descriptors.h"

extern char** environ;

namespace limpet::supervisor {
namespace {

constexpr const char* kVariable = "LIMPET_TAKE_OVER";
constexpr std::string_view kTrial = "trial";
constexpr std::string_view kNow = "now";
constexpr const char* kCanTakeOver = "limpet: can take over\n";
constexpr int kStateOfTrial = 3;
constexpr std::chrono::milliseconds kTrialDeadline{10'000};
/// Of what a trial says: it stands in one line of a verdict.
constexpr std::size_t kSaidLimit = 4096;

/// A sealed memfd: whoever reads it reads what was written.
base::Descriptor memory_with(const upgrade::SupervisorState& state) {
  const std::vector<std::byte> bytes = encode(state);
  return sealed_memory("limpet state", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

/// Of this process, as it was started: `ps` shows the same before and after.
std::vector<std::string> own_command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  return words;
}

}  // namespace

Trial::Trial(Loop& loop, const StartPlace& place, const upgrade::SupervisorState& state, Verdict verdict)
    : loop_(loop), verdict_(std::move(verdict)), deadline_(loop) {
  try {
    begin(place, state);
  } catch (const std::system_error& failure) {
    // From the loop, as promised.
    deadline_.start(std::chrono::milliseconds(0), [this, why = std::string(failure.what())] { object(why); });
  }
}

void Trial::begin(const StartPlace& place, const upgrade::SupervisorState& state) {
  const std::string& binary = place.binary;
  const base::Descriptor directory = place.open_directory();
  image_ = base::Descriptor(base::require(::open(binary.c_str(), O_PATH | O_CLOEXEC), "open " + binary));
  const base::Descriptor memory = memory_with(state);
  int ends[2];
  base::require(::pipe2(ends, O_CLOEXEC), "pipe");
  output_ = base::Descriptor(ends[0]);
  const base::Descriptor writing(ends[1]);
  base::require(::fcntl(output_.get(), F_SETFL, O_NONBLOCK), "pipe");
  ipc::SpawnRequest request;
  request.executable = binary;
  request.image = image_.get();
  request.directory = directory.get();
  request.arguments = own_command_line();
  if (!request.arguments.empty()) request.arguments.erase(request.arguments.begin());
  request.environment = {fmt::format("{}={}:{}", kVariable, kTrial, kStateOfTrial)};
  request.descriptors = {
      {memory.get(), kStateOfTrial}, {writing.get(), STDOUT_FILENO}, {writing.get(), STDERR_FILENO}};
  ipc::SpawnResult result = ipc::spawn(request);
  if (!result.child) {
    return deadline_.start(std::chrono::milliseconds(0), [this, why = result.why] { object(why); });
  }
  child_ = std::move(result.child);
  on_output_ =
      std::make_unique<Readiness>(loop_, output_.get(), Readiness::Kind::Read, [this] { read_output(); });
  on_end_ =
      std::make_unique<Readiness>(loop_, child_->descriptor(), Readiness::Kind::Read, [this] { conclude(); });
  deadline_.start(kTrialDeadline, [this] {
    object(fmt::format("it has not said within {} ms whether it can take over", kTrialDeadline.count()));
  });
}

void Trial::read_output() {
  char buffer[1024];
  for (;;) {
    const ssize_t got = ::read(output_.get(), buffer, sizeof buffer);
    if (got > 0 && said_.size() < kSaidLimit) said_.append(buffer, static_cast<std::size_t>(got));
    if (got == -1 && errno == EAGAIN) return;
    // In its destructor a readiness lets go; whether the child has ended, the pidfd tells.
    if (got <= 0) return on_output_.reset();
  }
}

void Trial::conclude() {
  const auto status = child_->try_reap();
  if (!status) return;
  read_output();
  // A program that is no limpet may exit with 0 as well.
  if (status->clean() && said_ == kCanTakeOver) {
    on_end_.reset();
    on_output_.reset();
    deadline_.cancel();
    return verdict_(std::move(image_), "");
  }
  object(fmt::format("its trial ended with {}{}", to_text(*status),
                     said_.empty() ? "" : fmt::format(" (it said: {})", in_one_line(said_))));
}

void Trial::object(const std::string& why) {
  on_end_.reset();
  on_output_.reset();
  deadline_.cancel();
  verdict_({}, why);
}

std::string become_image(const base::Descriptor& image, const StartPlace& place,
                         const upgrade::SupervisorState& state) {
  try {
    const base::Descriptor before(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    const base::Descriptor directory = place.open_directory();
    const base::Descriptor memory = memory_with(state);
    std::vector<std::string> words = own_command_line();
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    // Whatever some library has left open.
    base::require(::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC), "close on exec");
    for (const int each : descriptors_of(state)) keep_open(each);
    keep_open(memory.get());
    base::require(::fchdir(directory.get()), "enter " + place.directory);
    ::setenv(kVariable, fmt::format("{}:{}", kNow, memory.get()).c_str(), 1);
    ::execveat(image.get(), "", arguments.data(), environ, AT_EMPTY_PATH);
    const int error = errno;
    ::unsetenv(kVariable);
    if (before) (void)!::fchdir(before.get());
    ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    return fmt::format("exec: {}", std::strerror(error));
  } catch (const std::system_error& failure) {
    ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    return failure.what();
  }
}

std::optional<TakeoverOrder> takeover_order() {
  const char* value = std::getenv(kVariable);
  if (value == nullptr) return std::nullopt;
  const std::string text = value;
  ::unsetenv(kVariable);
  const std::size_t colon = text.find(':');
  const std::string_view verb = std::string_view(text).substr(0, colon);
  TakeoverOrder order{verb == kTrial, -1};
  if (colon == std::string::npos || (verb != kTrial && verb != kNow)) return order;
  std::from_chars(text.data() + colon + 1, text.data() + text.size(), order.state);
  // Executed by descriptor, older kernels name the process by its number.
  ::prctl(PR_SET_NAME, "limpet");
  return order;
}

std::optional<upgrade::SupervisorState> read_state(const TakeoverOrder& order, std::string* why) {
  struct stat status = {};
  if (order.state < 0 || ::fstat(order.state, &status) != 0) {
    *why = fmt::format("{}: is set, and there is no state", kVariable);
    return std::nullopt;
  }
  const base::Descriptor memory(order.state);
  ipc::Datagram file;
  file.bytes.resize(static_cast<std::size_t>(status.st_size));
  for (std::size_t done = 0; done < file.bytes.size();) {
    const ssize_t got =
        ::pread(memory.get(), file.bytes.data() + done, file.bytes.size() - done, static_cast<off_t>(done));
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  return upgrade::decode_supervisor_state(file, why);
}

void say_can_take_over() {
  std::fputs(kCanTakeOver, stdout);
  std::fflush(stdout);
}

}  // namespace limpet::supervisor
