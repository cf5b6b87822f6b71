// SPDX-License-Identifier: Apache-2.0
// Objects as an API server sends them -> the same model as manifests; the state on disk; kubeconfig files.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agent/source/kubernetes/api_access.h"
#include "agent/source/kubernetes/base64.h"
#include "agent/source/kubernetes/object_reading.h"
#include "agent/source/kubernetes/object_store.h"
#include "agent/source/kubernetes/resource.h"
#include "agent/source/kubernetes/token.h"

using namespace cortexflow;
using namespace cortexflow::source;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

struct Scratch {
  Scratch() {
    std::string made = (fs::temp_directory_path() / "kubernetes-XXXXXX").string();
    if (!mkdtemp(made.data())) throw std::runtime_error("mkdtemp");
    path = made;
  }
  ~Scratch() { fs::remove_all(path); }
  std::string file(const std::string& name, const std::string& text, fs::perms mode = fs::perms::owner_read) const {
    std::ofstream(path / name) << text;
    fs::permissions(path / name, mode | fs::perms::owner_write | fs::perms::owner_read);
    return path / name;
  }
  fs::path path;
};

std::size_t place_of(model::Kind kind) {
  for (std::size_t i = 0; i < resources().size(); ++i) {
    if (resources()[i].kind == kind) return i;
  }
  throw std::logic_error("no such kind");
}

const std::size_t kServices = place_of(model::Kind::kService), kSlices = place_of(model::Kind::kEndpointSlice);

json metadata(const std::string& name) { return {{"name", name}, {"namespace", "shop"}, {"resourceVersion", "1"}}; }

json cart(int port) {
  return {{"metadata", metadata("cart")},
          {"spec", {{"clusterIP", "10.0.0.9"}, {"ports", {{{"name", "http"}, {"port", port}, {"protocol", "TCP"}}}}}}};
}

void put(ObjectStore& store, std::size_t resource, std::size_t version, json object, const std::string& at) {
  const auto text = [&](const char* key) {
    const auto value = object["metadata"].value(key, json());
    return value.is_string() ? value.get<std::string>() : std::string{};
  };
  const model::ObjectName name{text("namespace"), text("name")};
  normalize(object, resources()[resource], resources()[resource].versions[version]);
  store.put(resource, name, object, at);
}

std::vector<model::EndpointSlice> slices_of(std::size_t version, const json& object) {
  ObjectStore store(nullptr);
  put(store, kSlices, version, object, "1");
  std::vector<model::EndpointSlice> out;
  for (const auto& change : store.take().changes) {
    out.push_back(*std::get<std::shared_ptr<const model::EndpointSlice>>(*change.object));
  }
  return out;
}

}  // namespace

TEST_CASE("EndpointSlices of v1beta1 and Endpoints become what v1 says") {
  const json topology = {{"topology.kubernetes.io/zone", "z1"}, {"kubernetes.io/hostname", "n1"}};
  const auto old = slices_of(
      1,
      {{"metadata", {{"name", "cart-1"}, {"namespace", "shop"}, {"labels", {{"kubernetes.io/service-name", "cart"}}}}},
       {"addressType", "IPv4"},
       {"ports", {{{"name", "http"}, {"port", 80}}}},
       {"endpoints", {{{"addresses", {"10.1.1.1"}}, {"topology", topology}}}}});
  REQUIRE(old.size() == 1);
  CHECK(old[0].endpoints.at(0).zone == "z1");
  CHECK(old[0].endpoints.at(0).node == "n1");
  const json subset = {{"addresses", {{{"ip", "10.1.1.1"}, {"nodeName", "n1"}}, {{"ip", "2001:db8::1"}}}},
                       {"notReadyAddresses", {{{"ip", "10.1.1.2"}}}},
                       {"ports", {{{"name", "http"}, {"port", 80}}}}};
  const auto oldest = slices_of(2, {{"metadata", metadata("cart")}, {"subsets", json::array({subset})}});
  REQUIRE(oldest.size() == 2);
  CHECK(oldest[0].service == "cart");
  CHECK(oldest[0].endpoints.size() == 2);
  CHECK(oldest[0].endpoints[0].ready);
  CHECK_FALSE(oldest[0].endpoints[1].ready);
  CHECK(oldest[1].endpoints.at(0).address == *model::IpAddress::parse("2001:db8::1"));
}

