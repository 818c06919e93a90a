/* internal.h — what the files of shard/ share: connections, output that waits, running calls. */
#ifndef SHARD_INTERNAL_H
#define SHARD_INTERNAL_H

#include "session/mqtt_session.h"
#include "shard/shard.h"
#include "wire/websocket.h"

enum {
    OPS_A_TURN = 16,          /* of one connection, then the next */
    UNANSWERED_MAX = 16,      /* replies held; then its socket is not read */
    WAITING_INPUT_ONE = 4096, /* read of one connection behind a write that waits for the store */
    WAITING_INPUT_ALL = 8 << 20,   /* and beyond that of all together */
    UNREAD_OUTPUT_MAX = 1 << 20,   /* a device that does not read more is closed */
    UNREAD_ANSWERS_MAX = 64 << 10, /* an HTTP peer that does not read more waits */
    ARENA_SIZE = 96 << 20,         /* address space: touched only as far as used */
    ARENA_KEEP = 1 << 20,
    SWEEP_MS = 200,        /* deadlines of connections are looked at this often */
    STANDSTILL_MS = 1000,  /* without a turn */
    ARENA_HEAD = 4 << 20,  /* for a CONNECT with its session, or the head of a request */
    BATCH_BYTES = 1 << 20, /* of changes; then the turn ends, so that a batch is one block */
    MQTT_HEAD_MAX = 5,     /* type and length of a packet */
};

enum conn_kind { CONN_MQTT, CONN_HTTP, CONN_WEBSOCKET };

/* Output that waits: bytes up to `end` may leave when `batch` is durable. */
struct mark {
    uint64_t batch;
    size_t end;
    unsigned replies;
};

struct conn {
    uint64_t id; /* slot and generation: names it across ticks and threads */
    struct shard *shard;
    struct link *link;
    struct list ready, held; /* `ready`: in shard.ready or shard.waiting */
    enum conn_kind kind;
    bool parked;      /* something it reads is being loaded */
    bool waits_room;  /* in shard.waiting: its next operation writes, and the store is busy */
    unsigned queued;  /* whole packets that wait with it, pings aside */
    size_t counted;   /* its share of shard.waiting_in */
    bool moving;      /* on its way to another shard */
    bool ended;       /* nothing is read any more */
    bool no_read;     /* reading is off */
    unsigned target;  /* where it moves */
    bool finish;      /* close once what is held has left */
    int64_t heard_ms; /* mono, last bytes */
    int64_t phase_ms; /* mono, when the HTTP phase began */
    struct buf in;    /* bytes not yet used; of a WebSocket, what was inside its frames */
    /* Held output: */
    struct buf bytes;
    struct mark *marks;
    unsigned mark_count, mark_room, replies;
    /* MQTT: */
    struct mqtt_session mqtt;
    struct live *who, *device; /* once open; both stay in memory */
    enum credential_method method;
    uint64_t fingerprint;
    uint64_t greeting; /* the batch CONNACK waits for */
    int64_t expiry_s;
    /* HTTP, then WebSocket: */
    struct http http;
    enum http_phase phase;
    enum status frames_end; /* WebSocket: why no frame is read any more; OK: they are */
    struct rest_head head;
    bool head_known, calling;
    bool put_off; /* a request waits for a turn with an empty arena */
    struct ws ws;
};

/* ---- conn.c: life and output ---- */

struct conn *conn_find(const struct shard *s, uint64_t id);
void conn_open(void *shard, struct link *l);
void conn_moved(void *shard, struct link *l);
void conn_bytes(struct link *l, struct span bytes);
void conn_drained(struct link *l);
void conn_closed(struct link *l, enum status why);
/* End it: flush when nothing waits, forget its identity; `reason` may be NULL. Its memory lives on
 * until conn_closed. */
