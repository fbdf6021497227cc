#include "runtime/health/pinger.h"

#include <net/if.h>  // ahead of <linux/icmp.h>, which yields to it but not the other way round

#include <arpa/inet.h>
#include <linux/icmp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <random>
#include <span>
#include <unordered_map>
#include <utility>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include "device/unique_fd.h"
#include "runtime/health/connection.h"

namespace vipgate {
namespace {

using boost::system::error_code;

/// Known to this process alone, so that nobody can answer who did not see the request.
using Cookie = std::array<std::uint8_t, 16>;

/// RFC 792, "Echo or Echo Reply Message".
struct Echo {
  icmphdr header{};  ///< numbers in network byte order
  Cookie cookie{};
};
static_assert(sizeof(Echo) == sizeof(icmphdr) + sizeof(Cookie));

/// Messages read before others get their turn.
constexpr int kBatch = 256;

std::uint64_t random64() {
  std::random_device random;
  return std::uint64_t{random()} << 32 | random();
}

/// For a few thousand replies that come at once.
constexpr int kReceiveBuffer = 4 << 20;

/// Either kind, or nothing and errno.
UniqueFd open_icmp(bool& raw) {
  constexpr int kFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | kFlags, IPPROTO_ICMP));
  raw = !socket && errno == EACCES;
  if (!raw) return socket;
  socket.reset(::socket(AF_INET, SOCK_RAW | kFlags, IPPROTO_ICMP));
  if (!socket) return socket;
  icmp_filter filter{};
  filter.data = ~(std::uint32_t{1} << ICMP_ECHOREPLY);  // bits of types that are not passed on
  if (::setsockopt(socket.get(), SOL_RAW, ICMP_FILTER, &filter, sizeof filter) != 0) socket.reset();
  return socket;
}

/// The Internet checksum (RFC 1071) of a message whose checksum field is 0, in the byte order of its words.
std::uint16_t checksum_of(const Echo& echo) {
  static_assert(sizeof(Echo) % sizeof(std::uint16_t) == 0);
  std::array<std::uint16_t, sizeof(Echo) / sizeof(std::uint16_t)> words;
  std::memcpy(words.data(), &echo, sizeof echo);
  std::uint32_t sum = 0;
  for (const std::uint16_t word : words) sum += word;
  while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

/// An echo message; after an IPv4 header, which raw sockets show too (raw(7)), if `raw`.
std::optional<Echo> parse_echo(std::span<const std::uint8_t> bytes, bool raw) {
  if (raw) {
    const std::size_t header = bytes.empty() ? 0 : std::size_t{bytes[0] & 0xFU} * 4;
    if (header < sizeof(iphdr) || header > bytes.size()) return std::nullopt;
    bytes = bytes.subspan(header);
  }
  Echo echo;
  if (bytes.size() != sizeof echo) return std::nullopt;
  std::memcpy(&echo, bytes.data(), sizeof echo);
  return echo;
}

}  // namespace

class Pinger::Ping final : public RunningCheck {
 public:
  Ping(std::weak_ptr<Socket> socket, std::uint16_t sequence) : socket_(std::move(socket)), sequence_(sequence) {}
  std::string cancel() override;

 private:
  std::weak_ptr<Socket> socket_;
  std::uint16_t sequence_;
};

class Pinger::Socket final : public std::enable_shared_from_this<Pinger::Socket> {
 public:
  explicit Socket(boost::asio::io_context& context) : context_(context), readable_(context) {}

  std::shared_ptr<RunningCheck> start(Ipv4Address backend, CheckDone done) {
    while (asked_.contains(next_)) ++next_;
    const std::uint16_t sequence = next_++;
    asked_.emplace(sequence, Asked{backend, std::move(done)});
    if (const int error = send(backend, sequence)) {
      boost::asio::post(context_, [self = shared_from_this(), sequence, result = sending_failed(error)] {
        self->finish(sequence, result);
      });
    }
    return std::make_shared<Ping>(weak_from_this(), sequence);
  }

  void forget(std::uint16_t sequence) { asked_.erase(sequence); }

  void close() {
    error_code ignored;
    readable_.close(ignored);
    asked_.clear();
  }

