// What `limpet serve` says on stdout: one screen of what it starts and how to stop, inspect and reload it;
// then one line when every slot serves, for scripts to wait for.
#pragma once

#include <string>

namespace limpet::supervisor {

class Cluster;
struct StartPlace;

/// `place`: where, and as what, this limpet was started.
void show_start_screen(const Cluster& cluster, const StartPlace& place, const std::string& runtime_dir);
/// `limpet: serving on tcp://[::]:3000 with 2 workers`
void say_serving(const Cluster& cluster);

}  // namespace limpet::supervisor
