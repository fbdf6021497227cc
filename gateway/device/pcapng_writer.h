#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "vipgate/time.h"

/// The blocks of a capture file of the format pcapng (draft-ietf-opsawg-pcapng), in this machine's byte order: what
/// libpcap cannot write, comments and more than one interface. Each call appends a whole block to `out`. All links are
/// IPv4 without a header of their own; times are since 1970, in nanoseconds.
namespace vipgate::pcapng {

/// Begins a file: once, before all else.
struct Section {
  std::string application;
  std::string comment;  ///< empty: none
};
void add_section(std::string& out, const Section& section);

/// A place where packets are seen; they refer to it by its number in the file, from 0. libpcap wants the same snaplen
/// of all.
struct Interface {
  std::string name;
  std::string description;
  std::string filter;         ///< what is captured there, in words; empty: all
  std::uint32_t snaplen = 0;  ///< bytes of a packet at most
};
void add_interface(std::string& out, const Interface& interface);

enum class Direction : std::uint8_t { inbound = 1, outbound = 2 };

struct Packet {
  std::uint32_t interface = 0;
  Time time;
  std::span<const std::uint8_t> bytes;  ///< as many of them as the snaplen allows
  std::size_t original_size = 0;
  Direction direction = Direction::inbound;
  std::uint64_t id = 0;      ///< the same at every interface that one packet is seen at
  std::string_view comment;  ///< what does not fit in 65535 bytes is cut off
};
void add_packet(std::string& out, const Packet& packet);

/// What an interface has seen from `begin` to `end`.
struct Statistics {
  std::uint32_t interface = 0;
  Time begin;
  Time end;
  std::uint64_t received = 0;  ///< those that were dropped among them
  std::uint64_t dropped = 0;   ///< that did not get into the file
};
void add_statistics(std::string& out, const Statistics& statistics);

}  // namespace vipgate::pcapng
