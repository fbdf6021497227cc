#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "vipgate/inspect.h"
#include "wire/checksum.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"
#include "wire/udp.h"

// The way back from what print.cc says about a packet.

namespace vipgate {
namespace {

constexpr std::uint32_t kAny = 0xffffffff;
constexpr std::uint32_t kAny16 = 0xffff;
constexpr std::uint32_t kMostPayload = kMaxPacketSize - ipv4::kMinHeader - tcp::kMinHeader;
constexpr const char* kForm = "tcp 198.51.100.7:40000 > 203.0.113.10:80 S";

/// The words of a line, one after the other.
class Words {
 public:
  explicit Words(std::string_view text)
      : words_(absl::StrSplit(absl::string_view(text.data(), text.size()), ' ', absl::SkipEmpty())) {}

  bool empty() const { return next_ == words_.size(); }
  std::string peek() const { return empty() ? std::string() : words_[next_]; }
  std::string take() { return empty() ? std::string() : words_[next_++]; }
  bool take(const char* word) {
    if (peek() != word) return false;
    ++next_;
    return true;
  }

 private:
  std::vector<std::string> words_;
  std::size_t next_ = 0;
};

/// Numbers with names before them: "seq 1 length 0".
class Numbers {
 public:
  struct Number {
    std::string_view name;
    std::uint32_t value;  ///< as long as none is read
    std::uint32_t largest;
  };

  explicit Numbers(std::vector<Number> numbers) : numbers_(std::move(numbers)) {}

  /// What is wrong with the words; empty: nothing.
  std::string read(Words& words) {
    while (!words.empty()) {
      const std::string name = words.take();
      const auto found = find(name);
      if (found == numbers_.end()) return absl::StrCat("\"", name, "\" is not understood here");
      if (!absl::SimpleAtoi(words.take(), &found->value) || found->value > found->largest) {
        return absl::StrCat("a number up to ", found->largest, " has to follow \"", name, "\"");
      }
    }
    return {};
  }
  std::uint32_t operator[](std::string_view name) { return find(name)->value; }

 private:
  std::vector<Number>::iterator find(std::string_view name) {
    return std::find_if(numbers_.begin(), numbers_.end(), [&](const Number& one) { return one.name == name; });
  }

