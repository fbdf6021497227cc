#include "runtime/capture/capture_filter.h"

namespace vipgate {
namespace {

constexpr std::size_t kProtocolAt = 9;  // RFC 791 §3.1
constexpr std::size_t kHeader = 20;

template <typename Matches>
bool any_end(const CaptureFilter::Subject& subject, Matches&& matches) {
  for (const auto& ends : {subject.came, subject.left}) {
    if (ends && (matches(ends->source) || matches(ends->destination))) return true;
  }
  return false;
}

template <typename Enum>
std::optional<Enum> called(std::string_view name, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = static_cast<Enum>(i);
    if (name_of(value) == name) return value;
  }
  return std::nullopt;
}

void append(std::string& words, std::string_view name, std::string_view value) {
  words.append(words.empty() ? "" : ", ").append(name).append(" ").append(value);
}

}  // namespace

bool CaptureFilter::may_match(std::span<const std::uint8_t> ip_packet) const {
  if (!protocol) return true;
  return ip_packet.size() >= kHeader && ip_packet[0] >> 4 == 4 &&
         ip_packet[kProtocolAt] == static_cast<std::uint8_t>(*protocol);
}

bool CaptureFilter::matches(const Subject& subject) const {
  if (verdict && subject.verdict.action != *verdict) return false;
  if (reason && subject.verdict.reason != *reason) return false;
  if (!service.empty() && subject.service != service) return false;
  if (!backend.empty() && subject.backend != backend) return false;
  if (address && !any_end(subject, [&](const Endpoint& end) { return address->contains(end.address); })) return false;
  return !port || any_end(subject, [&](const Endpoint& end) { return end.port == *port; });
}

std::string CaptureFilter::to_string() const {
  std::string words;
  if (address) append(words, "address", address->to_string());
  if (port) append(words, "port", std::to_string(*port));
  if (protocol) {
    append(words, "protocol", *protocol == Protocol::tcp ? "tcp" : *protocol == Protocol::udp ? "udp" : "icmp");
  }
  if (!service.empty()) append(words, "service", service);
  if (!backend.empty()) append(words, "backend", backend);
  if (verdict) append(words, "verdict", name_of(*verdict));
  if (reason) append(words, "reason", name_of(*reason));
  return words;
}

std::optional<Action> action_called(std::string_view name) {
  return called<Action>(name, kActionCount);
}

std::optional<Reason> reason_called(std::string_view name) {
  return called<Reason>(name, kReasonCount);
}

}  // namespace vipgate
