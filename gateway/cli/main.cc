#include <iostream>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/manual.h"
#include "config/schema.h"
#include "runtime/keeper.h"

namespace {

constexpr const char* kRunFooter = R"(It creates the TUN, routes every VIP to it, and undoes that at the end.
  SIGINT, SIGTERM  end
  SIGHUP           read the configuration again; a bad one changes nothing

Example:
  vipgate run --config /etc/vipgate/vipgate.json
  vipgate run --takeover --config /etc/vipgate/vipgate.json    after an upgrade)";

constexpr const char* kCleanFooter =
    R"(Routes, rules, announcements and the TUN of a killed gateway stay, for the next one to take over. Where none will come,
this takes them back. Its flows stay in the state folder. Refused while a gateway runs.

Example:
  vipgate clean)";

constexpr const char* kCheckFooter = R"(Example:
  vipgate check /etc/vipgate/vipgate.json)";

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

constexpr const char* kReplayFooter =
    R"(The capture's own clock is used. Reads pcap and pcapng of raw IP, Ethernet and Linux cooked links. Needs no rights and touches no network.

Example:
  tcpdump -i eth0 -w in.pcap host 203.0.113.10
  vipgate replay --config vipgate.json in.pcap --write out.pcap

With --diff, both configurations get the same packets, with the same seed and clock. A packet that they treat otherwise is a line: its number, time, and what it was and would be. Packets that the gateway had sent itself are told by --config, with which the capture was taken. No difference is it when a flow gets another source port, or an ICMP query another identifier. What hosts would have answered otherwise, no capture can tell. Exit code: 0 where nothing differs, 1 where something does, 2 for wrong input.

Example:
  vipgate replay --config vipgate.json --diff new.json in.pcap)";

constexpr const char* kExplainFooter =
    R"(Each step of the packet's way, in order: parsed so, flow found or not, service, allowed or denied, backend and why this one, limits, addresses before and after, verdict. Nothing is sent. A packet in words is a SYN unless it says more; the packets before one of a capture are put through first.

Example:
  vipgate explain "tcp 198.51.100.7:40000 > 203.0.113.10:8080"
  vipgate explain "udp 198.51.100.7:5353 > 203.0.113.10:53 length 40"
  vipgate explain "icmp 198.51.100.7 > 203.0.113.10 echo request"
  vipgate explain --live "tcp 203.0.113.9:40000 > 203.0.113.10:8080 A seq 7"
  vipgate explain --pcap in.pcap --packet 12)";

constexpr const char* kFlowsFooter = R"(Example:
  vipgate flows
  vipgate flows --address 198.51.100.0/24 --state established
  vipgate flows --service web --json | jq -r .source
  vipgate flows --end --address 198.51.100.7

--end ends the flows that the filters pick. Both ends of a connection that is set up get a RST; the next datagram of other flows begins another.)";

constexpr const char* kCaptureFooter =
    R"(Each packet as it came and as it left, or what was answered, and what became of it. Without --write, a line a packet; with it, a file for Wireshark, tshark and `vipgate replay`, where that is each packet's comment and the two sides are the interfaces "in" and "out". Ctrl-C ends it.

Example:
  vipgate capture --service web --packets 20
  vipgate capture --verdict drop --seconds 60
  vipgate capture --write web.pcapng --port 80
  ssh GATEWAY vipgate capture --write - | wireshark -k -i -)";

constexpr const char* kTopFooter = R"(Without a terminal, or with --once, it prints one table.

Example:
  vipgate top)";

constexpr const char* kSchemaFooter = R"(Example:
  vipgate schema > /etc/vipgate/schema.json     and in the configuration: "$schema": "schema.json")";

constexpr const char* kReloadFooter =
    R"(All of the file is checked first: a bad one changes nothing, and is reported with exit code 2.

Example:
  vipgate reload)";

constexpr const char* kStatusFooter = R"(Example:
  vipgate status --json | jq .flows)";

constexpr const char* kDrainFooter =
    R"(The flows that it has go on. It stays drained over reloads, restarts and upgrades, until `vipgate undrain`.

Example:
  vipgate drain 10.0.0.3 --wait
  vipgate drain web/10.0.0.3:8080)";

constexpr const char* kUndrainFooter = R"(Example:
  vipgate undrain 10.0.0.3)";

