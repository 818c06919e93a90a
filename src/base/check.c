#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void check_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "level=error msg=\"a bug in twinhub\" at=%s:%d check=\"%s\"\n", file, line,
            condition);
    abort();
}

void check_no_memory(void)
{
    static const char line[] = "level=error msg=\"out of memory\"\n";
    (void)!write(STDERR_FILENO, line, sizeof(line) - 1);
    _exit(70);
}
