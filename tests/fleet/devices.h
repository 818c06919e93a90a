/* devices.h — many devices in one process: MQTT connections on one epoll, plain or over TLS.
 *
 * Device number n has the id prefix + six digits and a key that follows from its id (device_key),
 * so whoever creates it need not read anything back. A device connects, sends CONNECT with a SAS
 * token, subscribes to its twin topics, and from then on each packet goes to on_packet. Nothing
 * reconnects by itself.
 *
 *   DEVICE_OFF ──► DEVICE_TCP ──► DEVICE_TLS ──► DEVICE_CONNECT ──► DEVICE_SUBSCRIBE ──►
 * DEVICE_READY ▲             (without TLS, and without subscribing, the state is skipped) │
 *       └────────────────────────── closed, by us or by the peer ─────────────────────────────┘
 *
 * Units    times in ns of the monotonic clock (devices_now), unless a name says _ms or _s
 * Memory   devices belong to the struct devices; a packet is good until on_packet returns
 * Threads  one
 * Errors   a machine that fails ends the process with one line; a peer that fails is on_closed
 * Source   spec mqtt 2, 4, 7; device-auth 1
 */
#ifndef FLEET_DEVICES_H
#define FLEET_DEVICES_H

#include <netinet/in.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "wire/mqtt.h"

enum device_state {
    DEVICE_OFF,
    DEVICE_TCP,
    DEVICE_TLS,
    DEVICE_CONNECT,
    DEVICE_SUBSCRIBE,
    DEVICE_READY,
};

struct devices;

struct device {
    struct devices *of;
    uint32_t index;
    enum device_state state;
    int fd;
    bool paused;             /* its socket is not read */
    bool silent;             /* it sends no pings */
    bool wants_write, inbox; /* private: waiting for room; input left over in OpenSSL */
    SSL *ssl;
    SSL_SESSION *ticket; /* private: of the last connection, with config.resume */
    struct buf in, out;  /* private; `out` by device_out */
    int64_t due_ns;      /* private: connect then; INT64_MAX: not asked for */
    int64_t began_ns;    /* when the last connect began */
    int64_t sent_ns;     /* the last time it wrote */
};

struct devices_config {
    struct sockaddr_in to;
    const char *host;   /* in user names and tokens */
    const char *prefix; /* of ids; at most 16 characters */
    uint32_t count;
    uint32_t among; /* their numbers are spread evenly over this many; 0: 0, 1, 2, … */
    bool tls;
    bool resume;           /* offer the last session's ticket */
    bool clean;            /* CleanSession */
    bool subscribe;        /* to twin responses and desired patches */
    unsigned keep_alive_s; /* 0: none; a ping is sent after half of it */
    int receive_bytes;     /* SO_RCVBUF; 0: the system's */
    unsigned at_once;      /* connections being made at a time; 0: no limit */
    void (*on_ready)(void *ctx, struct device *d);
    void (*on_packet)(void *ctx, struct device *d, const struct mqtt_packet *p);
    void (*on_closed)(void *ctx, struct device *d, const char *why); /* by the peer only */
    void *ctx;
};

int64_t devices_now(void);

/* The id of a device, with its NUL. */
void device_id(const char *prefix, uint32_t index, char out[32]);
/* Its key: 32 bytes made of the id. Not secret, so for tests only. */
void device_key(const char *id, uint8_t out[32]);

/* Also ignores SIGPIPE for the process. */
struct devices *devices_create(const struct devices_config *config);
void devices_destroy(struct devices *all); /* closes without a word */

struct device *devices_at(struct devices *all, uint32_t index);
size_t devices_ready(const struct devices *all);     /* how many are DEVICE_READY */
size_t devices_under_way(const struct devices *all); /* connecting, or asked to */
uint64_t devices_resumed(const struct devices *all); /* handshakes so far that a ticket cut short */
uint32_t device_number(const struct device *d);      /* in its id */

/* Connect that device, `after_ms` from now at the earliest. It must be DEVICE_OFF. */
void device_connect(struct device *d, int64_t after_ms);
/* Close without DISCONNECT; on_closed is not called. Harmless when off. */
void device_close(struct device *d);
/* Stop or go on reading its socket. */
void device_pause(struct device *d, bool paused);
/* Append packets here, then device_flush; what on_packet appended is flushed when all packets that
 * came with it have been seen. Only from DEVICE_CONNECT on. */
struct buf *device_out(struct device *d);
void device_flush(struct device *d);

/* One round: connects and pings that are due, then what the sockets have, waiting at most
 * `wait_ms` for something. */
void devices_turn(struct devices *all, int wait_ms);

#endif
