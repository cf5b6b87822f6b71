// SPDX-License-Identifier: Apache-2.0
// What `cfcli sysdump` takes out, and where it writes.
#include "cli/redact.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "cli/dump.h"
#include "cli/secret_name.h"
#include "tests/unit/control_fixture.h"

using namespace cortexflow::cli;

TEST_CASE("what names a secret, and what only speaks of one") {
  for (const char* name : {"AWS_SECRET_ACCESS_KEY",
                           "AWS_ACCESS_KEY_ID",
                           "SECRET_KEY",
                           "apiKey",
                           "APIKEY",
                           "PGPASSWORD",
                           "PGPASS",
                           "db_pwd",
                           "passPhrase",
                           "MYSQL_PASSWORD_OLD",
                           "--password",
                           "-token",
                           "--key",
                           "tls.key",
                           "githubToken",
                           "credentials",
                           "client_credentials_json",
                           "Authorization",
                           "TOKENS",
                           "KEY"}) {
    INFO(name);
    CHECK(names_secret(name));
  }
  for (const char* name : {"key", "key_type", "key_size", "keyUsages", "token_file", "passphraseFile", "secretName",
                           "--token-file", "topologyKey", "token_review.audience", "bypass", "passed", "keep_on_exit",
                           "passive", "keyboard", "log_level", "node", "", "_"}) {
    INFO(name);
    CHECK_FALSE(names_secret(name));
  }
}

TEST_CASE("values of secrets go out of any text, all else stays") {
  struct Row {
    const char* given;
    const char* expected;
  };
  const Row rows[] = {
      {"password: hunter two", "password: [redacted]"},
      {"  - passphrase: \"a \\\" b\" # why", "  - passphrase: \"[redacted]\" # why"},
      {"DB_PASSWORD=x1 next=2", "DB_PASSWORD=[redacted] next=2"},
      {"{\"apiKey\": \"abc\", \"port\": 80}", "{\"apiKey\":\"[redacted]\",\"port\":80}"},
      {"cfcli --token abcdef --port 1", "cfcli --token [redacted] --port 1"},
      {"Authorization: Bearer abcdefgh.ij", "Authorization: [redacted]"},
      {"GET / Authorization: Bearer abcd", "GET / Authorization: [redacted]"},
      {"curl -H 'Authorization: Basic dXNlcg==' http://a/", "curl -H 'Authorization: [redacted]' http://a/"},
      {"Authorization: Digest username=\"me\", response=\"12ab\"", "Authorization: [redacted]"},
      {"GET / Authorization: Digest username=\"me\", response=\"12ab\"", "GET / Authorization: [redacted]"},
      {"HEADERS=Authorization=Basic dXNlcg==", "HEADERS=Authorization=[redacted]"},
      {"tokens: [one, two]", "tokens: [redacted]"},
      {"tokens=[one, two] port=80", "tokens=[redacted] port=80"},
      {"PASSWORD={hunter2 next=2", "PASSWORD=[redacted] next=2"},
      {"PASSWORD=>hunter2 next=2", "PASSWORD=[redacted] next=2"},
      {"password: 'it''s' # why", "password: '[redacted]' # why"},
      {"https://u:p@ss@host/a@b", "https://[redacted]@host/a@b"},
      {"sent eyJhbGciOi.eyJzdWIi.c2ln.", "sent [redacted]."},
      {"sent Bearer abcdefghij to x", "sent Bearer [redacted] to x"},
      {"log eyJhbGciOi.eyJzdWIi.c2ln end", "log [redacted] end"},
      {"https://me:pw@host/path", "https://[redacted]@host/path"},
      {"token_file: /run/token", "token_file: /run/token"},
      {"automountServiceAccountToken: false", "automountServiceAccountToken: false"},
      {"the token was refused", "the token was refused"},
      {"listening on 0.0.0.0:9464", "listening on 0.0.0.0:9464"},
      {"a\n\npassword: b\nc\n", "a\n\npassword: [redacted]\nc\n"},
      {"k: |\n  -----BEGIN EC PRIVATE KEY-----\n  MHc\n  x=\n  -----END EC PRIVATE KEY-----\nz: 1",
       "k: |\n  -----BEGIN EC PRIVATE KEY-----[redacted]-----END EC PRIVATE KEY-----\nz: 1"},
      {"AWS_SECRET_ACCESS_KEY=x/y SECRET_KEY=z PORT=80",
       "AWS_SECRET_ACCESS_KEY=[redacted] SECRET_KEY=[redacted] PORT=80"},
      {"args: [\"--password\", \"x\", \"--port\", \"80\"]",
       "args: [\"--password\", \"[redacted]\", \"--port\", \"80\"]"},
      {"- --password\n- x y\n- --port\n- \"80\"", "- --password\n- [redacted]\n- --port\n- \"80\""},
      {"run -token abc -v", "run -token [redacted] -v"},
      {"set {\"name\":\"DB_PASSWORD\",\"value\":\"x\"} done",
       "set {\"name\":\"DB_PASSWORD\",\"value\":\"[redacted]\"} done"},
      {"set {\\\"name\\\":\\\"DB_PASSWORD\\\",\\\"value\\\":\\\"x\\\"} {\\\"token\\\":\\\"y\\\"}",
       "set {\\\"name\\\":\\\"DB_PASSWORD\\\",\\\"value\\\":\\\"[redacted]\\\"} {\\\"token\\\":\\\"[redacted]\\\"}"},
      {"- name: DB_PASSWORD\n  value: x\n- name: PORT\n  value: \"80\"",
       "- name: DB_PASSWORD\n  value: [redacted]\n- name: PORT\n  value: \"80\""},
      {"- name: DB_PASSWORD\n  value: |\n    x\n  more: 1",
       "- name: DB_PASSWORD\n  value: |\n    [redacted]\n  more: 1"},
      {"a:\n  password: |\n    one: two\n\n    three\n  port: 80",
       "a:\n  password: |\n    [redacted]\n\n    [redacted]\n  port: 80"},
      {"- password: >-\n    one\n  port: 80", "- password: >-\n    [redacted]\n  port: 80"},
      {"password:\n  one\nport: 80", "password:\n  [redacted]\nport: 80"},
      {"password: \"one\n  two\"\nport: 80", "password: \"[redacted]\"\n  [redacted]\nport: 80"},
      {"tokens:\n- one\n- two\nport: 80", "tokens:\n- [redacted]\n- [redacted]\nport: 80"},
      {"secret:\n  secretName: s\n  defaultMode: 420", "secret:\n  secretName: s\n  defaultMode: 420"},
      {"key_type: rsa\nkey: app", "key_type: rsa\nkey: app"},
      {"[{\"name\": \"TOKEN\", \"value\": \"x\"}]\n", "[{\"name\":\"TOKEN\",\"value\":\"[redacted]\"}]\n"},
      {"-----BEGIN PRIVATE KEY-----\nMHc cut off", "-----BEGIN PRIVATE KEY-----[redacted]"},
  };
  for (const auto& row : rows) CHECK(redacted(row.given) == row.expected);
}

