// SPDX-License-Identifier: Apache-2.0
// Links: source.
#include "agent/source/settings.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

using cortexflow::source::Settings;

namespace {

class SettingsFile {
 public:
  explicit SettingsFile(const std::string& text) {
    const int fd = mkstemp(path_.data());
    REQUIRE(fd >= 0);
    close(fd);
    std::ofstream(path_) << text;
  }
  SettingsFile(const SettingsFile&) = delete;
  SettingsFile& operator=(const SettingsFile&) = delete;
  ~SettingsFile() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/cortexflow-settings-XXXXXX";
};

}  // namespace

TEST_CASE("A settings file sets what it names and leaves the rest") {
  const SettingsFile file("log_level: debug\ndns:\n  ports: [53, 5353]\n  timeout: 250ms\n  metrics: {names: 7}\n");
  Settings settings;
  REQUIRE(cortexflow::source::read_file(file.path(), settings));
  CHECK(settings.log_level == "debug");
  CHECK(settings.dns_ports == std::vector<std::uint16_t>{53, 5353});
  CHECK(settings.dns_timeout == std::chrono::milliseconds(250));
  CHECK(settings.dns_metric_names == 7);
  CHECK(settings.log_format == "text");
  CHECK(settings.config_file == file.path());
  const SettingsFile empty("");
  CHECK(cortexflow::source::read_file(empty.path(), settings));
}

TEST_CASE("A wrong settings file is refused with line and key, and nothing of it is applied") {
  struct Row {
    const char* what;
    std::string text;
    std::string said;  // behind the file's name
  };
  const Row row = GENERATE(values<Row>({
      {"a key that is not there", "log_level: debug\nlog_colour: red\n", ":2: unknown key log_colour; expected one of"},
      {"a key that is not there, in a section", "dns:\n  port: 53\n", ":2: unknown key dns.port; expected one of"},
      {"an empty section that is not there", "tcp: {}\n", ":1: tcp is no section; expected one of"},
      {"a section in place of a value", "cgroup_root: {a: b}\n", ":1: cgroup_root is no section; expected one of"},
      {"a section that holds itself", "dns: &d\n  metrics: *d\n",
       ":2: expected an anchor before its alias; none is named"},
      {"a key that is given twice", "dns: {timeout: 1s}\nlog_level: info\ndns.timeout: 2s\n",
       ":3: dns.timeout is given more than once"},
      {"a second document", "log_level: debug\n---\nlog_level: info\n", ":2: a second document; expected one mapping"},
      {"brackets without end", ",[[[[[[", ":1: not YAML:"},
      {"a list that holds a list", "dns:\n  ports: [53, [54]]\n", ":2: dns.ports: expected a list of values"},
      {"a list in the place of a value", "node_name: [a, b]\n", ":1: node_name: expected one value"},
      {"no address to listen on", "metrics_listen: everywhere:9464\n",
       ":1: metrics_listen: \"everywhere:9464\" won't do; expected ADDRESS:PORT"},
      {"an IPv6 address without brackets", "metrics_listen: ::1:9464\n", ":1: metrics_listen: \"::1:9464\" won't do"},
      {"a port out of range", "log_level: debug\ndns: {ports: [65536]}\n",
       ":2: dns.ports: \"65536\" won't do; expected"},
      {"too many ports", "dns: {ports: [1, 2, 3, 4, 5, 6, 7, 8, 9]}\n",
       ":1: dns.ports: \"1,2,3,4,5,6,7,8,9\" won't do"},
      {"a duration without a unit", "dns: {timeout: 5}\n", ":1: dns.timeout: \"5\" won't do; expected a duration"},
      {"a list at the top", "- log_level\n", ":1: expected a mapping of keys to values"},
      {"no YAML", "log_level: debug\n\tx: [\n", ":2: not YAML:"},
  }));
  CAPTURE(row.what);
  const SettingsFile file(row.text);
  Settings settings;
  const auto read = cortexflow::source::read_file(file.path(), settings);
  REQUIRE_FALSE(read);
  CHECK_THAT(read.error().message, Catch::Matchers::StartsWith(file.path() + row.said));
  CHECK(settings.log_level == Settings().log_level);
  CHECK(settings.config_file.empty());
}

TEST_CASE("Settings of services, health and edge are taken from a file") {
  const SettingsFile file(
      "services:\n  interfaces: ['tap*', vm-1]\n  keep_on_exit: true\n  health_check_listen: '::'\n"
      "  proxy_health_listen: '[::]:10256'\nhealth: {checks_in_flight: 512}\nedge:\n"
      "  interfaces: [eth0, eth1]\n  mode: native\n  forwarding: gue\n  addresses: [192.0.2.1, '2001:db8::1']\n"
      "  nat_ports: 40000-49999\n  gue_port: 6081\n  flows: 1024\n  keep_on_exit: true\n");
  Settings settings;
  const auto read = cortexflow::source::read_file(file.path(), settings);
  REQUIRE((read ? "" : read.error().to_string()) == "");
  CHECK(settings.service_interfaces == std::vector<std::string>{"tap*", "vm-1"});
  CHECK(settings.keep_services_on_exit);
  CHECK(settings.health_check_listen == "::");
  CHECK(settings.proxy_health_listen == cortexflow::source::ListenAddress{"::", 10256});
  CHECK(settings.health_checks_in_flight == 512);
  const auto& edge = settings.edge;
  CHECK(edge.interfaces == std::vector<std::string>{"eth0", "eth1"});
  CHECK((edge.mode == "native" && edge.forwarding == "gue"));
  REQUIRE(edge.addresses.size() == 2);
  CHECK(edge.addresses[0].to_string() == "192.0.2.1");
  CHECK(edge.addresses[1].to_string() == "2001:db8::1");
  CHECK((edge.nat_port_min == 40000 && edge.nat_port_max == 49999));
  CHECK((edge.gue_port == 6081 && edge.flows == 1024 && edge.keep_on_exit));
}

