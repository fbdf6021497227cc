#include "device/nft_tables.h"

#include <netinet/in.h>  // ahead of what would define the same

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "device/netlink_values.h"

namespace vipgate {
namespace {

int on_table(nl_msg* message, void* argument) {
  const nlmsghdr* header = nlmsg_hdr(message);
  const auto* table = static_cast<const nfgenmsg*>(nlmsg_data(header));
  const nlattr* name = nlmsg_find_attr(nlmsg_hdr(message), sizeof(nfgenmsg), NFTA_TABLE_NAME);
  const bool ipv4 = table->nfgen_family == NFPROTO_IPV4 || table->nfgen_family == NFPROTO_INET;
  if (!ipv4 || name == nullptr) return NL_OK;
  static_cast<std::vector<std::string>*>(argument)->push_back(
      absl::StrCat(table->nfgen_family == NFPROTO_INET ? "inet " : "ip ", nla_get_string(name)));
  return NL_OK;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> nft_tables() {
  std::vector<std::string> names;
  const std::unique_ptr<nl_sock, NetlinkFree<nl_socket_free>> socket(nl_socket_alloc());
  if (!socket || nl_connect(socket.get(), NETLINK_NETFILTER) < 0) return names;
  nl_socket_modify_cb(socket.get(), NL_CB_VALID, NL_CB_CUSTOM, on_table, &names);
  const std::unique_ptr<nl_msg, NetlinkFree<nlmsg_free>> message(
      nlmsg_alloc_simple(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, NLM_F_REQUEST | NLM_F_DUMP));
  nfgenmsg request{};
  request.nfgen_family = NFPROTO_UNSPEC;
  request.version = NFNETLINK_V0;
  nlmsg_append(message.get(), &request, sizeof(request), NLMSG_ALIGNTO);
  int error = nl_send_auto(socket.get(), message.get());
  if (error >= 0) error = nl_recvmsgs_default(socket.get());
  if (error == -NLE_PERM) return absl::PermissionDeniedError("no right to list nftables: needs CAP_NET_ADMIN");
  return names;
}

}  // namespace vipgate
