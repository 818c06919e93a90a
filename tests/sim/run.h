/* run.h — one run of the simulator: a world, its clients, what they were promised.
 *
 * Clients keep what they asked in a line; answers come in that order. Whatever arrives is judged at
 * once (answer.c); what happens inside the hub is judged as it is stored (explain.c).
 *
 * Memory   run_play frees everything it made
 * Threads  one
 */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include "model.h"
#include "report.h"
#include "world.h"

/* The shortest that the hub may take for the end; and how long it waits for a whole CONNECT. */
enum { SILENCE_MS = 30000 };

/* Of history. */
#define FOR_EVER (INT64_MAX / 4)

enum { RESTS = 4, DEVICES = 10, REST_LINE_MAX = 4, DEVICE_LINE_MAX = 24 };

/* A back end's connection. */
struct rest {
    struct wire *wire; /* NULL: none */
    struct list line;  /* asks */
    struct buf out;    /* written, and not yet handed to the wire */
    size_t floor[FAMILIES];
    bool closing; /* it asked for the end, or sent what nobody can read, or was silent for long */
    bool hung_up;
    bool in_part;    /* a part of a request is on the wire … */
    int64_t part_ms; /* … since then */
    int64_t sent_ms;
};

/* A device's or module's connection. */
struct device {
    struct wire *wire; /* NULL: none */
    struct family *family;
    unsigned slot;
    struct list line; /* asks */
    struct buf out;   /* written, and not yet handed to the wire */
    struct buf in;    /* MQTT bytes that have come */
    size_t floor[FAMILIES];
    char key[64];        /* it signed in with */
    size_t opened_at;    /* moment of its family */
    uint64_t generation; /* of its identity; 0: not known for certain */
    bool websocket, upgraded, connected, clean;
    bool filters_known;
    unsigned filters; /* in force when what is sent now is read */
    bool heard_known;
    unsigned heard;  /* in force for what arrives now */
    int64_t version; /* of desired, as far as it was told; 0: it has to ask */
    uint16_t packet_id;
    bool hung_up, deaf, was_deaf, was_silent;
    bool odd;         /* it sent what must end the connection */
    bool rival;       /* another connection of the same identity has tried since */
    bool late;        /* its CONNECT had not all come in time */
    size_t hello_len; /* all up to the end of CONNECT */
    size_t sent_len;  /* handed to the wire so far */
    int64_t sent_ms;
    int64_t expires_s;
};

struct run {
    struct world world;
    struct model model;
    uint64_t seed; /* of the clients */
    uint64_t hash; /* of all that happened */
    int64_t wall_max_ms;
    unsigned crash_at; /* the step at which a hub whose disk has failed ends; 0: none has */
    bool full;         /* the disk is */
    bool was_full;     /* ever */
    struct rest rests[RESTS];
    struct device devices[DEVICES];
};

struct run_result {
    uint64_t hash;
    size_t changes;
    struct machine_stats machine;
};

/* Play one seed to its end. With a planted fault it is expected not to return. */
struct run_result run_play(uint64_t seed, enum fault fault);

/* ---- of the run ---- */

uint64_t run_random(struct run *r, unsigned below);
bool run_chance(struct run *r, unsigned one_in);
/* Time passes. */
void run_pass(struct run *r, int64_t ms);
/* Everybody reads what has come; true when anything had. */
bool run_read(struct run *r);
/* Tell what the hub logged since. */
void run_say_log(struct run *r);

/* ---- trouble.c ---- */

/* The disk is about to fail, or the power; the hub ends within some steps. */
void trouble_comes(struct run *r);
/* The disk is full; it is not any more; and the keeper has seen that. */
void trouble_fills(struct run *r);
void trouble_eases(struct run *r);
void trouble_ends(struct run *r);
/* The power is cut, or the hub is killed, and it starts again. */
void trouble_crash(struct run *r);
/* It is stopped, perhaps (`may_stop`) by being asked to, and starts again. */
void trouble_restart(struct run *r, bool may_stop);
/* Every connection is at its end. */
void trouble_forget(struct run *r);
/* Nothing is under way. Does the journal hold everything? */
void trouble_check(struct run *r);

/* ---- json.c: random documents ---- */

/* What a random patch is meant to be. */
enum json_kind { JSON_CHANGE, JSON_NOTHING, JSON_BAD_VALUE, JSON_BAD_TEXT, JSON_LARGE };
/* A random kind: mostly JSON_CHANGE. */
enum json_kind json_kind(struct run *r);
/* Append the text of an object; JSON_CHANGE carries `mark`, so that no two are the same. `nulls`
 * may delete. */
void json_put_object(struct run *r, struct buf *b, enum json_kind kind, uint64_t mark, bool nulls);
/* The same text as a tree; NULL when it is not JSON. */
const struct naive *json_tree(struct run *r, struct span text);

/* ---- rest.c ---- */

void rest_open(struct run *r, struct rest *c);
/* A random request of a random kind. */
void rest_act(struct run *r, struct rest *c);
/* Hand some or all of what was written to the wire. */
void rest_flush(struct run *r, struct rest *c, bool all);
/* Read what has arrived; true when anything had. */
bool rest_read(struct run *r, struct rest *c);
void rest_fini(struct rest *c);
/* Write one request. (rest_ask.c makes them up) */
void rest_write(struct run *r, struct rest *c, struct ask *a, const char *method, const char *path,
                const struct buf *body);
void rest_ask(struct run *r, struct rest *c);

/* ---- device.c, device_hear.c ---- */

void device_open(struct run *r, struct device *d);
void device_act(struct run *r, struct device *d);
void device_flush(struct run *r, struct device *d, bool all);
bool device_read(struct run *r, struct device *d);
void device_fini(struct device *d);
const char *device_name(const struct device *d); /* good until the next call */
/* Time has passed: may the hub take its silence for the end, or its CONNECT for late? */
void device_pass(struct device *d, int64_t mono_ms);
/* Nothing is under way: is all as it should be? */
void device_check(const struct run *r, const struct device *d);

#endif
