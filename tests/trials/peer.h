/* peer.h — one connection of a trial, well-behaved or not: a blocking socket, plain or over TLS,
 * and the few things that trials say on it. And the good client that must not notice the others.
 *
 * Units    times in ms unless a name says _ns
 * Memory   the peer's own; peer_close frees. What came is in peer.in
 * Threads  one a peer
 * Errors   the peer is `ended`; a machine that fails ends the process
 */
#ifndef TRIALS_PEER_H
#define TRIALS_PEER_H

#include <openssl/ssl.h>

#include "hub.h"
#include "wire/mqtt.h"

struct peer {
    int fd;
    SSL *ssl;      /* NULL: plain */
    struct buf in; /* what came and was not taken */
    bool ended;    /* by the hub */
    bool reset;    /* … with a reset */
    bool frames;   /* after peer_upgrade: peer_send puts frames around */
};

/* Connect to a port of the hub. `from` chooses the source: 127.0.0.1 for 0, else 127.9.0.0 + from,
 * since the hub counts by address. False when the hub does not accept. */
bool peer_dial(struct peer *p, const struct hub *h, uint16_t port, unsigned from);
/* The same and a TLS handshake, the certificate unverified. */
bool peer_dial_tls(struct peer *p, const struct hub *h, uint16_t port, unsigned from);
void peer_close(struct peer *p); /* harmless when closed */

/* All of it, unless the hub ends the connection first: false. */
bool peer_send(struct peer *p, struct span bytes);
bool peer_send_text(struct peer *p, const char *text);
/* Never waits; what does not fit is dropped. */
void peer_try_send(struct peer *p, struct span bytes);
/* Wait for more input; false when none came in time, or the hub has ended the connection. */
bool peer_receive(struct peer *p, int within_ms);
/* Read until the hub ends the connection: the time that took, or -1. */
int64_t peer_wait_end(struct peer *p, int within_ms);
/* Read what there is, without waiting; sees the end. */
void peer_drain(struct peer *p);

/* ── MQTT ── */

struct login_as {
    const char *device, *module; /* module NULL: none */
    int64_t expiry_s;            /* of the token; 0: an hour from now */
    unsigned keep_alive_s;
    struct span key; /* empty: device_key of the identity */
    bool clean;
};
/* Send CONNECT; comes back with the CONNACK's code, -1 when the hub ended the connection. */
int peer_login(struct peer *p, const struct login_as *who);
void put_login(struct buf *out, const struct login_as *who);
/* SUBSCRIBE to twin answers and desired patches, and wait for SUBACK. */
bool peer_subscribe(struct peer *p);
/* The next whole packet; true while there is one. Its body is good until the next call. */
bool peer_packet(struct peer *p, struct mqtt_packet *out, int within_ms);
/* A reported patch, and its answer's status: 204, or -1 without one. */
int peer_report(struct peer *p, const char *patch, int within_ms);

/* ── HTTP ── */

/* Upgrade to MQTT over WebSocket. */
bool peer_upgrade(struct peer *p);
/* Put a masked frame with this first byte around a payload. */
void put_frame(struct buf *out, uint8_t first, struct span payload);
/* The status of the response that came, or -1. */
int peer_http_status(struct peer *p, int within_ms);

/* ── the good client ── */

struct good {
    struct hub *hub;
    struct peer device;
    struct service service;
    int64_t *took_ns; /* of each round trip */
    size_t count, room;
    unsigned failed;
};

void good_init(struct good *g, struct hub *h); /* creates the device "good" */
void good_fini(struct good *g);
/* One reported patch and one desired patch, each answered. */
void good_round(struct good *g);
/* Rounds for so long, with pauses. */
void good_run(struct good *g, int64_t ms);
/* p99 of the round trips since the last call, in ms; forgets them. */
double good_p99_ms(struct good *g);

#endif
