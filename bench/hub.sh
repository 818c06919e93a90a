# shellcheck shell=bash disable=SC2154,SC2034
# hub.sh — for the scripts of bench/: hubs, what their /metrics say, rows of results. Sourced, with
# `set -u` and in the tree's root; `build`, `results` and `proof` are set by then.
at=${AT:-127.0.72.1} dir=$(mktemp -d -p "$build" bench.XXXXXX)
declare -A pid port
failed=0
trap '[ ${#pid[@]} = 0 ] || { kill -9 "${pid[@]}"; wait; } 2> /dev/null; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
last_core=$(($(nproc) - 1))
commit=$(git rev-parse --short HEAD) machine=$(nproc)x$(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo | tr -s ' \t' _)

row() { printf '%s\t%s\t%s\t%s\t%s\n' "$commit" "$machine" "$1" "$2" "$3" >> "$results"; }
# verdict TRIAL FIGURE VALUE UNIT LIMIT [least]: judged, printed, a row of the proof
verdict() {
  local state=ok value=$3
  awk -v v="$3" -v l="$5" -v least="${6:-}" 'BEGIN { exit !(v != "" && (least ? v + 0 >= l + 0 : v + 0 <= l + 0)) }' ||
    { state=FAILED; failed=1; value="$3 FAILED"; }
  printf '%-6s %-50s %10s %s (limit %s)\n' $state "$2" "$3" "$4" "$5"
  printf '%s\t%s\t%s\t%s\t%s\n' "$commit" "$(date -u +%F)" "$1" "$2" "$value${4:+ $4}" >> "$proof"
}

get() { # get PORT PATH: the answer, or nothing
  exec 9<> "/dev/tcp/$at/$1" || return
  printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$2" >&9
  cat <&9
  exec 9>&-
} 2> /dev/null

# hub NAME PORT CORES FLAGS…: a hub over DIR/NAME, ready when it returns; ready_ms and ready_cpu_ms say
# after how long
hub() {
  local name=$1 cores=$3 from; port[$name]=$2; shift 3
  from=$(date +%s%N)
  taskset -c "$cores" "$build/twinhub" serve --data "$dir/$name" --bind $at --mqtt "${port[$name]}" --mqtts 0 \
    --http $((port[$name] + 1)) --https 0 --log-level warn "$@" >> "$dir/$name.log" 2>&1 &
  pid[$name]=$!
  until [[ $(get $((port[$name] + 1)) /readyz) == HTTP/1.1\ 200* ]]; do
    kill -0 "${pid[$name]}" 2> /dev/null && [ $(($(date +%s%N) - from)) -lt 60000000000 ] ||
      { echo "$name does not come up:"; tail -5 "$dir/$name.log"; exit 1; }
    sleep 0.01
  done
  ready_ms=$((($(date +%s%N) - from) / 1000000))
  ready_cpu_ms=$(awk '{ print ($14 + $15) * 10 }' "/proc/${pid[$name]}/stat") # ticks of 10 ms
}
end() { # end NAME [SIGNAL]
  kill "-${2:-TERM}" "${pid[$1]}"; wait "${pid[$1]}" 2> /dev/null
  unset "pid[$1]"
}
flags() { echo --connection "$dir/$1/connection-string" --rest "$at:$((port[$1] + 1))" --to "$at:${port[$1]}" --server "${pid[$1]}"; }
# metrics NAME: into the array m, by name without "twinhub_"
declare -A m
metrics() {
  local name value
  while read -r name value; do m[${name#twinhub_}]=${value%$'\r'}; done < <(get $((port[$1] + 1)) /metrics | grep -E '^twinhub_[a-z_]+ [0-9]')
}
field() { sed -n "s/.*\b$1=\([0-9.]*\).*/\1/p" <<< "$2"; } # field NAME LINE
