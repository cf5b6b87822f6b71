// SPDX-License-Identifier: Apache-2.0
#include "agent/flow/pod_cgroups.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

using namespace cortexflow::flow;

namespace {

constexpr const char *kFirst = "pod11111111-2222-3333-4444-555555555555",
                     *kSecond = "pod66666666-7777-8888-9999-000000000000";

// Folders as a kubelet makes them; nothing here asks whether they are cgroups.
struct Tree {
  Tree() {
    std::string name = std::filesystem::temp_directory_path() / "cortexflow-test-XXXXXX";
    REQUIRE(mkdtemp(name.data()));
    root = name;
  }
  ~Tree() { std::filesystem::remove_all(root); }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;
  void make(const std::string& path) const { std::filesystem::create_directories(root / path); }
  void remove(const std::string& path) const { std::filesystem::remove_all(root / path); }
  std::filesystem::path root;
};

std::string uid(const char* name) { return name + 3; }

std::vector<std::string> sorted(std::vector<std::string> list) {
  std::sort(list.begin(), list.end());
  return list;
}

bool allow_watches(int count) {  // to this user namespace
  std::ofstream limit("/proc/sys/user/max_inotify_watches");
  return static_cast<bool>(limit << count << std::flush);
}

// In a user namespace of its own that has no watches to give; 0: all is as it should be, else what is not.
int without_watches(const Tree& tree) {
  if (unshare(CLONE_NEWUSER) != 0) return 1;
  for (const auto& [file, text] : {std::pair{"setgroups", "deny"}, {"uid_map", "0 0 1"}, {"gid_map", "0 0 1"}}) {
    std::ofstream map(std::string("/proc/self/") + file);
    if (!(map << text << std::flush)) return 1;
  }
  if (!allow_watches(0)) return 2;
  auto cgroups = PodCgroups::open(tree.root);
  if (!cgroups) return 3;
  auto now = std::chrono::steady_clock::now();
  if (cgroups->poll(now) != std::vector{uid(kFirst)}) return 4;
  if (cgroups->failure().find("raise fs.inotify.max_user_watches") == std::string::npos) return 5;
  tree.make(std::string("kubepods/") + kSecond);
  now += std::chrono::seconds(1);
  if (!cgroups->poll(now).empty()) return 6;
  now += PodCgroups::kLookEvery;
  if (cgroups->poll(now) != std::vector{uid(kSecond)}) return 7;  // the other has not changed
  tree.remove(std::string("kubepods/") + kFirst);
  now += PodCgroups::kLookEvery;
  if (cgroups->poll(now) != std::vector{uid(kFirst)} || cgroups->id_of(uid(kFirst))) return 8;
  if (!allow_watches(100)) return 2;
  now += PodCgroups::kLookEvery;
  if (!cgroups->poll(now).empty() || !cgroups->failure().empty()) return 9;
  tree.make(std::string("kubepods/burstable/") + kFirst);
  if (cgroups->poll(now) != std::vector{uid(kFirst)}) return 10;  // at once again
  return 0;
}

}  // namespace

TEST_CASE("pods' cgroups are known as they come and go, with either driver's names") {
  const Tree tree;
  tree.make(std::string("kubepods/") + kFirst);
  auto cgroups = PodCgroups::open(tree.root);
  REQUIRE(cgroups);
  const auto now = std::chrono::steady_clock::now();
  CHECK(cgroups->poll(now) == std::vector{uid(kFirst)});
  CHECK(cgroups->id_of(uid(kFirst)));
  CHECK(cgroups->poll(now).empty());
  tree.make("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod66666666_7777_8888_9999_000000000000.slice");
  CHECK(cgroups->poll(now) == std::vector{uid(kSecond)});
  tree.remove("kubepods");
  tree.remove("kubepods.slice");
  CHECK(sorted(cgroups->poll(now)) == sorted({uid(kFirst), uid(kSecond)}));
  CHECK((cgroups->size() == 0 && cgroups->failure().empty()));
}

TEST_CASE("where there are no watches to be had, pods' cgroups are looked at every few seconds, and that is said") {
  const Tree tree;
  tree.make(std::string("kubepods/") + kFirst);
  const auto child = fork();
  if (child == 0) _exit(without_watches(tree));
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
