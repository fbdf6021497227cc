#include "device/steering.h"

#include <bpf/bpf.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/flow_storage.h"
#include "support/fragments.h"
#include "vipgate/engine.h"

namespace vipgate {
namespace {

using test::address;
using test::PacketBuilder;
using test::WirePacket;

constexpr std::uint64_t kSeed = 0x1234567890abcdef;

Service service(std::string_view backend, PortRange ports, SourceMode source) {
  Service service;
  service.protocols = {Protocol::tcp, Protocol::udp};
  service.ports = {ports};
  service.source = source;
  Backend one;
  one.address = address(backend);
  service.backends = {one};
  return service;
}

Rules rules() {
  Vip plain;
  plain.address = address("203.0.113.10");
  plain.services = {service("10.0.0.2", {80, 80}, SourceMode::masquerade),
                    service("10.0.0.3", {443, 443}, SourceMode::preserve)};
  Vip shows_egress;
  shows_egress.address = address("203.0.113.11");
  // Of 10.0.1.4 some ports are the services', of 10.0.1.5 so many that the program takes them for all.
  shows_egress.services = {service("10.0.1.4", {8000, 8099}, SourceMode::preserve),
                           service("10.0.1.4", {25, 25}, SourceMode::preserve)};
  for (std::uint16_t port = 1; port <= 6; ++port)
    shows_egress.services.push_back(service("10.0.1.5", {port, port}, SourceMode::preserve));
  Rules all;
  all.vips = {plain, shows_egress};
  all.masquerade = {address("203.0.113.14")};
  all.egress = {{.from = Ipv4Prefix(address("10.0.1.0"), 24), .as = address("203.0.113.11"), .except = {}}};
  return all;
}

/// The program, as the kernel runs it.
class Program {
 public:
  explicit Program(Steering steering) : steering_(std::move(steering)) {}

  void follow(const Ruleset& ruleset, std::uint64_t seed) {
    EXPECT_EQ(steering_.follow(steering_table(ruleset, seed)), absl::OkStatus());
  }

  unsigned operator()(const WirePacket& packet) {
    std::vector<std::uint8_t> frame(14);  // the kernel wants Ethernet, and shows the program what is behind it
    frame[12] = 0x08;                     // IPv4
    frame.insert(frame.end(), packet.bytes().begin(), packet.bytes().end());
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    options.data_in = frame.data();
    options.data_size_in = static_cast<std::uint32_t>(frame.size());
    EXPECT_EQ(::bpf_prog_test_run_opts(steering_.program(), &options), 0);
    return options.retval;
  }

 private:
  Steering steering_;
};

class SteeringTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<Steering> steering = Steering::load();
    if (absl::IsPermissionDenied(steering.status())) GTEST_SKIP() << steering.status();
    ASSERT_TRUE(steering.ok()) << steering.status();
    program_.emplace(*std::move(steering));
    program_->follow(*ruleset_, kSeed);
  }

  /// The shard that the engine says; none where it owns the packet, or wants it not.
  std::optional<unsigned> shard_of(const WirePacket& wire) {
    struct : PacketSink {
      void send(const Packet&) override {}
    } nowhere;
    WirePacket copy = wire;
    Packet packet = copy.packet();
    const Verdict verdict = engine_.process(packet, Time(std::chrono::hours(1)), nowhere);
    const bool joined = packet.fragment_size != 0;  // the shard is the whole datagram's
    if (verdict.action != Action::hand_off || joined) return std::nullopt;
    return verdict.shard;
  }

  void expect_the_same(const WirePacket& packet, const std::string& what) {
    const std::optional<unsigned> shard = shard_of(packet);
    if (!shard) return;
    ++compared_;
    EXPECT_EQ((*program_)(packet), *shard) << what;
  }

  std::shared_ptr<const Ruleset> ruleset_ = compile(rules(), 1);
  FlowStorage storage_ = *FlowStorage::allocate(1024);
  // Of the 64 workers that there can be: it owns one shard, and tells of all others.
  Engine engine_{{.worker = 0, .workers = kShards, .seed = kSeed, .memory = storage_.memory()}, ruleset_};
  std::optional<Program> program_;
  int compared_ = 0;
};

