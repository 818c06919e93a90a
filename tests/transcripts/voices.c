#include "voices.h"

#include <string.h>

/* ---- who is there ---- */

const struct person people[PEOPLE] = {
    {"alpha", NULL,     .absent = false },
    {"alpha", "m1",     .absent = false },
    {"alpha", "m2",     .absent = false },
    {ODD,     NULL,     .absent = false },
    {ODD,     "m1",     .absent = false },
    {ODD,     "m2",     .absent = false },
    {"off",   NULL,     .disabled = true},
    {"off",   "m1",     .disabled = true},
    {"gone",  NULL,     .absent = true  },
    {"gone",  "m1",     .absent = true  },
    {"alpha", "nobody", .absent = true  },
};

bool is_connected(const struct person *p)
{
    return !p->absent && !p->disabled;
}

bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool same_person(const struct person *a, const struct person *b)
{
    return same_text(a->device, b->device) && same_text(a->module, b->module);
}

void put_person(struct buf *b, const struct person *p)
{
    buf_printf(b, "%s%s%s", p->device, p->module ? "/" : "", p->module ? p->module : "");
}

/* ---- who speaks, and how ---- */

static const struct {
    const char *name;
    unsigned rights;
} policies[POLICIES] = {
    {"iothubowner",       RW | SC | DC},
    {"service",           SC          },
    {"device",            DC          },
    {"registryRead",      RR          },
    {"registryReadWrite", RW          },
};

/* Whom a call is about; NULL: the hub. */
void put_token(struct buf *b, const struct voice *v, const struct person *target)
{
    static const char *const changes[TWISTS] = {
        [EXPIRED] = ",se=-301",
        [WRONG_KEY] = ",key=somebody:else",
        [OTHER_HUB] = ",host=other.example.test",
        [OF_DEVICE] = ",at=devices/alpha",
        [OF_MODULE] = ",at=devices/alpha/modules/m1",
        [OF_HUB] = ",at=",
    };
    if (v->policy >= 0)
        buf_printf(b, "policy:%s", policies[v->policy].name);
    else if (v->self)
        put_person(b, v->self);
    else
        buf_text(b, "none");
    if (v->twist == OF_TARGET && target)
        buf_printf(b, ",at=devices/%s%s%s", target->device, target->module ? "/modules/" : "",
                   target->module ? target->module : "");
    else if (v->twist == OF_TARGET)
        buf_text(b, ",at=");
    else if (changes[v->twist])
        buf_text(b, changes[v->twist]);
}

/* The rights a policy's token brings to a target, or 0. */
unsigned rights_for(const struct voice *v, const struct person *target)
{
    unsigned rights = policies[v->policy].rights;
    bool of_alpha = target && same_text(target->device, "alpha");
    switch (v->twist) {
    case GOOD:
        return rights;
    case OF_DEVICE:
        return of_alpha ? rights : 0;
    case OF_MODULE: /* DeviceConnect then speaks as that module only */
        return of_alpha && same_text(target->module, "m1") ? rights : 0;
    default:
        return 0;
    }
}

/* Does its own key prove that it is itself, towards this target? */
bool proves_itself(const struct voice *v, const struct person *target)
{
    if (!v->self || v->self->absent || v->self->disabled)
        return false;
    return v->twist == GOOD || (v->twist == OF_TARGET && target && same_person(v->self, target));
}

void each_voice(struct buf *b, voice_fn *fn, void *ctx)
{
    struct voice nobody = {.policy = -1};
    fn(b, &nobody, ctx);
    for (int p = 0; p < (int)COUNT(policies); p++)
        for (int t = GOOD; t <= OF_MODULE; t++)
            fn(b, &(struct voice){.policy = p, .twist = (enum twist)t}, ctx);
    for (size_t i = 0; i < COUNT(people); i++)
        for (int t = GOOD; t < TWISTS; t++)
            if (t != OF_DEVICE && t != OF_MODULE)
                fn(b, &(struct voice){.policy = -1, .self = &people[i], .twist = (enum twist)t},
                   ctx);
}
