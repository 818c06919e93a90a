#!/usr/bin/env python3
"""Request smuggling through real proxies (trials F24).

    smuggling.py TWINHUB

HAProxy and nginx stand before a hub and use few connections to it. Requests whose end two readers
may see in different places, each with another behind it, go through them and to the hub alone.
Afterwards somebody else asks through the same proxy: an answer that is not its own, known by the
request id it echoes, means that proxy and hub disagree about where a request ends. Behind a 400 of
the hub itself its connection is closed, and nothing is answered any more.

A back end that does not know chunks is put in the hub's place behind HAProxy, and must be found out
(nginx drops a connection that speaks out of turn, so there it harms nobody). Exit 77: neither
proxy is here.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ADDRESS = f"127.{64 + os.getpid() // 256 % 128}.{os.getpid() % 256}.24"  # its own, so that trials may run side by side
HUB, NAIVE, HAPROXY, NGINX = 18080, 18081, 18082, 18083
PATIENCE_S = 0.5
TARGET = b"/devices/nobody?api-version=2021-04-12"
failed = False


def verdict(ok, claim):
    global failed
    failed |= not ok
    print(f"{'ok' if ok else 'FAILED':6} {claim}", flush=True)


# ---- requests with two ends ----

def request(headers, body=b"", method=b"POST", end=b"\r\n", version=b"HTTP/1.1"):
    lines = [method + b" " + TARGET + b" " + version, b"Host: localhost", b"x-ms-client-request-id: outer"]
    return end.join(lines + headers) + end + end + body


# What may lie hidden in a body: a request whose last header swallows the next one's first line.
HIDDEN = b"GET " + TARGET + b" HTTP/1.1\r\nHost: localhost\r\nx-ms-client-request-id: hidden\r\nX: "
CHUNKED_END = b"0\r\n\r\n" + HIDDEN  # ends early for who reads chunks
CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)  # ends early for who reads a length
LENGTHS = [b"%d", b"+%d", b"0x%x", b"0%d", b" %d ", b"%d_0", b"%d, %d", b"%d,1", b"-%d", b"%d;x", b"%d\x0b", b"\"%d\"", b"1e1", b""]
CODINGS = [
    b"Transfer-Encoding: chunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: chunked\x0b", b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: \"chunked\"",
    b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding: CHUNKED", b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding: chunked,", b"Transfer_Encoding: chunked", b" Transfer-Encoding: chunked",
    b"Transfer-Encoding\x00: chunked", b"Transfer-Encoding: chu\x00nked", b"Transfer-Encoding: chunked\xa0",
    b"X: y\nTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked", b"X: y\r\n\tTransfer-Encoding: chunked",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: chunked\r\nTransfer-encoding: cow", b"Transfer-Encoding:", b"X\r\nTransfer-Encoding: chunked",
]
SIZES = [b"0x%x", b"+%x", b"-%x", b" %x", b"%x ", b"%x_", b"000000000000000000000%x", b"%x;", b"%x;a=b", b"%x;a=\"\r\n\"",
         b"%x;\n", b"%x\n", b"%x\r", b"1000000000000000%x", b"%x ;x", b"%x\x00", b"g%x", b""]


def fill(form, number):
    return form % ((number,) * form.count(b"%")) if b"%" in form else form


def payloads():
    for form in LENGTHS:
        body = HIDDEN
        for least in (len(body), 0):
            value = fill(form, least)
            yield b"length " + value, request([b"Content-Length: " + value], body)
        yield b"two lengths " + form, request([b"Content-Length: 0", b"Content-Length: " + fill(form, len(body))], body)
    yield b"length, blank before the colon", request([b"Content-Length : %d" % len(HIDDEN)], HIDDEN)
    yield b"length after a bare LF", request([b"X: y\nContent-Length: %d" % len(HIDDEN)], HIDDEN)
    yield b"length in a folded line", request([b"Content-Length:\r\n %d" % len(HIDDEN)], HIDDEN)
    for coding in CODINGS:
        yield b"length and " + coding, request([b"Content-Length: %d" % len(CHUNKED_END), coding], CHUNKED_END)
        yield coding + b" and length", request([coding, b"Content-Length: 4"], CHUNK)
        yield coding + b" alone", request([coding], CHUNKED_END)
    for size in SIZES:
        chunk = fill(size, len(HIDDEN)) + b"\r\n" + HIDDEN + b"\r\n0\r\n\r\n"
        yield b"chunk of " + size, request([b"Transfer-Encoding: chunked"], chunk)
        last = fill(size, 0) + b"\r\n\r\n" + HIDDEN
        yield b"last chunk of " + size, request([b"Transfer-Encoding: chunked"], last)
    chunked = [b"Transfer-Encoding: chunked"]
    yield b"a chunk that goes on", request(chunked, b"1\r\nab\r\n0\r\n\r\n" + HIDDEN)
    yield b"a chunk without its end", request(chunked, b"1\r\na0\r\n\r\n" + HIDDEN)
    yield b"trailers", request(chunked, b"0\r\nContent-Length: 9\r\nHost: other\r\n\r\n" + HIDDEN)
    yield b"lines end with LF", request([b"Content-Length: %d" % len(HIDDEN)], HIDDEN, end=b"\n")
    yield b"GET with a body", request([b"Content-Length: %d" % len(HIDDEN)], HIDDEN, method=b"GET")
    yield b"HEAD with a body", request([b"Content-Length: %d" % len(HIDDEN)], HIDDEN, method=b"HEAD")
    yield b"1.0 and chunks", request(chunked, CHUNKED_END, version=b"HTTP/1.0")
    yield b"0.9", request([], HIDDEN, version=b"")
    yield b"expect", request([b"Expect: 100-continue", b"Content-Length: %d" % len(HIDDEN)], HIDDEN)
    yield b"upgrade", request([b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AA"], HIDDEN)
    yield b"connection names the length", request([b"Connection: Content-Length", b"Content-Length: %d" % len(HIDDEN)], HIDDEN)
    yield b"connection names the coding", request([b"Connection: Transfer-Encoding"] + chunked, CHUNKED_END)
    yield b"two hosts", request([b"Host: other", b"Content-Length: %d" % len(HIDDEN)], HIDDEN)


# ---- conversations ----

def exchange(port, data, patience_s=PATIENCE_S):
    """All that comes back, and whether the peer has ended the connection."""
    with socket.create_connection((ADDRESS, port), timeout=5) as s:
        s.settimeout(patience_s)
        got = b""
        try:
            s.sendall(data)
            while True:
                piece = s.recv(65536)
                if not piece:
                    return got, True
                got += piece
        except (ConnectionError, BrokenPipeError):
            return got, True
        except socket.timeout:
            return got, False


def probe(port, name):
    """A request of somebody else: does its own answer come back?"""
    data = b"GET " + TARGET + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nx-ms-client-request-id: " + name + b"\r\n\r\n"
    got, _ = exchange(port, data, 5)
    ids = re.findall(rb"(?im)^x-ms-client-request-id: *(\S*)", got)
    return ids == [name] or (not ids and re.match(rb"HTTP/1\.[01] 50[234]", got) is not None), got


def through(port, count_only=False):
    """Requests after which another's answer was not its own."""
    second = b"GET " + TARGET + b" HTTP/1.1\r\nHost: localhost\r\nx-ms-client-request-id: second\r\n\r\n"
    found = []
    for n, (name, data) in enumerate(payloads()):
        exchange(port, data + second, 0.1)
        for again in range(2):
            ok, got = probe(port, b"probe-%d-%d" % (n, again))
            if not ok:
                found.append(name)
                if not count_only:
                    print(f"WRONG  {name!r}: {got[:300]!r}")
                break
    return found


