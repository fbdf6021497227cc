#include "support/packet_builder.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace vipgate::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

void put16(Bytes& out, std::uint32_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}

void put32(Bytes& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value);
}

void set16(std::span<std::uint8_t> out, std::size_t at, std::uint16_t value) {
  out[at] = static_cast<std::uint8_t>(value >> 8);
  out[at + 1] = static_cast<std::uint8_t>(value);
}

std::uint16_t get16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

std::uint16_t complement(std::uint16_t value) {
  return static_cast<std::uint16_t>(~value);
}

void pad_to_words(Bytes& out) {
  out.resize((out.size() + 3) / 4 * 4);
}

constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;

std::size_t checksum_place(std::uint8_t protocol) {
  return protocol == kTcp ? 16 : protocol == kUdp ? 6 : 2;
}

/// Where the IP header of a sound packet ends, and the packet itself.
struct Extent {
  std::size_t header;
  std::size_t total;
};
Extent extent_of(std::span<const std::uint8_t> packet) {
  return {std::size_t{4} * (packet[0] & 15U), get16(packet, 2)};
}

/// The bytes behind the IP header that the transport checksum covers.
std::span<const std::uint8_t> transport_of(std::span<const std::uint8_t> packet) {
  const auto [header, total] = extent_of(packet);
  const auto transport = packet.subspan(header, total - header);
  return packet[9] == kUdp ? transport.first(get16(transport, 4)) : transport;
}

Bytes pseudo_header(std::span<const std::uint8_t> packet, std::size_t length) {
  Bytes out(packet.begin() + 12, packet.begin() + 20);
  out.push_back(0);
  out.push_back(packet[9]);
  put16(out, static_cast<std::uint32_t>(length));
  return out;
}

}  // namespace

Ipv4Address address(std::string_view text) {
  const auto parsed = Ipv4Address::parse(text);
  if (!parsed) throw std::invalid_argument("no address: " + std::string(text));
  return *parsed;
}

Endpoint endpoint(std::string_view text) {
  const std::size_t colon = text.find(':');
  std::uint16_t port = 0;
  const std::string_view digits = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    throw std::invalid_argument("no endpoint: " + std::string(text));
  }
  return {address(text.substr(0, colon)), port};
}

WirePacket::WirePacket(std::span<const std::uint8_t> bytes, const VirtioHeader& virtio)
    : memory_(bytes.begin(), bytes.end()), size_(bytes.size()), virtio_(virtio) {
  memory_.resize(size_ + kSpareRoom, 0xcd);
}

PacketBuilder::PacketBuilder(Protocol protocol, const Endpoint& source, const Endpoint& destination)
    : protocol_(protocol), source_(source), destination_(destination) {}

PacketBuilder PacketBuilder::flags(std::uint8_t all) const {
  PacketBuilder next = *this;
  next.flags_ = all;
  return next;
}

PacketBuilder PacketBuilder::ack(std::uint32_t number) const {
  PacketBuilder next = flag(0x10);
  next.acknowledgement_ = number;
  return next;
}

PacketBuilder PacketBuilder::win(std::uint16_t window) const {
  PacketBuilder next = *this;
  next.window_ = window;
  return next;
}

PacketBuilder PacketBuilder::option(std::initializer_list<std::uint8_t> bytes) const {
  PacketBuilder next = *this;
  next.tcp_options_.insert(next.tcp_options_.end(), bytes);
  return next;
}

PacketBuilder PacketBuilder::mss(std::uint16_t size) const {
  return option({2, 4, static_cast<std::uint8_t>(size >> 8), static_cast<std::uint8_t>(size)});
}

PacketBuilder PacketBuilder::window_scale(std::uint8_t shift) const {
  return option({1, 3, 3, shift});
}

PacketBuilder PacketBuilder::sack_permitted() const {
  return option({1, 1, 4, 2});
}

PacketBuilder PacketBuilder::sack(std::initializer_list<std::pair<std::uint32_t, std::uint32_t>> blocks) const {
  PacketBuilder next = option({1, 1, 5, static_cast<std::uint8_t>(2 + 8 * blocks.size())});
  for (const auto& [left, right] : blocks) {
    put32(next.tcp_options_, left);
    put32(next.tcp_options_, right);
  }
  return next;
}

PacketBuilder PacketBuilder::timestamp(std::uint32_t value, std::uint32_t echo) const {
  PacketBuilder next = option({1, 1, 8, 10});
  put32(next.tcp_options_, value);
  put32(next.tcp_options_, echo);
  return next;
}

PacketBuilder PacketBuilder::tcp_option_bytes(std::initializer_list<std::uint8_t> raw) const {
  return option(raw);
}

PacketBuilder PacketBuilder::seq(std::uint32_t number) const {
  PacketBuilder next = *this;
  next.sequence_ = number;
  return next;
}

PacketBuilder PacketBuilder::type(std::uint8_t type, std::uint8_t code) const {
  PacketBuilder next = *this;
  next.type_ = type;
  next.code_ = code;
  return next;
}