TEST_CASE("an object that can't be used leaves its last good form, and is said until it is mended or gone") {
  ObjectStore store(nullptr);
  put(store, kServices, 0, cart(80), "1");
  CHECK(store.take().changes.size() == 1);
  put(store, kServices, 0, cart(99999), "2");
  auto update = store.take();
  CHECK(update.changes.empty());
  REQUIRE(update.refusals.size() == 1);
  CHECK(update.refusals[0].to_string().find("Service shop/cart: spec.ports[0].port") != std::string::npos);
  CHECK(update.unread.empty());  // it was good once
  put(store, kServices, 0, cart(81), "3");
  update = store.take();
  CHECK(update.changes.size() == 1);
  CHECK(update.refusals.empty());
  auto broken = cart(99999);
  broken["metadata"]["name"] = "other";
  put(store, kServices, 0, broken, "4");
  CHECK(store.take().unread.objects.contains({model::Kind::kService, {"shop", "other"}}));
  store.erase(kServices, {"shop", "other"});
  CHECK(store.take().refusals.empty());
}

TEST_CASE("a list tells what went, and what stayed is not read again") {
  ObjectStore store(nullptr);
  put(store, kServices, 0, cart(80), "1");
  auto other = cart(80);
  other["metadata"]["name"] = "other";
  put(store, kServices, 0, other, "2");
  (void)store.take();
  store.begin_list(kServices);
  put(store, kServices, 0, cart(80), "1");
  store.end_list(kServices);
  const auto update = store.take();
  REQUIRE(update.changes.size() == 1);
  CHECK(update.changes[0].key.name.name == "other");
  CHECK_FALSE(update.changes[0].object.has_value());
}

TEST_CASE("an object whose status alone has changed is no news, nor one that is refused as before") {
  const auto lists = place_of(model::Kind::kDenyList);
  const auto list = [](const std::string& cidr, const std::string& said) {
    return json{{"metadata", {{"name", "scanners"}, {"generation", 1}, {"managedFields", {{{"manager", said}}}}}},
                {"spec", {{"entries", {{{"cidr", cidr}}}}}},
                {"status", {{"conditions", {{{"type", "Accepted"}, {"message", said}}}}}}};
  };
  ObjectStore store(nullptr);
  for (const std::string cidr : {"192.0.2.0/24", "192.0.2.0/99", "198.51.100.0/24"}) {
    CAPTURE(cidr);
    put(store, lists, 0, list(cidr, "new"), cidr + "1");
    CHECK(store.changed());
    const auto refused = store.take().refused;
    put(store, lists, 0, list(cidr, "seen"), cidr + "2");
    CHECK_FALSE(store.changed());
    const auto update = store.take();
    CHECK(update.changes.empty());
    CHECK(update.refused == refused);
  }
  // As it was before it was refused: its refusal goes, and nothing else changes.
  put(store, lists, 0, list("nowhere", ""), "7");
  (void)store.take();
  put(store, lists, 0, list("198.51.100.0/24", ""), "8");
  CHECK(store.changed());
  CHECK(store.take().changes.empty());
}

TEST_CASE("a status that no reader looks at is not kept") {
  json list{
      {"metadata", {{"name", "scanners"}}}, {"spec", json::object()}, {"status", {{"conditions", json::array()}}}};
  const auto* resource = find_resource("cortexflow.io", "DenyList");
  normalize(list, *resource, resource->versions.front());
  CHECK_FALSE(list.contains("status"));
  auto balanced = cart(80);
  balanced["status"]["loadBalancer"]["ingress"] = json::array({{{"ip", "192.0.2.7"}}});
  normalize(balanced, resources()[kServices], resources()[kServices].versions[0]);
  CHECK(balanced.contains("status"));
}

TEST_CASE("a megabyte of annotations is not kept") {
  auto object = cart(80);
  object["metadata"]["annotations"] = {{"example.org/blob", std::string(1 << 20, 'x')}, {"cortexflow.io/weight", "2"}};
  normalize(object, resources()[kServices], resources()[kServices].versions[0]);
  CHECK(object.dump().size() < 1000);
  CHECK(object["metadata"]["annotations"].contains("cortexflow.io/weight"));
}

