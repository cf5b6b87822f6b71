// SPDX-License-Identifier: Apache-2.0
// What cfcli calls the objects of a release of the chart.
#include <catch2/catch.hpp>

#include "cli/cluster/helm.h"

using namespace cortexflow::cli;

TEST_CASE("a release's objects have its name, cut where the chart cuts it") {
  const std::string long_one(53, 'a');
  CHECK(chart_name("mesh") == "mesh");
  CHECK(chart_name(long_one) == std::string(50, 'a'));
  CHECK(chart_name(std::string(49, 'a') + "-bcd") == std::string(49, 'a'));
}
