// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/kept_writes.h"

#include <bpf/bpf.h>

#include <catch2/catch.hpp>

#include "agent/base/fd.h"

using namespace cortexflow;
using namespace cortexflow::kernel;

namespace {

std::string octets(std::uint32_t value) { return octets_of(value); }

}  // namespace

TEST_CASE("what a full table refuses is written once there is room, the latest word on each entry, in order") {
  const Fd fd(bpf_map_create(BPF_MAP_TYPE_HASH, nullptr, 4, 4, 2, nullptr));
  REQUIRE(fd);
  NamedMaps maps;
  maps.add("small", fd.get());
  KeptWrites writes;
  REQUIRE(writes.write(maps, "small", octets(1), octets(10)));
  REQUIRE(writes.write(maps, "small", octets(2), octets(20)));
  CHECK(writes.words().empty());
  const auto refused = writes.write(maps, "small", octets(3), octets(30));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().to_string().find("cannot write small") == 0);
  REQUIRE_FALSE(writes.write(maps, "small", octets(4), octets(40)));
  REQUIRE_FALSE(writes.write(maps, "small", octets(5), octets(50)));
  REQUIRE_FALSE(writes.write(maps, "small", octets(3), octets(31)));
  CHECK(writes.kept() == 3);
  REQUIRE(writes.write(maps, "small", octets(5), std::nullopt));  // no longer wanted
  CHECK(writes.kept() == 2);
  writes.retry(maps);
  CHECK(writes.words().find("2 writes to the kernel's tables are tried again each second: cannot write small") == 0);
  REQUIRE(maps.erase("small", octets(1)));
  writes.retry(maps);
  CHECK(maps.find("small", octets(4)) == octets(40));  // refused first: 3 has been wished for anew since
  CHECK_FALSE(maps.find("small", octets(3)));
  REQUIRE(writes.write(maps, "small", octets(2), std::nullopt));
  writes.retry(maps);
  CHECK(maps.find("small", octets(3)) == octets(31));
  CHECK(maps.read("small").size() == 2);
  CHECK((writes.kept() == 0 && writes.words().empty()));
  CHECK_FALSE(writes.write(maps, "other", octets(1), octets(1)));
}

TEST_CASE("an entry of a map of arrays is written in place, and one of another size is refused") {
  const Fd shape(bpf_map_create(BPF_MAP_TYPE_ARRAY, nullptr, 4, 8, 1, nullptr));
  REQUIRE(shape);
  LIBBPF_OPTS(bpf_map_create_opts, options, .inner_map_fd = static_cast<__u32>(shape.get()));
  const Fd fd(bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, nullptr, 4, 4, 4, &options));
  REQUIRE(fd);
  NamedMaps maps;
  maps.add("tables", fd.get());
  REQUIRE(maps.put("tables", octets(2), std::string(8, 'a')));
  std::uint32_t number = 2, before = 0, after = 0;
  REQUIRE(bpf_map_lookup_elem(fd.get(), &number, &before) == 0);
  REQUIRE(maps.put("tables", octets(2), std::string(8, 'b')));
  REQUIRE(bpf_map_lookup_elem(fd.get(), &number, &after) == 0);
  CHECK(before == after);
  CHECK_FALSE(maps.put("tables", octets(2), std::string(9, 'c')));
  CHECK_FALSE(maps.put("tables", octets(3), std::string(9, 'c')));
  CHECK(maps.read("tables") == NamedMaps::Entries{{octets(2), std::string(8, 'b')}});
  REQUIRE(maps.erase("tables", octets(2)));
  CHECK(maps.read("tables").empty());
}
