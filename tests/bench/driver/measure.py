"""The run: servers in turns, every pass on a fresh server."""

import json
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from servers import Failure, Server, counters_of, run_child
from workloads import (NATIVE_PHASES, NODE_PHASES, QUICK_CLIENTS, QUICK_PHASES, SHARE_TOLERANCE,
                       SOURCE_ADDRESSES)


def arguments_of(workload, quick):
    arguments = list(workload.arguments)
    if quick and workload.name != "connect":
        arguments[arguments.index("--clients") + 1] = QUICK_CLIENTS
    return arguments


def load(generator, server, arguments, phases):
    """Gives the load generator's answer."""
    command = [str(generator), *arguments, "--server", str(server.pid), "--port", str(server.port),
               "--addresses", str(SOURCE_ADDRESSES),
               "--warm-up", str(phases.warm_up), "--seconds", str(phases.counted)]
    try:
        return json.loads(run_child(command))
    except Failure as failure:
        raise Failure(f"{server.kind.name}: {arguments[0]}: {failure}\n{server.recent_lines()}") from failure


def one_pass(generator, kind_name, kind, workload, quick, native_phases):
    phases = QUICK_PHASES if quick else NODE_PHASES if kind_name == "node" else native_phases
    with Server(kind) as server:
        return load(generator, server, arguments_of(workload, quick), phases)


def turns(kind_names, pairs, node_turns):
    """Who is measured when: within a pair the order alternates, so that drift of the machine favours nobody."""
    for pair in range(pairs):
        natives = [name for name in kind_names if name != "node"]
        yield from natives if pair % 2 == 0 else reversed(natives)
        if "node" in kind_names and pair < node_turns:
            yield "node"


def measure_workload(generator, kinds, workload, pairs, node_turns, quick, native_phases=NATIVE_PHASES):
    """Gives {kind: [answer, …]}, in the order of the pairs."""
    pairs = min(pairs, workload.pairs_wanted or pairs)
    answers = {name: [] for name in kinds}
    for name in turns(kinds, pairs, node_turns):
        answer = one_pass(generator, name, kinds[name], workload, quick, native_phases)
        answers[name].append(answer)
        print(f"  {workload.name:14} {kinds[name].name:15} pass {len(answers[name])}: "
              f"{answer[workload.figure_key]:9.3f} {workload.unit}", flush=True)
        if answer["retried"]:
            print(f"    {answer['retried']} clients had to connect again: the server closed or refused them", flush=True)
    return answers


def measure_files(generator, kinds_with, workload, pairs, quick, native_phases=NATIVE_PHASES):
    """As measure_workload; `kinds_with(site)` gives the servers of the files in the directory `site`."""
    with tempfile.TemporaryDirectory(prefix="limpet-bench-site-") as site:
        os.chmod(site, 0o755)
        (Path(site) / "small.txt").write_bytes(b"0123456789abcde\n" * 64)
        (Path(site) / "large.bin").write_bytes(bytes(range(250)) * 4000)
        arguments = tuple(argument.replace("{site}", site) for argument in workload.arguments)
        return measure_workload(generator, kinds_with(site), replace(workload, arguments=arguments), pairs, 0, quick,
                                native_phases)


def check_way(server, variant):
    """A variant that does not do what it says would be measured as something else."""
    if variant.counters is None:
        return
    detours, everything = (counters_of(server)[name] for name in variant.counters)
    if abs(detours / everything - variant.share) > SHARE_TOLERANCE:
        raise Failure(f"{variant.title}: {variant.counters[0]} is {detours} of {everything} {variant.counters[1]}")


def measure_comparison(generator, limpet, comparison, rounds, quick):
    """Gives {variant: [answer, …]}, in the order of the rounds. Each round has all variants, in alternating order."""
    phases = QUICK_PHASES if quick else NATIVE_PHASES
    answers = {variant.name: [] for variant in comparison.variants}
    for at in range(rounds):
        for variant in comparison.variants if at % 2 == 0 else reversed(comparison.variants):
            with Server(replace(limpet, command=limpet.command + variant.flags)) as server:
                answer = load(generator, server, variant.arguments, phases)
                check_way(server, variant)
            answers[variant.name].append(answer)
            print(f"  {comparison.name:14} {variant.name:15} pass {at + 1}: {answer['us_per_unit']:9.3f} "
                  f"{comparison.unit}", flush=True)
    return answers


def measure_ring(program, quick):
    """Gives the benchmarks of ring_bench as Google Benchmark reports them, medians only."""
    repetitions = 1 if quick else 7
    command = [str(program), "--benchmark_format=json", f"--benchmark_repetitions={repetitions}",
               f"--benchmark_min_time={0.01 if quick else 0.3}"]
    if repetitions > 1:
        command.append("--benchmark_report_aggregates_only=true")
    print("  ring: running", program, flush=True)
    rows = json.loads(run_child(command))["benchmarks"]
    return [row for row in rows if row.get("aggregate_name", "median") == "median"]


def text_of(*command):
    """What a command says, for the description of the machine; empty if it cannot be run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
