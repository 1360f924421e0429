#include "supervisor/listen/routing_program.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/placement_hash.h"

namespace limpet::supervisor {
namespace {

// Offsets from the network header, which the program reaches through SKF_NET_OFF: at a TCP socket, offset 0
// is the TCP header.
constexpr std::uint32_t kNetwork = static_cast<std::uint32_t>(SKF_NET_OFF);
constexpr std::uint32_t kIpv4Source = kNetwork + 12;
constexpr std::uint32_t kIpv6Source = kNetwork + 8;
constexpr std::uint32_t kMappedPrefix = 0x0000ffff;  // third word of ::ffff:a.b.c.d
// Scratch memory.
constexpr std::uint32_t kHashCell = 0;
constexpr std::uint32_t kChoiceCell = 1;

using Hash = base::PlacementHash;

class Assembler {
 public:
  void add(std::uint16_t code, std::uint32_t operand, std::uint8_t if_true = 0, std::uint8_t if_false = 0) {
    code_.push_back({code, if_true, if_false, operand});
  }
  void load_word(std::uint32_t offset) { add(BPF_LD | BPF_W | BPF_ABS, offset); }
  void alu(std::uint16_t operation, std::uint32_t operand) { add(BPF_ALU | operation | BPF_K, operand); }

  /// A ^= A >> bits
  void fold(std::uint32_t bits) {
    add(BPF_MISC | BPF_TAX, 0);
    alu(BPF_RSH, bits);
    add(BPF_ALU | BPF_XOR | BPF_X, 0);
  }
  /// As PlacementHash does; `key` first.
  void mix(std::uint32_t key) {
    alu(BPF_XOR, key);
    fold(Hash::kShifts[0]);
    alu(BPF_MUL, Hash::kFactors[0]);
    fold(Hash::kShifts[1]);
    alu(BPF_MUL, Hash::kFactors[1]);
    fold(Hash::kShifts[2]);
  }
  /// A = A ^ packet word
  void join_word(std::uint32_t offset) {
    add(BPF_MISC | BPF_TAX, 0);
    load_word(offset);
    add(BPF_ALU | BPF_XOR | BPF_X, 0);
  }

  [[nodiscard]] std::size_t here() const { return code_.size(); }
  /// A jump whose distance `land` fills in: its operand has 32 bits, those of a comparison have 8.
  std::size_t jump() {
    add(BPF_JMP | BPF_JA, 0);
    return here() - 1;
  }
  void land(std::size_t jump) { code_[jump].k = static_cast<std::uint32_t>(here() - jump - 1); }
  std::size_t jump_unless_equal(std::uint32_t value) {
    add(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
    return jump();
  }

  std::vector<sock_filter> take() && {
    CHECK(code_.size() <= BPF_MAXINSNS, "the routing program is too long: " + std::to_string(code_.size()));
    return std::move(code_);
  }

 private:
  std::vector<sock_filter> code_;
};

/// Leaves the client's hash in kHashCell.
void hash_source_address(const Hash& hash, Assembler* program) {
  program->add(BPF_LD | BPF_B | BPF_ABS, kNetwork);
  program->alu(BPF_RSH, 4);
  const std::size_t not_ipv6 = program->jump_unless_equal(6);

  program->load_word(kIpv6Source);
  const std::size_t plain1 = program->jump_unless_equal(0);
  program->load_word(kIpv6Source + 4);
  const std::size_t plain2 = program->jump_unless_equal(0);
  program->load_word(kIpv6Source + 8);
  const std::size_t plain3 = program->jump_unless_equal(kMappedPrefix);
  program->load_word(kIpv6Source + 12);
  const std::size_t mapped = program->jump();

  for (const std::size_t each : {plain1, plain2, plain3}) program->land(each);
  program->load_word(kIpv6Source);
  for (std::uint32_t word = 1; word < 4; ++word) {
    program->mix(hash.key_of_word(word - 1));
    program->join_word(kIpv6Source + 4 * word);
  }
  const std::size_t ipv6 = program->jump();

  program->land(not_ipv6);
  program->load_word(kIpv4Source);

  program->land(mapped);
  program->land(ipv6);
  program->mix(hash.key_of_word(3));
  program->add(BPF_ST, kHashCell);
}

/// Puts `slot` into kChoiceCell and its weight into X if it weighs more for this client than X, the heaviest
/// so far.
void weigh(std::uint32_t slot, const Hash& hash, Assembler* program) {
  const Hash::Weight weight = hash.weight_of(slot);
  program->add(BPF_LD | BPF_MEM, kHashCell);
  program->alu(BPF_XOR, weight.joined);
  program->alu(BPF_MUL, weight.factor);
  program->add(BPF_JMP | BPF_JGT | BPF_X, 0, 0, 3);
  program->add(BPF_MISC | BPF_TAX, 0);
  program->add(BPF_LD | BPF_IMM, slot);
  program->add(BPF_ST, kChoiceCell);
}

}  // namespace

std::vector<sock_filter> routing_program(const std::vector<bool>& takes_part, std::uint64_t seed) {
  const auto first = std::find(takes_part.begin(), takes_part.end(), true);
  CHECK(first != takes_part.end(), "a routing program without a slot");

  Assembler program;
  const Hash hash(seed);
  hash_source_address(hash, &program);
  program.add(BPF_LD | BPF_IMM, static_cast<std::uint32_t>(first - takes_part.begin()));
  program.add(BPF_ST, kChoiceCell);
  program.add(BPF_LDX | BPF_IMM, 0);
  for (std::uint32_t slot = 0; slot < takes_part.size(); ++slot)
    if (takes_part[slot]) weigh(slot, hash, &program);
  program.add(BPF_LD | BPF_MEM, kChoiceCell);
  program.add(BPF_RET | BPF_A, 0);
  return std::move(program).take();
}

}  // namespace limpet::supervisor
