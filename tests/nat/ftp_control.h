#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nat/ftp.h"
#include "nat/ftp_model.h"
#include "support/parse_packet.h"

namespace vipgate::test {

using Asked = std::vector<std::pair<DataOpener, Endpoint>>;

/// What the receiver gets of a segment.
struct Seen {
  Reason drop = Reason::none;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  std::uint8_t flags = 0;
  std::string text;
  std::uint16_t urgent = 0;
  Packet packet;  ///< refers to the control connection's memory, until its next packet
};

/// A control connection after its handshake. The client's first byte has the number 1000, the server's 5000.
class Control {
 public:
  Control() {
    send(Direction::original, packet(Direction::original).syn().seq(999));
    send(Direction::reply, packet(Direction::reply).syn().seq(4999).ack(1000));
    send(Direction::original, packet(Direction::original).seq(1000).ack(5000));
  }

  FtpState state{};
  ModelExpecter expecter;
  int announced = 0;
  int refused = 0;

  static PacketBuilder packet(Direction direction) {
    return direction == Direction::original ? tcp("198.51.100.7:40000", "203.0.113.10:21")
                                            : tcp("10.0.0.2:21", "203.0.113.14:50000");
  }

  Seen send(Direction direction, const PacketBuilder& builder, TcpOutcome outcome = TcpOutcome::accept) {
    memory_.emplace(builder.build());
    Packet sent = memory_->packet();
    const auto view = parse_packet(sent);
    EXPECT_TRUE(view) << name_of(view.reason());
    const bool was_right = checksum_fault(sent).empty();
    const FtpVerdict verdict = ftp_translate(state, direction, sent, *view, outcome, kNames, expecter);
    announced += verdict.announced;
    refused += verdict.refused;
    EXPECT_TRUE(ftp_is_sound(state));
    if (verdict.drop != Reason::none) return {.drop = verdict.drop, .text = {}, .packet = {}};
    EXPECT_EQ(checksum_fault(sent).empty(), was_right) << checksum_fault(sent);
    const auto after = TcpView::parse(Ipv4View::parse(sent.bytes)->payload());
    const auto text = sent.bytes.last(after->payload_length());
    return {Reason::none,
            after->sequence(),
            after->acknowledgement(),
            after->flags(),
            {text.begin(), text.end()},
            load16(sent.bytes.data() + 20 + tcp::kUrgent),
            sent};
  }

  /// The side's next bytes.
  Seen client(std::string_view text) { return next(Direction::original, text); }
  Seen server(std::string_view text) { return next(Direction::reply, text); }
  /// Bytes of the side from a sequence number on.
  Seen client_at(std::uint32_t sequence, std::string_view text) {
    return send(Direction::original, packet(Direction::original).seq(sequence).ack(5000).psh().payload(text));
  }
  Seen server_at(std::uint32_t sequence, std::string_view text) {
    return send(Direction::reply, packet(Direction::reply).seq(sequence).ack(1000).psh().payload(text));
  }
  /// An empty segment of the other side that acknowledges; what it acknowledges when it arrives.
  std::uint32_t acknowledge_client(std::uint32_t number) {
    return send(Direction::reply, packet(Direction::reply).seq(next_[1]).ack(number)).acknowledgement;
  }
  std::uint32_t acknowledge_server(std::uint32_t number) {
    return send(Direction::original, packet(Direction::original).seq(next_[0]).ack(number)).acknowledgement;
  }
  std::uint32_t& next_of(Direction direction) { return next_[static_cast<std::size_t>(direction)]; }

 private:
  Seen next(Direction direction, std::string_view text) {
    std::uint32_t& number = next_of(direction);
    const std::uint32_t sequence = number;
    number += static_cast<std::uint32_t>(text.size());
    return direction == Direction::original ? client_at(sequence, text) : server_at(sequence, text);
  }

  std::optional<WirePacket> memory_;
  std::uint32_t next_[2] = {1000, 5000};
};

/// What is announced for a port, as PORT and 227 write it. For the client's 1024 it is two bytes longer.
inline std::string announced_to(DataOpener opener, std::uint16_t port) {
  const Endpoint target{opener == DataOpener::client ? kNames.backend : kNames.client, port};
  const Endpoint answer = *ModelExpecter::answer(opener, target);
  std::string text = answer.address.to_string();
  std::replace(text.begin(), text.end(), '.', ',');
  return text + "," + std::to_string(answer.port >> 8) + "," + std::to_string(answer.port & 0xff);
}
inline std::string port_for_client(std::uint16_t port) {
  return std::to_string(ModelExpecter::answer(DataOpener::client, {kNames.backend, port})->port);
}

}  // namespace vipgate::test