  std::vector<Number> numbers_;
};

Composed wrong(const std::string& what) {
  return {.bytes = {}, .error = absl::StrCat(what, "; an example: \"", kForm, "\"")};
}

std::optional<std::uint8_t> flags_of(std::string_view letters) {
  std::uint8_t flags = 0;
  if (letters == ".") return flags;
  constexpr std::string_view kLetters = "FSRPAUEC";  // from bit 0 on
  for (const char letter : letters) {
    const std::size_t bit = kLetters.find(letter);
    if (bit == std::string_view::npos) return std::nullopt;
    flags = static_cast<std::uint8_t>(flags | 1U << bit);
  }
  return flags;
}

std::vector<std::uint8_t> begin(Protocol protocol, const Endpoint& from, const Endpoint& to, std::size_t size) {
  std::vector<std::uint8_t> bytes(ipv4::kMinHeader + size);
  ipv4::write_header(bytes.data(), {.total_length = static_cast<std::uint16_t>(bytes.size()),
                                    .protocol = static_cast<std::uint8_t>(protocol),
                                    .source = from.address,
                                    .destination = to.address});
  if (protocol == Protocol::icmp) return bytes;
  static_assert(tcp::kSourcePort == udp::kSourcePort && tcp::kDestinationPort == udp::kDestinationPort);
  store16(bytes.data() + ipv4::kMinHeader + tcp::kSourcePort, from.port);
  store16(bytes.data() + ipv4::kMinHeader + tcp::kDestinationPort, to.port);
  return bytes;
}

void finish(std::vector<std::uint8_t>& bytes, Protocol protocol, const Endpoint& from, const Endpoint& to,
            std::size_t checksum) {
  const std::span<std::uint8_t> transport = std::span(bytes).subspan(ipv4::kMinHeader);
  const std::uint16_t pseudo =
      protocol == Protocol::icmp
          ? std::uint16_t{0}
          : pseudo_header_sum(from.address, to.address, protocol, static_cast<std::uint32_t>(transport.size()));
  const auto sum = static_cast<std::uint16_t>(~checksum_sum(transport, pseudo));
  // RFC 768: a UDP checksum of 0 says that there is none.
  store16(transport.data() + checksum, sum == 0 && protocol == Protocol::udp ? std::uint16_t{0xffff} : sum);
}

Composed compose_tcp(const Endpoint& from, const Endpoint& to, Words& words) {
  std::uint8_t flags = tcp::kSyn;
  if (const auto letters = flags_of(words.peek()); letters && !words.empty()) {
    flags = *letters;
    words.take();
  }
  Numbers numbers({{"seq", 1, kAny}, {"ack", 0, kAny}, {"win", 64240, kAny16}, {"length", 0, kMostPayload}});
  if (const std::string error = numbers.read(words); !error.empty()) return wrong(error);
  std::vector<std::uint8_t> bytes = begin(Protocol::tcp, from, to, tcp::kMinHeader + numbers["length"]);
  std::uint8_t* at = bytes.data() + ipv4::kMinHeader;
  store32(at + tcp::kSequence, numbers["seq"]);
  store32(at + tcp::kAcknowledgement, numbers["ack"]);
  at[tcp::kDataOffset] = tcp::kMinHeader / 4 << 4;
  at[tcp::kFlags] = flags;
  store16(at + tcp::kWindow, static_cast<std::uint16_t>(numbers["win"]));
  finish(bytes, Protocol::tcp, from, to, tcp::kChecksum);
  return {.bytes = std::move(bytes), .error = {}};
}

Composed compose_udp(const Endpoint& from, const Endpoint& to, Words& words) {
  Numbers numbers({{"length", 0, kMostPayload}});
  if (const std::string error = numbers.read(words); !error.empty()) return wrong(error);
  const std::size_t size = udp::kHeader + numbers["length"];
  std::vector<std::uint8_t> bytes = begin(Protocol::udp, from, to, size);
  store16(bytes.data() + ipv4::kMinHeader + udp::kLength, static_cast<std::uint16_t>(size));
  finish(bytes, Protocol::udp, from, to, udp::kChecksum);
  return {.bytes = std::move(bytes), .error = {}};
}

Composed compose_icmp(const Endpoint& from, const Endpoint& to, Words& words) {
  std::uint8_t type = icmp::kEchoRequest;
  if (words.take("echo")) {
    if (words.take("reply")) {
      type = icmp::kEchoReply;
    } else if (!words.take("request")) {
      return wrong("\"echo\" wants \"request\" or \"reply\" behind it");
    }
  }
  Numbers numbers({{"id", 1, kAny16}, {"seq", 1, kAny16}, {"length", 0, kMostPayload}});
  if (const std::string error = numbers.read(words); !error.empty()) return wrong(error);
  std::vector<std::uint8_t> bytes = begin(Protocol::icmp, from, to, icmp::kHeader + numbers["length"]);
  std::uint8_t* at = bytes.data() + ipv4::kMinHeader;
  at[icmp::kType] = type;
  store16(at + icmp::kId, static_cast<std::uint16_t>(numbers["id"]));
  store16(at + icmp::kSequence, static_cast<std::uint16_t>(numbers["seq"]));
  finish(bytes, Protocol::icmp, from, to, icmp::kChecksum);
  return {.bytes = std::move(bytes), .error = {}};
}

}  // namespace

Composed compose(std::string_view text) {
  Words words(text);
  const std::string protocol = words.take();
  const bool is_icmp = protocol == "icmp";
  if (protocol != "tcp" && protocol != "udp" && !is_icmp) return wrong("it has to begin with tcp, udp or icmp");
  std::array<Endpoint, 2> ends;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const std::string word = words.take();
    if (is_icmp) {
      const auto address = Ipv4Address::parse(word);
      if (!address) return wrong(absl::StrCat("\"", word, "\" is no address"));
      ends[i].address = *address;
    } else {
      const auto endpoint = Endpoint::parse(word);
      if (!endpoint) return wrong(absl::StrCat("\"", word, "\" is no address with a port"));
      ends[i] = *endpoint;
    }
    if (i == 0 && !words.take(">")) return wrong("a \">\" has to stand between the addresses");
  }
  if (is_icmp) return compose_icmp(ends[0], ends[1], words);
  return protocol == "tcp" ? compose_tcp(ends[0], ends[1], words) : compose_udp(ends[0], ends[1], words);
}

}  // namespace vipgate