TEST_CASE("values of secrets go out of documents, also of containers' environments") {
  auto document = nlohmann::ordered_json::parse(R"({
    "env": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "PORT", "value": "80"}, {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    "args": ["--password", "x", "--port", "80", "--token=y", "--key", "--verbose"], "passwords": ["x", "y"], "optional_token": "",
    "tolerations": [{"key": "node-role.kubernetes.io/master", "operator": "Exists"}],
    "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"env\":[{\"name\":\"DB_PASSWORD\",\"value\":\"x\"}],\"args\":[\"--password\",\"x\"]}\n"}},
    "data": {"agent.yaml": "log_level: info\npassphrase: hunter2\n", "token": "abc"}, "count": 3})");
  redact(document);
  CHECK(document["env"][0]["value"] == "[redacted]");
  CHECK(document["env"][1]["value"] == "80");
  CHECK(document["env"][2]["valueFrom"]["secretKeyRef"]["name"] == "s");
  CHECK(document["data"]["agent.yaml"] == "log_level: info\npassphrase: [redacted]\n");
  CHECK(document["data"]["token"] == "[redacted]");
  CHECK(document["count"] == 3);
  CHECK(document["args"] ==
        nlohmann::ordered_json::parse(
            R"(["--password", "[redacted]", "--port", "80", "--token=[redacted]", "--key", "[redacted]"])"));
  CHECK(document["passwords"] == nlohmann::ordered_json::parse(R"(["[redacted]", "[redacted]"])"));
  CHECK(document["optional_token"] == "");
  CHECK(document["tolerations"][0]["key"] == "node-role.kubernetes.io/master");
  CHECK(document["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] ==
        "{\"env\":[{\"name\":\"DB_PASSWORD\",\"value\":\"[redacted]\"}],\"args\":[\"--password\",\"[redacted]\"]}\n");
}

TEST_CASE(
    "a dump takes nothing outside of it, lists what is missing with the cause, and leaves nothing but its archive") {
  const cortexflow::test::Directory place;
  const auto root = std::filesystem::path(place.socket()).parent_path();
  const auto temporary = root / "tmp";
  std::filesystem::create_directories(temporary);
  const char* const before = std::getenv("TMPDIR");
  const std::string restored = before != nullptr ? before : "/tmp";
  setenv("TMPDIR", temporary.c_str(), 1);
  const auto file = (root / "2026-11-22T08:30.tgz").string();
  {
    auto dump = Dump::open("dump", 100, Dump::Clock::now() + std::chrono::minutes(1));
    REQUIRE(dump);
    dump->add_text("node-../../../out/a.txt", std::string("a"));
    dump->add_text((root / "out.txt").string(), std::string("a"));
    dump->add_text("node-a..b/a.txt", std::string("a"));
    dump->add_text("large.txt", std::string(200, 'a'));
    dump->collect("thrown.json",
                  []() -> cortexflow::Result<nlohmann::ordered_json> { throw std::runtime_error("no room"); });
    dump->collect_text("strange.txt", []() -> cortexflow::Result<std::string> {
      return nlohmann::ordered_json(7).get<std::string>();
    });
    CHECK(dump->parts() == 1);
    const auto& missing = dump->missing();
    REQUIRE(missing.size() == 5);
    CHECK(missing[0] == "node-../../../out/a.txt: a name that leads out of the dump");
    CHECK(missing[1].find("leads out of the dump") != std::string::npos);
    CHECK(missing[2] == "large.txt: the dump is as large as it may be");
    CHECK(missing[3] == "thrown.json: no room");
    CHECK(missing[4].find("was not understood") != std::string::npos);
    CHECK(dump->pack(file));
  }
  setenv("TMPDIR", restored.c_str(), 1);
  CHECK(std::filesystem::is_empty(temporary));
  CHECK(std::filesystem::exists(file));
  CHECK_FALSE(std::filesystem::exists(root / "out"));
  CHECK_FALSE(std::filesystem::exists(root / "out.txt"));
}