 private:
  struct Asked {
    Ipv4Address backend;
    CheckDone done;
  };

  /// Returns an errno.
  int open() {
    if (readable_.is_open()) return 0;
    UniqueFd socket = open_icmp(raw_);
    if (!socket) return errno;
    // Beyond what net.core.rmem_max allows. Without the right to that the kernel's default has to do.
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof kReceiveBuffer);
    readable_.assign(socket.release());
    wait();
    return 0;
  }

  int send(Ipv4Address backend, std::uint16_t sequence) {
    if (const int error = open()) return error;
    Echo echo{.cookie = cookie_};
    echo.header.type = ICMP_ECHO;
    echo.header.un.echo.id = id_;  // a ping socket puts its own there
    echo.header.un.echo.sequence = htons(sequence);
    echo.header.checksum = checksum_of(echo);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(backend.value());
    const auto sent =
        ::sendto(readable_.native_handle(), &echo, sizeof echo, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    return sent < 0 ? errno : 0;
  }

  static CheckResult sending_failed(int error) {
    // Without the right to ping, nothing is known of any backend.
    if (error == EPERM || error == EACCES) {
      return {CheckVerdict::unknown, "cannot be made: pings need CAP_NET_RAW, or net.ipv4.ping_group_range"};
    }
    return failure(error_code(error, boost::system::system_category()));
  }

  void finish(std::uint16_t sequence, const CheckResult& result) {
    const auto found = asked_.find(sequence);
    if (found == asked_.end()) return;
    const CheckDone done = std::move(found->second.done);
    asked_.erase(found);
    done(result);
  }

  void wait() {
    readable_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](const error_code& error) {
                           if (error || !self->readable_.is_open()) return;
                           self->read();
                           if (self->readable_.is_open()) self->wait();
                         });
  }

  void read() {
    std::array<std::uint8_t, 2048> buffer;
    for (int i = 0; i < kBatch && readable_.is_open(); ++i) {
      sockaddr_in from{};
      socklen_t size = sizeof from;
      const auto length = ::recvfrom(readable_.native_handle(), buffer.data(), buffer.size(), 0,
                                     reinterpret_cast<sockaddr*>(&from), &size);
      if (length < 0 && errno == EINTR) continue;
      if (length < 0) return;
      const auto echo = parse_echo(std::span(buffer).first(static_cast<std::size_t>(length)), raw_);
      if (echo) take(*echo, Ipv4Address(ntohl(from.sin_addr.s_addr)));
    }
  }

  void take(const Echo& echo, Ipv4Address from) {
    if (echo.header.type != ICMP_ECHOREPLY || (raw_ && echo.header.un.echo.id != id_)) return;
    if (echo.cookie != cookie_) return;
    const std::uint16_t sequence = ntohs(echo.header.un.echo.sequence);
    const auto found = asked_.find(sequence);
    if (found == asked_.end() || found->second.backend != from) return;
    finish(sequence, {CheckVerdict::passed, "echo reply"});
  }

  boost::asio::io_context& context_;
  boost::asio::posix::stream_descriptor readable_;
  bool raw_ = false;
  const std::uint16_t id_ = static_cast<std::uint16_t>(random64());
  const Cookie cookie_ = [] {
    Cookie cookie;
    for (std::size_t at = 0; at < cookie.size(); at += sizeof(std::uint64_t)) {
      const std::uint64_t bits = random64();
      std::memcpy(cookie.data() + at, &bits, sizeof bits);
    }
    return cookie;
  }();
  std::uint16_t next_ = 0;
  std::unordered_map<std::uint16_t, Asked> asked_;  ///< by sequence number
};

std::string Pinger::Ping::cancel() {
  if (const auto socket = socket_.lock()) socket->forget(sequence_);
  return "no echo reply";
}

Pinger::Pinger(boost::asio::io_context& context) : socket_(std::make_shared<Socket>(context)) {}

Pinger::~Pinger() {
  socket_->close();
}

std::shared_ptr<RunningCheck> Pinger::start(Ipv4Address backend, CheckDone done) {
  return socket_->start(backend, std::move(done));
}

}  // namespace vipgate
