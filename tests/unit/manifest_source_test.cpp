// SPDX-License-Identifier: Apache-2.0
// Real directories, real inotify: each test does what a user, an editor or the kubelet does, and waits for the update.
#include "agent/source/manifest/manifest_source.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>

#include "tests/unit/paths.h"

using namespace cortexflow;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

namespace {

struct TemporaryDirectory {
  TemporaryDirectory() {
    std::string made = (fs::temp_directory_path() / "manifests-XXXXXX").string();
    if (!mkdtemp(made.data())) throw std::runtime_error("mkdtemp");
    path = made;
  }
  ~TemporaryDirectory() { fs::remove_all(path); }
  fs::path path;
};

void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

// What an editor does: the whole file beside, then into its place.
void replace(const fs::path& path, const std::string& text) {
  const fs::path beside = path.parent_path() / ("." + path.filename().string() + ".swp");
  write(beside, text);
  fs::rename(beside, path);
}

std::string pod(const std::string& name, const std::string& version) {
  return "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name + "\n  labels: {version: \"" + version + "\"}\n";
}

// Follows a source as the agent's event loop does.
struct Follower {
  explicit Follower(std::vector<std::string> directories)
      : source(std::move(*source::ManifestSource::open(std::move(directories)))) {}
  explicit Follower(const fs::path& directory) : Follower(std::vector<std::string>{directory.string()}) {}

  void take(const model::SourceUpdate& update) {
    last = update;
    for (const model::Change& change : update.changes) {
      versions.erase(change.key.name.name);
      if (!change.object) continue;
      const auto& labels = std::get<std::shared_ptr<const model::Pod>>(*change.object)->labels;
      versions[change.key.name.name] = labels.contains("version") ? labels.at("version") : "";
    }
    ++updates;
  }

  // False after ten seconds, which is no measure of anything.
  bool wait_for(const std::function<bool()>& done) {
    const auto end = Clock::now() + std::chrono::seconds(10);
    while (Clock::now() < end) {
      if (const auto update = source.poll(Clock::now())) take(*update);
      if (done()) return true;
      const auto due = std::min(source.due().value_or(end), end);
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(due - std::min(due, Clock::now()));
      pollfd waited{source.fd(), POLLIN, 0};
      poll(&waited, 1, static_cast<int>(std::min<std::int64_t>(left.count() + 1, 10'000)));
    }
    return false;
  }
  bool becomes(const std::map<std::string, std::string>& wanted) {
    return wait_for([&] { return versions == wanted; });
  }

  source::ManifestSource source;
  std::map<std::string, std::string> versions;  // pod -> its label
  model::SourceUpdate last;
  int updates = 0;
};

}  // namespace

TEST_CASE("files are read, changed, added, renamed and removed") {
  const TemporaryDirectory dir;
  write(dir.path / "a.yaml", pod("a", "1") + pod("b", "1"));
  write(dir.path / "notes.txt", pod("no", "1"));
  write(dir.path / ".hidden.yaml", pod("no", "1"));
  Follower follower(dir.path);
  CHECK(follower.becomes({{"a", "1"}, {"b", "1"}}));
  replace(dir.path / "a.yaml", pod("a", "2") + pod("b", "1"));
  CHECK(follower.becomes({{"a", "2"}, {"b", "1"}}));
  CHECK(follower.last.changes.size() == 1);
  write(dir.path / "a.yaml", pod("a", "3"));
  CHECK(follower.becomes({{"a", "3"}}));
  write(dir.path / "c.json", R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"c","labels":{"version":"1"}}})");
  CHECK(follower.becomes({{"a", "3"}, {"c", "1"}}));
  const int before = follower.updates;
  fs::rename(dir.path / "a.yaml", dir.path / "z.yaml");
  CHECK(follower.wait_for([&] { return follower.updates > before; }));
  CHECK(follower.versions == std::map<std::string, std::string>{{"a", "3"}, {"c", "1"}});
  fs::remove(dir.path / "z.yaml");
  CHECK(follower.becomes({{"c", "1"}}));
}

TEST_CASE("a file that is being written to is taken when it is closed") {
  const TemporaryDirectory dir;
  const fs::path path = dir.path / "a.yaml";
  write(path, pod("a", "1") + pod("b", "1"));
  Follower follower(dir.path);
  REQUIRE(follower.becomes({{"a", "1"}, {"b", "1"}}));
  const std::string half = pod("a", "2");
  const std::string rest = pod("b", "2");
  const int fd = open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  REQUIRE(::write(fd, half.data(), half.size()) == static_cast<ssize_t>(half.size()));
  write(dir.path / "c.yaml", pod("c", "1"));
  CHECK(follower.becomes({{"a", "1"}, {"b", "1"}, {"c", "1"}}));  // of a.yaml's half nothing is seen
  REQUIRE(::write(fd, rest.data(), rest.size()) == static_cast<ssize_t>(rest.size()));
  close(fd);
  CHECK(follower.becomes({{"a", "2"}, {"b", "2"}, {"c", "1"}}));
}

TEST_CASE("a file that is never closed is taken when it is quiet") {
  const TemporaryDirectory dir;
  Follower follower(dir.path);
  REQUIRE(follower.becomes({}));
  const int fd = open((dir.path / "a.yaml").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  const std::string text = pod("a", "1");
  REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  CHECK(follower.becomes({{"a", "1"}}));
  close(fd);
}

TEST_CASE("a file that is open takes nothing away before it is closed, and is said to be unread") {
  const TemporaryDirectory dir;
  write(dir.path / "a.yaml", pod("a", "1") + pod("b", "1"));
  Follower follower(dir.path);
  CHECK(follower.becomes({{"a", "1"}, {"b", "1"}}));
  std::ofstream file(dir.path / "a.yaml");  // empties it
  CHECK(follower.wait_for([&] { return !follower.last.refusals.empty(); }));
  CHECK(follower.versions == std::map<std::string, std::string>{{"a", "1"}, {"b", "1"}});
  CHECK(follower.last.unread.anything);
  CHECK(follower.last.refusals[0].reason.find("nobody has closed it") != std::string::npos);
  file << pod("a", "2") << std::flush;
  CHECK(follower.becomes({{"a", "2"}, {"b", "1"}}));
  CHECK(follower.last.unread.anything);
  file << pod("c", "1");
  file.close();
  CHECK(follower.becomes({{"a", "2"}, {"c", "1"}}));
  CHECK(follower.last.refusals.empty());
  CHECK_FALSE(follower.last.unread.anything);
  write(dir.path / "a.yaml", "");  // and closed
  CHECK(follower.becomes({}));
}

TEST_CASE("an empty file that is found at the start is unread for a while: it may be one that is being written") {
  const TemporaryDirectory dir;
  write(dir.path / "a.yaml", "");
  Follower follower(dir.path);
  const auto begin = Clock::now();
  follower.take(*follower.source.poll(begin));
  CHECK(follower.last.unread.anything);
  REQUIRE(follower.source.due());
  CHECK(*follower.source.due() == begin + source::kEmptyFor);
  SECTION("it stays so: it says nothing") {
    follower.take(*follower.source.poll(begin + source::kEmptyFor));
    CHECK_FALSE(follower.last.unread.anything);
    CHECK(follower.last.refusals.empty());
  }
  SECTION("it is written meanwhile") {
    write(dir.path / "a.yaml", pod("a", "1"));
    CHECK(follower.becomes({{"a", "1"}}));
    CHECK_FALSE(follower.last.unread.anything);
  }
}

TEST_CASE("a ConfigMap's files are followed through the swap of ..data") {
  const TemporaryDirectory dir;
  const auto publish = [&](const std::string& name, const std::string& text) {  // as the kubelet's atomic writer
    fs::create_directory(dir.path / name);
    write(dir.path / name / "shop.yaml", text);
    fs::create_symlink(name, dir.path / "..data_tmp");
    fs::rename(dir.path / "..data_tmp", dir.path / "..data");
  };
  publish("..2026_1", pod("a", "1"));
  fs::create_symlink("..data/shop.yaml", dir.path / "shop.yaml");
  Follower follower(dir.path);
  REQUIRE(follower.becomes({{"a", "1"}}));
  publish("..2026_2", pod("a", "2"));
  fs::remove_all(dir.path / "..2026_1");
  CHECK(follower.becomes({{"a", "2"}}));
  publish("..2026_3", pod("a", "3") + pod("b", "3"));
  CHECK(follower.becomes({{"a", "3"}, {"b", "3"}}));
}

TEST_CASE("a link to a file elsewhere is followed when that file is written") {
  const TemporaryDirectory dir;
  const TemporaryDirectory elsewhere;
  write(elsewhere.path / "text", pod("a", "1"));
  Follower follower(dir.path);
  REQUIRE(follower.becomes({}));
  fs::create_symlink(elsewhere.path / "text", dir.path / "a.yaml");
  REQUIRE(follower.becomes({{"a", "1"}}));
  write(elsewhere.path / "text", pod("a", "2"));
  CHECK(follower.becomes({{"a", "2"}}));
  replace(elsewhere.path / "text", pod("a", "3"));
  CHECK(follower.becomes({{"a", "3"}}));
}

TEST_CASE("a directory may come later, go, come back, and be swapped as a whole") {
  const TemporaryDirectory dir;
  const fs::path manifests = dir.path / "etc" / "manifests";
  Follower follower(manifests);
  REQUIRE(follower.wait_for([&] { return follower.updates == 1; }));
  REQUIRE(follower.last.refusals.size() == 1);
  CHECK(follower.last.refusals[0].to_string() ==
        manifests.string() + ": expected a directory: No such file or directory");
  fs::create_directories(manifests);
  write(manifests / "a.yaml", pod("a", "1"));
  CHECK(follower.becomes({{"a", "1"}}));
  CHECK(follower.last.refusals.empty());

  fs::rename(manifests, dir.path / "away");
  CHECK(follower.wait_for([&] { return !follower.last.refusals.empty(); }));
  CHECK(follower.versions == std::map<std::string, std::string>{{"a", "1"}});
  CHECK_THAT(follower.last.refusals[0].reason, Catch::Contains("stay as they were"));

  fs::create_directory(dir.path / "v2");
  write(dir.path / "v2" / "b.yaml", pod("b", "2"));
  fs::create_directory_symlink("../v2", manifests);
  CHECK(follower.becomes({{"b", "2"}}));
  CHECK(follower.last.refusals.empty());
  write(dir.path / "v2" / "b.yaml", pod("b", "3"));
  CHECK(follower.becomes({{"b", "3"}}));
}

TEST_CASE("a broken document is refused alone, and its object stays as it was") {
  const TemporaryDirectory dir;
  const fs::path path = dir.path / "a.yaml";
  const std::string bad_label = "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: b\n  labels: {version: 2}\n";
  write(path, pod("a", "1") + pod("b", "1") + pod("c", "1"));
  Follower follower(dir.path);
  REQUIRE(follower.becomes({{"a", "1"}, {"b", "1"}, {"c", "1"}}));

  replace(path, pod("a", "2") + bad_label + pod("c", "2"));
  CHECK(follower.becomes({{"a", "2"}, {"b", "1"}, {"c", "2"}}));
  REQUIRE(follower.last.refusals.size() == 1);
  CHECK(follower.last.refusals[0].to_string() ==
        path.string() +
            ":12: Pod default/b: metadata.labels.version: expected a text (in quotes), found the number "
            "\"2\"; what it said before stays in use");

  replace(path, pod("a", "3") + "---\nkind: [\n" + pod("c", "3"));  // whose document it is can't be read
  CHECK(follower.becomes({{"a", "3"}, {"b", "1"}, {"c", "3"}}));
  REQUIRE(follower.last.refusals.size() == 1);
  CHECK(follower.last.refusals[0].line == 9);

  replace(path, pod("a", "4") + pod("c", "4"));
  CHECK(follower.becomes({{"a", "4"}, {"c", "4"}}));
  CHECK(follower.last.refusals.empty());
}

TEST_CASE("a file that can't be read leaves its objects, and is reported") {
  const TemporaryDirectory dir;
  write(dir.path / "a.yaml", pod("a", "1"));
  Follower follower(dir.path);
  REQUIRE(follower.becomes({{"a", "1"}}));
  const auto refused = [&] { return follower.wait_for([&] { return follower.last.refusals.size() == 1; }); };
  SECTION("it is too large") {
    const int fd = open((dir.path / "a.yaml").c_str(), O_WRONLY | O_CLOEXEC);
    REQUIRE(ftruncate(fd, source::kFileOctetsMax + 1) == 0);
    close(fd);
    REQUIRE(refused());
    CHECK_THAT(follower.last.refusals[0].reason, Catch::Contains("no more than 64 MiB; what it said before stays"));
  }
  SECTION("it is a pipe") {
    fs::remove(dir.path / "a.yaml");
    REQUIRE(mkfifo((dir.path / "a.yaml").c_str(), 0644) == 0);
    REQUIRE(follower.wait_for([&] { return !follower.last.refusals.empty(); }));
    CHECK_THAT(follower.last.refusals[0].reason, Catch::Contains("a regular file"));
    return;  // removed and made again: whether the removal was seen by itself is a matter of time
  }
  SECTION("it is a link to nothing") {
    fs::create_symlink("nowhere", dir.path / "link");
    fs::rename(dir.path / "link", dir.path / "a.yaml");
    REQUIRE(refused());
    CHECK_THAT(follower.last.refusals[0].reason, Catch::Contains("No such file"));
  }
  CHECK(follower.versions == std::map<std::string, std::string>{{"a", "1"}});
}

TEST_CASE("of an object in two places the first by path counts, and the other is reported") {
  const TemporaryDirectory dir;
  write(dir.path / "b.yaml", pod("x", "b") + pod("x", "b2"));
  Follower follower(dir.path);
  REQUIRE(follower.becomes({{"x", "b"}}));
  REQUIRE(follower.last.refusals.size() == 1);
  CHECK_THAT(follower.last.refusals[0].to_string(),
             Catch::Contains("b.yaml:8: Pod default/x: expected each object once"));
  write(dir.path / "a.yaml", pod("x", "a"));
  CHECK(follower.becomes({{"x", "a"}}));
  CHECK(follower.last.refusals.size() == 2);
  CHECK(follower.source.place_of({model::Kind::kPod, {"default", "x"}})->file == (dir.path / "a.yaml").string());
  write(dir.path / "b.yaml", pod("x", "b3"));
  CHECK(follower.wait_for([&] { return follower.last.refusals.size() == 1; }));
  CHECK(follower.versions == std::map<std::string, std::string>{{"x", "a"}});
  fs::remove(dir.path / "a.yaml");
  CHECK(follower.becomes({{"x", "b3"}}));
  CHECK(follower.last.refusals.empty());
}

TEST_CASE("kinds that the mesh has no use for are counted, not refused") {
  const TemporaryDirectory dir;
  const std::string deployment = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n";
  write(dir.path / "a.yaml", deployment + pod("a", "1") + deployment);
  Follower follower(dir.path);
  CHECK(follower.becomes({{"a", "1"}}));
  CHECK(follower.last.refusals.empty());
  CHECK(follower.last.ignored ==
        std::vector<model::IgnoredKind>{{"apps/v1 Deployment", 2, (dir.path / "a.yaml").string(), 2}});
}

TEST_CASE("more changes than inotify remembers are found by listing the directory again") {
  const TemporaryDirectory dir;
  Follower follower(dir.path);
  REQUIRE(follower.becomes({}));
  std::ifstream limit("/proc/sys/fs/inotify/max_queued_events");
  int events = 0;
  REQUIRE(limit >> events);
  for (int i = 0; i < events / 2 + 100; ++i) {  // two renames: events that don't coalesce
    write(dir.path / "x", "");
    fs::rename(dir.path / "x", dir.path / "y");
  }
  write(dir.path / "a.yaml", pod("a", "1"));  // behind the end of the queue
  CHECK(follower.becomes({{"a", "1"}}));
}

TEST_CASE("the shop of the examples is read without a refusal") {
  auto shop = source::ManifestSource::open({std::string(test::kExamples) + "/shop"});
  REQUIRE(shop);
  const auto update = shop->poll(Clock::now());
  REQUIRE(update);
  for (const auto& refusal : update->refusals) UNSCOPED_INFO(refusal.to_string());
  CHECK(update->refusals.empty());
  CHECK(update->ignored.empty());
  std::map<model::Kind, int> kinds;
  for (const model::Change& change : update->changes) {
    ++kinds[change.key.kind];
    if (change.key.kind != model::Kind::kTrafficPolicy) continue;
    const auto policy = std::get<std::shared_ptr<const model::TrafficPolicy>>(*change.object);
    if (policy->name.name == "checkout") {
      CHECK(policy->health_check);
      continue;
    }
    CHECK(policy->services == std::vector<std::string>{"cart"});
    CHECK(policy->subsets[0].weight == 90);
    CHECK(policy->subsets[1].weight == 10);
  }
  CHECK(kinds == std::map<model::Kind, int>{{model::Kind::kService, 3},
                                            {model::Kind::kEndpointSlice, 3},
                                            {model::Kind::kPod, 6},
                                            {model::Kind::kNamespace, 1},
                                            {model::Kind::kTrafficPolicy, 2}});
}
