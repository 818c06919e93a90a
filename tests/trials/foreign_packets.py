#!/usr/bin/env python3
"""Packets that others collected for their brokers (trials F21): mosquitto's test/broker/data/*.json.

    foreign_packets.py TWINHUB FOLDER

Each file holds cases for MQTT 3.1.1: packets to send, answers to receive, and whether the connection
must then be over. Each case runs against a started hub, after a CONNECT of a device of this hub
where the case begins with one. Nothing is taken from the files but packets and expectations.

An IoT hub speaks a part of MQTT (docs/protocol/mqtt.md), so it may differ from a broker. Each case
that differs must be one that a row of DIFFERS explains, and is counted under it: where a connection
should end and does not, there are three such rows.

A topic such as "topic" ends a connection here whatever else is wrong with its packet. So each PUBLISH
of a must-end case is sent once more, its topic put behind the device's own telemetry topic.

Beside all of it a good client stays connected and is answered after each case; at the end the device
that said it all has the twin it had. Exit 77: there is no such folder.
"""
import base64
import collections
import glob
import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unicodedata
import urllib.parse

ADDRESS = f"127.{64 + os.getpid() // 256 % 128}.{os.getpid() % 256}.21"  # its own, so that trials may run side by side
MQTT, HTTP = 11883, 18080
END_S = 2
DEVICE, KEY = "foreign", b"0123456789abcdef0123456789abcdef"
OWN = f"devices/{DEVICE}/messages/events/".encode()
failed = False


def verdict(ok, claim, figure=None):
    global failed
    failed |= not ok
    line = f"{'ok' if ok else 'FAILED':6} {claim:58}" + ("" if figure is None else f" {figure:10} (limit 0)")
    print(line.rstrip(), flush=True)


# ---- the files ----

def parse(text):
    """Hex, or decimal numbers with a letter for their size, or 'text' in quotes."""
    out = bytearray()
    while text := text.lstrip(" "):
        if text[0] == "'":
            quoted, text = text[1:].split("'", 1)
            out += quoted.encode()
            continue
        word, _, text = text.partition(" ")
        if word[0] in "iHkmsL":
            out += int(word[1:]).to_bytes({"i": 1, "L": 4}.get(word[0], 2), "big")
        elif word[0] in "vr":
            out += length(int(word[1:]))
        else:
            out += bytes.fromhex(word)
    return bytes(out)


def length(value):
    """As MQTT counts, and further than it may."""
    out = bytearray()
    while True:
        value, byte = value // 128, value % 128
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


Case = collections.namedtuple("Case", "name connect ends steps")


def cases(folder):
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        with open(path, encoding="utf-8") as f:
            groups = json.load(f)
        for group in groups:
            for test in group["tests"]:
                told = {"ver": 4, "connect": True, "expect_disconnect": True} | group | test
                if group.get("disable") or told["ver"] != 4:
                    continue
                steps = [(m["type"], parse(m["payload"]) if m["type"] != "publish" else b"") for m in test["msgs"]]
                yield Case(f"{os.path.basename(path)}: {test['name']}", told["connect"], told["expect_disconnect"], steps)


# ---- packets ----

def text(value):
    return len(value).to_bytes(2, "big") + value


def packet(first, body):
    return bytes([first]) + length(len(body)) + body


def split(data):
    """(first byte, body) of each whole packet."""
    while len(data) >= 2:
        size = shift = 0
        for at in range(1, min(5, len(data))):
            size |= (data[at] & 0x7F) << shift
            shift += 7
            if not data[at] & 0x80:
                break
        else:
            return
        if len(data) < at + 1 + size:
            return
        yield data[0], data[at + 1:at + 1 + size]
        data = data[at + 1 + size:]


def token(resource, key, policy=""):
    expiry = int(time.time()) + 3600
    resource = urllib.parse.quote(resource, safe="")
    signature = base64.b64encode(hmac.new(key, f"{resource}\n{expiry}".encode(), hashlib.sha256).digest())
    skn = f"&skn={policy}" if policy else ""
    return f"SharedAccessSignature sr={resource}&sig={urllib.parse.quote(signature, safe='')}&se={expiry}{skn}"


def login(device):
    user = f"localhost/{device}/?api-version=2021-04-12".encode()
    body = text(b"MQTT") + b"\x04\xc2\x00\x3c" + text(device.encode()) + text(user) + text(token(f"localhost/devices/{device}", KEY).encode())
    return packet(0x10, body)


