// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <string>

#include "agent/flow/cgroup_paths.h"
#include "agent/flow/workload_path.h"
#include "agent/flow/workload_resolver.h"
#include "agent/flow/workload_table.h"

using namespace cortexflow;
using namespace std::chrono_literals;

namespace {

const std::string kId = "0123456789ab0123456789ab0123456789ab0123456789ab0123456789abcdef";
const std::string kInnerId(64, 'f');
const std::string kUid = "6b9e2f53-2c1d-4f0e-9c11-0f5a7e1d2b3c";
const std::string kSystemdUid = "6b9e2f53_2c1d_4f0e_9c11_0f5a7e1d2b3c";

}  // namespace

TEST_CASE("a cgroup's path tells its workload") {
  struct Row {
    const char* sentence;
    std::string path;
    std::string container;
    std::string pod;
    std::string name;
  };
  const std::string pod_slice =
      "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + kSystemdUid + ".slice/";
  for (const Row& row : {
           Row{"nothing known", "", "", "", ""},
           Row{"the root is the host", "/", "", "", "host"},
           Row{"a systemd unit", "/system.slice/foo.service", "", "", "foo.service"},
           Row{"a unit with cgroups below", "/system.slice/foo.service/worker", "", "", "foo.service"},
           Row{"the innermost unit of a user", "/user.slice/user-1.slice/user@1.service/app.slice/a.scope", "", "",
               "a.scope"},
           Row{"a slice alone", "/system.slice", "", "", "system.slice"},
           Row{"a cgroup of no manager", "/my/group", "", "", "group"},
           Row{"Docker with cgroupfs", "/docker/" + kId, kId, "", "0123456789ab"},
           Row{"Docker with systemd", "/system.slice/docker-" + kId + ".scope", kId, "", "0123456789ab"},
           Row{"Podman", "/machine.slice/libpod-" + kId + ".scope/container", kId, "", "0123456789ab"},
           Row{"Podman's watcher is no container", "/machine.slice/libpod-conmon-" + kId + ".scope", "", "",
               "libpod-conmon-" + kId + ".scope"},
           Row{"kubelet with systemd and containerd", pod_slice + "cri-containerd-" + kId + ".scope", kId, kUid,
               "0123456789ab"},
           Row{"kubelet with systemd and CRI-O", pod_slice + "crio-" + kId + ".scope", kId, kUid, "0123456789ab"},
           Row{"a guaranteed pod", "/kubepods.slice/kubepods-pod" + kSystemdUid + ".slice/docker-" + kId + ".scope",
               kId, kUid, "0123456789ab"},
           Row{"kubelet with cgroupfs", "/kubepods/burstable/pod" + kUid + "/" + kId, kId, kUid, "0123456789ab"},
           Row{"dashes in other places than a uid's", "/kubepods/pod0a1b2c3d0000--1111-2222-333344445555/" + kId, kId,
               "", "0123456789ab"},
           Row{"a static pod's hash", "/kubepods/pod" + std::string(32, 'a') + "/" + kId, kId, std::string(32, 'a'),
               "0123456789ab"},
           Row{"containerd with its drivers mixed up",
               "/system.slice/containerd.service/kubepods-burstable-pod" + kSystemdUid + ".slice:cri-containerd:" + kId,
               kId, kUid, "0123456789ab"},
           Row{"the inner container of two", "/docker/" + kId + "/docker/" + kInnerId, kInnerId, "", "ffffffffffff"},
           Row{"a unit within a container", "/docker/" + kId + "/system.slice/x.service", kId, "", "0123456789ab"},
           Row{"a directory named pod that is no pod", "/podcasts", "", "", "podcasts"},
           Row{"hex digits behind other hex digits are no id", "/docker/a" + kId, "", "", "a" + kId},
           Row{"octets that don't print", "/a\nb\x1b", "", "", "a?b?"},
       }) {
    INFO(row.sentence);
    const model::Workload workload = flow::parse_workload(row.path);
    CHECK(workload.container_id == row.container);
    CHECK(workload.pod_uid == row.pod);
    CHECK(workload.name == row.name);
  }
}

TEST_CASE("the cgroup v2 mount is found in mountinfo") {
  CHECK_FALSE(flow::find_cgroup2_mount("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"));
  const auto mount = flow::find_cgroup2_mount(
      "30 23 0:28 /part /mnt rw - cgroup2 cgroup2 rw\n"
      "31 23 0:28 / /sys/fs/c\\040group rw shared:9 - cgroup2 cgroup2 rw\n");
  REQUIRE(mount);
  CHECK(mount->root == "/");
  CHECK(mount->point == "/sys/fs/c group");
}

TEST_CASE("a cgroup's path is its directory's without the mount") {
  const flow::CgroupMount whole{"/", "/sys/fs/cgroup"};
  const flow::CgroupMount part{"/a", "/cg"};
  CHECK(flow::cgroup_path_below(whole, "/sys/fs/cgroup") == "/");
  CHECK(flow::cgroup_path_below(whole, "/sys/fs/cgroup/a/b") == "/a/b");
  CHECK(flow::cgroup_path_below(whole, "/sys/fs/cgroup/a (deleted)") == "/a");
  CHECK(flow::cgroup_path_below(whole, "/sys/fs/cgroups") == "/sys/fs/cgroups");
  CHECK(flow::cgroup_path_below(part, "/cg/b") == "/a/b");
  CHECK(flow::cgroup_path_below(part, "/cg") == "/a");
}