PacketBuilder PacketBuilder::mtu(std::uint16_t next_hop) const {
  return seq(next_hop);  // the field is in the sequence's place
}

PacketBuilder PacketBuilder::quoting(const WirePacket& packet, std::size_t at_most) const {
  PacketBuilder next = *this;
  const auto quoted = packet.bytes().first(std::min(at_most, packet.bytes().size()));
  next.payload_.assign(quoted.begin(), quoted.end());
  return next;
}

PacketBuilder PacketBuilder::payload(std::string_view text) const {
  PacketBuilder next = *this;
  next.payload_.assign(text.begin(), text.end());
  return next;
}

PacketBuilder PacketBuilder::payload_of(std::size_t size) const {
  PacketBuilder next = *this;
  next.payload_.resize(size);
  for (std::size_t i = 0; i < size; ++i) next.payload_[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
  return next;
}

PacketBuilder PacketBuilder::ttl(std::uint8_t hops) const {
  PacketBuilder next = *this;
  next.ttl_ = hops;
  return next;
}

PacketBuilder PacketBuilder::tos(std::uint8_t field) const {
  PacketBuilder next = *this;
  next.tos_ = field;
  return next;
}

PacketBuilder PacketBuilder::ip_id(std::uint16_t id) const {
  PacketBuilder next = *this;
  next.ip_id_ = id;
  return next;
}

PacketBuilder PacketBuilder::fragment(std::size_t offset, bool more) const {
  PacketBuilder next = *this;
  next.fragment_ = static_cast<std::uint16_t>(offset / 8 | (more ? 0x2000U : 0U));
  return next;
}

PacketBuilder PacketBuilder::ip_options(std::initializer_list<std::uint8_t> raw) const {
  PacketBuilder next = *this;
  next.ip_options_ = raw;
  pad_to_words(next.ip_options_);
  return next;
}

PacketBuilder PacketBuilder::trailing(std::size_t size) const {
  PacketBuilder next = *this;
  next.trailing_ = size;
  return next;
}

PacketBuilder PacketBuilder::checksum(Checksum kind) const {
  PacketBuilder next = *this;
  next.checksum_ = kind;
  return next;
}

PacketBuilder PacketBuilder::partial_checksum() const {
  return checksum(Checksum::partial);
}
PacketBuilder PacketBuilder::verified() const {
  return checksum(Checksum::verified);
}
PacketBuilder PacketBuilder::no_checksum() const {
  return checksum(Checksum::none);
}
PacketBuilder PacketBuilder::wrong_checksum() const {
  return checksum(Checksum::wrong);
}

PacketBuilder PacketBuilder::gso(std::uint16_t size) const {
  PacketBuilder next = partial_checksum();
  next.gso_size_ = size;
  return next;
}

PacketBuilder PacketBuilder::wrong_ip_checksum() const {
  PacketBuilder next = *this;
  next.wrong_ip_checksum_ = true;
  return next;
}

PacketBuilder PacketBuilder::byte(std::size_t offset, std::uint8_t value) const {
  PacketBuilder next = *this;
  next.overwritten_.emplace_back(offset, value);
  return next;
}

std::vector<std::uint8_t> PacketBuilder::transport_header() const {
  Bytes out;
  switch (protocol_) {
    case Protocol::tcp: {
      Bytes options = tcp_options_;
      pad_to_words(options);
      put16(out, source_.port);
      put16(out, destination_.port);
      put32(out, sequence_);
      put32(out, acknowledgement_);
      out.push_back(static_cast<std::uint8_t>((5 + options.size() / 4) << 4));
      out.push_back(flags_);
      put16(out, window_);
      put32(out, 0);  // checksum, urgent pointer
      out.insert(out.end(), options.begin(), options.end());
      break;
    }
    case Protocol::udp:
      put16(out, source_.port);
      put16(out, destination_.port);
      put16(out, static_cast<std::uint32_t>(8 + payload_.size()));
      put16(out, 0);
      break;
    case Protocol::icmp:
      out = {type_, code_, 0, 0};
      put16(out, source_.port);
      put16(out, sequence_);
      break;
  }
  return out;
}

VirtioHeader PacketBuilder::virtio(std::size_t headers) const {
  VirtioHeader virtio;
  if (checksum_ == Checksum::verified) virtio.flags = VirtioHeader::kDataValid;
  if (checksum_ != Checksum::partial) return virtio;
  virtio.flags = VirtioHeader::kNeedsChecksum;
  virtio.checksum_start = static_cast<std::uint16_t>(ip_header_size());
  virtio.checksum_offset = static_cast<std::uint16_t>(checksum_place(static_cast<std::uint8_t>(protocol_)));
  if (gso_size_ == 0) return virtio;
  virtio.gso_type = protocol_ == Protocol::tcp ? VirtioHeader::kGsoTcpV4 : VirtioHeader::kGsoUdpL4;
  virtio.gso_size = gso_size_;
  virtio.header_length = static_cast<std::uint16_t>(headers);
  return virtio;
}

WirePacket PacketBuilder::build() const {
  const std::size_t ip_header = ip_header_size();
  const Bytes transport = transport_header();
  const std::size_t total = ip_header + transport.size() + payload_.size();
  if (total > kMaxPacketSize) throw std::length_error("packet too long");

  Bytes out;
  out.push_back(static_cast<std::uint8_t>(0x40 | ip_header / 4));
  out.push_back(tos_);
  put16(out, static_cast<std::uint32_t>(total));
  put16(out, ip_id_);
  put16(out, fragment_);
  out.push_back(ttl_);
  out.push_back(static_cast<std::uint8_t>(protocol_));
  put16(out, 0);
  put32(out, source_.address.value());
  put32(out, destination_.address.value());
  out.insert(out.end(), ip_options_.begin(), ip_options_.end());
  out.insert(out.end(), transport.begin(), transport.end());
  out.insert(out.end(), payload_.begin(), payload_.end());
  for (const auto& [offset, value] : overwritten_) out.at(offset) = value;

  // The layout is ours; the contents, overwritten or not, are what the sums run over.
  const std::size_t field = ip_header + checksum_place(static_cast<std::uint8_t>(protocol_));
  Bytes summed = protocol_ == Protocol::icmp ? Bytes() : pseudo_header(out, total - ip_header);
  const std::uint16_t pseudo = naive_sum(summed);
  summed.insert(summed.end(), out.begin() + static_cast<std::ptrdiff_t>(ip_header), out.end());
  std::uint16_t right = complement(naive_sum(summed));
  if (protocol_ == Protocol::udp && right == 0) right = 0xffff;
  std::uint16_t stored = right;
  if (checksum_ == Checksum::partial) stored = pseudo;
  if (checksum_ == Checksum::none) stored = 0;
  if (checksum_ == Checksum::wrong) stored = right == 0x0101 ? 0x0202 : right ^ 0x0101;
  set16(out, field, stored);

  const std::uint16_t header = complement(naive_sum(std::span(out).first(ip_header)));
  set16(out, 10, wrong_ip_checksum_ ? header ^ 0x0101 : header);
  out.insert(out.end(), trailing_, 0xee);
  return {out, virtio(ip_header + transport.size())};
}

PacketBuilder tcp(std::string_view source, std::string_view destination) {
  return {Protocol::tcp, endpoint(source), endpoint(destination)};
}

PacketBuilder udp(std::string_view source, std::string_view destination) {
  return {Protocol::udp, endpoint(source), endpoint(destination)};
}

PacketBuilder echo_request(std::string_view source, std::string_view destination, std::uint16_t id) {
  return PacketBuilder(Protocol::icmp, {address(source), id}, {address(destination), id}).type(8);
}

PacketBuilder echo_reply(std::string_view source, std::string_view destination, std::uint16_t id) {
  return PacketBuilder(Protocol::icmp, {address(source), id}, {address(destination), id}).type(0);
}

PacketBuilder icmp_error(std::string_view source, std::string_view destination, std::uint8_t type, std::uint8_t code) {
  return PacketBuilder(Protocol::icmp, {address(source), 0}, {address(destination), 0}).type(type, code);
}

std::uint16_t naive_sum(std::span<const std::uint8_t> bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? bytes[i] * 256U : bytes[i];
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<std::uint16_t>(sum);
}

std::uint16_t naive_transport_sum(std::span<const std::uint8_t> ip_packet) {
  const auto transport = transport_of(ip_packet);
  Bytes summed = ip_packet[9] == kIcmp ? Bytes() : pseudo_header(ip_packet, transport.size());
  summed.insert(summed.end(), transport.begin(), transport.end());
  return naive_sum(summed);
}

std::string checksum_fault(const Packet& packet) {
  const auto [header, total] = extent_of(packet.bytes);
  if (naive_sum(packet.bytes.first(header)) != 0xffff) return "IPv4 header checksum is wrong";
  const std::uint8_t protocol = packet.bytes[9];
  if (protocol != kTcp && protocol != kUdp && protocol != kIcmp) return "";
  if ((get16(packet.bytes, 6) & 0x3fff) != 0) return "";  // a fragment has only a part of what its checksum covers
  const auto transport = transport_of(packet.bytes);
  const std::uint16_t field = get16(transport, checksum_place(protocol));
  if ((packet.virtio.flags & VirtioHeader::kNeedsChecksum) != 0) {
    if (packet.virtio.checksum_start != header) return "virtio: checksum start is not the transport header";
    if (packet.virtio.checksum_offset != checksum_place(protocol)) return "virtio: checksum offset is not the field";
    const bool right = field == naive_sum(pseudo_header(packet.bytes, transport.size()));
    return right ? "" : "partial transport checksum is not the sum of the pseudo-header";
  }
  if (protocol == kUdp && field == 0) return "";
  return naive_transport_sum(packet.bytes) == 0xffff ? "" : "transport checksum is wrong";
}

}  // namespace vipgate::test
