// SPDX-License-Identifier: Apache-2.0
// connect_load tcp|served|udp CPU ROUNDS BATCH BACKEND_NETNS BACKEND_PORT ARM...: what calls cost in several arms, one
// after the other in an order drawn anew each round, on one CPU.  served: TCP, with a server that waits in accept() on
// another CPU; else the caller plays the backend too.  Prints JSON: per arm, medians of each round, quantiles of all.
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iterator>
#include <random>
#include <stdexcept>

#include "connect_arm.h"

namespace {

using cortexflow::bench::Arm;
using cortexflow::bench::Sample;
using cortexflow::bench::Transport;

constexpr std::size_t kWarm = 8;  // calls of a batch that are not counted

struct Worker {
  Arm arm;
  pid_t pid = -1;
  int orders = -1, reports = -1;  // an octet each: do a batch; done
  Sample* samples = nullptr;      // of the batch, shared
  std::vector<Sample> all;
  std::vector<Sample> medians{};  // by round
};

[[noreturn]] void work(Transport transport, const Arm& arm, int listener, int orders, int reports, Sample* samples,
                       std::size_t batch) {
  try {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    cortexflow::bench::enter_cgroup(arm.cgroup);
    cortexflow::bench::enter_netns(arm.netns);
    std::uint64_t random = 0x9e3779b97f4a7c15U;
    for (char order; read(orders, &order, 1) == 1;) {
      call(transport, arm, listener, random, samples, batch);
      if (write(reports, &order, 1) != 1) break;
    }
    _exit(0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "connect_load: %s: %s\n", arm.name.c_str(), error.what());
    _exit(1);
  }
}

void start(Worker& worker, Transport transport, int listener, std::size_t batch) {
  int orders[2], reports[2];
  if (pipe(orders) != 0 || pipe(reports) != 0) throw std::runtime_error("pipe");
  void* shared = mmap(nullptr, batch * sizeof(Sample), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw std::runtime_error("mmap");
  worker.samples = static_cast<Sample*>(shared);
  worker.pid = fork();
  if (worker.pid == 0) {
    close(orders[1]), close(reports[0]);
    work(transport, worker.arm, listener, orders[0], reports[1], worker.samples, batch);
  }
  close(orders[0]), close(reports[1]);
  worker.orders = orders[1];
  worker.reports = reports[0];
}

void batch_of(Worker& worker, std::size_t batch) {
  char octet = 'b';
  if (write(worker.orders, &octet, 1) != 1 || read(worker.reports, &octet, 1) != 1) {
    throw std::runtime_error(worker.arm.name + ": its process ended");
  }
  std::vector<Sample> counted(worker.samples + kWarm, worker.samples + batch);
  worker.all.insert(worker.all.end(), counted.begin(), counted.end());
  const auto median = [&](std::uint32_t Sample::* what) {
    const auto middle = counted.begin() + static_cast<std::ptrdiff_t>(counted.size() / 2);
    std::nth_element(counted.begin(), middle, counted.end(),
                     [&](const auto& a, const auto& b) { return a.*what < b.*what; });
    return (*middle).*what;
  };
  const auto first = median(&Sample::first);
  worker.medians.push_back({first, median(&Sample::whole)});
}

void print_quantiles(const char* name, std::vector<Sample>& all, std::uint32_t Sample::* what) {
  std::sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return a.*what < b.*what; });
  const auto at = [&](double share) {
    return all[static_cast<std::size_t>(share * static_cast<double>(all.size() - 1))].*what;
  };
  std::printf(",\"%s_p50\":%u,\"%s_p90\":%u,\"%s_p99\":%u", name, at(.5), name, at(.9), name, at(.99));
}

void print(std::vector<Worker>& workers) {
  std::printf("{");
  for (auto& worker : workers) {
    std::printf("%s\"%s\":{\"calls\":%zu", &worker == workers.data() ? "" : ",", worker.arm.name.c_str(),
                worker.all.size());
    for (const auto& [name, what] : {std::pair("first", &Sample::first), std::pair("whole", &Sample::whole)}) {
      std::printf(",\"%s\":[", name);
      for (std::size_t i = 0; i < worker.medians.size(); ++i)
        std::printf("%s%u", i ? "," : "", worker.medians[i].*what);
      std::printf("]");
      print_quantiles(name, worker.all, what);
    }
    std::printf("}");
  }
  std::printf("}\n");
}

template <typename Which>
void run_on(Which which) {
  cpu_set_t allowed, cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) throw std::runtime_error("sched_getaffinity");
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed) && which(cpu)) CPU_SET(cpu, &cpus);
  }
  if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) throw std::runtime_error("sched_setaffinity: no such CPU");
}

pid_t start_server(int listener, std::size_t callers_cpu) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  run_on([callers_cpu](std::size_t one) { return one != callers_cpu; });
  cortexflow::bench::serve(listener);
}

void run(char** argv, int argc) {
  const std::string kind = argv[1];
  if (kind != "tcp" && kind != "served" && kind != "udp")
    throw std::runtime_error("expected tcp, served or udp: " + kind);
  const auto transport = kind == "udp" ? Transport::kUdp : Transport::kTcp;
  const auto cpu = std::stoul(argv[2]);
  const auto rounds = std::stoul(argv[3]);
  const auto batch = std::stoul(argv[4]) + kWarm;
  const int server = cortexflow::bench::listener(transport, argv[5], static_cast<std::uint16_t>(std::stoul(argv[6])));
  const pid_t accepting = kind == "served" ? start_server(server, cpu) : -1;
  run_on([cpu](std::size_t one) { return one == cpu; });
  std::vector<Worker> workers;
  std::transform(argv + 7, argv + argc, std::back_inserter(workers), [](const char* text) {
    return Worker{cortexflow::bench::parse_arm(text), -1, -1, -1, nullptr, {}, {}};
  });
  for (auto& worker : workers) start(worker, transport, accepting < 0 ? server : -1, batch);
  std::mt19937 order(1);
  std::vector<Worker*> turns;
  for (auto& worker : workers) turns.push_back(&worker);
  for (std::size_t round = 0; round < rounds; ++round) {
    std::shuffle(turns.begin(), turns.end(), order);
    for (auto* worker : turns) batch_of(*worker, batch);
  }
  print(workers);
  if (accepting > 0) kill(accepting, SIGKILL);
  for (auto& worker : workers) {
    kill(worker.pid, SIGKILL);
    waitpid(worker.pid, nullptr, 0);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 8) {
    std::fprintf(stderr, "usage: connect_load tcp|served|udp CPU ROUNDS BATCH BACKEND_NETNS BACKEND_PORT ARM...\n");
    return 2;
  }
  try {
    run(argv, argc);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "connect_load: %s\n", error.what());
    return 1;
  }
}
