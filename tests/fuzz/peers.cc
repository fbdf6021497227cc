#include "fuzz/peers.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "fuzz/repair.h"
#include "fuzz/rules.h"
#include "vipgate/inspect.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace vipgate::fuzz {
namespace {

using test::address;
using test::PacketBuilder;

constexpr std::size_t kRemembered = 64;

constexpr std::array kClients{"198.51.100.7", "198.51.100.8", "198.51.100.9", "192.0.2.33",
                              "10.0.0.77",    "10.0.0.1",     "203.0.113.10", "203.0.113.14"};
constexpr std::array kOurs{"203.0.113.10", "203.0.113.11", "203.0.113.12", "203.0.113.14"};
constexpr std::array kHosts{"10.0.0.20", "10.0.0.21", "10.0.0.5", "10.0.0.6", "10.0.0.2"};
constexpr std::array kRemotes{"192.0.2.50", "198.51.100.7", "10.1.0.9", "192.168.1.1", "203.0.113.10"};
constexpr std::array<std::uint16_t, 16> kPorts{80,   443, 53, 21,    2121,  81,    25,    8000,
                                               8099, 9,   0,  32768, 40959, 40960, 65535, 7};
constexpr std::array<std::uint16_t, 8> kClientPorts{40000, 40001, 40002, 443, 20, 1024, 65535, 32769};
constexpr std::array<std::uint32_t, 8> kJumps{0, 0, 1, ~0U, 1460, 65535, 200000, 0x80000000};
constexpr std::array<std::uint8_t, 16> kFlags{0x10, 0x18, 0x11, 0x12, 0x02, 0x14, 0x04, 0x19,
                                              0x30, 0x00, 0x03, 0x06, 0xc2, 0x52, 0x01, 0xff};

struct Segment {
  Endpoint source;
  Endpoint destination;
  std::uint8_t protocol = 0;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  std::uint8_t flags = 0;
  std::uint32_t length = 0;  ///< in sequence space
  std::string payload;

  bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
};

std::optional<Segment> read(const Datagram& packet) {
  const auto ip = Ipv4View::parse(packet.bytes);
  if (!ip || ip->is_fragment()) return std::nullopt;
  const auto endpoints = *endpoints_of(packet.bytes);
  Segment segment{
      .source = endpoints.source, .destination = endpoints.destination, .protocol = ip->protocol(), .payload = {}};
  const auto text_of = [](std::span<const std::uint8_t> bytes) { return std::string(bytes.begin(), bytes.end()); };
  if (ip->protocol() == static_cast<std::uint8_t>(Protocol::tcp)) {
    const auto tcp = TcpView::parse(ip->payload());
    if (!tcp) return std::nullopt;
    segment.sequence = tcp->sequence();
    segment.acknowledgement = tcp->acknowledgement();
    segment.flags = tcp->flags();
    segment.length = tcp->payload_length() + (tcp->has(tcp::kSyn) ? 1 : 0) + (tcp->has(tcp::kFin) ? 1 : 0);
    segment.payload = text_of(ip->payload().subspan(tcp->header_length()));
  } else if (ip->protocol() == static_cast<std::uint8_t>(Protocol::icmp)) {
    const auto icmp = IcmpView::parse(ip->payload());
    if (!icmp || !icmp->is_query()) return std::nullopt;
    segment.source.port = segment.destination.port = icmp->id();
    segment.flags = icmp->type();
  }
  return segment;
}

PacketBuilder echo(const Endpoint& source, const Endpoint& destination, std::uint8_t type) {
  return PacketBuilder(Protocol::icmp, source, destination).type(type);
}

/// The numbers in a text, as FTP writes endpoints.
std::optional<Endpoint> announced_in(std::string_view text, Ipv4Address speaker) {
  std::vector<std::uint32_t> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    std::uint32_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (next == at) {
      ++at;
      continue;
    }
    if (error == std::errc()) numbers.push_back(number);
    at = next;
  }
  const auto last = [&](std::size_t back) { return numbers[numbers.size() - back]; };
  if (numbers.size() >= 6 && text.find(',') != std::string_view::npos) {
    const std::uint32_t value = last(6) << 24 | (last(5) & 255) << 16 | (last(4) & 255) << 8 | (last(3) & 255);
    return Endpoint{Ipv4Address(value), static_cast<std::uint16_t>(last(2) << 8 | (last(1) & 255))};
  }
  if (numbers.size() >= 2 && text.find("|||") != std::string_view::npos) {
    return Endpoint{speaker, static_cast<std::uint16_t>(last(1))};
  }
  if (numbers.size() >= 6 && text.find('|') != std::string_view::npos) {
    const std::uint32_t value = last(5) << 24 | (last(4) & 255) << 16 | (last(3) & 255) << 8 | (last(2) & 255);
    return Endpoint{Ipv4Address(value), static_cast<std::uint16_t>(last(1))};
  }
  return std::nullopt;
}