def strings(first, body):
    """The topic of a PUBLISH, the filters of a SUBSCRIBE or UNSUBSCRIBE."""
    kind, at, found = first >> 4, 0, []
    if kind in (8, 10):
        at = 2
    elif kind != 3:
        return found
    while len(body) >= at + 2:
        size = int.from_bytes(body[at:at + 2], "big")
        found.append(body[at + 2:at + 2 + size])
        at += 2 + size + (kind == 8)
        if kind == 3:
            break
    return found


def has_control(first, body):
    """A control character, and nothing else that is wrong with its strings; NUL is no such thing."""
    try:
        return any("\0" not in t and any(unicodedata.category(c) == "Cc" for c in t)
                   for t in (s.decode() for s in strings(first, body)))
    except UnicodeDecodeError:
        return False


# ---- where an IoT hub differs from a broker (docs/protocol/mqtt.md and the spec's sections) ----

ENDS, STAYS, ANSWERS = "ends where a broker's goes on", "goes on where a broker's ends", "has another answer"
DIFFERS = [
    (ENDS, "2.3: CONNECT without the user name of a device is refused", lambda first, body, case: first == 0x10 and not case.connect),
    (ENDS, "3: PUBLISH with QoS 2 ends the connection", lambda first, body, case: first & 0xF6 == 0x34),
    (ENDS, "3: PUBREC, PUBREL and PUBCOMP are of QoS 2 and end it", lambda first, body, case: first >> 4 in (5, 6, 7)),
    (ENDS, "3: PUBLISH to no topic of the hub ends it", lambda first, body, case: first >> 4 == 3 and not strings(first, body)[0].startswith(OWN)),
    (ANSWERS, "4: a filter that matches nothing of the hub gets 0x80", lambda first, body, case: first == 0x82),
    (STAYS, "4, 6.1: control characters end nothing (MQTT 1.5.3 lets a server choose)", lambda first, body, case: has_control(first, body)),
    (STAYS, "PUBACK for 0 is ignored: the C# SDK sends it for QoS 0", lambda first, body, case: first == 0x40 and body == b"\0\0"),
]


def reason(case, how):
    """The first row that explains it."""
    if any(kind == "publish" for kind, _ in case.steps):
        return "another client's message never comes: devices do not hear each other"
    for kind, data in case.steps:
        for first, body in split(data) if kind == "send" else ():
            for of, what, applies in DIFFERS:
                if of == how and applies(first, body, case):
                    return what
    return None


# ---- conversations ----

def connect():
    s = socket.create_connection((ADDRESS, MQTT), timeout=5)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def receive(s, size, within_s):
    """Up to `size` bytes, and whether the hub has ended the connection."""
    got, until = b"", time.monotonic() + within_s
    while len(got) < size:
        s.settimeout(max(until - time.monotonic(), 0.001))
        try:
            piece = s.recv(size - len(got))
        except socket.timeout:
            return got, False
        except ConnectionError:
            return got, True
        if not piece:
            return got, True
        got += piece
    return got, False


def logged_in(device):
    s = connect()
    s.sendall(login(device))
    got, _ = receive(s, 4, 5)
    if got[:2] != b"\x20\x02" or got[3] != 0:
        sys.exit(f"{device} cannot log in: {got!r}")
    return s


def is_alive(s):
    try:
        s.sendall(b"\xc0\x00")
        return receive(s, 2, END_S)[0] == b"\xd0\x00"
    except ConnectionError:
        return False


def play(case):
    """Whether the hub ended the connection, and whether each answer was the one the case has."""
    as_told = True
    with (logged_in(DEVICE) if case.connect else connect()) as s:
        try:
            for kind, data in case.steps:
                if kind == "send":
                    s.sendall(data)
                elif kind == "recv":
                    got, ended = receive(s, len(data), END_S)
                    as_told &= got == data
                    if ended:
                        return True, as_told
                else:
                    as_told = False
        except ConnectionError:
            return True, as_told
        if not case.ends:
            return not is_alive(s), as_told
        return receive(s, 1 << 20, END_S)[1], as_told


