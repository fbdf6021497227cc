#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/kernel.h"

struct nl_msg;
struct nl_object;
struct nl_sock;

namespace vipgate {

/// The kernel's network configuration through netlink and /proc/sys, in the network namespace of the thread that opened
/// it. For one thread. Every call waits for the kernel's answer.
class NetlinkKernel : public KernelInterface {
 public:
  static absl::StatusOr<std::unique_ptr<NetlinkKernel>> open();

  absl::StatusOr<std::vector<Link>> links() override;
  absl::StatusOr<std::vector<HostAddress>> addresses() override;
  absl::StatusOr<std::vector<Route>> routes(std::uint32_t table) override;
  absl::StatusOr<std::vector<PolicyRule>> rules() override;
  /// How the kernel would send a packet of this host's own to an address, policy rules included. The error says what
  /// stands there instead of a route.
  absl::StatusOr<Route> route_to(Ipv4Address address);
  absl::StatusOr<std::vector<ProxyNeighbour>> proxies() override;

  absl::Status add_route(const Route& route) override;
  absl::Status remove_route(const Route& route) override;
  absl::Status add_rule(const PolicyRule& rule) override;
  absl::Status remove_rule(const PolicyRule& rule) override;
  absl::Status add_proxy(const ProxyNeighbour& proxy) override;
  absl::Status remove_proxy(const ProxyNeighbour& proxy) override;
  absl::Status add_address(const HostAddress& address) override;
  absl::Status remove_address(const HostAddress& address) override;
  absl::Status change_link(const std::string& device, const LinkChange& change) override;
  absl::Status delete_link(const std::string& device) override;

  absl::StatusOr<std::string> read_sysctl(const std::string& key) override;
  absl::Status write_sysctl(const std::string& key, const std::string& value) override;

  ArpInterface& arp() override { return arp_; }
  bool changed() override;
  absl::StatusOr<std::string> identity() override;
  absl::StatusOr<UniqueFd> lock(const std::string& name) override;

 private:
  struct SocketCloser {
    void operator()(nl_sock* socket) const;
  };
  using Socket = std::unique_ptr<nl_sock, SocketCloser>;
  using OnObject = std::function<void(nl_object*, nl_msg*)>;

  NetlinkKernel() = default;

  absl::Status connect();

  /// Sends a request and takes the whole answer. `what` begins the error text; `interrupted`: the answer may lack
  /// entries, because the kernel's tables changed meanwhile.
  absl::Status ask(nl_msg* message, const std::string& what, const OnObject& on_object, bool& interrupted);

  /// A request that the kernel acknowledges. Frees `message`.
  absl::Status transact(
      nl_msg* message, const std::string& what, const OnObject& on_object = [](nl_object*, nl_msg*) {});

  /// A request, made by `build`, for a list. It is repeated when interrupted, after `restart` has forgotten what came.
  absl::Status list(const std::function<nl_msg*()>& build, const std::string& what, const OnObject& on_object,
                    const std::function<void()>& restart);
  absl::Status list_links(const OnObject& on_link, const std::function<void()>& restart);

  absl::StatusOr<std::map<int, std::string>> names();
  absl::StatusOr<int> index_of(const std::string& device);

  Socket socket_;
  Socket events_;
  ArpPort arp_;
  bool first_ = true;
};

}  // namespace vipgate