std::string with_commas(Ipv4Address speaker) {
  std::string text = speaker.to_string();
  std::replace(text.begin(), text.end(), '.', ',');
  return text;
}

}  // namespace

const Datagram* Peers::recent(const std::deque<Datagram>& packets, std::size_t back) {
  return packets.empty() ? nullptr : &packets[packets.size() - 1 - back % packets.size()];
}

void Peers::remember(std::deque<Datagram>& packets, const Datagram& packet) {
  packets.push_back(packet);
  if (packets.size() > kRemembered) packets.pop_front();
}

void Peers::act() {
  switch (input_.below(16)) {
    case 0:
      return open_connection();
    case 1:
      return send_datagram();
    case 2:
      return ping();
    case 3:
    case 4:
    case 5:
      return answer();
    case 6:
    case 7:
      return go_on();
    case 8:
      return repeat();
    case 9:
      return complain();
    case 10:
      return leave();
    case 11:
      return connect_to_announced();
    case 12:
      return pass_time();
    case 13:
      return reload();
    case 14:
      return transforms_.read(input_);
    default:
      return send_anything();
  }
}

/// Text that somebody says on a connection; much of it FTP.
std::string Peers::line(Ipv4Address speaker) {
  static constexpr std::array kLines{"",
                                     "GET / HTTP/1.0\r\n\r\n",
                                     "220 ready\r\n",
                                     "USER anonymous\r\n",
                                     "PASV\r\n",
                                     "EPSV\r\n",
                                     "AUTH TLS\r\n",
                                     "234 go on\r\n",
                                     "PORT 192,0,2,99,200,22\r\n",
                                     "PORT 198,51,100,7,0,22\r\n",
                                     "227 Entering Passive Mode (10,0,0,99,195,80).\r\n",
                                     "PORT ",
                                     "10,0,0,2,156,64\r\n",
                                     "EPRT |2|::1|5000|\r\n",
                                     "227-",
                                     "PORT 1,2,3,4,5,300\r\n"};
  const std::uint8_t choice = input_.byte();
  const std::string commas = with_commas(speaker);
  std::string text;
  switch (choice % 32) {
    case 16:
      text = "PORT " + commas + ",156,64\r\n";
      break;
    case 17:
      text = "EPRT |1|" + speaker.to_string() + "|40000|\r\n";
      break;
    case 18:
      text = "227 Entering Passive Mode (" + commas + ",195,80).\r\n";
      break;
    case 19:
      text = "229 Entering Extended Passive Mode (|||50000|)\r\n";
      break;
    case 20:
      text = "port " + commas + ",156,65\r\nPORT " + commas + ",156,66\r\n";
      break;
    case 21:
      text = "227 =" + commas + ",4,0\r\n229 (|||1024|)\r\n";
      break;
    case 22:
      text = std::string(300, 'a');
      break;
    case 23:
      text = std::string(1400, 'b');
      break;
    case 24: {
      const auto bytes = input_.take(input_.byte());
      text.assign(bytes.begin(), bytes.end());
      break;
    }
    case 25:
      std::swap(text, unsaid_);
      break;
    default:
      text = kLines[choice % kLines.size()];
  }
  // Half of a line, and the other half when somebody says what is unsaid.
  if (choice >= 0x80 && text.size() > 1) {
    const std::size_t said = 1 + input_.below(text.size() - 1);
    unsaid_ = text.substr(said);
    text.resize(said);
  }
  return text;
}

