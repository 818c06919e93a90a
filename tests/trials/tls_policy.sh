#!/usr/bin/env bash
# What TLS the hub speaks (trials F31): 1.2 and 1.3 with AEAD and ECDHE only; no renegotiation, no
# compression. By openssl s_client, and sslscan and testssl where they are installed.
#
#   tls_policy.sh TWINHUB
set -u
hub=$1 bind=127.$((64 + $$ / 256 % 128)).$(($$ % 256)).61 failed=0
work=$(mktemp -d)
"$hub" serve --data "$work/data" --bind $bind --mqtts 18883 --https 18443 > "$work/log" 2>&1 &
pid=$!
trap 'kill $pid 2> /dev/null; wait $pid; rm -rf "$work"' EXIT
for _ in $(seq 200); do grep -q 'is running' "$work/log" && break; sleep 0.05; done
grep -q 'is running' "$work/log" || { echo "the hub does not start"; cat "$work/log"; exit 1; }

that() { # that CLAIM COMMAND…
  local claim=$1; shift
  if "$@" > "$work/out" 2>&1; then echo "ok     $claim"
  else echo "FAILED $claim"; tail -5 "$work/out"; failed=1; fi
}
refused() { ! "$@"; }
client() { # client PORT OPTIONS…: succeeds when a session comes about
  local port=$1; shift
  : | timeout 10 openssl s_client -connect "$bind:$port" "$@" > "$work/session" 2>&1
  grep -q '^ *Verification\|^Verify return code' "$work/session" &&
    ! grep -q 'Cipher is (NONE)' "$work/session"
}
uncompressed() { client "$1" -tls1_2 && grep -q '^Compression: NONE' "$work/session"; }
# A client that asks to renegotiate (R) gets no second handshake: the session stays, or ends.
not_renegotiated() {
  { sleep 0.5; echo R; sleep 1; } | timeout 10 openssl s_client -connect "$bind:$1" -tls1_2 > "$work/session" 2>&1
  [ "$(grep -c 'RENEGOTIATING' "$work/session")" = 1 ] &&
    grep -qi 'no renegotiation\|handshake failure\|alert\|unexpected' "$work/session"
}

for port in 18883 18443; do
  that "$port: TLS 1.3" client $port -tls1_3
  that "$port: TLS 1.2" client $port -tls1_2
  that "$port: TLS 1.1 is refused" refused client $port -tls1_1 -cipher ALL:@SECLEVEL=0
  that "$port: TLS 1.0 is refused" refused client $port -tls1 -cipher ALL:@SECLEVEL=0
  that "$port: no CBC" refused client $port -tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES256-SHA:@SECLEVEL=0
  that "$port: no RSA key exchange" refused client $port -tls1_2 -cipher AES128-GCM-SHA256:AES256-GCM-SHA384:@SECLEVEL=0
  that "$port: no finite-field DH" refused client $port -tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0
  that "$port: no anonymous or empty ciphers" refused client $port -tls1_2 -cipher aNULL:eNULL:@SECLEVEL=0
  that "$port: no compression" uncompressed $port
  that "$port: no renegotiation" not_renegotiated $port
done

# What is accepted, as sslscan sees it: nothing but AEAD with ECDHE.
if command -v sslscan > /dev/null; then
  sslscan --no-colour "$bind:18883" > "$work/scan" 2>&1
  only_strong() {
    grep -E '^(Accepted|Preferred)' "$work/scan" &&
      ! grep -E '^(Accepted|Preferred)' "$work/scan" | grep -vE 'TLS_(AES|CHACHA20)|ECDHE-.*(GCM|CHACHA20)'
  }
  that "sslscan: only AEAD with ECDHE" only_strong
  that "sslscan: no SSL, no TLS 1.0 or 1.1" bash -c "! grep -E '^(SSLv2|SSLv3|TLSv1.0|TLSv1.1) +enabled' '$work/scan'"
  that "sslscan: no renegotiation" grep -q 'Session renegotiation not supported' "$work/scan"
  that "sslscan: no heartbleed" bash -c "! grep -q ' vulnerable' <(grep -v 'not vulnerable' '$work/scan')"
fi
# The vulnerabilities that testssl knows, and its findings of weight; its own chain complaints (a
# private CA, no revocation) are what a private CA is.
if [ "${TESTSSL:-}" = 1 ] && command -v testssl > /dev/null; then
  testssl --quiet --color 0 --warnings off -p -s -U -f --severity MEDIUM --jsonfile "$work/json" \
    "$bind:18883" > "$work/testssl" 2>&1
  that "testssl: no finding of MEDIUM or more" bash -c "! grep -E '\"severity\" *: *\"(MEDIUM|HIGH|CRITICAL)\"' '$work/json'"
fi
kill -TERM $pid
wait $pid
that "the hub ends with exit code 0" test $? = 0
exit $failed
