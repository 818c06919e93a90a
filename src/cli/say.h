/* say.h — how client commands speak: results on standard output, all else on standard error.
 *
 * With --json a result is JSON, and an error is one line of JSON:
 *   {"error":{"code":"DeviceNotFound","status":404,"message":"d9","hint":"..."}}
 *
 * Memory   say_out takes the buffer's bytes; everything else borrows
 * Threads  one
 */
#ifndef CLI_SAY_H
#define CLI_SAY_H

#include "cli/args.h"
#include "cli/cli.h"

struct failure {
    int exit_code;
    struct span code; /* the hub's name of it; empty when it is not the hub that failed us */
    long status;      /* HTTP; 0: none */
    struct span message;
    struct span hint; /* what to do next; may be empty */
};

/* Comes back with the exit code. */
int say_failure(const struct args *a, const struct failure *f);
/* Wrong usage: the sentence and the line of usage. Comes back with EXIT_USAGE. */
int say_usage(const struct args *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Write it to standard output and empty it: EXIT_OK, or EXIT_FAILED (and a sentence) when nobody
 * takes it, a full disk for one. */
int say_out(const struct args *a, struct buf *b);

/* "Next: twinhub WORD WORD ..." on standard error, quoted for a shell, with the options that find
 * the same hub; NULL after the last word. Nothing with --json. `lead` goes before it. */
void say_next(const struct args *a, const char *lead, const char *const *words);

/* Text of whatever origin: what could move a terminal's cursor or turn its text around becomes a
 * blank, what is not UTF-8 a question mark. */
void say_put_visible(struct buf *b, struct span text);
/* A word as a POSIX shell reads it back. */
void say_put_word(struct buf *b, const char *word);

#endif
