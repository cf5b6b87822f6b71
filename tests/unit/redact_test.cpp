// SPDX-License-Identifier: Apache-2.0
// What `cfcli sysdump` takes out.
#include "cli/redact.h"

#include <catch2/catch.hpp>

using namespace cortexflow::cli;

TEST_CASE("values of secrets go out of any text, all else stays") {
  struct Row {
    const char* given;
    const char* expected;
  };
  const Row rows[] = {
      {"password: hunter two", "password: [redacted]"},
      {"  - passphrase: \"a \\\" b\" # why", "  - passphrase: \"[redacted]\" # why"},
      {"DB_PASSWORD=x1 next=2", "DB_PASSWORD=[redacted] next=2"},
      {"{\"apiKey\": \"abc\", \"port\": 80}", "{\"apiKey\": \"[redacted]\", \"port\": 80}"},
      {"cfcli --token abcdef --port 1", "cfcli --token [redacted] --port 1"},
      {"Authorization: Bearer abcdefgh.ij", "Authorization: [redacted]"},
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
      {"-----BEGIN PRIVATE KEY-----\nMHc cut off", "-----BEGIN PRIVATE KEY-----[redacted]"},
  };
  for (const auto& row : rows) CHECK(redacted(row.given) == row.expected);
}

TEST_CASE("values of secrets go out of documents, also of containers' environments") {
  auto document = nlohmann::ordered_json::parse(R"({
    "env": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "PORT", "value": "80"}, {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    "data": {"agent.yaml": "log_level: info\npassphrase: hunter2\n", "token": "abc"}, "count": 3})");
  redact(document);
  CHECK(document["env"][0]["value"] == "[redacted]");
  CHECK(document["env"][1]["value"] == "80");
  CHECK(document["env"][2]["valueFrom"]["secretKeyRef"]["name"] == "s");
  CHECK(document["data"]["agent.yaml"] == "log_level: info\npassphrase: [redacted]\n");
  CHECK(document["data"]["token"] == "[redacted]");
  CHECK(document["count"] == 3);
}