void conn_end(struct conn *c, enum status why, const char *reason);
/* Close once what is held has left (an HTTP answer that ends the connection). */
void conn_finish(struct conn *c);
/* Queue output that shows batch `batch` (0: nothing that is not durable). */
void conn_out(struct conn *c, struct span bytes, uint64_t batch, unsigned replies);
/* Output that may pass what is held. */
void conn_out_now(struct conn *c, struct span bytes);
/* Let leave what batch `durable` frees. */
void conn_release(struct conn *c, uint64_t durable);
/* Read on from c->in on this or the next turn. */
void conn_ready(struct conn *c);
void conn_run(struct conn *c);
void conn_sweep(struct shard *s);

/* ---- mqtt_conn.c ---- */
/* Use bytes of `in`, at most OPS_A_TURN packets; returns how many bytes were used. */
size_t mqtt_conn_run(struct conn *c, struct span in);
void mqtt_conn_end(struct conn *c);
/* Is CONNACK held? What comes behind CONNECT is used after it (mqtt 2.1). */
bool mqtt_conn_greets(const struct conn *c);
/* Answer the PINGREQs among what waits in c->in, and count the others. */
void mqtt_conn_pings(struct conn *c);

/* ---- http_conn.c ---- */
size_t http_conn_run(struct conn *c, struct span in);
void http_conn_answer(struct shard *s, struct call *call);

/* ---- room.c: when the store has no room (store.h) ----
 *
 * While it is busy, operations that write wait in their places: those of a connection with what
 * came behind them, calls in shard.calls. Reading goes on, so that who only reads, or pings, is
 * answered: up to sixteen unanswered packets a connection, within a bound for all. Without space,
 * what needs some is refused before it is applied. `mode` is the importMode of a bulk entry. */
bool room_waits(const struct shard *s, const struct op *op, struct span mode);
/* OK, or STORAGE_FULL. */
enum status room_judge(struct shard *s, const struct op *op, struct span mode);
/* The connection's next operation waits. */
void room_park(struct conn *c);
/* What waits with it has changed. */
void room_count(struct conn *c);
/* Once a turn: what waited goes on when it can. */
void room_step(struct shard *s);

/* ---- gather.c: calls that ask several shards ---- */
void gather_bulk(struct conn *c);
void gather_list(struct conn *c);
/* At the end of the shard: what never came back. */
void gather_drop(struct list *gathers);
/* A part has come back. */
void gather_answer(struct shard *s, struct call *call);
/* The owner's part of a list: a partition a turn; true when the last is done. */
bool gather_list_part(struct shard *s, struct call *call);

/* ---- metrics.c ---- */
void metrics_put(struct buf *b, const struct cluster *cluster);
void metrics_put_ready(struct buf *b, const struct cluster *cluster);
void totals_publish(struct shard *s);

/* ---- shard.c ---- */

enum ensured { ENSURED, ENSURE_WAITS, ENSURE_FAILED };
/* Make sure that all `op` reads is in memory. ENSURE_WAITS: `conn` or `call` (one of them NULL) is
 * taken up again when it is. */
enum ensured shard_ensure(struct shard *s, const struct op *op, struct conn *conn,
                          struct call *call);
/* Apply, and hand on the effects. */
void shard_apply(struct shard *s, const struct op *op, struct outcome *out);
/* Give back the scratch memory taken since `mark`: what one operation used, the next may use
 * again, so that a turn of many stays in the cache. */
void shard_release(struct shard *s, size_t mark);
/* What comes next waits for the next turn: it might not fit the arena, or the batch is large. */
bool shard_is_full(const struct shard *s);
void shard_now(struct shard *s);
void shard_log(struct shard *s, enum log_level level, const char *msg, const struct conn *c,
               const char *why, const char *reason);

#define COUNT_UP(counter, by)                                                            \
    atomic_store_explicit(&(counter),                                                    \
                          atomic_load_explicit(&(counter), memory_order_relaxed) + (by), \
                          memory_order_relaxed)

#endif