def alone():
    """Straight to the hub: a 400 is its last word."""
    refused = 0
    wrong = 0
    second = b"GET " + TARGET + b" HTTP/1.1\r\nHost: localhost\r\nx-ms-client-request-id: second\r\n\r\n"
    for name, data in payloads():
        got, ended = exchange(HUB, data + second)
        statuses = re.findall(rb"(?m)^HTTP/1\.1 (\d+)", got)
        if b"400" not in statuses:
            continue
        refused += 1
        if not ended or statuses[-1] != b"400":
            wrong += 1
            print(f"WRONG  {name!r}: {statuses!r}, {'ended' if ended else 'left open'}")
    return refused, wrong


# ---- who takes part ----

def serve_naively(listener):
    """Answers what has a length; of chunks it knows nothing."""
    def talk(s):
        with s:
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    piece = s.recv(65536)
                    if not piece:
                        return
                    data += piece
                head, data = data.split(b"\r\n\r\n", 1)
                length = re.search(rb"(?im)^content-length: *(\d+)", head)
                need = int(length.group(1)) if length else 0
                while len(data) < need:
                    data += s.recv(65536) or b" " * need
                data = data[need:]
                name = re.search(rb"(?im)^x-ms-client-request-id: *(\S*)", head)
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx-ms-client-request-id: %s\r\n\r\n" % (name.group(1) if name else b"-"))

    def quietly(s):
        try:
            talk(s)
        except OSError:
            pass

    while True:
        threading.Thread(target=quietly, args=(listener.accept()[0],), daemon=True).start()


