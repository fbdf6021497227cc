#include "cli/options.h"

namespace vipgate {
namespace {

constexpr const char* kRunFooter = R"(It creates the TUN, routes every VIP to it, and undoes that at the end.
  SIGINT, SIGTERM  end
  SIGHUP           read the configuration again; a bad one changes nothing

Example:
  vipgate run --config /etc/vipgate/vipgate.json
  vipgate run --takeover --config /etc/vipgate/vipgate.json    after an upgrade)";

void add_run(CLI::App& program, Chosen& chosen) {
  const auto [app, command] =
      add_command(program, chosen, vipgate::run, "run", "Start the gateway, in the foreground", kRunFooter);
  app->add_option("--config", command.config_file, "Configuration file")->capture_default_str();
  auto* seed = app->add_option("--seed", command.seed,
                               "Choose source ports repeatably, as `replay --seed` does; for recordings");
  app->add_flag("--standby", command.standby, "Announce nothing until `vipgate activate`");
  app->add_flag("--takeover", command.takeover,
                "Take the place of the running gateway without losing a packet; start as usual where there is none")
      ->excludes(seed);
}

constexpr const char* kCleanFooter =
    R"(Routes, rules, announcements and the TUN of a killed gateway stay, for the next one to take over. Where none will come,
this takes them back. Its flows stay in the state folder. Refused while a gateway runs.

Example:
  vipgate clean)";

void add_clean(CLI::App& program, Chosen& chosen) {
  const auto [app, command] = add_command(program, chosen, vipgate::clean, "clean",
                                          "Take back what a killed gateway has left in the kernel", kCleanFooter);
  app->add_option("--config", command.config_file, "Its configuration file")->capture_default_str();
}

constexpr const char* kCheckFooter = R"(Example:
  vipgate check /etc/vipgate/vipgate.json)";

void add_check(CLI::App& program, Chosen& chosen) {
  const auto [app, command] =
      add_command(program, chosen, vipgate::check, "check",
                  "Check a configuration: a summary, or every error as FILE:LINE:COLUMN: what", kCheckFooter);
  app->add_option("FILE", command.config_file, "Configuration file")->capture_default_str();
  app->add_flag("--json", command.json, "As JSON");
}

constexpr const char* kDoctorFooter =
    R"(It looks at the host before a gateway starts or while it runs, and changes nothing. Of each finding it says how grave it is, what is wrong, where, and what to do:
  stops  a gateway would not start, or traffic would not flow
  slows  it works, and costs time, memory or interruptions
  note   worth knowing; perhaps as it is meant
Exit code 0: nothing stops it. 1: something does. 2: the configuration is wrong. To see firewall rules it needs root, and nft.

Example:
  vipgate doctor
  vipgate doctor --probe
  vipgate doctor --json | jq -r '.findings[].remedies[]')";

void add_doctor(CLI::App& program, Chosen& chosen) {
  const auto [app, command] =
      add_command(program, chosen, vipgate::examine_host, "doctor",
                  "Say what on this host would stop or slow the gateway, and the remedy", kDoctorFooter);
  app->add_option("--config", command.config_file, "Configuration file")->capture_default_str();
  app->add_flag("--json", command.json, "As JSON");
  app->add_flag("--quiet", command.quiet, "Only findings, not what was found well");
  app->add_flag("--probe", command.probe, "Open a TCP connection to each backend, too");
}

constexpr const char* kReplayFooter =
    R"(The capture's own clock is used. Reads pcap and pcapng of raw IP, Ethernet and Linux cooked links. Needs no rights and touches no network.

Example:
  tcpdump -i eth0 -w in.pcap host 203.0.113.10
  vipgate replay --config vipgate.json in.pcap --write out.pcap

With --diff, both configurations get the same packets, with the same seed and clock. A packet that they treat otherwise is a line: its number, time, and what it was and would be. Packets that the gateway had sent itself are told by --config, with which the capture was taken. No difference is it when a flow gets another source port, or an ICMP query another identifier. What hosts would have answered otherwise, no capture can tell. Exit code: 0 where nothing differs, 1 where something does, 2 for wrong input.

Example:
  vipgate replay --config vipgate.json --diff new.json in.pcap)";

void add_replay(CLI::App& program, Chosen& chosen) {
  const auto [app, command] =
      add_command(program, chosen, vipgate::replay, "replay",
                  "Put a capture through the engine and say what becomes of each packet", kReplayFooter);
  app->add_option("--config", command.config_file, "Configuration file")->capture_default_str();
  app->add_option("IN.pcap", command.capture, "Capture to read; - for the standard input")->required();
  auto* write = app->add_option("--write", command.write, "Capture to write: what would have been sent");
  app->add_option("--diff", command.other_config_file,
                  "Another configuration: only the packets that it would treat otherwise are shown")
      ->excludes(write);
  app->add_flag("--json", command.json, "A JSON line per packet, and a summary as the last one");
  app->add_option("--seed", command.seed, "Seed of hashes and source ports")->capture_default_str();
}

}  // namespace

void add_host_commands(CLI::App& program, Chosen& chosen) {
  add_run(program, chosen);
  add_clean(program, chosen);
  add_check(program, chosen);
  add_doctor(program, chosen);
  add_replay(program, chosen);
}

}  // namespace vipgate