std::string text(const Endpoint& endpoint) {
  return endpoint.address.to_string() + ":" + std::to_string(endpoint.port);
}

TEST_F(SteeringTest, SaysWhatTheEngineSays) {
  std::mt19937 random(1);
  const std::vector<Ipv4Address> known = {address("203.0.113.10"), address("203.0.113.11"), address("203.0.113.12"),
                                          address("203.0.113.14"), address("10.0.0.2"),     address("10.0.0.3"),
                                          address("10.0.1.4"),     address("10.0.1.6")};
  const auto port = [&random] {
    constexpr std::array<std::uint16_t, 8> kPorts{25, 80, 443, 8000, 8099, 8100, 32767, 32768};
    const auto one = static_cast<unsigned>(random());
    return one % 2 == 0 ? kPorts[one / 2 % kPorts.size()] : static_cast<std::uint16_t>(one >> 8);
  };
  const auto some = [&] {
    const auto one = static_cast<unsigned>(random());
    return Endpoint{one % 2 == 0 ? known[one / 2 % known.size()] : Ipv4Address(0xc6336400 + one / 2 % 250), port()};
  };
  constexpr std::array kProtocols{Protocol::tcp, Protocol::udp, Protocol::icmp};
  for (int i = 0; i < 20'000; ++i) {
    const Endpoint source = some();
    const Endpoint destination = some();
    const Protocol protocol = kProtocols[random() % kProtocols.size()];
    const std::string what = text(source) + " > " + text(destination);
    if (protocol == Protocol::icmp) {
      const auto make = random() % 2 == 0 ? test::echo_request : test::echo_reply;
      expect_the_same(make(source.address.to_string(), destination.address.to_string(), port()).build(), what);
      continue;
    }
    PacketBuilder packet = PacketBuilder(protocol, source, destination).payload_of(100);
    if (random() % 4 == 0) packet = packet.ip_options({1, 1, 1, 1, 1});
    if (random() % 4 != 0) {
      expect_the_same(packet.build(), what);
      continue;
    }
    for (const WirePacket& fragment : test::fragments_of(packet.fragment(0, false).build(), 100))
      expect_the_same(fragment, what + ", fragment");
  }
  EXPECT_GT(compared_, 15'000);
}

TEST_F(SteeringTest, FollowsNewRules) {
  const WirePacket reply = test::tcp("10.0.1.4:9000", "198.51.100.7:1024").build();
  expect_the_same(reply, "a port of its own");
  Rules changed = rules();
  changed.vips[1].services[0].ports = {{9000, 9099}};
  changed.vips[0].services.pop_back();
  ruleset_ = compile(changed, 2);
  engine_.set_ruleset(ruleset_);
  program_->follow(*ruleset_, kSeed);
  expect_the_same(reply, "a service's port");
  expect_the_same(test::tcp("10.0.0.3:443", "198.51.100.7:1024").build(), "no backend any more");
  EXPECT_EQ(compared_, 3);
}

TEST_F(SteeringTest, BrokenPacketsGoSomewhere) {
  const WirePacket whole = test::tcp("198.51.100.7:1024", "203.0.113.10:80").build();
  for (std::size_t size = 20; size < whole.bytes().size(); ++size) {
    const WirePacket part(whole.bytes().first(size), VirtioHeader{});
    EXPECT_LT((*program_)(part), kShards) << size;
  }
}

/// What a program cannot hold costs a hand-over, and nothing else.
TEST_F(SteeringTest, MoreAddressesThanFit) {
  SteeringTable table;
  for (std::uint32_t i = 0; i < 70'000; ++i) table.addresses.push_back({.address = Ipv4Address(i), .is_vip = true});
  absl::StatusOr<Steering> steering = Steering::load();
  ASSERT_TRUE(steering.ok());
  EXPECT_EQ(steering->follow(table), absl::OkStatus());
  table.addresses.erase(table.addresses.begin(), table.addresses.begin() + 10'000);
  EXPECT_EQ(steering->follow(table), absl::OkStatus());
}

}  // namespace
}  // namespace vipgate
