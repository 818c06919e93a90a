/* credentials.h — keys, tokens and certificates by name, made without the code under test.
 *
 * A key is the SHA-256 of its owner's name and its slot, so a transcript needs no registry to know
 * one: "d1:primary", "d1/m1:secondary". Tokens are signed here with libcrypto's HMAC.
 *
 * A token's text: WHO[:secondary][,change...]
 *   WHO        d1, d1/m1, policy:NAME
 *   se=N       expires in N seconds (default 3600)
 *   at=PATH    resource {host}/PATH instead of the owner's own; at= for the host alone
 *   host=NAME  the host in it
 *   sr=TEXT    the resource exactly as sent
 *   twice      ids encoded twice (C#)
 *   lower      the encoded resource in lower case, escapes too (Java, identity service)
 *   key=WHO:SLOT   signed with this key
 *   skn=NAME   names this policy
 *   sig=TEXT   this signature, as sent
 *
 * Memory   certs_fini frees
 * Threads  one
 */
#ifndef TRANSCRIPTS_CREDENTIALS_H
#define TRANSCRIPTS_CREDENTIALS_H

#include "auth/test_certs.h"
#include "base/buf.h"
#include "world.h"

enum { CERTS_MAX = 8 };

/* When transcripts begin, wall_ms: 2026-03-04T10:20:30.5Z. */
#define CREDENTIALS_START_MS 1772619630500LL

struct certs {
    size_t count;
    struct named_cert {
        char name[32];
        struct test_cert cert;
    } at[CERTS_MAX];
};

/* 32 bytes. */
void key_bytes(uint8_t out[32], struct span who, struct span slot);
/* base64; `name` is "WHO:SLOT". */
void key_put(struct buf *out, struct span name);
/* `"authentication":{…}` with both keys of `who`. */
void sas_json_put(struct buf *out, struct span who);
/* Register `who` (d1, d1/m1) with them. */
void identity_put(struct world *w, const char *who);
/* A token from parts: the resource as sent, a key, the expiry, a policy (empty: none). */
void token_sign(struct buf *out, struct span resource, struct span key, int64_t expiry_s,
                struct span policy);
/* A token from its text. */
void token_put(struct buf *out, struct span text, const struct world *w);

/* "name cn=d1 [ca=NAME] [from=DAYS] [to=DAYS] [authority]" around the world's now. */
void cert_make(struct certs *certs, struct span text, const struct world *w);
/* There must be one of this name. */
const struct test_cert *cert_get(const struct certs *certs, struct span name);
/* SHA-256 in hex. */
void thumbprint_put(struct buf *out, const struct test_cert *cert);
void certs_fini(struct certs *certs);

#endif