/// Options and window of a segment, by the input.
PacketBuilder Peers::segment(PacketBuilder builder, std::uint8_t flags) {
  const std::uint8_t extras = input_.byte();
  if ((extras & 1) != 0) builder = builder.mss(1460);
  if ((extras & 2) != 0) builder = builder.window_scale(static_cast<std::uint8_t>((extras >> 4) * 5));
  if ((extras & 4) != 0) builder = builder.sack_permitted();
  if ((extras & 8) != 0) builder = builder.timestamp(input_.word());
  if (extras == 0xf0) builder = builder.tcp_option_bytes({input_.byte(), input_.byte(), input_.byte()});
  if ((extras & 0xc0) == 0x40) builder = builder.win(input_.word());
  return builder.flags(flags);
}

void Peers::open_connection() {
  const Endpoint client{address(input_.one_of(kClients)), input_.one_of(kClientPorts)};
  const Endpoint service{address(input_.one_of(kOurs)), input_.one_of(kPorts)};
  const std::uint8_t kind = input_.byte();
  const std::uint8_t flags = kind < 0xc0 ? tcp::kSyn : input_.one_of(kFlags);
  send(segment(PacketBuilder(Protocol::tcp, client, service).seq(std::uint32_t{kind} << 26), flags));
}

void Peers::send_datagram() {
  const Endpoint client{address(input_.one_of(kClients)), input_.one_of(kClientPorts)};
  const Endpoint service{address(input_.one_of(kOurs)), input_.one_of(kPorts)};
  const PacketBuilder datagram = PacketBuilder(Protocol::udp, client, service).payload(line(client.address));
  send(input_.below(4) == 3 ? datagram.no_checksum() : datagram);
}

void Peers::ping() {
  const std::uint16_t id = input_.one_of(kClientPorts);
  const Endpoint client{address(input_.one_of(kClients)), id};
  const PacketBuilder request = echo(client, {address(input_.one_of(kOurs)), id}, icmp::kEchoRequest);
  send(request.payload(line(client.address)));
}

/// Whoever got a packet says something back.
void Peers::answer() {
  const Datagram* got = recent(received_, input_.byte());
  const auto heard = got == nullptr ? std::nullopt : read(*got);
  if (!heard) return;
  const Endpoint& me = heard->destination;
  if (heard->protocol == static_cast<std::uint8_t>(Protocol::icmp))
    return send(echo(me, heard->source, icmp::kEchoReply));
  if (heard->protocol == static_cast<std::uint8_t>(Protocol::udp)) {
    return send(PacketBuilder(Protocol::udp, me, heard->source).payload(line(me.address)));
  }
  const std::uint8_t how = input_.byte();
  const bool greets = heard->has(tcp::kSyn) && !heard->has(tcp::kAck);
  std::uint8_t flags = greets ? tcp::kSyn | tcp::kAck : tcp::kAck;
  if (how >= 0x40) flags = kFlags[how % kFlags.size()];
  std::uint32_t sequence = heard->has(tcp::kAck) ? heard->acknowledgement : 500000;
  std::uint32_t acknowledgement = heard->sequence + heard->length;
  if (how >= 0x80) sequence += input_.one_of(kJumps);
  if (how >= 0xc0) acknowledgement += input_.one_of(kJumps);
  PacketBuilder reply = PacketBuilder(Protocol::tcp, me, heard->source).seq(sequence).ack(acknowledgement);
  if (how >= 0xe0) reply = reply.sack({{sequence, acknowledgement}, {acknowledgement, acknowledgement + 1000}});
  reply = segment(reply, flags);
  send(greets ? reply : reply.payload(line(me.address)));
}

/// Whoever sent a packet sends the next.
void Peers::go_on() {
  const Datagram* before = recent(sent_, input_.byte());
  const auto said = before == nullptr ? std::nullopt : read(*before);
  if (!said) return;
  if (said->protocol != static_cast<std::uint8_t>(Protocol::tcp)) return send(*before);
  const std::uint8_t how = input_.byte();
  const std::uint8_t flags = how < 0x80 ? std::uint8_t{tcp::kAck | tcp::kPsh} : kFlags[how % kFlags.size()];
  const std::uint32_t sequence = said->sequence + said->length + (how >= 0xc0 ? input_.one_of(kJumps) : 0);
  const PacketBuilder next = PacketBuilder(Protocol::tcp, said->source, said->destination)
                                 .seq(sequence)
                                 .ack(said->acknowledgement)
                                 .payload(line(said->source.address));
  send(segment(next, flags));
}

