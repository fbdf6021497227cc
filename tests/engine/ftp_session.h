#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <utility>

#include "engine/world.h"

// FTP through the gateway, as the engine's tests see it:
//
//     client 198.51.100.7 ── VIP 203.0.113.10:21 ── backend 10.0.0.4:21

namespace vipgate::test {

inline constexpr const char* kFtpClient = "198.51.100.7:40000";
inline constexpr const char* kFtpVip = "203.0.113.10:21";
inline constexpr const char* kFtpBackend = "10.0.0.4:21";

inline Rules ftp_rules(SourceMode source) {
  Rules rules = rules_with({{.name = "ftp", .port = 21, .backends = {kFtpBackend}, .source = source}});
  rules.vips[0].services[0].helper = Helper::ftp;
  return rules;
}

/// A control connection whose two ends count as TCPs do: each its own numbers.
class FtpControl {
 public:
  explicit FtpControl(World& world, std::string client = kFtpClient) : world_(world), client_(std::move(client)) {
    const Outcome syn = world.send(tcp(client_, kFtpVip).syn().seq(1000).mss(1460));
    EXPECT_EQ(syn.verdict.action, Action::forward);
    seen_ = source_of(syn.out.at(0)).to_string();
    EXPECT_EQ(world.send(tcp(kFtpBackend, seen_).syn().seq(5000).ack(1001)).verdict.action, Action::forward);
    EXPECT_EQ(world.send(tcp(client_, kFtpVip).seq(1001).ack(5001)).verdict.action, Action::forward);
  }

  /// The same connection, at the moment, through another world.
  FtpControl(World& world, const FtpControl& same)
      : world_(world),
        client_(same.client_),
        seen_(same.seen_),
        client_own_(same.client_own_),
        client_at_backend_(same.client_at_backend_),
        backend_own_(same.backend_own_),
        backend_at_client_(same.backend_at_client_) {}

  /// The client types a line. Returns what the backend reads, which then acknowledges it.
  std::string client_says(const std::string& line) { return says(line, true); }
  std::string backend_says(const std::string& line) { return says(line, false); }

  /// Sends a line, of which nobody knows whether it arrived.
  Outcome backend_sends(const std::string& line) { return sends(line, false); }

  const std::string& seen() const { return seen_; }  ///< the client, as the backend sees it

 private:
  Outcome sends(const std::string& line, bool client) {
    const PacketBuilder out = client ? tcp(client_, kFtpVip).seq(client_own_).ack(backend_at_client_)
                                     : tcp(kFtpBackend, seen_).seq(backend_own_).ack(client_at_backend_);
    return world_.send(out.psh().payload(line));
  }

  /// Next numbers: of the client as it counts and as the backend does; of the backend likewise.
  std::string says(const std::string& line, bool client) {
    std::uint32_t& own = client ? client_own_ : backend_own_;
    std::uint32_t& other = client ? client_at_backend_ : backend_at_client_;
    const Outcome sent = sends(line, client);
    EXPECT_EQ(sent.verdict.action, Action::forward) << line << name_of(sent.verdict.reason);
    if (sent.out.empty()) return "";
    const auto bytes = sent.out[0].bytes();
    EXPECT_EQ(number_at(bytes, 24), other) << "what is to come next";
    std::string read(bytes.begin() + 40, bytes.end());
    own += static_cast<std::uint32_t>(line.size());
    other += static_cast<std::uint32_t>(read.size());
    const Outcome ack = world_.send(client ? tcp(kFtpBackend, seen_).seq(backend_own_).ack(client_at_backend_)
                                           : tcp(client_, kFtpVip).seq(client_own_).ack(backend_at_client_));
    EXPECT_EQ(ack.verdict.action, Action::forward) << name_of(ack.verdict.reason);
    EXPECT_EQ(number_at(ack.out.at(0).bytes(), 28), own) << "all that was said is acknowledged";
    return read;
  }

  static std::uint32_t number_at(std::span<const std::uint8_t> bytes, std::size_t at) {
    return static_cast<std::uint32_t>(bytes[at]) << 24 | static_cast<std::uint32_t>(bytes[at + 1]) << 16 |
           static_cast<std::uint32_t>(bytes[at + 2]) << 8 | bytes[at + 3];
  }

  World& world_;
  std::string client_;
  std::string seen_;
  std::uint32_t client_own_ = 1001;
  std::uint32_t client_at_backend_ = 1001;
  std::uint32_t backend_own_ = 5001;
  std::uint32_t backend_at_client_ = 5001;
};

/// "(203,0,113,10,128,5)" as "203.0.113.10:32773".
inline std::string endpoint_in(const std::string& line) {
  unsigned a = 0, b = 0, c = 0, d = 0, high = 0, low = 0;
  const auto at = line.find_first_of("0123456789", 4);
  std::sscanf(line.c_str() + at, "%u,%u,%u,%u,%u,%u", &a, &b, &c, &d, &high, &low);  // NOLINT: of our own making
  char text[32];
  std::snprintf(text, sizeof text, "%u.%u.%u.%u:%u", a, b, c, d, high * 256 + low);
  return text;
}

/// Opens a connection from one end and has the other answer; returns where the other end saw it come from.
inline std::string open_data(World& world, const std::string& from, const std::string& to, const std::string& target) {
  const Outcome syn = world.send(tcp(from, to).syn().seq(70));
  EXPECT_EQ(syn.verdict.action, Action::forward) << name_of(syn.verdict.reason);
  if (syn.out.empty()) return "";
  EXPECT_EQ(destination_of(syn.out[0]), endpoint(target));
  const std::string source = source_of(syn.out[0]).to_string();
  const Outcome answer = world.send(tcp(target, source).syn().seq(90).ack(71));
  EXPECT_EQ(answer.text(), "tcp " + to + " > " + from + " SA seq 90 ack 71 win 64240 length 0");
  EXPECT_EQ(world.send(tcp(from, to).seq(71).ack(91).payload("data")).verdict.action, Action::forward);
  return source;
}

}  // namespace vipgate::test
