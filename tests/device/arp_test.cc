#include "device/arp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <initializer_list>
#include <vector>

#include "device/netlink.h"
#include "namespace.h"

namespace vipgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr MacAddress kMac{0x02, 0, 0, 0, 0, 1};
constexpr MacAddress kPeerMac{0x02, 0, 0, 0, 0, 2};
const Ipv4Address kVip(0xCB00710A);

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

/// RFC 826: an Announcement (RFC 5227 §1.1) of 203.0.113.10.
const std::vector<std::byte> kAnnouncement = bytes_of({
    0x00, 0x01,                          // Ethernet
    0x08, 0x00,                          // IPv4
    0x06, 0x04,                          // sizes of addresses
    0x00, 0x01,                          // request
    0x02, 0x00, 0x00, 0x00, 0x00, 0x01,  // sender
    0xCB, 0x00, 0x71, 0x0A,              //
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // target
    0xCB, 0x00, 0x71, 0x0A,
});

TEST(Arp, Rfc826_format) {
  const ArpPacket packet{.sender_mac = kMac, .sender = kVip, .target = kVip};
  const auto bytes = packet.to_bytes();
  EXPECT_EQ(std::vector<std::byte>(bytes.begin(), bytes.end()), kAnnouncement);
  EXPECT_EQ(ArpPacket::parse(bytes), packet);
  EXPECT_EQ(to_string(kMac), "02:00:00:00:00:01");
}

TEST(Arp, what_is_not_about_ipv4_on_ethernet_is_none) {
  for (std::size_t size = 0; size < kAnnouncement.size(); ++size) {
    const std::vector<std::byte> cut(kAnnouncement.begin(), kAnnouncement.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(ArpPacket::parse(cut), std::nullopt) << size;
  }
  for (std::size_t i = 0; i < 8; ++i) {
    std::vector<std::byte> other = kAnnouncement;
    other[i] = std::byte{0x7F};
    EXPECT_EQ(ArpPacket::parse(other), std::nullopt) << i;
  }
  std::vector<std::byte> padded = kAnnouncement;  // to Ethernet's least size
  padded.resize(46);
  EXPECT_TRUE(ArpPacket::parse(padded).has_value());
}

void make_wire() {
  shell("ip link add eth0 address 02:00:00:00:00:01 type veth peer name peer address 02:00:00:00:00:02");
  shell("ip link set eth0 up; ip link set peer up");
}

/// Claims, once there are any; none after a second.
std::vector<ArpClaim> await_claims(ArpPort& port) {
  for (int i = 0; i < 100; ++i) {
    if (auto claims = port.claims(); !claims.empty()) return claims;
    port.wait(std::chrono::milliseconds(10));
  }
  return {};
}

/// What `hearer` hears when `port` asks who has kVip. A link that has just come up may lose a question.
std::vector<ArpClaim> claims_of_question(ArpPort& port, ArpPort& hearer) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(port.ask("eth0", kVip, {}).ok());
    if (auto claims = await_claims(hearer); !claims.empty()) return claims;
  }
  return {};
}

NAMESPACE_TEST(ArpPort, others_hear_questions_and_announcements) {
  make_wire();
  ArpPort port;
  ArpPort peer;
  ASSERT_TRUE(peer.ask("peer", Ipv4Address(0x0A000001), {}).ok());
  EXPECT_THAT(claims_of_question(port, peer), ElementsAre(ArpClaim{"peer", kVip, kMac, true}));
  ASSERT_TRUE(port.ask("eth0", kVip, Ipv4Address(0xC6336401)).ok());
  EXPECT_THAT(await_claims(peer), Contains(ArpClaim{"peer", kVip, kMac, true}));
  peer.wait(std::chrono::milliseconds(50));
  (void)peer.claims();
  ASSERT_TRUE(port.announce("eth0", kVip).ok());
  EXPECT_THAT(await_claims(peer), ElementsAre(ArpClaim{"peer", kVip, kMac, false}));
  ASSERT_TRUE(peer.announce("peer", kVip).ok());
  EXPECT_THAT(await_claims(port), Contains(ArpClaim{"eth0", kVip, kPeerMac, false}));
}