def haproxy(folder, port):
    path = os.path.join(folder, "haproxy.cfg")
    with open(path, "w", encoding="ascii") as f:
        f.write(f"""defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 5s
  http-reuse always
frontend in
  bind {ADDRESS}:{HAPROXY}
  default_backend out
backend out
  server one {ADDRESS}:{port} maxconn 2 pool-max-conn 2
""")
    return subprocess.Popen(["haproxy", "-q", "-db", "-f", path], stderr=subprocess.DEVNULL)


def nginx(folder, port):
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w", encoding="ascii") as f:
        f.write(f"""daemon off; master_process off; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream out {{ server {ADDRESS}:{port}; keepalive 1; }}
  server {{
    listen {ADDRESS}:{NGINX};
    location / {{
      proxy_pass http://out; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host localhost; proxy_request_buffering off; proxy_next_upstream off; proxy_read_timeout 5s;
    }}
  }}
}}
""")
    return subprocess.Popen(["nginx", "-p", folder, "-c", path], stderr=subprocess.DEVNULL)


PROXIES = [("HAProxy", "haproxy", haproxy, HAPROXY, True), ("nginx", "nginx", nginx, NGINX, False)]


def await_port(port):
    for _ in range(200):
        try:
            socket.create_connection((ADDRESS, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nobody listens on port {port}")


def end(process):
    process.send_signal(signal.SIGTERM)
    return process.wait(20)


def behind(start, folder, proxy_port, port):
    process = start(folder, port)
    try:
        await_port(proxy_port)
        return through(proxy_port, port == NAIVE)
    finally:
        end(process)


def main():
    here = [p for p in PROXIES if shutil.which(p[1])]
    if not here:
        print("neither haproxy nor nginx is here")
        return 77
    listener = socket.create_server((ADDRESS, NAIVE))
    threading.Thread(target=serve_naively, args=(listener,), daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        hub = subprocess.Popen([sys.argv[1], "serve", "--data", folder + "/data", "--bind", ADDRESS, "--http", str(HUB), "--https", "0",
                                "--mqtts", "0", "--mqtt", "11883", "--host", "localhost", "--log-level", "error"],
                               stdout=subprocess.DEVNULL)
        await_port(HUB)
        print(f"       {len(list(payloads()))} requests")
        refused, wrong = alone()
        print(f"       {refused} refused with 400")
        verdict(refused > 20 and wrong == 0, "behind a 400 the connection is closed and nothing is answered")
        for name, _, start, port, is_fooled in here:
            found = behind(start, folder, port, HUB)
            verdict(not found, f"behind {name} nobody gets another's answer")
            if is_fooled:
                found = behind(start, folder, port, NAIVE)
                verdict(bool(found), f"behind {name} a back end that knows no chunks is found out")
        verdict(end(hub) == 0, "the hub ends with exit code 0")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
