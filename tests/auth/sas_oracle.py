#!/usr/bin/env python3
"""Shared access signatures with the verdict they deserve (trials F28).

Writes C rows: a world of identities and policies, then seeded cases. Each case is made by a
generator that knows what it made (`want`), and judged from its text alone by `judge`, which is
written from spec/device-auth.md 1 and spec/service-rest.md 5.1 and shares nothing with src/auth.
The two must agree before the case is written.

    sas_oracle.py COUNT [SEED] > cases.inc
"""
import base64
import hashlib
import hmac
import random
import re
import sys
from urllib.parse import quote

HOSTS = ["hub.example.test", "Hub-2.local"]
NOW_S = 1_800_000_000
SKEW_S = 300
RR, RW, SC, DC = 1, 3, 4, 8


def key_of(text):
    return hashlib.sha256(("key of " + text).encode()).digest()


def pair(name, lengths=(32, 32)):
    return [(key_of(f"{name} {slot}") * 2)[:n] for slot, n in enumerate(lengths)]


IDENTITIES = {  # (device, module) -> (kind, keys)
    ("dev1", ""): ("SAS", pair("dev1")),
    ("DEV1", ""): ("SAS", pair("DEV1")),
    ("dev1", "sampler"): ("SAS", pair("dev1/sampler")),
    ("dev1", "$edgeHub"): ("SAS", pair("dev1/edge", (16, 64))),
    ("dev2", ""): ("SAS", pair("dev2", (64, 16))),
    ("dev2", "sampler"): ("SAS", pair("dev2/sampler")),
    ("a#b+c:(1)", ""): ("SAS", pair("special")),
    ("a#b+c:(1)", "m;=@?"): ("SAS", pair("special module")),
    ("p%41q", ""): ("SAS", pair("percent")),
    ("certified", ""): ("THUMBPRINT", pair("certified")),
    ("chained", ""): ("CA", pair("chained")),
    ("dev2", "keyless"): ("NONE", pair("keyless")),
}
UNKNOWN = [("ghost", ""), ("dev1", "ghost"), ("ghost", "sampler")]
POLICIES = {
    "iothubowner": (RW | SC | DC, pair("owner")),
    "device": (DC, pair("device")),
    "service": (SC, pair("service")),
    "read.only_@-": (RR, pair("read")),
}


# ---- the judge: the specification, once more -------------------------------------------------


def unescape(raw):
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), raw)


def places(sr):
    """Every reading of a resource: (host, device, module), by level; device-auth 1.2, 1.3."""
    seen = []
    for text in (sr, unescape(sr), unescape(unescape(sr))):
        if text in seen:
            continue
        seen.append(text)
        parts = (text[:-1] if text.endswith(b"/") else text).split(b"/")
        host = re.sub(rb"(?<=.):[0-9]{1,5}$", b"", parts[0], flags=re.S)
        words = [p.lower() for p in parts[1::2]]
        if b"" in parts or words != [b"devices", b"modules"][: len(words)]:
            continue
        if len(parts) in (1, 2, 3, 5):
            yield len(parts), host.lower(), parts[2::2]


def lower(ids):
    return [i.lower() for i in ids]


