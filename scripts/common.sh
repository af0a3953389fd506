# What scripts/setup, demo, test and package share. Sourced, never run.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
DEPS=$ROOT/build/deps

say() { printf '%s\n' "-- $*"; }
warn() { printf '%s\n' "lmbits: $*" >&2; }

# die WHAT HINT: one line about what is wrong, one about what to do; the same form as the program's own errors.
die() {
  printf 'lmbits: %s\n  hint: %s\n' "$1" "$2" >&2
  exit 1
}

usage() {  # of the running script: its opening comment
  sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"
}

# The memory that this process may use, in MiB: the machine's, or the container's limit where that is lower.
memory_mib() {
  local total limit file
  total=$(awk '/^MemTotal:/ {print int($2 / 1024)}' /proc/meminfo)
  for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
    limit=$(cat "$file" 2>/dev/null || true)
    if [[ $limit =~ ^[0-9]+$ ]] && ((limit / 1048576 < total)); then total=$((limit / 1048576)); fi
  done
  echo "$total"
}

# Compilers to run at once: one a processor, but a file that includes libtorch's headers takes 1.5 GB.
n_jobs() {
  local by_memory processors
  processors=$(nproc)
  by_memory=$(($(memory_mib) / 2000))
  if ((by_memory < 1)); then by_memory=1; fi
  echo "${LMBITS_JOBS:-$((by_memory < processors ? by_memory : processors))}"
}

# Takes over what scripts/setup wrote: where libtorch is and, without root, where the unpacked packages are.
load_environment() {
  # shellcheck source=/dev/null
  source "$DEPS/env.sh"
  if [[ -z ${CCACHE_DIR:-} && ! -w ${HOME:-/nonexistent} ]]; then export CCACHE_DIR=$DEPS/ccache; fi
}

# configure PRESET [-D...]: quiet unless it fails, since what it finds interests nobody else.
configure() {
  local preset=$1 log=$ROOT/build/$1/configure.log
  shift
  mkdir -p "$ROOT/build/$preset"
  say "configure preset $preset"
  (cd "$ROOT" && cmake --preset "$preset" ${LIBTORCH:+-DLIBTORCH="$LIBTORCH"} "$@") >"$log" 2>&1 && return
  cat "$log" >&2
  die "cmake could not configure preset $preset" "the lines above say why; delete build/$preset to start it afresh"
}

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  say "build preset $preset, $(n_jobs) jobs"
  cmake --build "$ROOT/build/$preset" --parallel "$(n_jobs)" ${1:+--target "$@"} && return
  die "the build of preset $preset failed" "the compiler's lines above say why; if it was killed, set LMBITS_JOBS=1"
}
