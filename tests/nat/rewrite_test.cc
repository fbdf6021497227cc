#include "nat/rewrite.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "support/packet_builder.h"
#include "support/parse_packet.h"
#include "vipgate/inspect.h"
#include "wire/bytes.h"

namespace vipgate::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::string text(Ipv4Address address, std::uint16_t port) {
  return Endpoint{address, port}.to_string();
}

/// A bare packet of that tuple.
PacketBuilder between(Protocol protocol, const Tuple& tuple) {
  const std::string source = text(tuple.source, tuple.source_port);
  const std::string destination = text(tuple.destination, tuple.destination_port);
  if (protocol == Protocol::tcp) return tcp(source, destination).ack(1);
  if (protocol == Protocol::udp) return udp(source, destination);
  return echo_request(tuple.source.to_string(), tuple.destination.to_string(), tuple.source_port);
}

/// Rewrites a packet; its bytes afterwards.
WirePacket rewritten(WirePacket built, const Tuple& to) {
  Packet packet = built.packet();
  const auto view = parse_packet(packet);
  EXPECT_TRUE(view) << name_of(view.reason());
  rewrite(packet, *view, to);
  return WirePacket(packet.bytes, packet.virtio);
}

/// What both tuples of a random rewriting have in common with those of real flows: anything, corners more often than
/// chance has them.
class RandomTuples {
 public:
  explicit RandomTuples(std::uint32_t seed) : random_(seed) {}

  std::uint32_t number(std::size_t below) { return static_cast<std::uint32_t>(random_() % below); }

  Tuple tuple(Protocol protocol) {
    Tuple tuple{address(), address(), port(), port()};
    if (protocol == Protocol::icmp) tuple.destination_port = tuple.source_port;
    return tuple;
  }

 private:
  Ipv4Address address() {
    const auto value = static_cast<std::uint32_t>(random_());
    constexpr std::uint32_t kCorners[] = {0, 0xffffffff, 0xffff0000, 0x0000ffff};
    return Ipv4Address(number(4) == 0 ? kCorners[number(4)] : value);
  }
  std::uint16_t port() { return static_cast<std::uint16_t>(number(8) == 0 ? 65535 : 1 + number(65535)); }

  std::mt19937 random_;
};

class RewriteOf : public ::testing::TestWithParam<Protocol> {};
INSTANTIATE_TEST_SUITE_P(Protocols, RewriteOf, ::testing::Values(Protocol::tcp, Protocol::udp, Protocol::icmp));

TEST_P(RewriteOf, is_the_packet_that_would_have_been_made_for_the_new_tuple) {
  RandomTuples random(1);
  for (int round = 0; round < 20000; ++round) {
    const Tuple from = random.tuple(GetParam());
    const Tuple to = random.tuple(GetParam());
    const std::size_t size = random.number(60);
    const std::uint32_t kind = GetParam() == Protocol::icmp ? 3 : random.number(4);
    const auto make = [&](const Tuple& tuple) {
      auto builder = between(GetParam(), tuple).payload_of(size).seq(7);
      if (kind == 0) builder = builder.partial_checksum();
      if (kind == 1) builder = builder.verified();
      if (kind == 2) builder = builder.ip_options({0x94, 4, 0, 0, 1, 1, 1, 1});
      return builder.build();
    };
    const WirePacket after = rewritten(make(from), to);
    const WirePacket expected = make(to);
    ASSERT_EQ(Bytes(after.bytes().begin(), after.bytes().end()),
              Bytes(expected.bytes().begin(), expected.bytes().end()))
        << describe(after.bytes()) << " instead of " << describe(expected.bytes());
    ASSERT_EQ(after.virtio().flags, expected.virtio().flags);
  }
}

TEST(Rewrite, Fault15_wrong_checksum_stays_wrong_by_the_same) {
  RandomTuples random(2);
  for (int round = 0; round < 40000; ++round) {
    const Protocol protocol = round % 2 == 0 ? Protocol::tcp : Protocol::udp;
    // "Verified" lets a wrong checksum through, as one that went bad behind the device would be.
    const WirePacket wrong =
        between(protocol, random.tuple(protocol)).payload_of(random.number(60)).wrong_checksum().build();
    const WirePacket before(wrong.bytes(), {.flags = VirtioHeader::kDataValid});
    const WirePacket after = rewritten(before, random.tuple(protocol));
    ASSERT_NE(naive_transport_sum(before.bytes()), 0xffff);
    ASSERT_EQ(naive_transport_sum(after.bytes()), naive_transport_sum(before.bytes()));
  }
}

TEST_P(RewriteOf, turned_back_is_the_packet_that_came) {
  RandomTuples random(3);
  for (int round = 0; round < 5000; ++round) {
    const Tuple from = random.tuple(GetParam());
    const WirePacket before = between(GetParam(), from).payload_of(random.number(60)).build();
    const WirePacket back = rewritten(rewritten(before, random.tuple(GetParam())), from);
    ASSERT_TRUE(std::equal(back.bytes().begin(), back.bytes().end(), before.bytes().begin(), before.bytes().end()));
  }
}

const Tuple kFrom{address("198.51.100.7"), address("203.0.113.10"), 40000, 53};
const Tuple kTo{address("203.0.113.14"), address("10.0.0.2"), 50000, 5353};

TEST(Rewrite, super_packet_is_rewritten_once_with_its_virtio_header_kept) {
  const WirePacket before = between(Protocol::tcp, kFrom).payload_of(60000).gso(1448).build();
  WirePacket after = rewritten(before, kTo);
  EXPECT_EQ(checksum_fault(after.packet()), "");
  EXPECT_EQ(after.virtio().gso_type, VirtioHeader::kGsoTcpV4);
  EXPECT_EQ(after.virtio().gso_size, 1448);
  EXPECT_EQ(after.virtio().checksum_start, 20);
  EXPECT_EQ(after.virtio().checksum_offset, 16);
}

