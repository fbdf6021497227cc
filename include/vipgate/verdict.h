#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vipgate {

/// What becomes of a packet.
enum class Action : std::uint8_t {
  forward,   ///< rewritten in place; send it
  reply,     ///< consumed; the engine answered through the sink
  hold,      ///< a fragment, kept until its datagram is whole
  hand_off,  ///< untouched; it belongs to the worker of `Verdict::shard`
  pass,      ///< not ours; write it back unchanged
  drop,      ///< consumed, for `Verdict::reason`
};
inline constexpr std::size_t kActionCount = 6;

/// Why a packet was dropped or rejected. One name a cause; the names are part of the counters' and `replay`'s format.
#define VIPGATE_REASONS(X)                                                                     \
  X(none, "no objection")                                                                      \
  X(not_ipv4, "version field is not 4")                                                        \
  X(ip_truncated, "fewer bytes than an IPv4 header")                                           \
  X(ip_header_length, "IHL below 5 or beyond the packet")                                      \
  X(ip_total_length, "total length below the header or beyond the bytes read")                 \
  X(ip_checksum, "IPv4 header checksum wrong")                                                 \
  X(fragment_length, "a fragment that no sender cuts so: empty, or not a multiple of 8 bytes") \
  X(fragment_tiny, "fragments that part the transport header")                                 \
  X(fragment_overlap, "fragments that overlap, or a piece of such a datagram")                 \
  X(fragment_too_long, "fragments that reach beyond the largest datagram")                     \
  X(fragment_ecn, "fragments that contradict each other in ECN")                               \
  X(fragment_limit, "no room for more fragments")                                              \
  X(unknown_protocol, "neither TCP nor UDP nor ICMP")                                          \
  X(tcp_truncated, "fewer bytes than a TCP header")                                            \
  X(tcp_data_offset, "TCP data offset below 5 or beyond the segment")                          \
  X(tcp_checksum, "TCP checksum wrong")                                                        \
  X(tcp_flags, "a set of TCP flags that no stack sends")                                       \
  X(udp_truncated, "fewer bytes than a UDP header")                                            \
  X(udp_length, "UDP length below the header or beyond the packet")                            \
  X(udp_checksum, "UDP checksum wrong")                                                        \
  X(icmp_truncated, "fewer bytes than an ICMP header")                                         \
  X(icmp_checksum, "ICMP checksum wrong")                                                      \
  X(virtio_header, "virtio header contradicts the packet")                                     \
  X(zero_port, "source or destination port 0")                                                 \
  X(martian_source, "loopback, multicast, broadcast or zero source address")                   \
  X(martian_destination, "loopback, multicast, broadcast or zero destination address")         \
  X(own_source, "source is one of our own addresses")                                          \
  X(no_such_vip, "an address of our subnets that is no VIP")                                   \
  X(denied, "the service does not allow this client")                                          \
  X(service_flows, "the service has as many flows as it may")                                  \
  X(client_flows, "the client has as many flows to the service as it may")                     \
  X(service_rate, "the service is asked for new flows faster than it may")                     \
  X(egress_filtered, "no flow or helper expects this on an allocated port of the VIP")         \
  X(no_service, "no service on this port of the VIP")                                          \
  X(no_backend, "the service has no backend that takes new flows")                             \
  X(no_flow, "belongs to no flow and may not open one")                                        \
  X(revoked, "its flow is no longer allowed")                                                  \
  X(tcp_state, "segment impossible in the state of its flow")                                  \
  X(tcp_window, "sequence or acknowledgement outside the window")                              \
  X(tcp_reset, "RST outside the window")                                                       \
  X(table_full, "no room for another flow")                                                    \
  X(ports_exhausted, "no free source port toward the backend")                                 \
  X(rate_limited, "an answer was due, but too many were sent of late")                         \
  X(ping_disabled, "ping is switched off for this VIP, or it is not served")                   \
  X(icmp_type, "an ICMP message that is neither echo nor an error")                            \
  X(icmp_embedded, "ICMP error that quotes no flow, or quotes it wrongly")                     \
  X(icmp_sequence, "ICMP error about data that is not in flight")                              \
  X(icmp_mtu, "an MTU that no link has, or that the quoted packet fits")                       \
  X(helper_busy, "a command that must wait until earlier ones are acknowledged")

enum class Reason : std::uint8_t {
#define VIPGATE_REASON_NAME(name, text) name,
  VIPGATE_REASONS(VIPGATE_REASON_NAME)
#undef VIPGATE_REASON_NAME
};

#define VIPGATE_REASON_ONE(name, text) +1  // NOLINT: a term of a sum
inline constexpr std::size_t kReasonCount = VIPGATE_REASONS(VIPGATE_REASON_ONE);
#undef VIPGATE_REASON_ONE

std::string_view name_of(Action action);
std::string_view name_of(Reason reason);   ///< as in the enum: "tcp_window"
std::string_view describe(Reason reason);  ///< a few words for people

/// The outcome for one packet. Eight bytes, which a register holds.
struct Verdict {
  static constexpr std::uint16_t kNoService = 0xffff;

  Action action = Action::drop;
  Reason reason = Reason::none;        ///< set for drop, and for a reply that rejects
  std::uint8_t shard = 0;              ///< the owner of the packet's flow
  bool is_reply = false;               ///< forwarded back to who opened the flow
  std::uint16_t service = kNoService;  ///< index into the ruleset's services
  std::uint16_t backend = 0;           ///< index into the service's backends, where there is a service
};
static_assert(sizeof(Verdict) == 8);

}  // namespace vipgate