NAMESPACE_TEST(ArpPort, a_host_that_has_the_address_answers) {
  make_wire();
  const std::string other = "arp-test-" + std::to_string(::getpid());
  shell("ip netns add " + other + "; ip link set peer netns " + other + "; ip -n " + other +
        " addr add 203.0.113.10/24 dev peer; ip -n " + other + " link set peer up");
  ArpPort port;
  EXPECT_THAT(claims_of_question(port, port), Contains(ArpClaim{"eth0", kVip, kPeerMac, false}));
  shell("ip netns delete " + other);
}

NAMESPACE_TEST(ArpPort, own_words_are_no_claims) {
  make_wire();
  ArpPort port;
  ASSERT_TRUE(port.announce("peer", kVip).ok());  // both ends are this host's
  ASSERT_TRUE(port.announce("eth0", kVip).ok());
  ASSERT_TRUE(port.announce("peer", kVip).ok());
  port.wait(std::chrono::milliseconds(50));
  EXPECT_THAT(port.claims(), IsEmpty());
}

NAMESPACE_TEST(ArpPort, a_device_that_came_anew_is_listened_to) {
  make_wire();
  ArpPort port;
  ASSERT_TRUE(port.announce("eth0", kVip).ok());
  shell("ip link delete eth0");
  (void)port.claims();
  EXPECT_TRUE(absl::IsNotFound(port.announce("eth0", kVip)));
  make_wire();
  ArpPort peer;
  ASSERT_TRUE(port.announce("eth0", kVip).ok());
  ASSERT_TRUE(peer.announce("peer", kVip).ok());
  EXPECT_THAT(await_claims(port), Contains(ArpClaim{"eth0", kVip, kPeerMac, false}));
  port.keep_only({});
  EXPECT_THAT(port.claims(), IsEmpty());
}

NAMESPACE_TEST(ArpPort, errors_say_what_is_wrong) {
  make_wire();
  ArpPort port;
  EXPECT_THAT(std::string(port.announce("lo", kVip).message()), HasSubstr("it is no Ethernet device"));
  EXPECT_THAT(std::string(port.announce("eth9", kVip).message()), HasSubstr("cannot speak ARP on eth9"));
  shell("ip link set eth0 down");
  EXPECT_TRUE(absl::IsNotFound(port.announce("eth0", kVip)));
}

NAMESPACE_TEST(Netlink, proxies_carry_the_mark_of_who_added_them) {
  make_wire();
  shell("ip neigh add proxy 203.0.113.11 dev eth0");
  const auto kernel = *NetlinkKernel::open();
  const ProxyNeighbour theirs{"eth0", Ipv4Address(0xCB00710B), 0};
  const ProxyNeighbour ours{"eth0", kVip, 86};
  EXPECT_THAT(kernel->proxies().value(), ElementsAre(theirs));
  ASSERT_TRUE(kernel->add_proxy(ours).ok());
  EXPECT_THAT(kernel->proxies().value(), ::testing::UnorderedElementsAre(theirs, ours));
  EXPECT_THAT(shell("ip neigh show proxy"), HasSubstr("203.0.113.10 dev eth0 proxy"));
  ASSERT_TRUE(kernel->remove_proxy(ours).ok());
  EXPECT_THAT(kernel->proxies().value(), ElementsAre(theirs));
  EXPECT_TRUE(absl::IsNotFound(kernel->remove_proxy(ours)));
  EXPECT_TRUE(absl::IsNotFound(kernel->add_proxy({"eth9", kVip, 86})));
  ASSERT_TRUE(kernel->add_proxy(ours).ok());
  shell("ip link set eth0 down");
  EXPECT_THAT(kernel->proxies().value(), IsEmpty()) << "the kernel forgets them: they have to be added again";
}

}  // namespace
}  // namespace vipgate
