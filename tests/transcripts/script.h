/* script.h — one case of a transcript: run line by line against a world.
 *
 * A transcript is read by people who know the protocol. A block of lines that begin with `# ` names
 * a case; every case has a hub of its own. Then, a line each:
 *
 *   world WORD...            before anything else: manual_sync, shards=N, json_log
 *   device d1 [MEMBERS]      register it (MEMBERS: more of the JSON object), keys as credentials.h
 *   module d1/m1 [MEMBERS]
 *   cert NAME ..., ca NAME   certificates; the hub trusts the authority NAME
 *   NAME > WHAT              a client says it (packets.h, requests.h); the hub then comes to rest
 *   NAME >+ WHAT             said, but delivered only together with what is said next
 *   NAME < WHAT              exactly this was answered
 *   pass 90s | 500ms | 5m    time goes by
 *   sync                     what was committed becomes durable (world manual_sync)
 *   restart, crash           the hub is stopped, or loses its power; then starts again
 *   store fails              the disk takes nothing any more
 *   store busy | full | packed | open    what the store has room for
 *   twin d1 desired.a = 1    what the service sees; `absent` instead of `= …`
 *   metric NAME = N
 *   remember, unchanged      every record of the store is what it was
 *   reading NAME = yes|no    does the hub read its socket?
 *   deaf NAME                it reads nothing any more; what it is sent is not looked at
 *   logged TEXT              a line of the server's log, since the last `logged`, has this text
 *   each A..B: LINE          the line for each $(i)
 *
 * Whatever the hub sends must be expected: any line but `<` first makes sure that no client has
 * unread bytes or was closed unexpectedly.
 *
 * Memory   script_run frees everything
 * Threads  one
 */
#ifndef TRANSCRIPTS_SCRIPT_H
#define TRANSCRIPTS_SCRIPT_H

#include "credentials.h"
#include "pattern.h"
#include "wire/websocket.h"
#include "world.h"

enum { SPEAKERS_MAX = 24 };

/* One client and its connection. */
struct speaker {
    char name[32];
    struct wire *wire; /* NULL before it speaks and after it was closed */
    bool is_http, deaf;
    bool is_websocket; /* upgraded */
    struct buf app;    /* what was inside the frames, not expected yet */
};

struct mode {
    const char *name;
    unsigned shards;
    bool chunks;           /* bytes come cut at random */
    bool late_loads;       /* the store answers reads on a later step */
    world_trace_fn *trace; /* may be NULL */
    void *trace_owner;
};

struct script {
    const char *file;
    int line;
    const struct mode *mode;
    struct world world;
    struct world_options options;
    bool started;
    struct vars vars;
    struct certs certs;
    struct span cas[CERTS_MAX];
    struct speaker speakers[SPEAKERS_MAX];
    size_t speaker_count;
    uint64_t digest;
    size_t log_seen;
    bool failed;
    struct buf *messages; /* what went wrong */
};

/* Lines of one case, the naming block included; `line` is the number of the first. True: it holds.
 */
bool script_run(const char *file, int line, struct span text, const struct mode *mode,
                struct buf *messages);

/* For the files of this folder: say what is wrong, once; the case ends. */
void script_fail(struct script *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void script_fail_bytes(struct script *s, const char *what, struct span want, struct span got);
/* Expanded text of a word or a rest of a line, in `out`. */
struct span script_text(struct script *s, struct span text, struct buf *out);
/* Of every record in the store. */
uint64_t world_digest(struct world *w);

/* ---- speaker.c ---- */
struct speaker *speaker_get(struct script *s, struct span name);
/* Its wire, opened now when it has none. */
struct wire *speaker_wire(struct script *s, struct speaker *sp, bool is_http);
/* Say bytes; in one masked binary frame when it is a WebSocket. */
void speaker_send(struct script *s, struct speaker *sp, struct span bytes);
/* What a line says besides packets and requests: true when it was one of those words. */
bool speaker_says(struct script *s, struct speaker *sp, struct span verb, struct span rest);
bool speaker_hears(struct script *s, struct speaker *sp, struct span verb, struct span rest);
/* What has come and was not expected yet. */
struct buf *speaker_heard(struct script *s, struct speaker *sp);
/* Nobody has anything unexpected. */
bool speakers_quiet(struct script *s);
void speakers_fini(struct script *s);
/* Take these bytes off the front of what was heard, or fail. */
void speaker_expect(struct script *s, struct speaker *sp, struct span want);

/* ---- packets.c: MQTT ---- */
bool packet_says(struct script *s, struct speaker *sp, struct span verb, struct span rest);
bool packet_hears(struct script *s, struct speaker *sp, struct span verb, struct span rest);

/* ---- requests.c: HTTP ---- */
bool request_says(struct script *s, struct speaker *sp, struct span verb, struct span rest);
bool request_hears(struct script *s, struct speaker *sp, struct span verb, struct span rest);

#endif
