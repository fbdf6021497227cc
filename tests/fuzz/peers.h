#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "fuzz/input.h"
#include "fuzz/transforms.h"
#include "fuzz/trial.h"
#include "support/packet_builder.h"

namespace vipgate::fuzz {

/// Clients, backends, private hosts and routers: turns input into what they do. They see what came out and answer it,
/// as well or as badly as the input wants.
class Peers {
 public:
  Peers(Trial& trial, Input& input) : trial_(trial), input_(input) {}

  /// The next thing that happens.
  void act();

 private:
  void open_connection();
  void send_datagram();
  void ping();
  void answer();
  void go_on();
  void repeat();
  void complain();
  void leave();
  void connect_to_announced();
  void pass_time();
  void reload();
  void send_anything();

  test::PacketBuilder segment(test::PacketBuilder builder, std::uint8_t flags);
  std::string line(Ipv4Address speaker);
  void send(const test::PacketBuilder& builder);
  void send(Datagram packet);

  /// One that came out, or went in, of late; none where nothing did.
  static const Datagram* recent(const std::deque<Datagram>& packets, std::size_t back);
  static void remember(std::deque<Datagram>& packets, const Datagram& packet);

  Trial& trial_;
  Input& input_;
  Transforms transforms_;
  std::string unsaid_;  ///< the rest of a line of which a segment had the beginning
  std::deque<Datagram> sent_;
  std::deque<Datagram> received_;
  std::uint16_t ip_id_ = 1;
};

}  // namespace vipgate::fuzz
