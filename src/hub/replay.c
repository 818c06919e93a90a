#include "hub/replay.h"

#include "hub/change.h"
#include "hub/hub_record.h"

enum { AT_KIND = 1 }; /* of every change, docs/format.md */

static bool is_hub_record(struct span effect)
{
    return effect.len > AT_KIND && effect.data[AT_KIND] == CHANGE_HUB;
}

static enum status head(struct span effect, struct replay_head *out)
{
    struct replay_head hub = {0};
    struct change_head change;
    if (is_hub_record(effect)) {
        TRY(hub_record_head(effect, &hub.key.module, &hub.seq, &hub.time_ms));
        *out = hub;
        return OK;
    }
    TRY(change_head(effect, &change));
    *out = (struct replay_head){
        .key = {change.partition, change.device, change.module},
        .seq = change.seq,
        .time_ms = change.time_ms
    };
    return OK;
}

/* A record of the hub comes whole and does not know its seq: an older one may take the place of a
 * newer for a while, until replay reaches that. */
static enum status apply(struct record *before, struct span effect, struct span secret,
                         struct arena *a, struct record **out)
{
    struct span kind;
    if (is_hub_record(effect))
        return hub_record_apply(effect, secret, &kind, out);
    return change_apply(before, effect, secret, a, out);
}

const struct replay hub_replay = {.head = head, .apply = apply};