TEST_CASE("what a pod's maker writes can't make it another's, nor unreadable") {
  const auto* resource = find_resource("", "Pod");
  const auto normal = [&](json annotations, json more = json::object()) {
    json pod{
        {"metadata", {{"name", "x"}, {"namespace", "evil"}, {"uid", "own"}, {"annotations", std::move(annotations)}}},
        {"status", {{"podIP", "10.0.0.9"}}}};
    pod.merge_patch(more);
    normalize(pod, *resource, resource->versions.front());
    const auto made = read_object(pod, model::Kind::kPod, {"evil", "x"});
    INFO((made.refusal ? made.refusal->to_string() : ""));
    REQUIRE((!made.refusal && made.read.objects.size() == 1));
    return *std::get<std::shared_ptr<const model::Pod>>(made.read.objects[0].object);
  };
  const auto posing =
      normal({{"cortexflow.io/cgroup", "kubepods.slice"}, {"cortexflow.io/netns", "/proc/self/ns/net"}});
  CHECK((posing.cgroup.empty() && posing.netns.empty()));
  CHECK(normal({{"kubernetes.io/config.hash", "another"}}).uid == "own");
  CHECK(normal({{"kubernetes.io/config.hash", "a"}, {"kubernetes.io/config.mirror", "b"}}).uid == "own");
  CHECK(normal({{"kubernetes.io/config.hash", "a"}, {"kubernetes.io/config.mirror", "a"}}).uid == "a");
  CHECK(normal({{"cortexflow.io/weight", "7"}}).weight == 7);
  for (const json& weight : {json("x"), json("1001"), json(""), json(7)}) {
    CHECK(normal({{"cortexflow.io/weight", weight}}).weight == 1);
  }
  json owners = json::array(), containers = json::array(), labels = json::object();
  for (int i = 0; i < 2000; ++i) {
    owners.push_back({{"kind", "Job"}, {"name", fmt::format("j{}", i)}});
    containers.push_back({{"name", fmt::format("c{}", i)}, {"ports", {{{"name", "p"}, {"containerPort", 80}}}}});
    labels[fmt::format("l{}", i)] = "v";
  }
  const auto wide = normal(json::object(), {{"metadata", {{"ownerReferences", owners}, {"labels", labels}}},
                                            {"spec", {{"containers", containers}}}});
  CHECK((wide.labels.size() == 2000 && wide.addresses.size() == 1));
}

TEST_CASE("the state on disk is what was told, after any number of changes, and a torn end costs its last line only") {
  const Scratch scratch;
  const std::string path = scratch.path / "kubernetes.jsonl";
  const std::string server = "https://one";
  {
    auto cache = ObjectCache::open(path, server);
    REQUIRE(cache);
    ObjectStore store(&*cache);
    store.load();
    CHECK_FALSE(cache->complete());
    for (int i = 0; i < 30'000; ++i) {
      put(store, kServices, 0, cart(1 + i % 1000), std::to_string(i));
      if (i % 1000 == 0) store.flush();
    }
    auto other = cart(80);
    other["metadata"]["name"] = "other";
    put(store, kServices, 0, other, "a");
    store.erase(kServices, {"shop", "other"});
    cache->set_complete();
    store.flush();
    CHECK(cache->trouble().empty());
    CHECK(fs::file_size(path) < 5'000'000);  // 30,000 lines are more
  }
  std::ofstream(path, std::ios::app) << R"({"k":"Service","ns":"shop","n":"torn","v":"9","o":{"api)";
  for (int round = 0; round < 2; ++round) {
    auto cache = ObjectCache::open(path, server);
    ObjectStore store(&*cache);
    store.load();
    CHECK(cache->complete());
    auto update = store.take();
    std::erase_if(update.changes, [](const auto& change) { return !change.object; });
    REQUIRE(update.changes.size() == 1);
    const auto& read = *std::get<std::shared_ptr<const model::Service>>(*update.changes[0].object);
    CHECK(read.ports.at(0).port == 1 + 29'999 % 1000);
  }
  auto another = ObjectCache::open(path, "https://two");
  ObjectStore store(&*another);
  store.load();
  CHECK_FALSE(another->complete());
  CHECK(store.take().changes.empty());
}

