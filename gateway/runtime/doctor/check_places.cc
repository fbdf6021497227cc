#include "absl/strings/str_cat.h"
#include "runtime/doctor/doctor.h"

namespace vipgate::doctor {

void check_places(const Config& config, const Facts& facts, Report& report) {
  const Places& places = facts.places;
  const std::size_t before = report.findings.size();
  const auto mebibytes = [](std::uint64_t bytes) { return absl::StrCat(bytes >> 20, " MiB"); };
  const std::string& folder = config.flows.state_dir;
  if (!facts.running) {
    if (!places.state_dir.empty()) {
      report.stops("files", absl::StrCat("the state folder cannot be used: ", places.state_dir), folder,
                   {absl::StrCat("install -d -m 700 ", folder), "or another \"flows\": { \"state_dir\" }"});
    }
    if (!places.control_socket.empty()) {
      report.stops("files", absl::StrCat("the control socket cannot be made: ", places.control_socket),
                   config.control.socket, {"remove what is there, or name another \"control\": { \"socket\" }"});
    }
    if (places.flow_folder.empty()) {
      report.stops("files", "flows need a tmpfs, and neither the state folder nor /dev/shm is one", folder,
                   {"mount -t tmpfs tmpfs /dev/shm"});
    } else if (!places.flows_there && places.flow_room < places.flow_bytes) {
      report.stops("files",
                   absl::StrCat("there is no room for the flows: they take ", mebibytes(places.flow_bytes), ", and ",
                                mebibytes(places.flow_room), " are free"),
                   places.flow_folder,
                   {absl::StrCat("mount -o remount,size=", (places.flow_bytes >> 20) * 2, "M ", places.flow_folder),
                    "or a smaller \"flows\": { \"max\" }"});
    }
    const std::uint64_t needed = places.index_bytes + (places.flows_there ? 0 : places.flow_bytes);
    if (places.memory != 0 && places.memory < needed) {
      report.stops("memory",
                   absl::StrCat("flows take ", mebibytes(needed), " of memory, and ", mebibytes(places.memory),
                                " are available"),
                   "flows.max", {"a smaller \"flows\": { \"max\" }"});
    }
  }
  if (!places.flow_folder.empty() && places.flow_folder == "/dev/shm" && folder.rfind("/dev/shm", 0) != 0) {
    report.note("files", absl::StrCat(folder, " is on a disk, so flows are kept in /dev/shm"), folder,
                {"a \"flows\": { \"state_dir\" } on a tmpfs, such as /run/vipgate, where that should not be"});
  }
  if (!places.http_listener.empty() && config.control.http) {
    const std::string endpoint = config.control.http->to_string();
    report.note("ports", absl::StrCat(places.http_listener, " listens there, so the page and /metrics cannot be had"),
                absl::StrCat("control.http ", endpoint),
                {absl::StrCat("ss -ltnp 'sport = :", config.control.http->port, "'   # who that is"),
                 "end it, or choose another \"control\": { \"http\" }"});
  }
  if (report.findings.size() == before) report.good("files", "state folder, control socket, ports, room for the flows");
}

}  // namespace vipgate::doctor