def judge(token, device, module, parent, now_ms):
    m = re.fullmatch(rb"sharedaccesssignature[ \t\n\v\f\r](.*)", token, re.I | re.S)
    if not m or len(token) > 4096:
        return "REFUSED"
    fields = {}
    parts = m[1].split(b"&")
    if len(parts) > 16:
        return "REFUSED"
    for part in filter(None, parts):
        name, _, value = part.partition(b"=")
        if name.lower() in fields:
            return "REFUSED"
        fields[name.lower()] = value
    sr, se = fields.get(b"sr", b""), fields.get(b"se", b"")
    if not sr or len(sr) > 2048 or len(se) > 64 or not re.fullmatch(rb"[0-9]+(\.[0-9]+)?", se):
        return "REFUSED"
    sig_text = unescape(fields.get(b"sig", b"")).replace(b" ", b"+")
    try:
        sig = base64.b64decode(sig_text, validate=True)
    except ValueError:
        return "REFUSED"
    if len(sig) != 32 or base64.b64encode(sig) != sig_text:
        return "REFUSED"
    skn = unescape(fields.get(b"skn", b""))

    asked = [i.encode() for i in (device, module) if i]
    depths = set()
    for depth, host, ids in places(sr):
        if host in [h.lower().encode() for h in HOSTS] and lower(asked[: len(ids)]) == lower(ids):
            depths.add(depth)
    if not depths or int(se.split(b".")[0]) * 1000 + SKEW_S * 1000 < now_ms:
        return "REFUSED"
    depth = min(depths)
    if skn:
        keys, label = POLICIES.get(skn.decode("latin-1"), (0, []))[1], "POLICY"
    else:
        if depth == 5:
            who = (device, module)
        elif depth == 3 and (not module or parent):
            who = (device, "")
        else:
            return "REFUSED"
        kind, keys = IDENTITIES.get(who, ("SAS", []))
        if kind != "SAS":
            return "REFUSED"
        label = "MODULE" if who[1] else "DEVICE"
    for slot, key in enumerate(keys):
        if hmac.new(key, sr + b"\n" + se, "sha256").digest() == sig:
            return f"{label}_{slot}"
    return "REFUSED"


# ---- how clients write (device-auth 1.2) -----------------------------------------------------


def full(text):
    return quote(text, safe="")


def plain_path(d, m):
    return f"/devices/{d}" + (f"/modules/{m}" if m else "")


