/* client.h — calls of the hub's service API, and what a person is told when one fails.
 *
 * Memory   client_close frees; paths and bodies are borrowed for the call
 * Threads  one
 * Errors   exit codes (cli.h); where one comes back, why has been said
 * Source   spec service-rest 1-5
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "cli/connection.h"
#include "cli/https.h"
#include "cli/json.h"

struct client {
    const struct args *args;
    struct connection connection;
    struct https *https;
    struct https_reply reply; /* of the last call */
};

struct client_call {
    const char *method;
    struct span path;     /* "/devices/d1?top=5", encoded, without the api-version */
    const char *if_match; /* an etag without quotes, "*", or NULL */
    struct span body;     /* JSON; .data NULL: none */
};

/* Find the hub (connection_find). EXIT_OK or an exit code; client_close in either case. */
int client_open(struct client *c, const struct args *args);
void client_close(struct client *c);

/* The outcome is in c->reply; a status other than 2xx is EXIT_OK here. */
int client_send(struct client *c, const struct client_call *call);
/* Say how c->reply refused, and come back with the exit code. */
int client_refused(struct client *c);
/* Both: EXIT_OK only when the status is 2xx. */
int client_call(struct client *c, const struct client_call *call);
/* client_send in two: call, and say nothing; say why a call was not answered. */
MUST_USE enum https_end client_try(struct client *c, const struct client_call *call,
                                   struct buf *why);
int client_unanswered(struct client *c, const struct client_call *call, enum https_end end,
                      struct span why);

/* client_call, and the reply as JSON; none (root.at NULL) when there is no body. json_fini is right
 * in either case. */
int client_ask(struct client *c, const struct client_call *call, struct json *out);

/* Prints what a call gave; `reply.at` is NULL for a reply without a body. */
typedef int client_show(struct client *c, struct doc_node reply);
/* The reply itself: indented, or with --json on one line. */
client_show client_show_reply;
/* A command that is one call: open, ask, show, close. */
int client_once(const struct args *args, const struct client_call *call, client_show *show);

/* "/devices/d1/modules/m1" or "/twins/d1"; `module` may be NULL. */
void client_put_path(struct buf *b, const char *collection, const char *device, const char *module);

/* The text and hint of a refusal: the body's Message without its "ErrorCode:Name;", however deep it
 * is nested (service-rest 4.1); the body itself when it is none of ours. */
void client_put_refusal(struct buf *b, struct span body);

#endif
