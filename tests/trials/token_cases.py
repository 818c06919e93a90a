#!/usr/bin/env python3
"""Tokens for a running hub, with the verdict they deserve (trials F28).

Takes generator and judge from ../auth/sas_oracle.py, sets their clock to now, and writes lines of
tab-separated fields, texts in hex:

    I  DEVICE MODULE KIND KEY1 KEY2         an identity to create
    C  NAME TOKEN DEVICE MODULE VERDICT     a token, for whom, and REFUSED, IDENTITY or OWNER

Of the policies only iothubowner's primary key is the hub's; cases whose verdict hangs on another,
or on the second they are tried in, are left out.

    token_cases.py OWNER_KEY_BASE64 COUNT [SEED]
"""
import base64
import pathlib
import sys
import time

PATIENCE_S = 300  # how long the cases stay right

source = (pathlib.Path(__file__).parent.parent / "auth" / "sas_oracle.py").read_text()
oracle = {}
exec(source.rpartition("\nmain()")[0], oracle)
now_s = int(time.time())
oracle["NOW_S"] = now_s


def line(*fields):
    print("\t".join(f if isinstance(f, str) else f.hex() or "-" for f in fields))


def verdict(token, device, module):
    """REFUSED, IDENTITY, OWNER, or None where it depends on what the hub does not share."""
    seen = {oracle["judge"](token, device, module, False, (now_s + at) * 1000) for at in (0, PATIENCE_S)}
    if len(seen) > 1:
        return None
    was = seen.pop()
    if was == "POLICY_0" and b"iothubowner" in oracle["unescape"](token):
        return "OWNER"
    if was.startswith("POLICY"):
        return None
    return "REFUSED" if was == "REFUSED" else "IDENTITY"


def main():
    owner, count = base64.b64decode(sys.argv[1]), int(sys.argv[2])
    oracle["POLICIES"]["iothubowner"][1][0] = owner
    for (device, module), (kind, keys) in oracle["IDENTITIES"].items():
        if kind == "SAS" and module != "$edgeHub":
            line("I", device.encode(), module.encode(), kind, keys[0], keys[1])
    maker = oracle["Maker"](int(sys.argv[3]) if len(sys.argv) > 3 else now_s)
    made = i = 0
    while made < count:
        kind = oracle["KINDS"][i % len(oracle["KINDS"])]
        i += 1
        token, device, module, _, _ = getattr(maker, kind)()
        token = token.encode("latin-1")
        want = verdict(token, device, module)
        known = not device or oracle["IDENTITIES"].get((device, module), ("NONE",))[0] == "SAS"
        if want is None or (not known and want != "REFUSED") or module == "$edgeHub":
            continue
        line("C", f"{i} {kind}", token, device.encode(), module.encode(), want)
        made += 1


main()