void Peers::repeat() {
  if (const Datagram* before = recent(sent_, input_.byte())) send(*before);
}

/// A router, or the one who got a packet, sends an ICMP error about it.
void Peers::complain() {
  static constexpr std::array<std::array<std::uint8_t, 2>, 8> kErrors{
      {{3, 3}, {3, 4}, {3, 1}, {11, 0}, {11, 1}, {12, 0}, {3, 13}, {5, 0}}};
  const Datagram* got = recent(received_, input_.byte());
  if (got == nullptr || !Ipv4View::parse(got->bytes)) return;
  const auto ip = *Ipv4View::parse(got->bytes);
  const std::uint8_t who = input_.byte();
  const Ipv4Address from = who < 0x80 ? ip.destination() : address(who < 0xc0 ? "192.0.2.1" : "10.0.0.254");
  const auto [type, code] = input_.one_of(kErrors);
  const std::size_t length = who % 3 == 0 ? input_.byte() : 548;
  std::vector<std::uint8_t> quoted = got->bytes;
  if (who % 5 == 4) quoted[input_.byte() % quoted.size()] = input_.byte();
  const Ipv4Address to = who % 11 == 10 ? address(input_.one_of(kOurs)) : ip.source();
  const PacketBuilder error(Protocol::icmp, {from, 0}, {to, 0});
  const std::uint16_t mtu = who % 7 == 6 ? input_.word() : std::uint16_t{576};
  send(error.type(type, code).mtu(mtu).quoting(test::WirePacket(quoted, {}), length));
}

/// A private host opens a flow of its own.
void Peers::leave() {
  const Endpoint host{address(input_.one_of(kHosts)), input_.one_of(kClientPorts)};
  const Endpoint remote{address(input_.one_of(kRemotes)), input_.one_of(kPorts)};
  switch (input_.below(3)) {
    case 0:
      return send(segment(PacketBuilder(Protocol::tcp, host, remote).seq(77), tcp::kSyn));
    case 1:
      return send(PacketBuilder(Protocol::udp, host, remote).payload("?"));
    default:
      return send(echo(host, {remote.address, host.port}, icmp::kEchoRequest));
  }
}

/// Whoever was told of an endpoint connects to it.
void Peers::connect_to_announced() {
  const Datagram* got = recent(received_, input_.byte());
  const auto heard = got == nullptr ? std::nullopt : read(*got);
  if (!heard) return;
  const auto announced = announced_in(heard->payload, heard->source.address);
  if (!announced) return;
  const Endpoint me{heard->destination.address, input_.one_of(kClientPorts)};
  send(segment(PacketBuilder(Protocol::tcp, me, *announced).seq(123456), tcp::kSyn));
}

void Peers::pass_time() {
  using namespace std::chrono_literals;
  static constexpr std::array<Duration, 8> kSpans{1ms, 100ms, 1s, 5s, 21s, 31s, 61s, 101s};
  const std::uint8_t choice = input_.byte();
  trial_.pass_time(kSpans[choice % kSpans.size()], choice < 0xc0);
}

void Peers::reload() {
  trial_.reload(input_.one_of(rulesets()));
}

/// Any bytes, with right checksums.
void Peers::send_anything() {
  const auto bytes = input_.take(input_.byte());
  if (bytes.empty()) return;
  Datagram packet;
  packet.bytes.assign(bytes.begin(), bytes.end());
  repair_transport_checksum(packet.bytes);
  repair_ip_checksum(packet.bytes);
  send(packet);
}

void Peers::send(const PacketBuilder& builder) {
  const test::WirePacket wire = builder.ip_id(ip_id_++).build();
  send(Datagram{{wire.bytes().begin(), wire.bytes().end()}, wire.virtio()});
}

void Peers::send(Datagram packet) {  // a copy: it may be one that is forgotten now
  remember(sent_, packet);
  for (const Datagram& piece : transforms_.apply(std::move(packet))) {
    const Fate fate = trial_.send(piece, piece.bytes.back());
    for (const Datagram& out : fate.understood) remember(received_, out);
  }
}

}  // namespace vipgate::fuzz
