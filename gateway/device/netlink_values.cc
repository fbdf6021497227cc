#include "device/netlink_values.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <cstring>
#include <optional>

namespace vipgate {
namespace {

using AddressBytes = std::unique_ptr<nl_addr, NetlinkFree<nl_addr_put>>;

AddressBytes to_netlink(Ipv4Address address, int length) {
  const std::uint32_t bytes = htonl(address.value());
  AddressBytes result(nl_addr_build(AF_INET, &bytes, sizeof(bytes)));
  nl_addr_set_prefixlen(result.get(), length);
  return result;
}
AddressBytes to_netlink(Ipv4Prefix prefix) {
  return to_netlink(prefix.address(), prefix.length());
}

Ipv4Address value_of(const nl_addr* address) {
  std::uint32_t bytes = 0;
  if (address != nullptr && nl_addr_get_len(address) == sizeof(bytes)) {
    std::memcpy(&bytes, nl_addr_get_binary_addr(address), sizeof(bytes));
  }
  return Ipv4Address(ntohl(bytes));
}

Ipv4Prefix prefix_of(nl_addr* address) {
  if (address == nullptr || nl_addr_get_len(address) == 0) return {};
  return {value_of(address), static_cast<int>(nl_addr_get_prefixlen(address))};
}

/// Conditions and actions that PolicyRule has no member for.
bool has_more(nl_msg* message) {
  nlmsghdr* header = nlmsg_hdr(message);
  const auto* rule = static_cast<const fib_rule_hdr*>(nlmsg_data(header));
  if ((rule->flags & FIB_RULE_INVERT) != 0 || rule->tos != 0) return true;
  for (const int type : {FRA_FWMARK, FRA_OIFNAME, FRA_TUN_ID, FRA_UID_RANGE, FRA_SPORT_RANGE}) {
    if (nlmsg_find_attr(header, sizeof(fib_rule_hdr), type) != nullptr) return true;
  }
  return false;
}

/// An attribute within an attribute; null where it or its parent is missing.
const nlattr* nested(const nlattr* parent, int type) {
  return parent == nullptr ? nullptr : nla_find(static_cast<const nlattr*>(nla_data(parent)), nla_len(parent), type);
}

/// What libnl does not know of a TUN.
void read_tun(nl_msg* message, Link& link) {
  const nlattr* information = nlmsg_find_attr(nlmsg_hdr(message), sizeof(ifinfomsg), IFLA_LINKINFO);
  const nlattr* data = nested(information, IFLA_INFO_DATA);
  const nlattr* type = nested(data, IFLA_TUN_TYPE);
  const nlattr* multi_queue = nested(data, IFLA_TUN_MULTI_QUEUE);
  link.tun = type != nullptr && nla_get_u8(type) == IFF_TUN;
  link.multi_queue = multi_queue != nullptr && nla_get_u8(multi_queue) != 0;
}

}  // namespace

Link link_of(rtnl_link* source, nl_msg* message) {
  Link link;
  link.index = rtnl_link_get_ifindex(source);
  link.name = rtnl_link_get_name(source);
  if (const char* kind = rtnl_link_get_type(source)) link.kind = kind;
  const unsigned flags = rtnl_link_get_flags(source);
  link.up = (flags & IFF_UP) != 0;
  link.loopback = (flags & IFF_LOOPBACK) != 0;
  link.carrier = rtnl_link_get_carrier(source) != 0;
  link.mtu = rtnl_link_get_mtu(source);
  link.queue_length = rtnl_link_get_txqlen(source);
  if (link.kind == "tun") read_tun(message, link);
  return link;
}

HostAddress address_of(rtnl_addr* source, const std::string& device) {
  HostAddress address;
  address.device = device;
  address.address = value_of(rtnl_addr_get_local(source));
  const nl_addr* peer = rtnl_addr_get_peer(source);
  address.network = {peer != nullptr ? value_of(peer) : address.address, rtnl_addr_get_prefixlen(source)};
  address.scope = static_cast<AddressScope>(rtnl_addr_get_scope(source));
  return address;
}

std::vector<Route> routes_of(rtnl_route* source, const std::map<int, std::string>& devices) {
  Route route;
  route.destination = prefix_of(rtnl_route_get_dst(source));
  route.table = rtnl_route_get_table(source);
  route.protocol = rtnl_route_get_protocol(source);
  route.type = static_cast<RouteType>(rtnl_route_get_type(source));
  route.scope = static_cast<AddressScope>(rtnl_route_get_scope(source));
  route.metric = rtnl_route_get_priority(source);
  const int hops = rtnl_route_get_nnexthops(source);
  if (hops == 0) return {route};
  std::vector<Route> routes;
  for (int i = 0; i < hops; ++i) {
    rtnl_nexthop* hop = rtnl_route_nexthop_n(source, i);
    const auto device = devices.find(rtnl_route_nh_get_ifindex(hop));
    route.device = device == devices.end() ? std::string() : device->second;
    const nl_addr* gateway = rtnl_route_nh_get_gateway(hop);
    route.gateway = gateway == nullptr ? std::nullopt : std::optional(value_of(gateway));
    routes.push_back(route);
  }
  return routes;
}

PolicyRule rule_of(rtnl_rule* source, nl_msg* message) {
  PolicyRule rule;
  rule.priority = rtnl_rule_get_prio(source);
  if (const char* name = rtnl_rule_get_iif(source)) rule.incoming = name;
  rule.from = prefix_of(rtnl_rule_get_src(source));
  rule.to = prefix_of(rtnl_rule_get_dst(source));
  (void)rtnl_rule_get_ipproto(source, &rule.ip_protocol);
  (void)rtnl_rule_get_dport(source, &rule.first_port, &rule.last_port);
  rule.action = static_cast<RuleAction>(rtnl_rule_get_action(source));
  rule.table = rtnl_rule_get_table(source);
  (void)rtnl_rule_get_protocol(source, &rule.protocol);
  rule.more = has_more(message);
  return rule;
}

ProxyNeighbour proxy_of(rtnl_neigh* source, nl_msg* message, const std::string& device) {
  ProxyNeighbour proxy{.device = device, .address = value_of(rtnl_neigh_get_dst(source))};
  const nlattr* protocol = nlmsg_find_attr(nlmsg_hdr(message), sizeof(ndmsg), kNeighbourProtocol);
  if (protocol != nullptr) proxy.protocol = nla_get_u8(protocol);
  return proxy;
}

RuleObject to_netlink(const PolicyRule& rule) {
  RuleObject object(rtnl_rule_alloc());
  rtnl_rule_set_family(object.get(), AF_INET);
  rtnl_rule_set_prio(object.get(), rule.priority);
  if (!rule.incoming.empty()) rtnl_rule_set_iif(object.get(), rule.incoming.c_str());
  if (rule.from.length() != 0) rtnl_rule_set_src(object.get(), to_netlink(rule.from).get());
  if (rule.to.length() != 0) rtnl_rule_set_dst(object.get(), to_netlink(rule.to).get());
  if (rule.ip_protocol != 0) rtnl_rule_set_ipproto(object.get(), rule.ip_protocol);
  if (rule.first_port != 0) rtnl_rule_set_dport_range(object.get(), rule.first_port, rule.last_port);
  rtnl_rule_set_action(object.get(), static_cast<std::uint8_t>(rule.action));
  if (rule.table != 0) rtnl_rule_set_table(object.get(), rule.table);
  rtnl_rule_set_protocol(object.get(), rule.protocol);
  return object;
}

RouteObject to_netlink(const Route& route, int device) {
  RouteObject object(rtnl_route_alloc());
  rtnl_route_set_family(object.get(), AF_INET);
  rtnl_route_set_dst(object.get(), to_netlink(route.destination).get());
  rtnl_route_set_table(object.get(), route.table);
  rtnl_route_set_protocol(object.get(), route.protocol);
  rtnl_route_set_type(object.get(), static_cast<std::uint8_t>(route.type));
  rtnl_route_set_scope(object.get(), static_cast<std::uint8_t>(route.scope));
  if (route.metric != 0) rtnl_route_set_priority(object.get(), route.metric);
  if (device != 0) {
    rtnl_nexthop* hop = rtnl_route_nh_alloc();
    rtnl_route_nh_set_ifindex(hop, device);
    if (route.gateway) rtnl_route_nh_set_gateway(hop, to_netlink(*route.gateway, 32).get());
    rtnl_route_add_nexthop(object.get(), hop);
  }
  return object;
}

NeighbourObject to_netlink(const ProxyNeighbour& proxy, int device) {
  NeighbourObject object(rtnl_neigh_alloc());
  rtnl_neigh_set_family(object.get(), AF_INET);
  rtnl_neigh_set_ifindex(object.get(), device);
  rtnl_neigh_set_dst(object.get(), to_netlink(proxy.address, 32).get());
  rtnl_neigh_set_flags(object.get(), NTF_PROXY);
  return object;
}

AddressObject to_netlink(const HostAddress& address, int device) {
  AddressObject object(rtnl_addr_alloc());
  rtnl_addr_set_ifindex(object.get(), device);
  rtnl_addr_set_family(object.get(), AF_INET);
  rtnl_addr_set_local(object.get(), to_netlink(address.address, address.network.length()).get());
  rtnl_addr_set_prefixlen(object.get(), address.network.length());
  rtnl_addr_set_scope(object.get(), static_cast<int>(address.scope));
  return object;
}

}  // namespace vipgate