TEST_CASE("A value that won't do is refused with what was expected, and one at the limit is taken") {
  struct Row {
    std::string key, good, bad, expected;
  };
  const Row row = GENERATE(values<Row>({
      {"health.checks_in_flight", "1", "0", "a number from 1 to 512"},
      {"health.checks_in_flight", "512", "513", "a number from 1 to 512"},
      {"health.checks_in_flight", "256", "many", "a number from 1 to 512"},
      {"services.interfaces", "tap*,vm-?,[ab]x", "", "interfaces"},
      {"services.keep_on_exit", "false", "yes", "true or false"},
      {"services.health_check_listen", "0.0.0.0", "0.0.0.0:30100", "an address, such as 0.0.0.0 or ::"},
      {"services.health_check_listen", "::", "[::]", "an address"},
      {"services.health_check_listen", "", "eth0", "an address"},
      {"services.proxy_health_listen", "0.0.0.0:10256", "0.0.0.0", "ADDRESS:PORT, such as 0.0.0.0:10256"},
      {"services.proxy_health_listen", "[::]:1", "::1", "ADDRESS:PORT"},
      {"services.proxy_health_listen", "", "0.0.0.0:0", "ADDRESS:PORT"},
      {"services.proxy_health_listen", "127.0.0.1:65535", "localhost:10256", "ADDRESS:PORT"},
      {"services.proxy_health_listen", "127.0.0.1:1", "127.0.0.1:65536", "ADDRESS:PORT"},
      {"edge.interfaces", "eth0", "a-name-of-16-char", "network interfaces"},
      {"edge.interfaces", "eth0,eth1", "eth0,../eth1", "network interfaces"},
      {"edge.mode", "auto", "skb", "auto"},
      {"edge.mode", "generic", "Native", "generic"},
      {"edge.forwarding", "snat", "dsr", "snat"},
      {"edge.forwarding", "ipip", "", "ipip"},
      {"edge.addresses", "192.0.2.1", "192.0.2", "an IPv4 address"},
      {"edge.addresses", "2001:db8::1", "eth0", "an IPv4 address"},
      {"edge.addresses", "192.0.2.1,2001:db8::1", "192.0.2.1,192.0.2.2", "an IPv4 address"},
      {"edge.addresses", "2001:db8::1,192.0.2.1", "2001:db8::1,2001:db8::2", "an IPv4 address"},
      {"edge.nat_ports", "1024-1279", "1023-65535", "at least 256 ports"},
      {"edge.nat_ports", "61000-65535", "61000-61254", "at least 256 ports"},
      {"edge.nat_ports", "61000-61255", "65535-61000", "at least 256 ports"},
      {"edge.nat_ports", "1024-65535", "61000-65536", "at least 256 ports"},
      {"edge.nat_ports", "2000-3000", "2000", "at least 256 ports"},
      {"edge.gue_port", "1", "0", "a port"},
      {"edge.gue_port", "65535", "65536", "a port"},
      {"edge.flows", "1024", "1023", "a number from 1024 to 4194304"},
      {"edge.flows", "4194304", "4194305", "a number from 1024 to 4194304"},
      {"edge.keep_on_exit", "true", "1", "true or false"},
      {"policy.trust_domain", "example.org", "a/b", "a trust domain"},
      {"policy.workload_ranges", "10.0.0.0/8,2001:db8::/32", "10.0.0.1/8", "CIDRs"},
      {"policy.unknown", "audit", "hold", "one of deny, allow, audit"},
      {"policy.keep_on_exit", "false", "no", "true or false"},
      {"identity.mode", "embedded", "inside", "one of embedded, off"},
      {"identity.config", "/etc/x.yaml", "", "settings file"},
  }));
  CAPTURE(row.key, row.good, row.bad);
  Settings settings;
  CHECK(cortexflow::source::apply({row.key, row.good, "--flag"}, settings));
  const auto refused = cortexflow::source::apply({row.key, row.bad, "--flag"}, settings);
  REQUIRE_FALSE(refused);
  const auto said = refused.error().to_string();
  CHECK(said.find("--flag") != std::string::npos);
  CHECK(said.find(row.key) != std::string::npos);
  CHECK(said.find(row.expected) != std::string::npos);
}

TEST_CASE("A directory in the place of the settings file is refused") {
  Settings settings;
  const auto read = cortexflow::source::read_file("/tmp", settings);
  REQUIRE_FALSE(read);
  CHECK(read.error().message.find("cannot read /tmp") == 0);
}