TEST(Rewrite, Rfc3022_udp_checksum_of_0_stays_0) {
  const WirePacket after = rewritten(between(Protocol::udp, kFrom).payload("data").no_checksum().build(), kTo);
  EXPECT_EQ(load16(&after.bytes()[26]), 0);
  EXPECT_EQ(describe(after.bytes()), "udp 203.0.113.14:50000 > 10.0.0.2:5353 length 4");
}

/// A UDP payload with which the checksum of a datagram of that tuple is computed as 0.
WirePacket datagram_summing_to_0(const Tuple& tuple, const Tuple& sent_as) {
  WirePacket trial = between(Protocol::udp, tuple).payload(std::string(2, '\0')).build();
  const std::uint16_t missing = load16(&trial.bytes()[26]);  // as data it completes the sum
  const char payload[] = {static_cast<char>(missing >> 8), static_cast<char>(missing)};
  return between(Protocol::udp, sent_as).payload({payload, 2}).build();
}

TEST(Rewrite, Rfc768_computed_0_is_sent_as_0xffff) {
  const WirePacket before = datagram_summing_to_0(kTo, kFrom);
  ASSERT_NE(load16(&before.bytes()[26]), 0xffff);
  WirePacket after = rewritten(before, kTo);
  EXPECT_EQ(load16(&after.bytes()[26]), 0xffff);
  EXPECT_EQ(checksum_fault(after.packet()), "");
}

TEST(Rewrite, Rfc768_0xffff_is_rewritten_as_any_checksum) {
  const WirePacket before = datagram_summing_to_0(kFrom, kFrom);
  ASSERT_EQ(load16(&before.bytes()[26]), 0xffff);
  WirePacket after = rewritten(before, kTo);
  EXPECT_NE(load16(&after.bytes()[26]), 0);
  EXPECT_EQ(checksum_fault(after.packet()), "");
}

TEST(Rewrite, icmp_message_of_nothing_but_zeros_keeps_a_right_checksum) {
  const WirePacket zeros = echo_reply("10.0.0.2", "203.0.113.14", 0).payload(std::string(8, '\0')).build();
  WirePacket after = rewritten(zeros, {address("203.0.113.10"), address("198.51.100.7"), 0, 0});
  EXPECT_EQ(checksum_fault(after.packet()), "");
  WirePacket numbered = echo_reply("10.0.0.2", "203.0.113.14", 9).payload(std::string(8, '\0')).build();
  after = rewritten(numbered, {address("203.0.113.10"), address("198.51.100.7"), 0, 0});
  EXPECT_EQ(checksum_fault(after.packet()), "");
}

TEST(Rewrite, Rfc5508Req10_ds_field_ttl_and_options_are_kept) {
  const WirePacket before =
      between(Protocol::tcp, kFrom).tos(0xb8).ttl(3).ip_id(77).ip_options({0x94, 4, 0, 0}).build();
  WirePacket after = rewritten(before, kTo);
  const auto ip = Ipv4View::parse(after.bytes());
  EXPECT_EQ(ip->tos(), 0xb8);
  EXPECT_EQ(ip->ttl(), 3);
  EXPECT_EQ(ip->id(), 77);
  EXPECT_EQ(ip->header_length(), 24U);
  EXPECT_EQ(ip->header()[20], 0x94);
  EXPECT_EQ(checksum_fault(after.packet()), "");
}

TEST(TupleOf, icmp_query_has_its_id_on_both_sides) {
  WirePacket echo = echo_request("198.51.100.7", "203.0.113.10", 77).build();
  Packet packet = echo.packet();
  EXPECT_EQ(tuple_of(*parse_packet(packet)), (Tuple{address("198.51.100.7"), address("203.0.113.10"), 77, 77}));
}

TEST(TupleOf, reads_ports) {
  for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
    WirePacket built = between(protocol, kFrom).build();
    Packet packet = built.packet();
    EXPECT_EQ(tuple_of(*parse_packet(packet)), kFrom);
  }
}

TEST(Rewrite, Rfc6864_identifications_of_one_sender_stay_apart_and_others_get_away) {
  const auto id_after = [](const char* source, std::uint16_t id, std::size_t offset, bool more) {
    WirePacket wire = udp(source, "203.0.113.10:53").ip_id(id).fragment(offset, more).build();  // clears DF
    Packet packet = wire.packet();
    rewrite(packet, *parse_packet(packet), {address("203.0.113.14"), address("10.0.0.2"), 5000, 53});
    EXPECT_EQ(checksum_fault(packet), "");
    return static_cast<std::uint16_t>(wire.bytes()[4] << 8 | wire.bytes()[5]);
  };
  const auto distance = static_cast<std::uint16_t>(id_after("198.51.100.7:40000", 0, 0, false));
  for (const std::uint16_t id : std::initializer_list<std::uint16_t>{1, 1000, 65535}) {
    EXPECT_EQ(id_after("198.51.100.7:40000", id, 0, false), static_cast<std::uint16_t>(id + distance));
  }
  EXPECT_NE(id_after("198.51.100.8:40000", 0, 0, false), distance);
}

TEST(Rewrite, Rfc6864_what_cannot_be_fragmented_keeps_its_identification) {
  WirePacket wire = udp("198.51.100.7:40000", "203.0.113.10:53").ip_id(7).build();
  Packet packet = wire.packet();
  rewrite(packet, *parse_packet(packet), {address("203.0.113.14"), address("10.0.0.2"), 5000, 53});
  EXPECT_EQ(wire.bytes()[4] << 8 | wire.bytes()[5], 7);
}

}  // namespace
}  // namespace vipgate::test
