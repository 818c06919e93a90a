/* doors.h — a small hub and its doors for whatever bytes: each answer is looked at closely.
 *
 * An HTTP answer has known headers, a body of JSON, and nothing behind it; a refusal is an object
 * without a character that a terminal would obey, and is kept. So are the refusals of twins.
 *
 * Memory   doors_open and doors_close; what filled gives is good until its buffer changes
 * Threads  one
 */
#ifndef TRANSCRIPTS_DOORS_H
#define TRANSCRIPTS_DOORS_H

#include "world.h"

#define DOORS_DEVICE "d1" /* registered; keys as credentials.h */

struct doors {
    struct world world;
    struct buf refusals; /* every body */
    size_t said;         /* requests and packets */
    struct wire *device; /* its connection; NULL: none */
};
extern struct doors doors;

void doors_open(bool json_log);
void doors_close(void);

/* The whole request as it is. The answer's status, 0 without an answer. */
int say_http(struct span request);
/* A call to this hub. `token` .data NULL: that of iothubowner; `headers` end with CR LF each. */
int say_call(const char *method, struct span path, const char *headers, struct span token,
             struct span body);
/* A packet of the device, connected and listening to twin responses. Frees the packet. */
void say_packet(struct buf *packet);
void say_connect(struct span client, struct span user, struct span password, struct span will);

/* Controls, bidirectional marks and what else neither log nor refusal may hold. */
bool is_hidden(uint32_t c);
/* Every line of the log so far is one line, plain or JSON as it was opened. How many there are. */
size_t check_log(void);
/* `format` with each %s the text. */
struct span filled(struct buf *b, const char *format, struct span text);

#endif
