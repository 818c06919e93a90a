#include "hub/kept.h"

#include "base/hash.h"
#include "hub/entity.h"

static enum status check(const struct store_key *key, uint32_t partitions,
                         const struct record *record, struct kept *out)
{
    struct entity e;
    *out = (struct kept){0};
    if (key->device.len == 0) /* the hub's own: theirs who read them */
        return key->partition == 0 ? OK : DAMAGED;
    TRY(entity_view(record, &e));
    TRY(entity_check(&e));
    if (!span_eq(e.device, key->device) || !span_eq(e.module, key->module) ||
        hash_partition(e.device, partitions) != key->partition)
        return DAMAGED;
    bool device = e.module.len == 0;
    *out = (struct kept){
        .seq = e.seq, .devices = device, .disabled = device && e.disabled, .modules = !device};
    return OK;
}

static int64_t raised(int64_t counter, int64_t by)
{
    return entity_is_counter(counter + by) ? counter + by : counter;
}

static struct record *raise(const struct store_key *key, struct record *record, int64_t by)
{
    struct entity e;
    if (key->device.len == 0 || entity_view(record, &e) != OK)
        return record_ref(record);
    e.twin_etag = raised(e.twin_etag, by);
    e.desired_version = raised(e.desired_version, by);
    e.reported_version = raised(e.reported_version, by);
    return entity_record(&e);
}

const struct kept_rules hub_kept = {.check = check, .raise = raise};