STYLES = {
    "node": lambda h, d, m: full(h + plain_path(full(d), full(m))),
    "python": lambda h, d, m: full(h + plain_path(d, m)),
    "c raw": lambda h, d, m: h + plain_path(d, m),
    "csharp": lambda h, d, m: full(h + plain_path(full(d), full(m))),
    "java": lambda h, d, m: h + plain_path(full(d), full(m)),
    "java, lower case": lambda h, d, m: (h + plain_path(full(d), full(m))).lower(),
    "lower-case hex": lambda h, d, m: re.sub(
        "%..", lambda x: x[0].lower(), full(h + plain_path(full(d), full(m)))),
    "upper case": lambda h, d, m: full((h + plain_path(d, m)).upper()),
}


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def identity(self, kinds=("SAS",)):
        return self.r.choice([i for i, (kind, _) in IDENTITIES.items() if kind in kinds])

    def host(self):
        host = self.r.choice(HOSTS)
        return self.r.choice([host, host.lower(), host.upper()])

    def sr(self, d, m):
        return self.r.choice(list(STYLES.values()))(self.host(), d, m)

    def se(self):
        whole = NOW_S + self.r.choice([-SKEW_S, -1, 0, 1, 60, 3600, 10**7, 10**12, 10**30])
        return str(whole) + self.r.choice(["", "", "", ".0", ".987654321"])

    def sign(self, sr, se, key):
        digest = hmac.new(key, f"{sr}\n{se}".encode("latin-1"), "sha256").digest()
        return base64.b64encode(digest).decode()

    def sig_text(self, sig):
        forms = [full(sig), quote(sig, safe="/"), sig, sig.replace("+", " "),
                 re.sub("%..", lambda x: x[0].lower(), full(sig))]
        return self.r.choice(forms)

    def token(self, fields, word="SharedAccessSignature", blank=" "):
        fields = list(fields)
        if self.r.random() < 0.5:
            self.r.shuffle(fields)
        name = self.r.choice([str, str, str.upper, str.title])
        return word + blank + "&".join(f"{name(k)}={v}" for k, v in fields)

    def fields(self, sr, se, key, skn=None):
        made = [("sr", sr), ("sig", self.sig_text(self.sign(sr, se, key))), ("se", se)]
        if skn is not None:
            made.append(("skn", skn))
        return made

    def own(self):
        """A right token of an identity: its case, and the fields to spoil."""
        d, m = self.identity()
        slot = self.r.randrange(2)
        fields = self.fields(self.sr(d, m), self.se(), IDENTITIES[d, m][1][slot])
        if self.r.random() < 0.2:
            fields.append(("skn", ""))
        return d, m, slot, fields

    # Each returns (token, device, module, parent, want); want None: only the judge decides.

    def right_key(self):
        d, m, slot, fields = self.own()
        if self.r.random() < 0.3:
            fields.append((self.r.choice(["x", "sigg", "api-version", "s"]), "1"))
        word = self.r.choice(["SharedAccessSignature", "sharedaccesssignature"])
        want = f"{'MODULE' if m else 'DEVICE'}_{slot}"
        return self.token(fields, word, self.r.choice(" \t")), d, m, self.r.random() < 0.5, want

    def right_policy(self):
        d, m = self.r.choice(list(IDENTITIES) + UNKNOWN + [("", "")])
        name = self.r.choice(list(POLICIES))
        slot = self.r.randrange(2)
        host = self.host()
        srs = [host, host + "/", f"{host}:443", host + "/devices", full(host + "/devices/")]
        if d:
            srs.append(self.sr(d, ""))
        if m:
            srs.append(self.sr(d, m))
        fields = self.fields(self.r.choice(srs), self.se(), POLICIES[name][1][slot],
                             self.r.choice([name, full(name), "".join(f"%{ord(c):02x}" for c in name)]))
        return self.token(fields), d, m, False, f"POLICY_{slot}"

    def port_and_slash(self):
        d, m = self.identity()
        host = self.host() + self.r.choice([":443", ":8883", ":65535", ""])
        sr = host + plain_path(full(d), full(m)) + self.r.choice(["/", ""])
        sr = self.r.choice([sr, full(sr)])
        want = f"{'MODULE' if m else 'DEVICE'}_0"
        return self.token(self.fields(sr, self.se(), IDENTITIES[d, m][1][0])), d, m, False, want

    def wrong_key(self):
        d, m = self.identity()
        others = [k for i, (_, keys) in IDENTITIES.items() if i != (d, m) for k in keys]
        others += [k for _, keys in POLICIES.values() for k in keys] + [bytes(32), b"\0"]
        fields = self.fields(self.sr(d, m), self.se(), self.r.choice(others))
        return self.token(fields), d, m, self.r.random() < 0.5, "REFUSED"

    def expired(self):
        d, m = self.identity()
        se = self.r.choice([NOW_S - SKEW_S - 1, NOW_S - 3600, 0, 1])
        fields = self.fields(self.sr(d, m), self.r.choice([str(se), f"{se}.999"]), IDENTITIES[d, m][1][0])
        return self.token(fields), d, m, False, "REFUSED"

    def bad_expiry(self):
        d, m = self.identity()
        se = self.r.choice(["", "-1", "1e12", "0x7fffffff", "2000000000 ", " 2000000000", "2000000000.",
                            ".5", "2000000000.5.5", "never", "20000000%30%30", "+2000000000",
                            "2" * 65, "1,000", "\u0662"])
        se = se.encode().decode("latin-1")
        return self.token(self.fields(self.sr(d, m), se, IDENTITIES[d, m][1][0])), d, m, False, "REFUSED"

    def expiry_changed(self):
        d, m, _, fields = self.own()
        fields = [(k, v + self.r.choice(["0", ".0", ".5"])) if k == "se" else (k, v) for k, v in fields]
        fields = [(k, v) for k, v in fields]
        return self.token(fields), d, m, False, "REFUSED"

    def resource_changed(self):
        """The same place, spelt another way than what was signed."""
        d, m = self.identity()
        se = self.se()
        spelt = sorted({make("hub.example.test", d, m) for make in STYLES.values()})
        signed, sent = self.r.sample(spelt, 2)
        fields = [("sr", sent), ("sig", full(self.sign(signed, se, IDENTITIES[d, m][1][0]))), ("se", se)]
        return self.token(fields), d, m, False, "REFUSED"

    def other_identity(self):
        """A token of one identity on the connection of another."""
        mine, theirs = self.r.sample([i for i in IDENTITIES], 2)
        fields = self.fields(self.sr(*mine), self.se(), IDENTITIES[mine][1][0])
        parent = self.r.random() < 0.5
        owner = parent and mine[0] == theirs[0] and not mine[1] and IDENTITIES[mine][0] == "SAS"
        return self.token(fields), *theirs, parent, "DEVICE_0" if owner else "REFUSED"

    def case_twin(self):
        """dev1 and DEV1 have each its key: the scope ignores case, the key does not."""
        mine, theirs = self.r.sample(["dev1", "DEV1"], 2)
        fields = self.fields(self.sr(mine, ""), self.se(), IDENTITIES[mine, ""][1][0])
        return self.token(fields), theirs, "", False, "REFUSED"

    def other_hub(self):
        d, m = self.identity()
        host = self.r.choice(["other.example.test", "hub.example.tes", "xhub.example.test", "hub",
                              "hub.example.test.", "hub.example.test:x", "hub.example.test:123456",
                              "https://hub.example.test", ":443", "hub.example.test:", "hub.example.test\0"])
        sr = self.r.choice(list(STYLES.values()))(host, d, m)
        return self.token(self.fields(sr, self.se(), IDENTITIES[d, m][1][0])), d, m, False, "REFUSED"

    def bad_place(self):
        d, m = self.identity()
        h = "hub.example.test"
        sr = self.r.choice([
            f"{h}/{d}", f"{h}/device/{d}", f"{h}/devices/{d}/modules", f"{h}//devices/{d}",
            f"{h}/devices/{d}//", f"{h}/devices/{d}/module/{m}", f"/devices/{d}", f"devices/{d}",
            f"{h}/devices/{d}/modules/{m}/x", f"{h}/twins/{d}", f"{h}/devices/{d}x",
            f"{h}/devices/{d[:-1]}", h, f"{h}/devices", "/", f"{h}/devices/{d}/modules/{m}x",
            f"{h}/devices/{d}\0", f"{h}/messages/events"])
        sr = self.r.choice([sr, full(sr), full(full(sr))])
        return self.token(self.fields(sr, self.se(), IDENTITIES[d, m][1][0])), d, m, False, "REFUSED"

    def encoded_three_times(self):
        d, m = self.identity()
        sr = full(full(full(f"hub.example.test{plain_path(d, m)}")))
        return self.token(self.fields(sr, self.se(), IDENTITIES[d, m][1][0])), d, m, False, "REFUSED"

    def device_on_module(self):
        d, m = self.r.choice([i for i in IDENTITIES if i[1]] + [("dev1", "ghost")])
        parent = self.r.random() < 0.5
        fields = self.fields(self.sr(d, ""), self.se(), IDENTITIES[d, ""][1][1])
        return self.token(fields), d, m, parent, "DEVICE_1" if parent else "REFUSED"

    def device_key_module_resource(self):
        d, m = self.r.choice([i for i in IDENTITIES if i[1]])
        fields = self.fields(self.sr(d, m), self.se(), IDENTITIES[d, ""][1][0])
        return self.token(fields), d, m, True, "REFUSED"

    def module_on_device(self):
        d, m = self.r.choice([i for i in IDENTITIES if i[1]])
        fields = self.fields(self.sr(d, m), self.se(), IDENTITIES[d, m][1][0])
        return self.token(fields), d, "", False, "REFUSED"

    def unknown(self):
        d, m = self.r.choice(UNKNOWN)
        key = self.r.choice([bytes(32), key_of("any"), IDENTITIES["dev1", ""][1][0]])
        return self.token(self.fields(self.sr(d, m), self.se(), key)), d, m, False, "REFUSED"

    def wrong_kind(self):
        d, m = self.identity(("THUMBPRINT", "CA", "NONE"))
        fields = self.fields(self.sr(d, m), self.se(), IDENTITIES[d, m][1][0])
        return self.token(fields), d, m, False, "REFUSED"

    def empty_sig(self):
        d, m, _, fields = self.own()
        fields = [(k, "" if k == "sig" else v) for k, v in fields]
        return self.token(fields), d, m, False, "REFUSED"

    def cut_sig(self):
        d, m = self.identity()
        sr, se = self.sr(d, m), self.se()
        sig = self.sign(sr, se, IDENTITIES[d, m][1][0])
        cut = self.r.choice([sig[: self.r.randrange(1, 44)], sig[:-1], sig + "=", sig + "AAAA", sig[1:],
                             sig.replace("=", "%3"), "*" + sig[1:], full(full(sig)), sig[:-1] + "%00",
                             base64.b64encode(base64.b64decode(sig)[:31]).decode(),
                             base64.b64encode(base64.b64decode(sig) + b"x").decode()])
        return self.token([("sr", sr), ("sig", cut), ("se", se)]), d, m, False, "REFUSED"

    def stray_bits(self):
        """Other base64 text of the same 32 bytes: refused, one signature has one text."""
        d, m = self.identity()
        sr, se = self.sr(d, m), self.se()
        sig = self.sign(sr, se, IDENTITIES[d, m][1][0])
        digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        stray = digits[digits.index(sig[42]) + self.r.randrange(1, 4)]
        return self.token([("sr", sr), ("sig", full(sig[:42] + stray + "=")), ("se", se)]), d, m, False, "REFUSED"

    def flipped_sig(self):
        d, m = self.identity()
        sr, se = self.sr(d, m), self.se()
        sig = bytearray(base64.b64decode(self.sign(sr, se, IDENTITIES[d, m][1][1])))
        sig[self.r.choice([0, 31, self.r.randrange(32)])] ^= 1 << self.r.randrange(8)
        return (self.token([("sr", sr), ("sig", full(base64.b64encode(bytes(sig)).decode())), ("se", se)]),
                d, m, False, "REFUSED")

    def policy_mismatch(self):
        """A policy's name with another policy's key, an identity's key, or no such name."""
        d, m = self.identity()
        name, other = self.r.sample(list(POLICIES), 2)
        key = self.r.choice([POLICIES[other][1][0], IDENTITIES[d, m][1][0]])
        if self.r.random() < 0.4:
            name, key = self.r.choice([name.upper(), name + "x", "%20" + name, "x" * 64, "x" * 65,
                                       name + "%00"]), POLICIES[name][1][0]
        return self.token(self.fields(self.sr(d, m), self.se(), key, name)), d, m, False, "REFUSED"

    def policy_key_without_name(self):
        d, m = self.identity()
        key = self.r.choice(list(POLICIES.values()))[1][0]
        skn = self.r.choice([None, ""])
        return self.token(self.fields(self.sr(d, m), self.se(), key, skn)), d, m, False, "REFUSED"

    def policy_out_of_scope(self):
        mine, theirs = self.r.sample([("dev1", ""), ("dev2", ""), ("dev2", "sampler"), ("ghost", "")], 2)
        if mine == ("dev2", "") and theirs[0] == "dev2":
            theirs = ("", "")
        name = self.r.choice(list(POLICIES))
        fields = self.fields(self.sr(*mine), self.se(), POLICIES[name][1][0], name)
        return self.token(fields), *theirs, False, "REFUSED"

    def key_on_hub(self):
        d, m, _, fields = self.own()
        return self.token(fields), "", "", False, "REFUSED"

    def repeated_field(self):
        d, m, _, fields = self.own()
        again = self.r.choice(fields + [("x", "1")])
        if again[0] == "x":
            fields.append(again)
        fields.append((self.r.choice([again[0], again[0].upper()]), self.r.choice([again[1], "", "1"])))
        return self.token(fields), d, m, False, "REFUSED"

    def missing_field(self):
        d, m, _, fields = self.own()
        gone = self.r.choice(["sr", "sig", "se"])
        return self.token([f for f in fields if f[0] != gone]), d, m, False, "REFUSED"

    def many_fields(self):
        d, m, slot, fields = self.own()
        fields = [f for f in fields if f[0] != "skn"] + [(f"x{i}", "1") for i in range(13)]
        if self.r.random() < 0.5:
            fields.append(("y", "1"))
            return self.token(fields), d, m, False, "REFUSED"
        return self.token(fields), d, m, False, f"{'MODULE' if m else 'DEVICE'}_{slot}"

    def too_long(self):
        d, m, _, fields = self.own()
        if self.r.random() < 0.5:
            fields.append(("x", "y" * 4096))
        else:
            key = IDENTITIES[d, m][1][0]
            fields = self.fields("hub.example.test/devices/" + "%25" * 700, self.se(), key)
        return self.token(fields), d, m, False, "REFUSED"

    def bad_word(self):
        d, m, _, fields = self.own()
        word, blank = self.r.choice([("SharedAccessSignature", ""), ("SharedAccessSignature", "  "),
                                     ("Bearer", " "), ("", ""), (" SharedAccessSignature", " "),
                                     ("SharedAccessSignatur", " "), ("SharedAccessSignature", "\0"),
                                     ("SharedAccessSignature", "=")])
        random_state = self.r.getstate()
        token = self.token(fields, word, blank)
        if blank == "  ":  # the second blank becomes part of the first field's name
            self.r.setstate(random_state)
            token = word + blank + "&".join(f"{k}={v}" for k, v in fields if k in ("sr", "sig", "se"))
        return token, d, m, False, "REFUSED"

    def noise(self):
        """One byte changed, removed or added anywhere: only the judge knows."""
        d, m, _, fields = self.own()
        token = self.token(fields)
        at = self.r.randrange(len(token))
        byte = chr(self.r.choice([self.r.randrange(256), ord("%"), ord("&"), ord("="), ord("/")]))
        token = self.r.choice([token[:at] + byte + token[at + 1:], token[:at] + token[at + 1:],
                               token[:at] + byte + token[at:], token[:at]])
        return token, d, m, False, None


