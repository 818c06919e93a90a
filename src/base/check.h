/* check.h — what only a bug of ours can break. On in release builds too; stops the process. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#define MUST_USE __attribute__((warn_unused_result))

/* Prints "file:line: condition" on standard error and aborts. */
_Noreturn void check_failed(const char *file, int line, const char *condition);
/* Out of memory: what a peer can grow is bounded by limits, so this is the machine's end: exit 70.
 */
_Noreturn void check_no_memory(void);

#define CHECK(condition)                                  \
    do {                                                  \
        if (!(condition))                                 \
            check_failed(__FILE__, __LINE__, #condition); \
    } while (0)

#endif
