#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vipgate/address.h"
#include "vipgate/inspect.h"
#include "vipgate/rules.h"
#include "vipgate/verdict.h"

namespace vipgate {

/// Which packets a capture has. What is not set, or empty, may be anything.
struct CaptureFilter {
  std::optional<Ipv4Prefix> address{};  ///< of any end, as the packet came or as it left
  std::optional<std::uint16_t> port{};  ///< likewise; of fragments only the first has one
  std::optional<Protocol> protocol{};
  std::string service{};
  std::string backend{};  ///< name
  std::optional<Action> verdict{};
  std::optional<Reason> reason{};

  bool wants_ends() const { return address || port; }

  /// False: nothing that becomes of the packet can make it match.
  bool may_match(std::span<const std::uint8_t> ip_packet) const;

  /// A packet of which this is known. No endpoints: it is not there, or they were not asked for (wants_ends).
  struct Subject {
    std::optional<PacketEndpoints> came{};
    std::optional<PacketEndpoints> left{};
    Verdict verdict{};
    std::string_view service{};  ///< name; empty: none
    std::string_view backend{};
  };
  bool matches(const Subject& subject) const;

  /// In the words of its options: "port 80, service web"; empty: everything.
  std::string to_string() const;
};

std::optional<Action> action_called(std::string_view name);
std::optional<Reason> reason_called(std::string_view name);

}  // namespace vipgate
