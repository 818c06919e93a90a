/* https.h — one request, one reply, over TLS: the only home of libcurl.
 *
 * No redirect is followed, only the given CA is trusted (without one: what the system trusts), the
 * path goes out as it is given (`/devices/..` is a device), and a peer has 5 s to be connected to
 * and 30 s to answer in.
 *
 * Units    bytes
 * Memory   https_close frees; the reply's body is the caller's buffer
 * Threads  the owner's
 * Errors   enum https_end, with the reason in `why`
 */
#ifndef CLI_HTTPS_H
#define CLI_HTTPS_H

#include "base/buf.h"

enum { HTTPS_REPLY_MAX = 64 << 20, HTTPS_HEADERS_MAX = 4 };

enum https_end {
    HTTPS_ANSWERED,    /* whatever the status */
    HTTPS_UNREACHABLE, /* nobody there, or no TLS: nothing was sent */
    HTTPS_LOST,        /* no whole answer: what was asked may have been done, or not */
    HTTPS_UNTRUSTED,   /* the certificate is not the CA's or of another name: nothing was sent */
    HTTPS_BAD_CA,      /* the CA file cannot be read */
};

struct https;

struct https_request {
    const char *method, *url;
    const char *headers[HTTPS_HEADERS_MAX]; /* "Name: value"; NULL after the last */
    struct span body;                       /* .data NULL: none */
    const char *ca;                         /* PEM file, or NULL */
    bool direct;                            /* through no proxy */
};

struct https_reply {
    long status;
    char error_code[64]; /* the header iothub-errorcode, or "" */
    struct buf body;
};

/* `scheme` is "https"; tests of libcurl's behaviour without TLS say "http". NULL when libcurl is
 * not installed, or too old. */
struct https *https_open(const char *scheme, struct buf *why);
/* NULL is harmless. */
void https_close(struct https *h);

/* The connection is kept for the next call. *out is overwritten, its body cleared first. */
MUST_USE enum https_end https_call(struct https *h, const struct https_request *request,
                                   struct https_reply *out, struct buf *why);

#endif
