#include "device/pcapng_writer.h"

#include <algorithm>
#include <cstddef>
#include <type_traits>

namespace vipgate::pcapng {
namespace {

// Block types and option codes, draft-ietf-opsawg-pcapng §4 and §3.5.
constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a;
constexpr std::uint32_t kInterfaceDescription = 1;
constexpr std::uint32_t kInterfaceStatistics = 5;
constexpr std::uint32_t kEnhancedPacket = 6;

constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr std::uint16_t kMajorVersion = 1;
constexpr std::uint16_t kMinorVersion = 0;
constexpr std::int64_t kUnknownLength = -1;
// Not LINKTYPE_RAW: libpcap takes that for another type at the second interface than at the first.
constexpr std::uint16_t kLinkTypeIpv4 = 228;

constexpr std::uint16_t kEndOfOptions = 0;
constexpr std::uint16_t kComment = 1;
constexpr std::uint16_t kSectionApplication = 4;
constexpr std::uint16_t kInterfaceName = 2;
constexpr std::uint16_t kInterfaceDescribed = 3;
constexpr std::uint16_t kInterfaceResolution = 9;
constexpr std::uint16_t kInterfaceFilter = 11;
constexpr std::uint16_t kPacketFlags = 2;
constexpr std::uint16_t kPacketId = 5;
constexpr std::uint16_t kStatisticsBegin = 2;
constexpr std::uint16_t kStatisticsEnd = 3;
constexpr std::uint16_t kStatisticsReceived = 4;
constexpr std::uint16_t kStatisticsDropped = 5;

constexpr std::uint8_t kNanoseconds = 9;  // 10^-9
constexpr char kFilterInWords = 0;        // the filter is a text, as libpcap's are

constexpr std::size_t kAlignment = 4;
constexpr std::size_t kMaxOption = 0xffff;

/// One block, from its first byte to the length that ends it.
class Block {
 public:
  Block(std::string& out, std::uint32_t type) : out_(out), start_(out.size()) {
    add(type);
    add(std::uint32_t{0});  // the length, in end()
  }

  template <typename Number>
  requires std::is_arithmetic_v<Number>
  void add(Number number) { out_.append(reinterpret_cast<const char*>(&number), sizeof number); }

  void add_padded(std::string_view bytes) {
    out_.append(bytes);
    out_.append((kAlignment - bytes.size() % kAlignment) % kAlignment, '\0');
  }

  /// As the format has times: the upper half first.
  void add(Time time) {
    const auto nanoseconds = static_cast<std::uint64_t>(time.time_since_epoch().count());
    add(static_cast<std::uint32_t>(nanoseconds >> 32));
    add(static_cast<std::uint32_t>(nanoseconds));
  }

  void option(std::uint16_t code, std::string_view value) {
    value = value.substr(0, kMaxOption);
    add(code);
    add(static_cast<std::uint16_t>(value.size()));
    add_padded(value);
  }
  void text(std::uint16_t code, std::string_view value) {
    if (!value.empty()) option(code, value);
  }
  template <typename Number>
  void number(std::uint16_t code, Number value) {
    option(code, {reinterpret_cast<const char*>(&value), sizeof value});
  }
  void time(std::uint16_t code, Time value) {
    add(code);
    add(static_cast<std::uint16_t>(sizeof(std::uint64_t)));
    add(value);
  }

  /// After the last option.
  void end() {
    add(kEndOfOptions);
    add(std::uint16_t{0});
    const auto length = static_cast<std::uint32_t>(out_.size() - start_ + sizeof(std::uint32_t));
    add(length);
    const auto* bytes = reinterpret_cast<const char*>(&length);
    std::copy(bytes, bytes + sizeof length, out_.begin() + static_cast<std::ptrdiff_t>(start_ + sizeof length));
  }

 private:
  std::string& out_;
  std::size_t start_;
};

}  // namespace

void add_section(std::string& out, const Section& section) {
  Block block(out, kSectionHeader);
  block.add(kByteOrderMagic);
  block.add(kMajorVersion);
  block.add(kMinorVersion);
  block.add(kUnknownLength);
  block.text(kComment, section.comment);
  block.text(kSectionApplication, section.application);
  block.end();
}

void add_interface(std::string& out, const Interface& interface) {
  Block block(out, kInterfaceDescription);
  block.add(kLinkTypeIpv4);
  block.add(std::uint16_t{0});  // reserved
  block.add(interface.snaplen);
  block.text(kInterfaceName, interface.name);
  block.text(kInterfaceDescribed, interface.description);
  block.number(kInterfaceResolution, kNanoseconds);
  if (!interface.filter.empty()) block.option(kInterfaceFilter, std::string(1, kFilterInWords) + interface.filter);
  block.end();
}

void add_packet(std::string& out, const Packet& packet) {
  Block block(out, kEnhancedPacket);
  block.add(packet.interface);
  block.add(packet.time);
  block.add(static_cast<std::uint32_t>(packet.bytes.size()));
  block.add(static_cast<std::uint32_t>(packet.original_size));
  block.add_padded({reinterpret_cast<const char*>(packet.bytes.data()), packet.bytes.size()});
  block.text(kComment, packet.comment);
  block.number(kPacketFlags, static_cast<std::uint32_t>(packet.direction));
  block.number(kPacketId, packet.id);
  block.end();
}

void add_statistics(std::string& out, const Statistics& statistics) {
  Block block(out, kInterfaceStatistics);
  block.add(statistics.interface);
  block.add(statistics.end);
  block.time(kStatisticsBegin, statistics.begin);
  block.time(kStatisticsEnd, statistics.end);
  block.number(kStatisticsReceived, statistics.received);
  block.number(kStatisticsDropped, statistics.dropped);
  block.end();
}

}  // namespace vipgate::pcapng
