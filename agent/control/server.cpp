// SPDX-License-Identifier: Apache-2.0
#include "agent/control/server.h"

#include <grp.h>
#include <httplib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "agent/base/fd.h"
#include "agent/control/json.h"
#include "agent/control/lookup_stream.h"
#include "agent/control/openapi.h"

namespace cortexflow::control {
namespace {

using nlohmann::ordered_json;

constexpr const char* kJson = "application/json";
constexpr std::size_t kShortCallThreads = 4;  // beside the watchers', so that these can't starve a status call
constexpr std::size_t kLogLinesMax = 1000;
constexpr std::chrono::seconds kDrainMax{3};

std::string dump(const ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

void refuse(httplib::Response& response, int status, const Error& error) {
  response.status = status;
  response.set_content(dump({{"error", {{"message", error.message}, {"next_step", error.next_step}}}}), kJson);
}

template <typename Rows>
ordered_json to_array(const Rows& rows) {
  ordered_json out = ordered_json::array();
  for (const auto& row : rows) out.push_back(to_json(row));
  return out;
}

Result<std::uint64_t> number_parameter(const httplib::Request& request, const char* name, std::uint64_t otherwise) {
  if (!request.has_param(name)) return otherwise;
  const auto text = request.get_param_value(name);
  if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos) {
    return fail("{}={}: expected a number", name, text);
  }
  return std::stoull(text);
}

Result<StreamOptions> stream_options(const httplib::Request& request, const NodeView& node) {
  for (const auto& [key, value] : request.params) {
    const auto& fields = LookupFilter::fields();
    const std::string field = key.starts_with("not.") ? key.substr(4) : key;
    const bool option = key == "since" || key == "follow" || key == "limit";
    if (!option && std::find(fields.begin(), fields.end(), field) == fields.end()) {
      return fail("unknown parameter {}; expected since, follow, limit, or a filter: {}", key, fmt::join(fields, ", "));
    }
  }
  StreamOptions options;
  auto filter = LookupFilter::parse({request.params.begin(), request.params.end()});
  if (!filter) return tl::make_unexpected(std::move(filter.error()));
  options.filter = std::move(*filter);
  const auto follow = request.has_param("follow") ? request.get_param_value("follow") : "false";
  if (follow != "true" && follow != "false") return fail("follow={}: expected true or false", follow);
  options.follow = follow == "true";
  const auto limit = number_parameter(request, "limit", 0);
  if (!limit) return tl::make_unexpected(limit.error());
  options.limit = *limit;
  const auto now = std::chrono::system_clock::now();
  // Without `since`: all that is kept, or, for a follower, from now on.
  auto since = options.follow ? now + std::chrono::hours(24) : std::chrono::system_clock::time_point{};
  if (request.has_param("since")) {
    const auto text = request.get_param_value("since");
    const auto ago = parse_duration(text);
    if (!ago) return fail("since={}: expected a duration such as 30s, 5m or 1h", text);
    since = now - std::chrono::duration_cast<std::chrono::system_clock::duration>(*ago);
  }
  options.cursor = node.cursor_since(since);
  return options;
}

}  // namespace

Server::Server(const NodeView& node, std::string socket_path, std::string group)
    : node_(node),
      socket_path_(std::move(socket_path)),
      group_(std::move(group)),
      http_(std::make_unique<httplib::Server>()) {}

Server::~Server() { stop(); }

const std::vector<std::string>& Server::paths() {
  static const std::vector<std::string> kPaths{"/v1/status", "/v1/version",     "/v1/bpf",         "/v1/workloads",
                                               "/v1/logs",   "/v1/dns/lookups", "/v1/openapi.json"};
  return kPaths;
}

Result<void> Server::claim_socket() const {
  sockaddr_un address{};
  if (socket_path_.size() >= sizeof address.sun_path) {
    return fail("control socket path {} is longer than {} octets", socket_path_, sizeof address.sun_path - 1);
  }
  std::error_code error;
  const auto directory = std::filesystem::path(socket_path_).parent_path();
  if (!directory.empty()) std::filesystem::create_directories(directory, error);
  const auto status = std::filesystem::symlink_status(socket_path_, error);
  if (!std::filesystem::exists(status)) return {};
  if (!std::filesystem::is_socket(status)) {
    return tl::make_unexpected(Error{fmt::format("{} is there and is no socket", socket_path_),
                                     "remove it, or choose another --control-socket"});
  }
  address.sun_family = AF_UNIX;
  socket_path_.copy(address.sun_path, sizeof address.sun_path - 1);
  const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return tl::make_unexpected(Error{fmt::format("another agent is running: {} answers", socket_path_),
                                     "stop it first (systemctl stop cfagent)"});
  }
  if (!std::filesystem::remove(socket_path_, error)) return fail("cannot remove {}: {}", socket_path_, error.message());
  return {};
}

