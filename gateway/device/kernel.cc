#include "device/kernel.h"

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

std::string name_of(RouteType type) {
  switch (type) {
    case RouteType::unicast:
      return "";
    case RouteType::local:
      return "local ";
    case RouteType::blackhole:
      return "blackhole ";
    case RouteType::unreachable:
      return "unreachable ";
    case RouteType::prohibit:
      return "prohibit ";
  }
  return absl::StrCat("type ", static_cast<int>(type), " ");
}

std::string table_name(std::uint32_t table) {
  switch (table) {
    case kMainTable:
      return "main";
    case 253:
      return "default";
    case kLocalTable:
      return "local";
    default:
      return absl::StrCat(table);
  }
}

std::string prefix_text(Ipv4Prefix prefix) {
  if (prefix.length() == 0) return "default";
  return prefix.to_string();
}

}  // namespace

std::string Link::to_string() const {
  std::string text = absl::StrCat(index, ": ", name, kind.empty() ? "" : " ", kind, up ? " up" : " down", " mtu ", mtu,
                                  " qlen ", queue_length);
  if (!master.empty()) absl::StrAppend(&text, " master ", master);
  return text;
}

std::string LinkChange::to_string() const {
  std::string text;
  if (mtu) absl::StrAppend(&text, " mtu ", *mtu);
  if (queue_length) absl::StrAppend(&text, " txqueuelen ", *queue_length);
  if (up) absl::StrAppend(&text, *up ? " up" : " down");
  return text.empty() ? text : text.substr(1);
}

std::string HostAddress::to_string() const {
  std::string text = address.to_string();
  if (network.contains(address)) {
    absl::StrAppend(&text, "/", network.length());
  } else {
    absl::StrAppend(&text, " peer ", network.to_string());
  }
  absl::StrAppend(&text, " dev ", device);
  if (scope == AddressScope::link) absl::StrAppend(&text, " scope link");
  if (scope == AddressScope::host) absl::StrAppend(&text, " scope host");
  return text;
}

std::string Route::to_string() const {
  std::string text = absl::StrCat(name_of(type), prefix_text(destination));
  if (gateway) absl::StrAppend(&text, " via ", gateway->to_string());
  if (!device.empty()) absl::StrAppend(&text, " dev ", device);
  if (table != kMainTable) absl::StrAppend(&text, " table ", table);
  absl::StrAppend(&text, " proto ", protocol);
  if (metric != 0) absl::StrAppend(&text, " metric ", metric);
  return text;
}

std::string PolicyRule::to_string() const {
  std::string text = absl::StrCat(priority, ": from ", from.length() == 0 ? "all" : from.to_string());
  if (to.length() != 0) absl::StrAppend(&text, " to ", to.to_string());
  if (!incoming.empty()) absl::StrAppend(&text, " iif ", incoming);
  if (ip_protocol != 0) absl::StrAppend(&text, " ipproto ", ip_protocol == 1 ? "icmp" : absl::StrCat(ip_protocol));
  if (first_port != 0) absl::StrAppend(&text, " dport ", first_port);
  if (last_port != first_port) absl::StrAppend(&text, "-", last_port);
  switch (action) {
    case RuleAction::lookup:
      absl::StrAppend(&text, " lookup ", table_name(table));
      break;
    case RuleAction::prohibit:
      absl::StrAppend(&text, " prohibit");
      break;
    default:
      absl::StrAppend(&text, " action ", static_cast<int>(action));
  }
  absl::StrAppend(&text, " proto ", protocol);
  if (more) absl::StrAppend(&text, " ...");
  return text;
}

std::string ProxyNeighbour::to_string() const {
  return absl::StrCat(address.to_string(), " dev ", device, " proto ", protocol);
}

}  // namespace vipgate