TEST_CASE("nonsense in the place of the state on disk is as if nothing were there, and no line of it does harm") {
  const Scratch scratch;
  const std::string head = R"({"format":2,"server":"https://one"})"
                           "\n";
  for (const auto& text : {std::string("\0\xff[[[", 5),
                           std::string(R"({"format":"2","server":7})"
                                       "\n"),
                           head + "[]\n7\n{\"k\":[],\"ns\":1,\"n\":{}}\nnonsense\n",
                           head + R"({"k":"Service","ns":"shop","n":"cart","v":7,"o":{"metadata":{"name":5}}})"
                                  "\n",
                           head + std::string(1000, '[') + "\n"}) {
    INFO(text);
    auto cache = ObjectCache::open(scratch.file("kubernetes.jsonl", text), "https://one");
    REQUIRE(cache);
    ObjectStore store(&*cache);
    store.load();
    CHECK_FALSE(cache->complete());
    CHECK(store.take().changes.empty());
    put(store, kServices, 0, cart(80), "1");
    store.flush();
    CHECK(store.take().changes.size() == 1);
  }
}

TEST_CASE("Endpoints without a name that is one are refused, and pods elsewhere have no containers") {
  CHECK(slices_of(2, {{"metadata", {{"name", 5}}}, {"subsets", json::array({{{"addresses", {{{"ip", "10.0.0.1"}}}}}})}})
            .size() <= 1);
  json pod = {{"spec", {{"nodeName", "n1"}}},
              {"status", {{"containerStatuses", {{{"name", "a"}, {"containerID", "x://1"}}}}}}};
  auto here = pod;
  drop_containers_of_others(here, "n1");
  CHECK(here == pod);
  drop_containers_of_others(pod, "n2");
  CHECK_FALSE(pod["status"].contains("containerStatuses"));
}

TEST_CASE("of a pod's containers the ports that have names are kept, whatever else they say") {
  const auto kPods = place_of(model::Kind::kPod);
  json pod = {{"metadata", metadata("cart-0")},
              {"spec",
               {{"nodeName", "n1"},
                {"containers",
                 {{{"name", "main"},
                   {"image", "cart:1"},
                   {"ports", {{{"name", "http"}, {"containerPort", 8080}, {"hostIP", ""}}, {{"containerPort", 9}}}}},
                  {{"name", "side"}, {"env", json::array()}}}}}}};
  normalize(pod, resources()[kPods], resources()[kPods].versions[0]);
  CHECK(pod["spec"]["containers"] == json::array({{{"ports", {{{"name", "http"}, {"containerPort", 8080}}}}}}));
  ObjectStore store(nullptr);
  put(store, kPods, 0, pod, "1");
  const auto update = store.take();
  REQUIRE(update.changes.size() == 1);
  CHECK(std::get<std::shared_ptr<const model::Pod>>(*update.changes[0].object)->ports ==
        std::vector<model::PodPort>{{"http", model::Protocol::kTcp, 8080}});
  for (auto& containers : {json(5), json::array({5, nullptr}), json::array({{{"ports", {5, {{"name", 7}}}}}})}) {
    pod["spec"]["containers"] = containers;
    normalize(pod, resources()[kPods], resources()[kPods].versions[0]);
  }
}

TEST_CASE("a disk that takes no more ends the state on disk, and says so") {
  const Scratch scratch;
  auto cache = ObjectCache::open(scratch.path / "kubernetes.jsonl", "https://one");
  REQUIRE(cache);
  ObjectStore store(&*cache);
  store.load();
  const auto before = signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit low{100, limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &low);
  put(store, kServices, 0, cart(80), "1");
  store.flush();
  setrlimit(RLIMIT_FSIZE, &limit);
  signal(SIGXFSZ, before);
  CHECK(cache->trouble().find("File too large") != std::string::npos);
  CHECK(store.take().changes.size() == 1);
}

