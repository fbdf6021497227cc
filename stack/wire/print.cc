#include "absl/strings/str_cat.h"
#include "vipgate/inspect.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace vipgate {
namespace {

std::string addresses(const Ipv4View& ip) {
  return absl::StrCat(ip.source().to_string(), " > ", ip.destination().to_string());
}

std::string ports(const Ipv4View& ip, std::uint16_t source, std::uint16_t destination) {
  return absl::StrCat(Endpoint{ip.source(), source}.to_string(), " > ",
                      Endpoint{ip.destination(), destination}.to_string());
}

std::string print_tcp(const Ipv4View& ip) {
  const auto tcp = TcpView::parse(ip.payload());
  if (!tcp) return absl::StrCat("tcp ", addresses(ip), " broken: ", std::string(describe(tcp.reason())));
  char letters[9];
  std::string line = absl::StrCat("tcp ", ports(ip, tcp->source_port(), tcp->destination_port()), " ",
                                  tcp::flag_letters(tcp->flags(), letters), " seq ", tcp->sequence());
  if (tcp->has(tcp::kAck)) absl::StrAppend(&line, " ack ", tcp->acknowledgement());
  absl::StrAppend(&line, " win ", tcp->window(), " length ", tcp->payload_length());
  return line;
}

std::string print_udp(const Ipv4View& ip) {
  const auto udp = UdpView::parse(ip.payload());
  if (!udp) return absl::StrCat("udp ", addresses(ip), " broken: ", std::string(describe(udp.reason())));
  return absl::StrCat("udp ", ports(ip, udp->source_port(), udp->destination_port()), " length ",
                      udp->payload().size());
}

std::string print_icmp(const Ipv4View& ip) {
  const auto icmp = IcmpView::parse(ip.payload());
  if (!icmp) return absl::StrCat("icmp ", addresses(ip), " broken: ", std::string(describe(icmp.reason())));
  if (icmp->is_query()) {
    return absl::StrCat("icmp ", addresses(ip), icmp->type() == icmp::kEchoRequest ? " echo request" : " echo reply",
                        " id ", icmp->id(), " seq ", icmp->sequence(), " length ", icmp->payload().size());
  }
  std::string line = absl::StrCat("icmp ", addresses(ip), " type ", icmp->type(), " code ", icmp->code());
  if (icmp->is_error() && !icmp->payload().empty()) {
    if (const auto quoted = Ipv4View::parse_quoted(icmp->payload())) {
      absl::StrAppend(&line, " about protocol ", quoted->protocol(), " ", addresses(*quoted));
    }
  }
  return line;
}

}  // namespace

std::optional<PacketEndpoints> endpoints_of(std::span<const std::uint8_t> ip_packet) {
  const auto ip = Ipv4View::parse(ip_packet);
  if (!ip) return std::nullopt;
  PacketEndpoints endpoints{{ip->source(), 0}, {ip->destination(), 0}};
  const auto protocol = static_cast<Protocol>(ip->protocol());
  const bool has_ports = protocol == Protocol::tcp || protocol == Protocol::udp;
  static_assert(tcp::kSourcePort == udp::kSourcePort && tcp::kDestinationPort == udp::kDestinationPort);
  if (has_ports && !ip->is_fragment() && ip->payload().size() >= udp::kHeader) {
    endpoints.source.port = load16(ip->payload().data() + tcp::kSourcePort);
    endpoints.destination.port = load16(ip->payload().data() + tcp::kDestinationPort);
  }
  return endpoints;
}

std::string describe(std::span<const std::uint8_t> ip_packet) {
  const auto ip = Ipv4View::parse(ip_packet);
  if (!ip) return absl::StrCat("broken: ", std::string(describe(ip.reason())), ", ", ip_packet.size(), " bytes");
  if (ip->is_fragment()) {
    return absl::StrCat("fragment ", addresses(*ip), " protocol ", ip->protocol(), " id ", ip->id(), " offset ",
                        ip->fragment_offset(), " length ", ip->payload().size(),
                        ip->more_fragments() ? " more" : " last");
  }
  switch (static_cast<Protocol>(ip->protocol())) {
    case Protocol::tcp:
      return print_tcp(*ip);
    case Protocol::udp:
      return print_udp(*ip);
    case Protocol::icmp:
      return print_icmp(*ip);
  }
  return absl::StrCat("protocol ", ip->protocol(), " ", addresses(*ip), " length ", ip->payload().size());
}

}  // namespace vipgate
