#include "absl/strings/str_cat.h"
#include "runtime/doctor/doctor.h"

namespace vipgate::doctor {

void check_managers(const Config& config, const Facts& facts, Report& report) {
  const std::size_t before = report.findings.size();
  const Networkd& networkd = facts.networkd;
  if (networkd.runs && (networkd.manages_foreign_rules || networkd.manages_foreign_routes)) {
    report.slows(
        "managers",
        absl::StrCat("systemd-networkd removes policy rules", networkd.manages_foreign_routes ? " and routes" : "",
                     " that are not its own whenever it starts or sets up an interface: traffic pauses, up to "
                     "a second, until vipgate has put them back"),
        "/etc/systemd/networkd.conf",
        {"install -d /etc/systemd/networkd.conf.d",
         "printf '[Network]\\nManageForeignRoutingPolicyRules=no\\nManageForeignRoutes=no\\n' > "
         "/etc/systemd/networkd.conf.d/vipgate.conf",
         "systemctl restart systemd-networkd"});
  }
  if (facts.network_manager.runs && !facts.network_manager.leaves_tun) {
    const std::string& tun = config.tun.name;
    report.note("managers", absl::StrCat("NetworkManager has not been told to leave ", tun, " alone"),
                "/etc/NetworkManager/conf.d",
                {absl::StrCat("printf '[keyfile]\\nunmanaged-devices=interface-name:", tun,
                              "\\n' > /etc/NetworkManager/conf.d/vipgate.conf"),
                 "systemctl reload NetworkManager"});
  }
  if (report.findings.size() == before) report.good("managers", "none that takes routes or rules away");
}

}  // namespace vipgate::doctor