TEST_CASE("kubeconfig: certificates from data and files, tokens, plugins; what is wrong is said with its line") {
  const Scratch scratch;
  scratch.file("ca.pem", "CA");
  const std::string head =
      "apiVersion: v1\nkind: Config\ncurrent-context: here\ncontexts:\n- {name: here, context: {cluster: c, user: "
      "u}}\n";
  const std::string cluster =
      "clusters:\n- {name: c, cluster: {server: 'https://10.0.0.1:6443', certificate-authority: ca.pem, "
      "tls-server-name: api}}\n";
  const auto read = [&](const std::string& text) { return read_api_access(scratch.file("config", text)); };
  const auto good =
      read(head + cluster +
           "users:\n- {name: u, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ, token: t}}\n");
  REQUIRE(good);
  CHECK(good->servers == std::vector<std::string>{"https://10.0.0.1:6443"});
  CHECK(good->ca == "CA");
  CHECK(good->server_name == "api");
  CHECK(good->client_certificate == "CERT");
  CHECK(good->client_key == "KEY");
  CHECK(good->token == "t");
  const std::vector<std::pair<std::string, std::string>> bad{
      {head + "users: []\n", "clusters"},
      {"apiVersion: v1\n", "current-context"},
      {head + cluster + "users:\n- {name: u, user: {client-key-data: '*'}}\n", "base64"},
      {head + cluster + "users:\n- {name: u, user: {auth-provider: {name: gcp}}}\n", "not supported"},
      {head + "clusters:\n- {name: c, cluster: {server: '10.0.0.1'}}\nusers:\n- {name: u, user: {}}\n",
       "https://HOST:PORT"},
      {head + "clusters:\n- {name: c, cluster: {server: 'https://a', certificate-authority: none.pem}}\nusers: [{name: "
              "u}]\n",
       "no such file"},
      {"[", ":"}};
  for (const auto& [text, words] : bad) {
    INFO(text);
    const auto refused = read(text);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().to_string().find(words) != std::string::npos);
  }
  CHECK_FALSE(read_api_access((scratch.path / "nothing").string()));
}

TEST_CASE("a rotated token file is read again, and a plugin's token until it ends or is refused") {
  const Scratch scratch;
  ApiAccess access;
  access.token_file = scratch.file("token", "one\n");
  CredentialSource file(access);
  auto now = CredentialSource::Clock::now();
  CHECK(file.get(now)->token == "one");
  scratch.file("token", "two\n");
  CHECK(file.get(now)->token == "one");
  CHECK(file.get(now + std::chrono::seconds(61))->token == "two");
  ApiAccess with_plugin;
  with_plugin.exec.api_version = "client.authentication.k8s.io/v1";
  const std::string count = scratch.path / "count";
  with_plugin.exec.command = {
      "sh", "-c",
      "echo x >>" + count +
          "; [ -n \"$KUBERNETES_EXEC_INFO\" ] && echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":" +
          "\"ExecCredential\",\"status\":{\"token\":\"'$NAME'\"}}'"};
  with_plugin.exec.environment = {{"NAME", "from-plugin"}};
  CredentialSource plugin(with_plugin);
  CHECK(plugin.get(now)->token == "from-plugin");
  CHECK(plugin.get(now + std::chrono::hours(5))->token == "from-plugin");
  CHECK(fs::file_size(count) == 2);
  plugin.refused();
  CHECK(plugin.get(now)->token == "from-plugin");
  CHECK(fs::file_size(count) == 4);
  for (const std::string script : {"exit 3", "echo nonsense", "kill -9 $$", "head -c 100000 /dev/zero 2>/dev/null"}) {
    with_plugin.exec.command = {"sh", "-c", script};
    const auto refused = CredentialSource(with_plugin).get(now);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().to_string().starts_with("credential plugin sh: "));
  }
  with_plugin.exec.command = {"/nonexistent/plugin"};
  with_plugin.exec.install_hint = "install it";
  CHECK(CredentialSource(with_plugin).get(now).error().to_string().find("install it") != std::string::npos);
}

TEST_CASE("base64 is decoded, and what is none refused") {
  CHECK(from_base64("") == "");
  CHECK(from_base64("Zg==") == "f");
  CHECK(from_base64("Zm8=") == "fo");
  CHECK(from_base64("Zm9v") == "foo");
  CHECK_FALSE(from_base64("Zm9"));
  CHECK_FALSE(from_base64("Zm9?"));
  CHECK_FALSE(from_base64("=m9v"));
}