constexpr const char* kWeightFooter =
    R"(The flows that there are go on. It holds over reloads, restarts and upgrades, until it is taken back with `default`. 0: no new flow.

Example:
  vipgate weight web/10.0.0.3:8080 5
  vipgate weight 10.0.0.3 default)";

constexpr const char* kStandbyFooter =
    R"(Of two gateways with one configuration, one is active and the other stands by. Flows are not shared by them: after a change, clients have to connect anew.

Example:
  vipgate standby
  vipgate activate)";

/// A weight, or "default" for the configured one.
CLI::Option* add_weight(CLI::App* app, std::optional<std::uint32_t>& weight) {
  constexpr std::uint32_t kMost = 65535;  // as in the configuration
  const auto take = [&weight](const std::string& text) {
    weight.reset();
    if (text == "default") return true;
    std::uint32_t number = 0;
    if (!CLI::detail::lexical_cast(text, number) || number > kMost) return false;
    weight = number;
    return true;
  };
  return app->add_option_function<std::string>(
      "WEIGHT",
      [take](const std::string& text) {
        if (!take(text)) throw CLI::ValidationError("WEIGHT", "must be 0 to 65535, or \"default\"");
      },
      "0 to 65535, or default: as configured");
}

/// How commands find the running gateway.
void add_address(CLI::App* app, vipgate::GatewayAddress& address) {
  app->add_option("--config", address.config_file, "The gateway's configuration file, which names its socket")
      ->capture_default_str();
  app->add_option("--socket", address.socket, "The gateway's control socket itself");
}

}  // namespace

