#include "base/status.h"

static const struct status_row rows[STATUS_COUNT] = {
#define X(name, http, code, label, text) [name] = {#name, http, code, #label, text},
#include "base/status.def"
#undef X
};

const struct status_row *status_get(enum status st)
{
    CHECK((unsigned)st < STATUS_COUNT);
    return &rows[st];
}

const char *status_name(enum status st)
{
    return status_get(st)->name;
}
