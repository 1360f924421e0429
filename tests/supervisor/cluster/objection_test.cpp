// Which states of a supervisor before this one are refused.
#include "supervisor/cluster/objection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "supervisor/cluster/saved_program.h"
#include "supervisor/options/table.h"

namespace limpet::supervisor {
namespace {

using testing::HasSubstr;

TEST(Objection, what_this_build_does_not_know_is_an_objection) {
  upgrade::SupervisorState state;
  state.slots.resize(4);
  state.used_slots = 3;
  state.open_slots = 2;
  state.bucket_owners.assign(4096, 1);
  Program program;
  program.options = load_options(CommandLine{}).options;
  program.options.move = false;
  state.programs = {save(program)};
  state.workers.resize(1);
  state.workers[0].pid = 1;
  state.workers[0].state = "spawned";
  EXPECT_EQ(objection_to(state), "");
  const auto objection = [&](auto change) {
    upgrade::SupervisorState changed = state;
    change(&changed);
    return objection_to(changed);
  };
  EXPECT_THAT(objection([](auto* it) { it->protocol_version = 9; }),
              HasSubstr("speak protocol 9, this build speaks"));
  EXPECT_THAT(objection([](auto* it) { it->bucket_owners[5] = 2; }), HasSubstr("table of buckets"));
  EXPECT_THAT(objection([](auto* it) { it->workers[0].state = "dancing"; }), HasSubstr("state 'dancing'"));
  EXPECT_THAT(objection([](auto* it) { it->workers[0].state = "serving"; }), HasSubstr("without a ring"));
  EXPECT_THAT(objection([](auto* it) { it->workers[0].cause = "boredom"; }), HasSubstr("cause 'boredom'"));
  EXPECT_THAT(objection([](auto* it) { it->workers[0].who.slot = 2; }), HasSubstr("of no such slot"));
  EXPECT_THAT(objection([](auto* it) { it->programs[0].options[0].name = "sing"; }),
              HasSubstr("option sing"));
  EXPECT_THAT(objection([](auto* it) { it->listeners = {{"tcp://nowhere", {}}}; }), HasSubstr("no address"));
  EXPECT_THAT(objection([](auto* it) {
                it->listeners = {{"tcp://127.0.0.1:1", {3}}};
              }),
              HasSubstr("one socket for each slot"));
}

}  // namespace
}  // namespace limpet::supervisor