def aimed(case):
    """The case with its PUBLISH topics behind the device's own; None without one."""
    steps, any_topic = [], False
    for kind, data in case.steps:
        whole = list(split(data)) if kind == "send" else []
        topic = strings(*whole[0])[0] if len(whole) == 1 and whole[0][0] & 0xF6 == 0x30 else None
        if topic:
            any_topic = True
            data = packet(whole[0][0], text(OWN + topic) + whole[0][1][2 + len(topic):])
        steps.append((kind, data))
    return case._replace(steps=steps) if any_topic else None


# ---- the hub ----

class Hub:
    def __init__(self, program, folder):
        data = os.path.join(folder, "data")
        self.process = subprocess.Popen(
            [program, "serve", "--data", data, "--bind", ADDRESS, "--http", str(HTTP), "--https", "0", "--mqtts", "0",
             "--mqtt", str(MQTT), "--host", "localhost", "--log-level", "error"], stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.call("GET", "/readyz", auth=False)
                break
            except OSError:
                time.sleep(0.05)
        with open(os.path.join(data, "connection-string"), encoding="ascii") as f:
            parts = dict(p.split("=", 1) for p in f.read().strip().split(";"))
        self.key = base64.b64decode(parts["SharedAccessKey"])
        key = base64.b64encode(KEY).decode()
        for device in (DEVICE, "good"):
            status, _ = self.call("PUT", f"/devices/{device}?api-version=2021-04-12", json.dumps(
                {"deviceId": device, "authentication": {"symmetricKey": {"primaryKey": key, "secondaryKey": key}}}))
            if status != 200:
                sys.exit(f"cannot create {device}: {status}")

    def call(self, method, path, body="", auth=True):
        c = http.client.HTTPConnection(ADDRESS, HTTP, timeout=5)
        headers = {"Host": "localhost"} | ({"Authorization": token("localhost", self.key, "iothubowner")} if auth else {})
        c.request(method, path, body, headers)
        answer = c.getresponse()
        return answer.status, answer.read()

    def twin(self):
        """All but what a device's being there changes."""
        twin = json.loads(self.call("GET", f"/twins/{DEVICE}?api-version=2021-04-12")[1])
        return {k: twin[k] for k in ("version", "etag", "properties")}

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def judge(case, again=""):
    """How it differs, or None; and its name."""
    ended, as_told = play(case)
    how = None
    if case.ends != ended:
        how = ENDS if ended else STAYS
    elif not ended and not as_told:
        how = ANSWERS
    return how, case.name + again


def run(found, good):
    wrong, good_failed, counts, differs = {ENDS: [], STAYS: [], ANSWERS: []}, 0, collections.Counter(), collections.Counter()
    for case in found:
        tries = [(case, "")]
        if case.ends and aimed(case):
            tries.append((aimed(case), ", to its own topic"))
        for this, again in tries:
            how, name = judge(this, again)
            counts["must end" if case.ends else "go on", how is None] += 1
            why = reason(this, how) if how else None
            if how and not why:
                wrong[how].append(name)
            elif how:
                differs[f"{how}: {why}"] += 1
        good_failed += not is_alive(good)
    return wrong, good_failed, counts, differs


def main():
    if len(sys.argv) != 3 or not os.path.isdir(sys.argv[2]):
        print("no folder of packets: mosquitto's sources have one, test/broker/data")
        return 77
    found = list(cases(sys.argv[2]))
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(sys.argv[1], folder)
        before = hub.twin()
        good = logged_in("good")
        wrong, good_failed, counts, differs = run(found, good)
        for how, names in wrong.items():
            for name in names:
                print(f"WRONG  {name}: {how}")
        print(f"       {len(found)} cases of MQTT 3.1.1: {counts['must end', True]} of {counts['must end', True] + counts['must end', False]} "
              f"connections that must end do, {counts['go on', True]} of {counts['go on', True] + counts['go on', False]} go on as with a broker")
        for why, count in differs.most_common():
            print(f"       {count} where it {why}")
        verdict(counts["must end", True] > 200, "there are cases that must end")
        verdict(not wrong[STAYS], "connections that must end and do not", len(wrong[STAYS]))
        verdict(not wrong[ENDS] and not wrong[ANSWERS], "connections that differ otherwise", len(wrong[ENDS] + wrong[ANSWERS]))
        verdict(good_failed == 0, "pings of the good client that failed", good_failed)
        verdict(hub.twin() == before, "the twin of the device that said it all is as it was")
        verdict(hub.end() == 0, "the hub ends with exit code 0")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
