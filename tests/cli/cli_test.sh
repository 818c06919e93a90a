#!/bin/bash
# Every client command against a started hub: output, exit code, with and without --json.
#   tests/cli/cli_test.sh build/dev/twinhub
twinhub=$(readlink -f "$1")
dir=$(mktemp -d /tmp/cli_test.XXXXXX)
unset "${!TWINHUB_@}"
export HOME=$dir XDG_DATA_HOME=$dir/none
export ASAN_OPTIONS=detect_leaks=${LEAKS:-0} # of the commands: a third of the time; the hub always
passed=0 failed=0 hub=

cleanup() {
  [ -n "$hub" ] && kill "$hub" 2>/dev/null
  rm -rf "$dir"
}
trap cleanup EXIT

fail() {
  failed=$((failed + 1))
  echo "FAILED: $1" >&2
  sed 's/^/  out: /' "$dir/out" >&2
  sed 's/^/  err: /' "$dir/err" >&2
}

# start DATA HTTPS MQTTS: a hub, up when it returns
start() {
  : >"$dir/hub.out" # the child empties it too, but perhaps after we have looked
  ASAN_OPTIONS=detect_leaks=1 "$twinhub" serve --data "$1" --bind 127.0.0.21 --host 127.0.0.21 --https "$2" --mqtts "$3" \
    >"$dir/hub.out" 2>"$dir/hub.err" &
  hub=$!
  for _ in $(seq 100); do
    grep -q running. "$dir/hub.out" && return
    sleep 0.1
  done
  cat "$dir/hub.out" "$dir/hub.err" >&2
  exit 1
}

# stop: by SIGTERM, which a hub answers with exit 0
stop() {
  kill -TERM "$hub"
  wait "$hub"
  local code=$?
  hub=
  cp "$dir/hub.err" "$dir/err"
  : >"$dir/out"
  if [ $code = 0 ]; then passed=$((passed + 1)); else fail "serve ends with $code after SIGTERM"; fi
}

# expect NAME CODE OUT ERR WORD...: `twinhub WORD...` ends with this code; OUT and ERR are regular
# expressions of which a line of each is one, or "" for nothing printed there.
expect() {
  local name=$1 want=$2 out=$3 err=$4 code
  shift 4
  "$twinhub" "$@" >"$dir/out" 2>"$dir/err" <"${input:-/dev/null}"
  code=$?
  if [ $code != "$want" ]; then
    fail "$name: exit code $code, not $want"
  elif { [ -n "$out" ] && ! grep -qE -- "$out" "$dir/out"; } || { [ -z "$out" ] && [ -s "$dir/out" ]; }; then
    fail "$name: standard output is not $out"
  elif { [ -n "$err" ] && ! grep -qE -- "$err" "$dir/err"; } || { [ -z "$err" ] && [ -s "$dir/err" ]; }; then
    fail "$name: standard error is not $err"
  else
    passed=$((passed + 1))
  fi
}

# soon COMMAND...: until it succeeds, half a minute at most
soon() {
  for _ in $(seq 300); do
    "$@" && return
    sleep 0.1
  done
  return 1
}
lines() { [ "$(wc -l <"$2")" -ge "$1" ]; } # lines N FILE: has it so many?

# same NAME TEXT: the last command printed exactly this
same() {
  if [ "$(cat "$dir/out")" = "$2" ]; then passed=$((passed + 1)); else fail "$1"; fi
}

key=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=
thumb=AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD
data=$dir/hub

# ---- without a hub ----
for command in "device create" "device show" "device list" "device delete" "device disable" \
  "device enable" "module create" "module show" "module list" "module delete" "twin show" \
  "twin patch" "twin replace" "twin watch" connection-string cert version; do
  # shellcheck disable=SC2086
  expect "help of $command" 0 "^  twinhub $command" "" $command --help
