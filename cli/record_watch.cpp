// SPDX-License-Identifier: Apache-2.0
#include "cli/record_watch.h"

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <thread>
#include <utility>

#include "agent/base/thread.h"
#include "cli/filter_flags.h"
#include "cli/interrupt.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

constexpr const char* kRed = "\033[31m";
constexpr const char* kPlain = "\033[0m";
constexpr std::size_t kWatchedMax = 256;  // agents, a thread each

struct WatchOptions {
  std::shared_ptr<const Client::Parameters> filters;
  std::string since;
  std::uint64_t limit = 0;
  bool follow = false;
};

// What comes from one agent, or from several at a time, as it comes.
class Printer {
 public:
  Printer(const Context& context, const Watched& watched, const std::vector<AgentAt>& agents, std::uint64_t limit)
      : context_(context), watched_(watched), color_(context.use_color()), limit_(limit), summaries_(agents.size()) {
    for (const auto& agent : agents) width_ = std::max(width_, agent.node.size());
    for (auto& summary : summaries_) summary = {{"seen", 0}, {"shown", 0}, {"lost", 0}};
  }

  void open() {
    const std::lock_guard lock(mutex_);
    if (std::exchange(opened_, true) || !context_.is_table()) return;
    if (width_ > 0) fmt::print("{:<{}}  ", "NODE", width_);
    fmt::print("{}\n", watched_.header(context_.output == "wide"));
    std::fflush(stdout);
  }

  // False: that is enough.
  bool line(std::size_t agent, const std::string& node, const ordered_json& line) {
    const std::lock_guard lock(mutex_);
    if (line.contains(watched_.key) && (limit_ == 0 || shown_ < limit_)) {
      ++shown_;
      print(node, line[watched_.key]);
    } else if (line.contains("progress")) {
      summaries_[agent] = line["progress"];
    } else if (line.contains("summary")) {
      summaries_[agent] = line["summary"];
      return false;
    }
    return !interrupted() && std::ferror(stdout) == 0 && (limit_ == 0 || shown_ < limit_ || summaries_.size() == 1);
  }

  // Where an agent is cut off before its own summary, its last progress stands for it.
  void summary() {
    std::uint64_t all = 0;
    std::uint64_t lost = 0;
    for (const auto& one : summaries_) {
      all += one.value("seen", std::uint64_t{0});
      lost += one.value("lost", std::uint64_t{0});
    }
    const ordered_json whole{{"seen", std::max(all, shown_)}, {"shown", shown_}, {"lost", lost}};
    if (context_.output == "json") {
      fmt::print("{}\n", json({{"summary", whole}}, -1));
      std::fflush(stdout);
    } else {
      fmt::print(stderr, "seen {}, shown {}, lost {}\n", cell(whole, "/seen"), cell(whole, "/shown"),
                 cell(whole, "/lost"));
    }
  }

 private:
  void print(const std::string& node, const ordered_json& record) {
    if (context_.output == "json") {
      ordered_json line{{watched_.key, record}};
      if (!node.empty()) line["node"] = node;
      fmt::print("{}\n", json(line, -1));
    } else if (context_.output == "yaml") {
      fmt::print("---\n{}{}", node.empty() ? "" : fmt::format("node: \"{}\"\n", printable(node)), yaml(record));
    } else {
      const bool red = color_ && watched_.is_bad(record);
      if (width_ > 0) fmt::print("{:<{}}  ", printable(node), width_);
      fmt::print("{}{}{}\n", red ? kRed : "", watched_.row(record, context_.output == "wide"), red ? kPlain : "");
    }
    std::fflush(stdout);
  }

  const Context& context_;
  const Watched& watched_;
  const bool color_;
  const std::uint64_t limit_;  // of all; 0: none
  std::size_t width_ = 0;      // of the nodes' names; 0: there is one agent
  std::mutex mutex_;           // all below
  bool opened_ = false;
  std::uint64_t shown_ = 0;
  std::vector<ordered_json> summaries_;  // by agent
};

Result<void> watch(const Context& context, const Watched& watched, const Client::Parameters& parameters,
                   std::uint64_t limit) {
  const auto agents = context.agents();
  if (!agents) return tl::make_unexpected(agents.error());
  if (agents->size() > kWatchedMax) {
    return tl::make_unexpected(Error{fmt::format("{} agents are more than can be watched at a time", agents->size()),
                                     "name a node with --node"});
  }
  catch_interrupts();
  Printer printer(context, watched, *agents, limit);
  std::vector<Result<void>> ended(agents->size());
  const auto follow = [&](std::size_t i) {
    const auto& agent = (*agents)[i];
    try {
      ended[i] = agent.client.stream(
          watched.path, parameters, [&] { printer.open(); },
          [&](const ordered_json& line) { return printer.line(i, agent.node, line); });
    } catch (const ordered_json::exception&) {
      ended[i] = tl::make_unexpected(Client::not_understood());
    }
    if (!ended[i] && agents->size() > 1 && !interrupted()) {
      fmt::print(stderr, "cfcli: {}\n", printable(ended[i].error().to_string()));
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < agents->size(); ++i) {
    auto thread = start_thread([&follow, i] { follow(i); });
    if (thread) threads.push_back(std::move(*thread));
    if (!thread) ended[i] = tl::make_unexpected(thread.error());
  }
  follow(0);
  for (auto& thread : threads) thread.join();
  for (auto& one : ended) {
    if (!one && !interrupted()) return one;
  }
  printer.summary();
  return {};
}

}  // namespace

void add_watch(CLI::App& command, Context& context, const Watched& watched,
               std::shared_ptr<const Client::Parameters> filters) {
  const auto options = std::make_shared<WatchOptions>();
  options->filters = std::move(filters);
  add_since_flag(command, options->since, watched.since_help);
  command.add_option("--limit", options->limit, "end after so many")->check(CLI::Range(1, 1'000'000'000));
  command.add_flag("-f,--follow", options->follow, "go on with new ones (the default without --since)");
  command.callback([&context, watched, options] {
    context.run = [&context, watched, options] {
      auto parameters = *options->filters;
      if (!options->since.empty()) parameters.emplace("since", options->since);
      if (options->limit != 0) parameters.emplace("limit", std::to_string(options->limit));
      parameters.emplace("follow", options->follow || options->since.empty() ? "true" : "false");
      return watch(context, watched, parameters, options->limit);
    };
  });
}

}  // namespace cortexflow::cli
