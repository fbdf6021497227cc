#pragma once

#include <cstdint>
#include <string_view>

#include "vipgate/address.h"
#include "vipgate/rules.h"
#include "vipgate/time.h"

namespace vipgate {

/// Whose a flow is.
enum class FlowOrigin : std::uint8_t {
  service,  ///< a client's, to a service
  related,  ///< a data connection that a helper let through
  egress,   ///< a private host's own
};
std::string_view name_of(FlowOrigin origin);  ///< as in the enum

/// A flow at a moment, for people. Valid while it is shown: it names parts of the ruleset that allowed the flow last.
/// Of ICMP queries, the identifier is both ports.
struct FlowInfo {
  FlowOrigin origin{};
  Protocol protocol{};
  Endpoint source;                   ///< who opened it
  Endpoint destination;              ///< whom they think they talk to: the VIP, or of an egress flow the host outside
  Endpoint translated_source;        ///< as whom the other side knows them
  Endpoint translated_destination;   ///< who that is: the backend
  std::string_view state;            ///< TCP: name_of(TcpState); else "unanswered" or "answered"
  const Service* service = nullptr;  ///< none: of an egress flow
  const Backend* backend = nullptr;
  Duration idle{};  ///< since its last packet
  Duration left{};  ///< until it ends if none comes
  std::uint8_t shard = 0;
};

}  // namespace vipgate