KINDS = [name for name in vars(Maker) if name not in
         ("identity", "host", "sr", "se", "sign", "sig_text", "token", "fields", "own")
         and not name.startswith("_")]
KINDS += 6 * ["right_key", "right_policy", "port_and_slash"]  # so that a third is accepted


def c_text(raw):
    safe = b"".join(bytes([b]) if 32 <= b < 127 and b not in b'"\\?' else b"\\%03o" % b for b in raw)
    return f'T("{safe.decode()}")'


def main():
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 28
    maker = Maker(seed)
    b64 = lambda key: base64.b64encode(key).decode()
    print("#ifdef IDENTITY")
    for (d, m), (kind, keys) in IDENTITIES.items():
        print(f"IDENTITY({c_text(d.encode())}, {c_text(m.encode())}, {kind}, T(\"{b64(keys[0])}\"), T(\"{b64(keys[1])}\")),")
    print("#endif\n#ifdef POLICY")
    for name, (rights, keys) in POLICIES.items():
        print(f"POLICY({c_text(name.encode())}, {rights}, T(\"{b64(keys[0])}\"), T(\"{b64(keys[1])}\")),")
    print("#endif\n#ifdef CASE")
    for i in range(count):
        kind = KINDS[i % len(KINDS)]
        token, d, m, parent, want = getattr(maker, kind)()
        token = token.encode("latin-1")
        verdict = judge(token, d, m, parent, NOW_S * 1000)
        if want not in (None, verdict):
            sys.exit(f"{kind}: made to be {want}, judged {verdict}: {token!r} for {d}/{m} parent={parent}")
        print(f'CASE("{i} {kind.replace("_", " ")}", {c_text(token)}, {c_text(d.encode())}, '
              f"{c_text(m.encode())}, {str(parent).lower()}, {verdict}),")
    print("#endif")


main()