done
expect "help of a group" 0 "twinhub twin watch" "" twin --help
expect "a group alone" 2 "" "twinhub module list" module
expect "an unknown verb" 2 "" 'no command "crate"' device crate
expect "the version" 0 '^twinhub [0-9]' "" version
expect "the version as JSON" 0 '^{"version":"[0-9.]+"}$' "" version --json
expect "the version takes nothing" 2 "" "one argument too many" version 1
expect "an unknown option" 2 "" "^  usage: twinhub device show DEVICE$" device show d1 --wrong
expect "a missing argument" 2 "" "MODULE is missing" module show d1
expect "no data directory" 69 "" "start one: twinhub serve --data $data" device list --data "$data"
expect "no default directory, as JSON" 69 "" '^{"error":{"message":"no hub has run in' device list --json
expect "a device's connection string" 2 "" "of a device" device list --connection-string "HostName=h;DeviceId=d"

# ---- with one ----
start "$dir/other" 18444 18884
stop
start "$data" 18443 18883
export TWINHUB_DATA=$data

expect "create" 0 '^HostName=127.0.0.21;DeviceId=d1;SharedAccessKey=.{44}$' \
  "twinhub twin patch d1 --desired '\{\"rate\":30\}'$" device create d1
created=$(cat "$dir/out")
expect "connection string of a device" 0 . "" connection-string --device d1
same "it is what create printed" "$created"
expect "create again" 1 "" "DeviceAlreadyExists: A device with ID 'd1'" device create d1
expect "create again, as JSON" 1 "" '^{"error":{"code":"DeviceAlreadyExists","status":409,' device create d1 --json
expect "create with --data" 0 . "twinhub twin patch d2 .* --data $data$" device create d2 --data "$data" --edge --disabled
expect "create with a key" 0 "^HostName=127.0.0.21;DeviceId=d3;SharedAccessKey=$key$" . device create d3 --key $key
expect "create with two keys" 0 "\"primaryKey\":\"$key\",\"secondaryKey\":\"$key\"" "" device create d4 --key $key,$key --json
expect "create with a thumbprint" 0 "\"primaryThumbprint\":\"${thumb//:/}\",\"secondaryThumbprint\":\"${thumb//:/}\"" "" \
  device create d5 --thumbprint $thumb,${thumb//:/} --json
expect "create for a CA" 0 '^HostName=127.0.0.21;DeviceId=d6;x509=true$' . device create d6 --ca-signed
expect "a wrong key" 2 "" "--key takes base64" device create d7 --key short
expect "a wrong thumbprint" 2 "" "--thumbprint takes" device create d7 --thumbprint 12
expect "two credentials" 2 "" "exclude each other" device create d7 --key $key --ca-signed
expect "a wrong id" 2 "" 'no device id' device create a/b
expect "an id of dots" 0 '"deviceId":".."' "" device create .. --json
expect "an id that is encoded" 0 . "twinhub twin patch 'a#b\?c%' " device create 'a#b?c%'
expect "and found" 0 '"deviceId": "a#b\?c%"' "" device show 'a#b?c%'
expect "show" 0 '^  "iotEdge": true|^    "iotEdge": true' "" device show d2
expect "show as JSON" 0 '^{"deviceId":"\.\.",.*}$' "" device show .. --json
expect "show none" 1 "" "DeviceNotFound: d9" device show d9
expect "show none, as JSON" 1 "" '"status":404,"message":"d9","hint":"twinhub device list' device show d9 --json
expect "list" 0 '^d2 +disabled +Disconnected +never$' "" device list
expect "list as JSON" 0 '^\[{"deviceId":.*}\]$' "" device list --json
expect "list some" 0 '^DEVICE +STATUS +CONNECTION +LAST ACTIVITY$' "" device list --top 1
[ "$(wc -l <"$dir/out")" = 2 ] || fail "list --top 1 prints one device"
expect "list too many" 2 "" "--top takes" device list --top 1001
expect "disable" 0 '^d1 is disabled$' "" device disable d1 --reason 'stolen "in" Oslo'
expect "disabled it is" 0 '"status":"disabled","statusReason":"stolen \\"in\\" Oslo"' "" device show d1 --json
expect "enable" 0 '"status":"enabled","statusReason":null' "" device enable d1 --json
expect "its keys are kept" 0 . "" connection-string --device d1
same "as create printed them" "$created"
expect "disable none" 1 "" "DeviceNotFound: d9" device disable d9

expect "create a module" 0 '^HostName=127.0.0.21;DeviceId=d1;ModuleId=m1;SharedAccessKey=.{44}$' \
  "twinhub twin patch d1 m1 --desired" module create d1 m1
expect "create it again" 1 "" "already contains Module m1" module create d1 m1
expect "of no device" 1 "" '"message":"d9"' module create d9 m1 --json
expect "a wrong module id" 2 "" 'no module id' module create d1 'm 1'
expect "a second module" 0 '"moduleId":"m2"' "" module create d1 m2 --json
expect "show a module" 0 '^  "moduleId": "m1"' "" module show d1 m1
expect "show no module" 1 "" "ModuleNotFound" module show d1 m9
expect "list modules" 0 '^m1 +Disconnected +never$' "" module list d1
expect "list modules as JSON" 0 '^\[{"moduleId":"m1".*"m2".*\]$' "" module list d1 --json
expect "delete a module" 0 '^deleted d1/m2$' "" module delete d1 m2
expect "delete it again" 1 "" "ModuleNotFound" module delete d1 m2

expect "show a twin" 0 '^      "\$version": 1$' "" twin show d1
expect "show a twin as JSON" 0 '^{"deviceId":"d1","etag":"AAAAAAAAAAE=",.*}$' "" twin show d1 --json
expect "show a module's twin" 0 '^  "moduleId": "m1"' "" twin show d1 m1
expect "show no twin" 1 "" "DeviceNotFound" twin show d9
expect "patch" 0 '^d1: desired version 2, etag AAAAAAAAAAI=$' "" twin patch d1 --desired '{"rate":30}' --tags '{"site":"north"}'
expect "patch with its etag" 0 '"desired":{"rate":31,' "" twin patch d1 --etag AAAAAAAAAAI= --desired '{"rate":31}' --json
expect "patch with an old etag" 1 "" "PreconditionFailed" twin patch d1 --etag AAAAAAAAAAI= --desired '{"rate":32}'
expect "patch with any etag" 0 'etag AAAAAAAAAAQ=$' "" twin patch d1 --etag '*' --desired '{"rate":32}'
expect "patch a module" 0 '^d1/m1: desired version 2' "" twin patch d1 m1 '{"properties":{"desired":{"a":[1]}}}'
echo '{"tags":{"from":"file"}}' >"$dir/patch.json"
expect "patch from a file" 0 '"from":"file"' "" twin patch d1 "@$dir/patch.json" --json
input=$dir/patch.json expect "patch from standard input" 0 'etag' "" twin patch d1 -
echo '{"from":"input"}' >"$dir/tags.json"
input=$dir/tags.json expect "a part from standard input" 0 '"from":"input"' "" twin patch d1 --tags - --json
expect "patch with no file" 2 "" "No such file" twin patch d1 @/nowhere
expect "patch with no JSON" 2 "" "no JSON object" twin patch d1 '{rate:30}'
expect "patch with an array" 2 "" "no JSON object" twin patch d1 --desired '[1]'
expect "patch with nothing known" 2 "" "neither" twin patch d1 '{"rate":30}'
expect "patch with nothing" 2 "" "the patch is missing" twin patch d1
expect "patch with both" 2 "" "not both" twin patch d1 m1 '{"tags":{}}' --tags '{}'
expect "patch that breaks a rule" 1 "" "ArgumentInvalid: .*b" twin patch d1 --desired '{"a":[{"b":null}]}'
expect "show the whole" 0 . "" twin show d1
cp "$dir/out" "$dir/whole.json"
expect "replace by what show printed" 0 '"tags":{"from":"input","site":"north"}|"tags":{"site":"north","from":"input"}' "" \
  twin replace d1 "@$dir/whole.json" --json
expect "replace by nothing" 0 '"desired":{"\$metadata"' "" twin replace d1 '{}' --json
expect "replace without JSON" 2 "" "the twin is missing" twin replace d1

expect "the service's connection string" 0 . "" connection-string
same "it is the file's" "$(cat "$data/connection-string")"
service=$(cat "$dir/out")
expect "it by its policy, as JSON" 0 '^{"connectionString":"HostName=127.0.0.21:18443;' "" connection-string --policy iothubowner --json
expect "of another policy" 2 "" "only the key of iothubowner" connection-string --policy service
expect "of a module" 0 'DeviceId=d1;ModuleId=m1;SharedAccessKey=' "" connection-string --device d1 --module m1
expect "of a module of nothing" 2 "" "needs its --device" connection-string --module m1
expect "of no device" 1 "" "DeviceNotFound" connection-string --device d9
expect "cert" 0 'BEGIN CERTIFICATE' "" cert
same "it is the file's" "$(cat "$data/ca.pem")"
expect "where it is" 0 "^$data/ca.pem$" "" cert --path
expect "where it is, as JSON" 0 "^{\"path\":\"$data/ca.pem\"}$" "" cert --path --json

# ---- by connection string; whom to trust ----
unset TWINHUB_DATA
expect "a connection string and a CA" 0 "^d1 " "" device list --connection-string "$service" --ca "$data/ca.pem"
export TWINHUB_CONNECTION_STRING=$service
expect "the system does not know the CA" 69 "" "name the hub's CA with --ca" device list
expect "nor does another CA" 69 "" "not to be trusted" device list --ca "$dir/other/ca.pem"
expect "no CA file" 78 "" "/nowhere cannot be used" device list --ca /nowhere
expect "cert knows no CA" 78 "" "does not tell the CA" cert
export TWINHUB_CA=$data/ca.pem
expect "all by environment" 0 "^d1 " "" device list
https_proxy=http://127.0.0.1:1 expect "no proxy on this machine" 0 "^d1 " "" device list
TWINHUB_CONNECTION_STRING=${service%SharedAccessKey=*}SharedAccessKey=$key
expect "a wrong key" 1 "" "IotHubUnauthorizedAccess" device list
TWINHUB_CONNECTION_STRING=${service/18443/18883}
expect "a port of another protocol" 69 "" "no whole answer from 127.0.0.21:18883" device list --json
unset TWINHUB_CONNECTION_STRING TWINHUB_CA
export TWINHUB_DATA=$data

# ---- watch ----
expect "watch nothing" 1 "" "DeviceNotFound" twin watch d9
expect "watch no changes" 2 "" "--count takes" twin watch d1 --count 0
"$twinhub" twin watch d1 --count 3 >"$dir/watch" 2>"$dir/watch.err" & text=$!
"$twinhub" twin watch d1 m1 --count 2 --json >"$dir/watch.json" 2>"$dir/watch.json.err" & json=$!
soon grep -q Watching "$dir/watch.err"
expect "a change" 0 . "" twin patch d1 --desired '{"net":{"apn":"iot"},"rate":5}'
for n in 2 3 4; do # the other does not say when it begins
  expect "a change of the module" 0 . "" twin patch d1 m1 --desired '{"a":['$n']}'
  soon lines 1 "$dir/watch.json" && break
done
soon lines 2 "$dir/watch"
stop
soon grep -q "no hub answers" "$dir/watch.err"
expect "no hub" 69 "" "no hub answers at 127.0.0.21:18443" device list
expect "no hub, as JSON" 69 "" '"hint":"start it with `twinhub serve --data ' device list --json --data "$data"
start "$data" 18443 18883
expect "a change after a restart" 0 . "" twin patch d1 --desired '{"net":{"apn":null}}'
expect "another of the module" 0 . "" twin patch d1 m1 --desired '{"a":null}'
wait $text; code=$?
cp "$dir/watch" "$dir/out"; cp "$dir/watch.err" "$dir/err"
[ $code = 0 ] || fail "watch ends with $code"
sed -E 's/^[0-9-]{10}T[0-9:]{8}\.[0-9]{3}Z  //' "$dir/watch" >"$dir/out"
same "watch tells each change" 'desired.net: (none) -> {"apn":"iot"}
desired.rate: (none) -> 5
desired.net.apn: "iot" -> (none)'
grep -q "no hub answers" "$dir/watch.err" && [ "$(grep -c "no hub answers" "$dir/watch.err")" = 1 ] ||
  fail "watch says once that the hub is away"
wait $json; code=$?
[ $code = 0 ] || fail "watch --json ends with $code"
sed -E 's/^\{"time":"[^"]*",/{/' "$dir/watch.json" >"$dir/out"
same "watch tells them as JSON" '{"path":"desired.a","old":['$((n - 1))'],"new":['$n']}
{"path":"desired.a","old":['$n']}'

expect "delete" 0 '^deleted d1$' "" device delete d1
expect "delete, as JSON" 0 '^{"deviceId":"d2","deleted":true}$' "" device delete d2 --json
expect "delete again" 1 "" "DeviceNotFound" device delete d1

# ---- check, backup, restore: on directories ----
expect "create one for the backup" 0 'DeviceId=saved;' "Next: " device create saved
expect "check while the hub runs" 78 "" "in use by another hub" check
expect "backup while it runs" 0 "^The backup is whole" "" backup "$dir/b1"
expect "backup without keys, as JSON" 0 '"damaged":0,.*"ok":true' "" backup "$dir/b2" --without-key --json
ls "$dir/b2" >"$dir/out"
grep -q key "$dir/out" && fail "a backup without keys holds none"
expect "backup into what is there" 78 "" "is there and not empty" backup "$dir/b1"
expect "backup into nothing" 2 "" "OUT is missing" backup
expect "a change after the backup" 0 . "" twin patch saved --desired '{"late":1}'
stop
expect "no hub on a backup" 78 "" "is a backup; make a data directory of it with twinhub restore" serve --data "$dir/b1"
expect "check" 0 "^All is well" "" check
expect "check of a backup" 0 ": a backup of hub [0-9a-f]{32}, epoch 1" "" check --data "$dir/b1"
expect "check, as JSON" 0 '"ok":true,"findings":\[\]}' "" check --json
expect "check of nothing" 78 "" "No such file" check --data "$dir/nothing"
expect "restore of nothing" 2 "" "name a backup, or a position" restore
expect "restore to no position" 2 "" "takes a position" restore --recover-to x
expect "restore over what is there" 78 "" "is there and not empty; --force moves it aside" restore "$dir/b1"
expect "restore" 0 "^This is epoch 2: .*moved on by [0-9]{8,}," "twinhub serve --data" restore "$dir/b1" --force --data "$data"
[ -f "$(echo "$data".before-*)/base.mdb" ] || fail "what was there is kept"
expect "restore without a key" 78 "" "made without master.key; .*--keys DIR" restore "$dir/b2" --data "$dir/r2"
expect "restore with keys from elsewhere" 0 '"epoch":2,' "" restore "$dir/b2" --data "$dir/r2" --keys "$data" --json
start "$data" 18443 18883
expect "versions have moved on" 0 '"\$version": [0-9]{8,}$' "" twin show saved
grep -q late "$dir/out" && fail "what came after the backup is gone"
stop
printf x | dd of="$dir/r2/twinhub.hdr" bs=1 seek=100 conv=notrunc 2>/dev/null # a zero, whatever the keys are
expect "damage" 1 "^damage  header: .*checksum does not match" "" check --data "$dir/r2"
expect "damage, as JSON" 1 '{"part":"header","text":' "" check --data "$dir/r2" --json

# ---- a hub without HTTPS ----
start "$dir/plain" 0 18883
cp "$dir/hub.out" "$dir/out"
grep -q "need HTTPS: --https PORT" "$dir/out" || fail "a hub without HTTPS says what for it would be needed"
expect "a name without a port" 0 "^HostName=127.0.0.21;SharedAccessKeyName=" "" connection-string --data "$dir/plain"
expect "nobody there" 69 "" "no hub answers at 127.0.0.21:" device list --data "$dir/plain"
stop

echo "$passed passed, $failed failed"
[ $failed = 0 ]
