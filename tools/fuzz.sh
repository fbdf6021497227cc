#!/usr/bin/env bash
# Looks for input that breaks the gateway, with libFuzzer and both sanitizers.
#
#   tools/fuzz.sh TARGET [SECONDS]          packet, sequence, config or pcap; without SECONDS until Ctrl-C or a finding
#   tools/fuzz.sh all SECONDS [--jobs N]    each target so long, N at a time (default 1)
#   tools/fuzz.sh --reproduce TARGET FILE   what happens with one input; of "sequence" every packet is told
#   tools/fuzz.sh --minimise TARGET FILE    the smallest input that still breaks it
#   tools/fuzz.sh --seeds                   make tests/fuzz/corpus anew
#   --no-install                            say what is missing instead of installing it
#
# Example: tools/fuzz.sh sequence 600
#
# The corpus grows in build/fuzz/corpus/TARGET, from the seeds in tests/fuzz/corpus/TARGET; what breaks something is put
# into build/fuzz/artifacts. Once it is mended its input becomes a file in tests/fuzz/regressions/TARGET, which the
# tests and every fuzzing run.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

targets=(packet sequence config pcap)
seeds=tests/fuzz/corpus
regressions=tests/fuzz/regressions
grown=build/fuzz/corpus
artifacts=build/fuzz/artifacts
programs=build/fuzz/tests/fuzz

main() {
  local install=yes jobs=1 arguments=()
  while [ $# -gt 0 ]; do
    case "$1" in
      -h | --help) sed -n '2,15s/^# \{0,1\}//p' tools/fuzz.sh; exit 0 ;;
      --no-install) install=no ;;
      --jobs) jobs="${2:-}"; is_number "$jobs" || wrong "--jobs wants a number"; shift ;;
      *) arguments+=("$1") ;;
    esac
    shift
  done
  set -- "${arguments[@]}"

  case "${1:-}" in
    --seeds) [ $# = 1 ] || wrong "--seeds stands alone" ;;
    --reproduce | --minimise)
      [ $# = 3 ] || wrong "$1 wants a target and a file"
      is_target "$2"
      [ -f "$3" ] || wrong "there is no file $3"
      ;;
    all) if [ $# != 2 ] || ! is_number "$2"; then wrong "how many seconds for each target?"; fi ;;
    "") wrong "which target?" ;;
    *)
      is_target "$1"
      if [ $# -gt 2 ] || { [ $# = 2 ] && ! is_number "$2"; }; then wrong "how many seconds?"; fi
      ;;
  esac

  . tools/packages.sh
  need_packages build extended

  case "$1" in
    --seeds) build "${targets[@]}"; make_seeds ;;
    --reproduce) build "$2"; FUZZ_TRACE=1 "$programs/fuzz_$2" "$3" ;;
    --minimise) build "$2"; minimise "$2" "$3" ;;
    all) build "${targets[@]}"; fuzz_all "$2" "$jobs" ;;
    *) build "$1"; fuzz "$1" "${2:-0}" || found "$1" ;;
  esac
}

wrong() {
  echo "fuzz.sh: $1 See tools/fuzz.sh --help" >&2
  exit 2
}

is_number() {
  [[ "$1" =~ ^[1-9][0-9]*$ ]]
}

is_target() {
  [[ " ${targets[*]} " = *" $1 "* ]] || wrong "$1 is no target."
}

build() {
  mkdir -p build
  cmake --preset fuzz >build/configure.log || { cat build/configure.log; exit 1; }
  cmake --build --preset fuzz --target "${@/#/fuzz_}" -j "$(nproc)"
}

# Runs one target for so many seconds (0: for ever) and grows its corpus. Fails at the first finding.
fuzz() {
  local target="$1" seconds="$2" options=(-rss_limit_mb=2048 -timeout=20 -print_final_stats=1)
  case "$target" in
    sequence) options+=(-max_len=1024 -len_control=0) ;;
    packet) options+=(-max_len=2048) ;;
    *) options+=(-max_len=16384) ;;
  esac
  [ "$seconds" = 0 ] || options+=("-max_total_time=$seconds")
  local inputs=("$grown/$target" "$seeds/$target")
  if [ -d "$regressions/$target" ]; then inputs+=("$regressions/$target"); fi
  mkdir -p "$grown/$target" "$artifacts"
  "$programs/fuzz_$target" "${options[@]}" "-dict=tests/fuzz/dictionaries/$target.dict" \
    "-artifact_prefix=$artifacts/$target-" "${inputs[@]}"
}

found() {
  cat >&2 <<END

Found an input that breaks "$1"; see the line "Test unit written to" above. What happens, and the smallest such input:

  tools/fuzz.sh --reproduce $1 FILE
  tools/fuzz.sh --minimise $1 FILE
END
  return 1
}

# Each target with a log of its own; says in a line each how it went.
fuzz_all() {
  local seconds="$1" jobs="$2" failed=0 target log
  export -f fuzz
  export programs grown artifacts seeds regressions
  mkdir -p build/fuzz/logs
  printf '%s\n' "${targets[@]}" |
    xargs -P "$jobs" -I '{}' bash -c 'fuzz "$1" "$2" >"build/fuzz/logs/$1.log" 2>&1; echo $? >"build/fuzz/logs/$1.rc"' \
      fuzz '{}' "$seconds"
  for target in "${targets[@]}"; do
    log="build/fuzz/logs/$target.log"
    if [ "$(cat "build/fuzz/logs/$target.rc")" = 0 ]; then
      printf '%-9s nothing found in %s inputs\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    else
      tail -n 60 "$log"
      found "$target" || failed=1
    fi
  done
  return "$failed"
}

minimise() {
  mkdir -p "$artifacts"
  "$programs/fuzz_$1" -minimize_crash=1 -max_total_time=120 "-artifact_prefix=$artifacts/$1-" "$2"
}

# The seeds, without those that reach nothing new.
make_seeds() {
  local target made=build/fuzz/seeds
  rm -rf "$made"
  tests/fuzz/seeds.py "$made"
  for target in "${targets[@]}"; do
    rm -rf "${seeds:?}/$target"
    mkdir -p "$seeds/$target"
    "$programs/fuzz_$target" -merge=1 "$seeds/$target" "$made/$target" 2>build/merge.log ||
      { cat build/merge.log; exit 1; }
    printf '%-9s %s seeds, %s bytes\n' "$target" "$(find "$seeds/$target" -type f | wc -l)" \
      "$(cat "$seeds/$target"/* | wc -c)"
  done
}

main "$@"
