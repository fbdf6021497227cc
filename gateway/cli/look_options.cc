#include "cli/options.h"

namespace vipgate {
namespace {

constexpr const char* kStatusFooter = R"(Example:
  vipgate status --json | jq .flows)";

void add_status(CLI::App& program, Chosen& chosen) {
  const auto [app, command] =
      add_command(program, chosen, vipgate::status, "status", "Show how the running gateway is", kStatusFooter);
  add_address(app, command.gateway);
  app->add_flag("--json", command.json, "Everything, as JSON");
  app->add_flag("--quiet", command.quiet,
                "Only the exit code: 0 while it serves every VIP, 3 while it could but stands by");
}

constexpr const char* kExplainFooter =
    R"(Each step of the packet's way, in order: parsed so, flow found or not, service, allowed or denied, backend and why this one, limits, addresses before and after, verdict. Nothing is sent. A packet in words is a SYN unless it says more; the packets before one of a capture are put through first.

Example:
  vipgate explain "tcp 198.51.100.7:40000 > 203.0.113.10:8080"
  vipgate explain "udp 198.51.100.7:5353 > 203.0.113.10:53 length 40"
  vipgate explain "icmp 198.51.100.7 > 203.0.113.10 echo request"
  vipgate explain --live "tcp 203.0.113.9:40000 > 203.0.113.10:8080 A seq 7"
  vipgate explain --pcap in.pcap --packet 12)";

void add_explain(CLI::App& program, Chosen& chosen) {
  const auto [app, command] = add_command(program, chosen, vipgate::explain, "explain",
                                          "Say what becomes of a packet, step by step, and why", kExplainFooter);
  add_address(app, command.gateway);
  app->add_option("PACKET", command.packet, "A packet in words");
  app->add_option("--pcap", command.capture, "Capture to take the packet from; - for the standard input");
  app->add_option("--packet", command.number, "Its number in the capture, from 1")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app->add_flag("--live", command.live, "By the running gateway's flows and backends, not by the file alone");
  app->add_flag("--json", command.json, "As JSON");
}

constexpr const char* kFlowsFooter = R"(Example:
  vipgate flows
  vipgate flows --address 198.51.100.0/24 --state established
  vipgate flows --service web --json | jq -r .source
  vipgate flows --end --address 198.51.100.7

--end ends the flows that the filters pick. Both ends of a connection that is set up get a RST; the next datagram of other flows begins another.)";

void add_flows(CLI::App& program, Chosen& chosen) {
  const auto [app, command] =
      add_command(program, chosen, vipgate::flows, "flows", "List the running gateway's flows", kFlowsFooter);
  add_address(app, command.gateway);
  command.wanted = {{"address", ""}, {"port", ""}, {"protocol", ""}, {"service", ""}, {"backend", ""}, {"state", ""}};
  constexpr const char* kFlowHelp[] = {"Of an address or prefix, at either side",
                                       "Of a port, at either side",
                                       "tcp, udp or icmp",
                                       "Of a service",
                                       "Of a backend, by name",
                                       "In a state, such as established, syn_sent, answered"};
  for (std::size_t i = 0; i < command.wanted.size(); ++i) {
    app->add_option("--" + command.wanted[i].first, command.wanted[i].second, kFlowHelp[i]);
  }
  auto* limit = app->add_option("--limit", command.limit, "No more than so many");
  auto* end = app->add_flag("--end", command.end, "End them: wants at least one filter, or --all")->excludes(limit);
  app->add_flag("--all", command.all, "With --end: all flows there are")->needs(end);
  app->add_flag("--json", command.json, "A JSON object a line");
}

constexpr const char* kCaptureFooter =
    R"(Each packet as it came and as it left, or what was answered, and what became of it. Without --write, a line a packet; with it, a file for Wireshark, tshark and `vipgate replay`, where that is each packet's comment and the two sides are the interfaces "in" and "out". Ctrl-C ends it.

Example:
  vipgate capture --service web --packets 20
  vipgate capture --verdict drop --seconds 60
  vipgate capture --write web.pcapng --port 80
  ssh GATEWAY vipgate capture --write - | wireshark -k -i -)";

void add_capture(CLI::App& program, Chosen& chosen) {
  const auto [app, command] = add_command(program, chosen, vipgate::capture, "capture",
                                          "Show or write down packets, and what becomes of each", kCaptureFooter);
  add_address(app, command.gateway);
  auto* to_file =
      app->add_option("--write", command.write, "Capture file (pcapng) to write; - for the standard output");
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
  for (const auto& [name, help] : kCaptureOptions) command.wanted.emplace_back(name, "");
  for (std::size_t i = 0; i < command.wanted.size(); ++i) {
    auto& [name, value] = command.wanted[i];
    auto* option = app->add_option("--" + name, value, kCaptureOptions[i].second);
    if (name == "snaplen") option->needs(to_file);
  }
}

constexpr const char* kTopFooter = R"(Without a terminal, or with --once, it prints one table.

Example:
  vipgate top)";

void add_top(CLI::App& program, Chosen& chosen) {
  const auto [app, command] = add_command(program, chosen, vipgate::top, "top",
                                          "Watch the running gateway's backends, by what they carry", kTopFooter);
  add_address(app, command.gateway);
  app->add_option("--interval", command.interval, "Seconds between two looks")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  app->add_flag("--once", command.once, "One table, after one interval");
  app->add_flag("--json", command.json, "The same as JSON");
}

}  // namespace

void add_look_commands(CLI::App& program, Chosen& chosen) {
  add_status(program, chosen);
  add_explain(program, chosen);
  add_flows(program, chosen);
  add_capture(program, chosen);
  add_top(program, chosen);
}

}  // namespace vipgate