TEST_CASE("the longest path of a process is taken") {
  CHECK(flow::longest_cgroup_path("4:memory:/docker/x\n1:cpu:/\n0::/\n") == "/docker/x");
  CHECK(flow::longest_cgroup_path("0::/a:b\n") == "/a:b");
  CHECK(flow::longest_cgroup_path("").empty());
}

TEST_CASE("the resolver asks the kernel no more than it has to") {
  int asked_cgroups = 0;
  int asked_processes = 0;
  std::optional<std::string> path = "/system.slice/a.service";
  std::chrono::steady_clock::time_point now{};
  const auto resolver_on = [&](bool has_v1) {
    return flow::WorkloadResolver({[&](std::uint64_t) { return ++asked_cgroups, path; },
                                   [&](std::uint32_t pid) {
                                     ++asked_processes;
                                     return pid == 1 ? std::nullopt : std::optional<std::string>("/docker/x");
                                   },
                                   [&] { return now; }, has_v1});
  };
  auto resolver = resolver_on(false);

  SECTION("a path that was found is kept") {
    CHECK(resolver.resolve(7, 1).name == "a.service");
    now += 1h;
    CHECK(resolver.resolve(7, 2).name == "a.service");
    CHECK(asked_cgroups == 1);
    CHECK(asked_processes == 0);
  }
  SECTION("one that was not found is asked for again after a second") {
    path.reset();
    CHECK(resolver.resolve(7, 0).cgroup_path.empty());
    CHECK(resolver.resolve(7, 0).name.empty());
    CHECK(asked_cgroups == 1);
    now += 1s;
    path = "/b";
    CHECK(resolver.resolve(7, 0).name == "b");
    CHECK(asked_cgroups == 2);
  }
  SECTION("the process is asked where cgroup v2 says only the root") {
    path = "/";
    CHECK(resolver.resolve(1, 0).name == "host");
    CHECK(resolver.resolve(1, 42).cgroup_path == "/docker/x");
    CHECK(resolver.resolve(1, 42).cgroup_path == "/docker/x");
    CHECK(asked_processes == 1);
    now += 10s;
    resolver.resolve(1, 42);
    CHECK(asked_processes == 2);
  }
  SECTION("with cgroup v1 beside it, cgroup v2's root is nobody's name; without, the host's") {
    path = "/";
    CHECK(resolver.resolve(1, 1).name == "host");
    auto hybrid = resolver_on(true);
    CHECK(hybrid.resolve(1, 1).name.empty());
    CHECK(hybrid.resolve(1, 0).name.empty());
    CHECK(hybrid.resolve(1, 42).cgroup_path == "/docker/x");
  }
  SECTION("the cache is bounded and drops what was not used for longest") {
    for (std::uint64_t id = 1; id <= flow::WorkloadResolver::kCacheMax; ++id) resolver.resolve(id, 0);
    resolver.resolve(1, 0);
    resolver.resolve(5000, 0);
    CHECK(resolver.cached() == flow::WorkloadResolver::kCacheMax);
    asked_cgroups = 0;
    resolver.resolve(1, 0);
    CHECK(asked_cgroups == 0);
    resolver.resolve(2, 0);
    CHECK(asked_cgroups == 1);
  }
}

TEST_CASE("the workload table counts and keeps its bound") {
  flow::WorkloadTable table(2);
  const auto lookup = [](const std::string& path, model::DnsOutcome outcome, std::uint16_t rcode) {
    model::DnsLookup made;
    made.workload = flow::parse_workload(path);
    made.outcome = outcome;
    made.transmissions = 1;
    made.has_answer = outcome == model::DnsOutcome::kAnswered;
    made.rcode = rcode;
    return made;
  };
  table.record(lookup("/a", model::DnsOutcome::kAnswered, 0));
  table.record(lookup("/a", model::DnsOutcome::kAnswered, 3));
  table.record(lookup("/a", model::DnsOutcome::kAnswered, 2));
  table.record(lookup("/b", model::DnsOutcome::kTimeout, 0));
  auto unasked = lookup("/b", model::DnsOutcome::kUnmatched, 2);
  unasked.transmissions = 0;
  table.record(unasked);
  auto rows = table.rows();
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].workload.name == "b");
  CHECK(rows[0].lookups == 1);
  CHECK(rows[0].failed == 1);
  CHECK(rows[1].lookups == 3);
  CHECK(rows[1].failed == 1);

  table.record(lookup("/c", model::DnsOutcome::kAnswered, 0));
  rows = table.rows();
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].workload.name == "c");
  CHECK(rows[2].workload.name == "other");
  CHECK(rows[2].lookups == 3);
  CHECK(rows[2].failed == 1);
}
