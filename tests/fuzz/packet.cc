#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fuzz/gateway.h"
#include "fuzz/input.h"
#include "fuzz/repair.h"
#include "fuzz/require.h"
#include "fuzz/rules.h"
#include "support/packet_builder.h"
#include "vipgate/inspect.h"

// Any bytes as one packet, before a gateway that has a few flows. The input:
//
//     1 byte     what to mend before: bits kMendIp to kMendQuote
//     10 bytes   the virtio header, as VirtioHeader has it
//     the rest   the packet

namespace vipgate::fuzz {
namespace {

constexpr std::uint8_t kMendIp = 1;
constexpr std::uint8_t kMendTransport = 2;
constexpr std::uint8_t kMakePartial = 4;
constexpr std::uint8_t kMendLength = 8;
constexpr std::uint8_t kMendQuote = 16;
constexpr std::uint32_t kMtu = 1500;
constexpr Time kNow{std::chrono::seconds(10)};

using test::tcp;
using test::udp;

Datagram datagram_of(const test::PacketBuilder& builder) {
  const test::WirePacket wire = builder.build();
  return {{wire.bytes().begin(), wire.bytes().end()}, wire.virtio()};
}

/// A gateway with a connection in each of a few states, datagrams both ways and one way, and a ping.
std::unique_ptr<Gateway> busy_gateway() {
  auto gateway = std::make_unique<Gateway>(small_rules(), 1, 0);
  const auto send = [&](const test::PacketBuilder& builder) {
    const Fate fate = gateway->process(datagram_of(builder), kNow);
    require(fate.verdict.action == Action::forward, "the flows that are there before can be opened");
    return endpoints_of(fate.out.at(0).bytes)->source.to_string();
  };
  const auto web = tcp("198.51.100.7:40000", "203.0.113.10:80").seq(1000);
  const auto masked = send(web.syn().mss(1460).window_scale(7).sack_permitted());
  send(tcp("10.0.0.2:8080", masked).seq(5000).syn().ack(1001).mss(1460).window_scale(7).sack_permitted());
  send(web.seq(1001).ack(5001).payload("GET / "));
  send(tcp("10.0.0.2:8080", masked).seq(5001).ack(1007).payload("200 OK"));
  send(tcp("198.51.100.7:40001", "203.0.113.10:443").syn().seq(7));
  send(tcp("10.0.0.5:443", "198.51.100.7:40001").syn().seq(9).ack(8));
  send(tcp("198.51.100.7:40002", "203.0.113.10:25").syn().seq(7));
  const auto asked = send(udp("198.51.100.7:40000", "203.0.113.10:53").payload("?"));
  send(udp("10.0.0.4:53", asked).payload("!"));
  send(udp("198.51.100.7:40001", "203.0.113.10:443").payload("?"));
  return gateway;
}

/// Describing must work for every packet, whole or not.
void inspect(const Datagram& datagram) {
  std::vector<std::uint8_t> bytes = datagram.bytes;  // of exactly its size
  bytes.shrink_to_fit();
  require(!describe(bytes).empty(), "every packet has a description");
  const auto endpoints = endpoints_of(bytes);
  require(endpoints || describe(bytes).starts_with("broken"), "a packet without endpoints is broken", describe(bytes));
  const VirtioHeader captured = virtio_header_of_capture(bytes, kMtu);
  const Packet packet{.bytes = bytes, .virtio = captured};
  if (captured.flags != 0 && test::naive_sum(std::span(bytes).first(std::size_t{4} * (bytes[0] & 15U))) == 0xffff) {
    require(checksums_are_right(packet), "a partial checksum that was recognised is right", describe(bytes));
  }
  checksums_are_right({.bytes = bytes, .virtio = datagram.virtio});
}

Datagram read_packet(Input& input) {
  const std::uint8_t mend = input.byte();
  Datagram datagram;
  datagram.virtio.flags = input.byte();
  datagram.virtio.gso_type = input.byte();
  datagram.virtio.header_length = input.word();
  datagram.virtio.gso_size = input.word();
  datagram.virtio.checksum_start = input.word();
  datagram.virtio.checksum_offset = input.word();
  const auto bytes = input.take(kMaxPacketSize);
  datagram.bytes.assign(bytes.begin(), bytes.end());
  if ((mend & kMendLength) != 0) repair_total_length(datagram.bytes);
  if ((mend & kMendQuote) != 0) repair_quoted_ip_checksum(datagram.bytes);
  if ((mend & kMendTransport) != 0) repair_transport_checksum(datagram.bytes);
  if ((mend & kMakePartial) != 0) make_transport_checksum_partial(datagram.bytes, datagram.virtio);
  if ((mend & kMendIp) != 0) repair_ip_checksum(datagram.bytes);
  return datagram;
}

void run(Input input) {
  static std::unique_ptr<Gateway> gateway;
  if (gateway == nullptr) gateway = busy_gateway();
  const Datagram datagram = read_packet(input);
  inspect(datagram);
  const Fate fate = gateway->process(datagram, kNow);
  // Each input is to mean the same, whatever came before it. Up to this reason nothing was looked up.
  if (fate.verdict.action != Action::drop || fate.verdict.reason >= Reason::no_such_vip) gateway.reset();
}

}  // namespace
}  // namespace vipgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vipgate::fuzz::run(vipgate::fuzz::Input({data, size}));
  return 0;
}
