#include "absl/strings/str_cat.h"
#include "runtime/doctor/doctor.h"

namespace vipgate::doctor {
namespace {

constexpr KernelVersion kUdpSegmentation{6, 2};  // TUN_F_USO4

}  // namespace

void check_rights(const Config& config, const Facts& facts, Report& report) {
  const Rights& rights = facts.rights;
  const std::size_t before = report.findings.size();
  // A gateway that runs has what it needs, perhaps as another user.
  if (!rights.net_admin && facts.running) {
    report.note("rights", "this user sees less than the gateway's: some checks are left out", "CAP_NET_ADMIN",
                {"sudo vipgate doctor"});
  } else if (!rights.net_admin) {
    report.stops("rights", "as this user, a gateway cannot make the TUN, routes and rules", "CAP_NET_ADMIN",
                 {"sudo vipgate run, or systemctl start vipgate, whose unit gives the rights"});
  }
  if (!rights.tun.empty() && !facts.running) {
    report.stops("rights", absl::StrCat("a TUN cannot be made: ", rights.tun), "/dev/net/tun",
                 {"modprobe tun", "of a container: --device /dev/net/tun --cap-add NET_ADMIN"});
  }
  if (rights.read_only && !facts.running) {
    report.stops("rights", "vipgate cannot switch on what it needs: /proc/sys is mounted read-only", "/proc/sys",
                 {"of a container: --sysctl net.ipv4.ip_forward=1 and a /proc/sys that can be written (--privileged)"});
  }
  bool needs_raw = false;
  for (const Announcement& announcement : config.announcements) needs_raw = needs_raw || !announcement.arp.empty();
  if (needs_raw && !rights.net_raw && !facts.running) {
    report.stops("rights", "VIPs cannot be announced by ARP", "CAP_NET_RAW",
                 {"of a container: --cap-add NET_RAW; of a unit: AmbientCapabilities=CAP_NET_RAW"});
  }
  if (!rights.realtime.empty() && config.tun.scheduling == Scheduling::realtime && !facts.running) {
    report.stops("rights", absl::StrCat("tun.scheduling wants real-time workers: ", rights.realtime), "CAP_SYS_NICE",
                 {"of a unit: AmbientCapabilities=CAP_SYS_NICE; of a container: --cap-add SYS_NICE"});
  } else if (!rights.realtime.empty() && config.tun.scheduling == Scheduling::automatic && facts.processors > 1 &&
             !facts.running) {
    report.slows("rights", "workers wait their turn among other programs", "CAP_SYS_NICE",
                 {"of a unit: AmbientCapabilities=CAP_SYS_NICE; of a container: --cap-add SYS_NICE"});
  }
  const std::uint32_t workers = config.tun.workers == 0 ? facts.processors : config.tun.workers;
  if (workers > 1 && !rights.steering.empty() && !facts.running) {
    report.slows("rights", absl::StrCat("packets reach the wrong worker first, and are handed on: ", rights.steering),
                 "CAP_BPF", {"of a unit: AmbientCapabilities=CAP_BPF; of a container: --cap-add BPF"});
  }
  if (!rights.at_once.empty() && !facts.running) {
    report.slows("kernel", absl::StrCat("each packet is written by a system call of its own: ", rights.at_once),
                 "kernel.io_uring_disabled", {"sysctl -w kernel.io_uring_disabled=0"});
  }
  if (facts.kernel < kUdpSegmentation && config.tun.offload) {
    report.slows("kernel",
                 absl::StrCat("Linux ", facts.kernel.major, ".", facts.kernel.minor,
                              " takes UDP datagrams from a TUN one by one only; from ", kUdpSegmentation.major, ".",
                              kUdpSegmentation.minor, " on, many at a time"),
                 "uname -r", {"a newer kernel, where much UDP is served"});
  }
  if (report.findings.size() == before) {
    report.good("rights", facts.running ? "a gateway runs, so it has what it needs"
                                        : "TUN, capabilities, real-time threads, BPF, io_uring");
  }
}

}  // namespace vipgate::doctor
