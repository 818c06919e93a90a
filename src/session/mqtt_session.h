/* mqtt_session.h — one MQTT connection: packets to actions, outcomes to packets.
 *
 *            CONNECT: ACT_LOGIN            mqtt_session_open
 *   M_NEW ───────────────────► M_LOGIN ───────────────────► M_OPEN
 *     └── refusal ──► M_CLOSED ◄── refused ──┘                 │
 *                        ▲──── DISCONNECT, refusal, silence ───┘
 *
 * Each packet becomes one action. The caller carries it out (asks the hub, counts telemetry), and
 * then has the answer written by mqtt_session_answer. Nothing here knows sockets or durability: the
 * caller holds what was written until the outcome it shows is durable.
 *
 * Units    times by struct now, keep-alive in ms
 * Memory   a session owns its filters and its will; actions borrow from the packet and the arena
 * Threads  the shard's
 * Errors   any status but OK closes the connection, without a packet
 * Source   spec mqtt 2-7, 11; OASIS MQTT 3.1.1
 */
#ifndef SESSION_MQTT_SESSION_H
#define SESSION_MQTT_SESSION_H

#include "auth/route.h"
#include "base/arena.h"
#include "base/buf.h"
#include "hub/hub.h"
#include "notify/subscriptions.h"
#include "session/login.h"
#include "wire/mqtt.h"

enum mqtt_state { M_NEW, M_LOGIN, M_OPEN, M_CLOSED };

enum {
    MQTT_PACKET_MAX = 262144 + 65535 + 16, /* a 256 KiB message behind the longest topic */
    MQTT_MESSAGE_MAX = 262144,             /* payload and properties */
    MQTT_FILTER_MAX = 1024, /* a longer filter is not granted: sessions are kept in records */
    MQTT_SILENCE_MAX_MS = 1767000, /* 2.6 */
    MQTT_CONNECT_MS = 30000,       /* 2.1 */
};

struct mqtt_session {
    enum mqtt_state state;
    bool clean;
    bool has_will;
    int64_t silence_ms;  /* how long the client may be silent */
    unsigned deliveries; /* topic_delivery bits of all filters */
    struct buf stored;   /* notify/subscriptions.h */
};

enum mqtt_act {
    ACT_NONE,  /* nothing, or what was written to `now_out` */
    ACT_PING,  /* PINGRESP was written: it may pass what is held */
    ACT_LOGIN, /* login is filled: decide, then mqtt_session_open or _refuse */
    ACT_OP,    /* ask the hub, then mqtt_session_answer */
    ACT_EVENT, /* telemetry: count it, then mqtt_session_answer with an OK outcome */
    ACT_BYE,   /* DISCONNECT: close */
};

struct mqtt_action {
    enum mqtt_act act;
    uint8_t type;                         /* the packet's */
    uint16_t packet_id;                   /* to acknowledge; 0: nothing */
    struct span rid;                      /* to answer; empty: no answer */
    struct op op;                         /* ACT_OP; its ids are those of `who` */
    struct login login;                   /* ACT_LOGIN */
    const char *reason;                   /* of a refusal, for the log */
    uint8_t codes[SUBSCRIPTIONS_MAX * 4]; /* SUBACK */
    size_t code_count;
    size_t message_len; /* of a PUBLISH: payload and properties */
};

void mqtt_session_init(struct mqtt_session *s);
void mqtt_session_fini(struct mqtt_session *s);

/* What the session needs of its surroundings. */
struct mqtt_context {
    const struct live *who;               /* NULL until open */
    const struct credential_rules *rules; /* for CONNECT */
    struct now now;
    struct arena *arena;
    struct random random;
};

/* One packet. Bytes that need not wait for anything durable go to `out` (CONNACK refusals,
 * PINGRESP). OK            do as *action says BAD_PACKET    a rule of the protocol is broken;
 * UNAUTHORIZED: refused, CONNACK 5 is in `out`; others        close; action->reason may say why
 */
MUST_USE enum status mqtt_session_packet(struct mqtt_session *s, const struct mqtt_packet *p,
                                         const struct mqtt_context *c, struct mqtt_action *action,
                                         struct buf *out);

/* After ACT_LOGIN: accepted. `e` is the identity; a stored session is taken up or dropped. *save is
 * an operation that must be applied first when it returns true (the stored session or the model id
 * changes); CONNACK is written to `out`, to be held until that is durable. */
bool mqtt_session_open(struct mqtt_session *s, const struct login *login, const struct entity *e,
                       struct op *save, struct buf *out);
/* After ACT_LOGIN: refused with this CONNACK code. */
void mqtt_session_refuse(struct mqtt_session *s, enum mqtt_connack code, struct buf *out);

/* Write the answer to an ACT_OP or ACT_EVENT: PUBACK first, then the twin response; SUBACK;
 * UNSUBACK. `body` holds what the hub printed. An outcome that is not OK becomes an error response;
 * NO_DEVICE, or a refused session save, closes the connection: that status is returned. */
MUST_USE enum status mqtt_session_answer(struct mqtt_session *s, const struct mqtt_action *action,
                                         const struct outcome *outcome,
                                         const struct mqtt_context *c, struct buf *out);

/* A desired push (7.4), when the session listens: true when it was written. */
bool mqtt_session_desired(const struct mqtt_session *s, struct span delta, int64_t version,
                          struct buf *out);

/* The end, however it came; true when the will is to be sent. */
bool mqtt_session_close(struct mqtt_session *s);

#endif