void Server::open_to_group() const {
  // Without the group only root gets in: safe, so not worth a failure.
  if (const group* found = getgrnam(group_.c_str())) {
    if (chown(socket_path_.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0) return;
  }
  chmod(socket_path_.c_str(), 0660);
}

Result<void> Server::start() {
  if (auto claimed = claim_socket(); !claimed) return claimed;
  add_routes();
  http_->set_address_family(AF_UNIX);
  http_->set_keep_alive_max_count(1);  // a watcher's thread is free again when it goes
  http_->set_payload_max_length(0);
  http_->new_task_queue = [] { return new httplib::ThreadPool(kWatchersMax + kShortCallThreads); };
  const mode_t before = umask(0117);
  const bool bound = http_->bind_to_port(socket_path_, 80);
  umask(before);
  if (!bound) return fail_errno(fmt::format("cannot listen on {}", socket_path_), errno, "check --control-socket");
  open_to_group();
  listening_ = true;
  thread_ = std::thread([this] { http_->listen_after_bind(); });
  // httplib's stop() does nothing before its thread has come to accept.
  using namespace std::chrono_literals;
  for (auto left = 5000ms; !http_->is_running() && left > 0ms; left -= 1ms) std::this_thread::sleep_for(1ms);
  return {};
}

void Server::stop() {
  if (!listening_) return;
  listening_ = false;
  {
    // The server cuts its streams off when it stops; those that read get their summary first.
    std::unique_lock lock(watchers_mutex_);
    watcher_left_.wait_for(lock, kDrainMax, [this] { return watchers_ == 0; });
  }
  http_->stop();
  thread_.join();
  std::error_code ignored;
  std::filesystem::remove(socket_path_, ignored);
}

bool Server::watcher_enters() {
  const std::lock_guard lock(watchers_mutex_);
  if (watchers_ >= kWatchersMax) return false;
  ++watchers_;
  return true;
}

void Server::watcher_leaves() {
  const std::lock_guard lock(watchers_mutex_);
  --watchers_;
  watcher_left_.notify_all();
}

void Server::add_routes() {
  const auto get = [this](const char* path, std::function<ordered_json()> make) {
    http_->Get(path, [make = std::move(make)](const httplib::Request&, httplib::Response& response) {
      response.set_content(dump(make()), kJson);
    });
  };
  get("/v1/status", [this] { return to_json(node_.status()); });
  get("/v1/version", [this] {
    const auto status = node_.status();
    return ordered_json{{"version", status.version}, {"node", status.node}, {"kernel", status.kernel}};
  });
  get("/v1/bpf", [this] { return ordered_json{{"programs", to_array(node_.bpf_programs())}}; });
  get("/v1/workloads", [this] { return ordered_json{{"workloads", to_array(node_.workloads())}}; });
  http_->Get("/v1/openapi.json", [](const httplib::Request&, httplib::Response& response) {
    response.set_content(std::string(kOpenApi), kJson);
  });
  http_->Get("/v1/logs", [this](const httplib::Request& request, httplib::Response& response) {
    const auto lines = number_parameter(request, "lines", 100);
    if (!lines) return refuse(response, 400, lines.error());
    response.set_content(dump({{"lines", node_.log_lines(std::min<std::size_t>(*lines, kLogLinesMax))}}), kJson);
  });
  http_->Get("/v1/dns/lookups", [this](const httplib::Request& request, httplib::Response& response) {
    serve_lookups(request, response);
  });
  http_->set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    if (response.status == 404) {
      refuse(response, 404,
             {fmt::format("there is no {} {}", request.method, request.path), "see GET /v1/openapi.json"});
    }
  });
}

void Server::serve_lookups(const httplib::Request& request, httplib::Response& response) {
  auto options = stream_options(request, node_);
  if (!options) return refuse(response, 400, options.error());
  if (!watcher_enters()) {
    return refuse(response, 503, {fmt::format("{} watchers are connected, more are refused", kWatchersMax), "end one"});
  }
  auto stream = std::make_shared<LookupStream>(node_, std::move(*options));
  response.set_chunked_content_provider(
      "application/x-ndjson",
      [stream](std::size_t, httplib::DataSink& sink) {
        const auto lines = stream->next();
        if (!sink.write(lines.data(), lines.size())) return false;
        if (stream->done()) sink.done();
        return true;
      },
      [this](bool) { watcher_leaves(); });
}

}  // namespace cortexflow::control