int main(int argc, char** argv) {
  using namespace vipgate;

  CLI::App app("vipgate: a user-space gateway for virtual IPs", "vipgate");
  app.set_version_flag("--version", "vipgate " VIPGATE_VERSION);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::help);
  app.get_formatter()->column_width(32);

  RunCommand run_command;
  auto* run_app = app.add_subcommand("run", "Start the gateway, in the foreground");
  run_app->footer(kRunFooter);
  run_app->add_option("--config", run_command.config_file, "Configuration file")->capture_default_str();
  auto* seed = run_app->add_option("--seed", run_command.seed,
                                   "Choose source ports repeatably, as `replay --seed` does; for recordings");
  run_app->add_flag("--standby", run_command.standby, "Announce nothing until `vipgate activate`");
  run_app
      ->add_flag("--takeover", run_command.takeover,
                 "Take the place of the running gateway without losing a packet; start as usual where there is none")
      ->excludes(seed);

  CleanCommand clean_command;
  auto* clean_app = app.add_subcommand("clean", "Take back what a killed gateway has left in the kernel");
  clean_app->footer(kCleanFooter);
  clean_app->add_option("--config", clean_command.config_file, "Its configuration file")->capture_default_str();

  CheckCommand check_command;
  auto* check_app =
      app.add_subcommand("check", "Check a configuration: a summary, or every error as FILE:LINE:COLUMN: what");
  check_app->footer(kCheckFooter);
  check_app->add_option("FILE", check_command.config_file, "Configuration file")->capture_default_str();
  check_app->add_flag("--json", check_command.json, "As JSON");

  DoctorCommand doctor_command;
  auto* doctor_app =
      app.add_subcommand("doctor", "Say what on this host would stop or slow the gateway, and the remedy");
  doctor_app->footer(kDoctorFooter);
  doctor_app->add_option("--config", doctor_command.config_file, "Configuration file")->capture_default_str();
  doctor_app->add_flag("--json", doctor_command.json, "As JSON");
  doctor_app->add_flag("--quiet", doctor_command.quiet, "Only findings, not what was found well");
  doctor_app->add_flag("--probe", doctor_command.probe, "Open a TCP connection to each backend, too");

  ReplayCommand replay_command;
  auto* replay_app =
      app.add_subcommand("replay", "Put a capture through the engine and say what becomes of each packet");
  replay_app->footer(kReplayFooter);
  replay_app->add_option("--config", replay_command.config_file, "Configuration file")->capture_default_str();
  replay_app->add_option("IN.pcap", replay_command.capture, "Capture to read; - for the standard input")->required();
  auto* write = replay_app->add_option("--write", replay_command.write, "Capture to write: what would have been sent");
  replay_app
      ->add_option("--diff", replay_command.other_config_file,
                   "Another configuration: only the packets that it would treat otherwise are shown")
      ->excludes(write);
  replay_app->add_flag("--json", replay_command.json, "A JSON line per packet, and a summary as the last one");
  replay_app->add_option("--seed", replay_command.seed, "Seed of hashes and source ports")->capture_default_str();

  StatusCommand status_command;
  auto* status_app = app.add_subcommand("status", "Show how the running gateway is");
  status_app->footer(kStatusFooter);
  add_address(status_app, status_command.gateway);
  status_app->add_flag("--json", status_command.json, "Everything, as JSON");

  status_app->add_flag("--quiet", status_command.quiet,
                       "Only the exit code: 0 while it serves every VIP, 3 while it could but stands by");

  ExplainCommand explain_command;
  auto* explain_app = app.add_subcommand("explain", "Say what becomes of a packet, step by step, and why");
  explain_app->footer(kExplainFooter);
  add_address(explain_app, explain_command.gateway);
  explain_app->add_option("PACKET", explain_command.packet, "A packet in words");
  explain_app->add_option("--pcap", explain_command.capture,
                          "Capture to take the packet from; - for the standard input");
  explain_app->add_option("--packet", explain_command.number, "Its number in the capture, from 1")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  explain_app->add_flag("--live", explain_command.live,
                        "By the running gateway's flows and backends, not by the file alone");
  explain_app->add_flag("--json", explain_command.json, "As JSON");

  FlowsCommand flows_command;
  auto* flows_app = app.add_subcommand("flows", "List the running gateway's flows");
  flows_app->footer(kFlowsFooter);
  add_address(flows_app, flows_command.gateway);
  flows_command.wanted = {{"address", ""}, {"port", ""},    {"protocol", ""},
                          {"service", ""}, {"backend", ""}, {"state", ""}};
  constexpr const char* kFlowHelp[] = {"Of an address or prefix, at either side",
                                       "Of a port, at either side",
                                       "tcp, udp or icmp",
                                       "Of a service",
                                       "Of a backend, by name",
                                       "In a state, such as established, syn_sent, answered"};
  for (std::size_t i = 0; i < flows_command.wanted.size(); ++i) {
    flows_app->add_option("--" + flows_command.wanted[i].first, flows_command.wanted[i].second, kFlowHelp[i]);
  }
  auto* limit = flows_app->add_option("--limit", flows_command.limit, "No more than so many");
  auto* end =
      flows_app->add_flag("--end", flows_command.end, "End them: wants at least one filter, or --all")->excludes(limit);
  flows_app->add_flag("--all", flows_command.all, "With --end: all flows there are")->needs(end);
  flows_app->add_flag("--json", flows_command.json, "A JSON object a line");

  CaptureCommand capture_command;
  auto* capture_app = app.add_subcommand("capture", "Show or write down packets, and what becomes of each");
  capture_app->footer(kCaptureFooter);
  add_address(capture_app, capture_command.gateway);
  auto* to_file = capture_app->add_option("--write", capture_command.write,
                                          "Capture file (pcapng) to write; - for the standard output");
  constexpr std::pair<const char*, const char*> kCaptureOptions[] = {
      {"packets", "End after so many"},
      {"seconds", "End after this time"},
      {"address", "Only of an address or prefix, at either side"},
      {"port", "Only of a port, at either side"},
      {"protocol", "Only tcp, udp or icmp"},
      {"service", "Only of a service"},
      {"backend", "Only of a backend, by name"},
      {"verdict", "Only with forward, reply, hold, hand_off, pass or drop"},
      {"reason", "Only for this reason, such as tcp_window"},
      {"snaplen", "Keep so many bytes of each, at most"}};
  for (const auto& [name, help] : kCaptureOptions) capture_command.wanted.emplace_back(name, "");
  for (std::size_t i = 0; i < capture_command.wanted.size(); ++i) {
    auto& [name, value] = capture_command.wanted[i];
    auto* option = capture_app->add_option("--" + name, value, kCaptureOptions[i].second);
    if (name == "snaplen") option->needs(to_file);
  }

  TopCommand top_command;
  auto* top_app = app.add_subcommand("top", "Watch the running gateway's backends, by what they carry");
  top_app->footer(kTopFooter);
  add_address(top_app, top_command.gateway);
  top_app->add_option("--interval", top_command.interval, "Seconds between two looks")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  top_app->add_flag("--once", top_command.once, "One table, after one interval");
  top_app->add_flag("--json", top_command.json, "The same as JSON");

  ReloadCommand reload_command;
  auto* reload_app = app.add_subcommand("reload", "Have the running gateway read its configuration file again");
  reload_app->footer(kReloadFooter);
  add_address(reload_app, reload_command.gateway);
  reload_app->add_flag("--json", reload_command.json, "As JSON");

  DrainCommand drain_command;
  auto* drain_app = app.add_subcommand("drain", "Give a backend no new flow");
  drain_app->footer(kDrainFooter);
  add_address(drain_app, drain_command.gateway);
  drain_app->add_option("BACKEND", drain_command.backend, "ADDRESS (in every service) or SERVICE/BACKEND")->required();
  drain_app->add_flag("--wait", drain_command.wait, "Come back when its last flow has ended");
  drain_app->add_flag("--json", drain_command.json, "As JSON");

  DrainCommand undrain_command;
  undrain_command.back = true;
  auto* undrain_app = app.add_subcommand("undrain", "Give a drained backend flows again");
  undrain_app->footer(kUndrainFooter);
  add_address(undrain_app, undrain_command.gateway);
  undrain_app->add_option("BACKEND", undrain_command.backend, "As it was drained, or its address")->required();

  undrain_app->add_flag("--json", undrain_command.json, "As JSON");

  WeightCommand weight_command;
  auto* weight_app = app.add_subcommand("weight", "Give a backend another share of new flows");
  weight_app->footer(kWeightFooter);
  add_address(weight_app, weight_command.gateway);
  weight_app->add_option("BACKEND", weight_command.backend, "ADDRESS (in every service) or SERVICE/BACKEND")
      ->required();
  add_weight(weight_app, weight_command.weight)->required();
  weight_app->add_flag("--json", weight_command.json, "As JSON");

  StandbyCommand standby_command;
  auto* standby_app =
      app.add_subcommand("standby", "Withdraw all announcements of VIPs: another gateway is to have them");
  standby_app->footer(kStandbyFooter);
  add_address(standby_app, standby_command.gateway);
  standby_app->add_flag("--json", standby_command.json, "As JSON");

  StandbyCommand activate_command;
  activate_command.standby = false;
  auto* activate_app = app.add_subcommand("activate", "Announce the VIPs, after `standby` or `run --standby`");
  activate_app->footer(kStandbyFooter);
  add_address(activate_app, activate_command.gateway);
  activate_app->add_flag("--json", activate_command.json, "As JSON");

  auto* schema_app = app.add_subcommand("schema", "Print the JSON Schema of the configuration, for editors");
  schema_app->footer(kSchemaFooter);

  // For the package: what it installs beside the program.
  auto* manual_app = app.add_subcommand("manual")->group("");
  std::string manual;
  manual_app->add_option("PART", manual)->required()->check(CLI::IsMember({"commands", "config", "bash", "zsh"}));

  // For the process that Keeper starts; nobody else has the sockets that it needs.
  auto* keep_app = app.add_subcommand("keep")->group("");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kWrongInput;
  }

  if (keep_app->parsed()) {
    run_keeper();
    return kDone;
  }
  if (manual_app->parsed()) {
    std::cout << (manual == "commands" ? commands_page(app)
                  : manual == "config" ? config_page()
                  : manual == "bash"   ? bash_completion(app)
                                       : zsh_completion(app));
    return kDone;
  }
  if (schema_app->parsed()) {
    std::cout << config_schema();
    return kDone;
  }
  if (run_app->parsed()) return run(run_command);
  if (clean_app->parsed()) return clean(clean_command);
  if (check_app->parsed()) return check(check_command);
  if (doctor_app->parsed()) return examine_host(doctor_command);
  if (status_app->parsed()) return status(status_command);
  if (explain_app->parsed()) return explain(explain_command);
  if (flows_app->parsed()) return flows(flows_command);
  if (capture_app->parsed()) return capture(capture_command);
  if (top_app->parsed()) return top(top_command);
  if (reload_app->parsed()) return reload(reload_command);
  if (drain_app->parsed()) return drain(drain_command);
  if (undrain_app->parsed()) return drain(undrain_command);
  if (weight_app->parsed()) return set_weight(weight_command);
  if (standby_app->parsed()) return set_standby(standby_command);
  if (activate_app->parsed()) return set_standby(activate_command);
  return replay(replay_command);
}
