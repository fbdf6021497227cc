#pragma once

#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/route.h>
#include <netlink/route/rule.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "device/kernel.h"

namespace vipgate {

template <auto Free>
struct NetlinkFree {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using RouteObject = std::unique_ptr<rtnl_route, NetlinkFree<rtnl_route_put>>;
using RuleObject = std::unique_ptr<rtnl_rule, NetlinkFree<rtnl_rule_put>>;
using NeighbourObject = std::unique_ptr<rtnl_neigh, NetlinkFree<rtnl_neigh_put>>;
using AddressObject = std::unique_ptr<rtnl_addr, NetlinkFree<rtnl_addr_put>>;

inline constexpr int kNeighbourProtocol = 12;  // NDA_PROTOCOL, Linux 5.2

// From libnl's objects.
Link link_of(rtnl_link* source, nl_msg* message);  ///< without `master`; `message`: what `source` was parsed from
HostAddress address_of(rtnl_addr* source, const std::string& device);
std::vector<Route> routes_of(rtnl_route* source, const std::map<int, std::string>& devices);
PolicyRule rule_of(rtnl_rule* source, nl_msg* message);
ProxyNeighbour proxy_of(rtnl_neigh* source, nl_msg* message, const std::string& device);

// To libnl's objects. `device` is the index of the device that the value names.
RuleObject to_netlink(const PolicyRule& rule);
RouteObject to_netlink(const Route& route, int device);
NeighbourObject to_netlink(const ProxyNeighbour& proxy, int device);  ///< without its protocol
AddressObject to_netlink(const HostAddress& address, int device);

}  // namespace vipgate
