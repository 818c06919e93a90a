#include "hub/registry.h"

#include "auth/identity.h"
#include "base/text.h"
#include "hub/registry_write.h"
#include "hub/twin.h"

enum {
    BULK_MAX = 100 /* entries in a call; registry 6; TOO_MANY_DEVICES */
};

/* ---- importMode (registry 6) ---- */

enum deed { DEED_REFUSE, DEED_UPDATE, DEED_DELETE, DEED_TWIN };
enum tag { TAG_NONE, TAG_IDENTITY, TAG_TWIN };

struct bulk_mode {
    struct span name;
    enum deed exists; /* what happens to one that exists */
    bool creates;     /* one that does not exist comes to be; else that is an error */
    enum tag tag;     /* the etag that the mode itself demands */
};

/* clang-format off */
static const struct bulk_mode modes[] = {
    {SPAN_INIT("create"),                    DEED_REFUSE, true,  TAG_NONE},
    {SPAN_INIT("createOrUpdate"),            DEED_UPDATE, true,  TAG_NONE},
    {SPAN_INIT("createOrUpdateIfMatchETag"), DEED_UPDATE, true,  TAG_IDENTITY},
    {SPAN_INIT("update"),                    DEED_UPDATE, false, TAG_NONE},
    {SPAN_INIT("updateIfMatchETag"),         DEED_UPDATE, false, TAG_IDENTITY},
    {SPAN_INIT("delete"),                    DEED_DELETE, false, TAG_NONE},
    {SPAN_INIT("deleteIfMatchETag"),         DEED_DELETE, false, TAG_IDENTITY},
    {SPAN_INIT("updateTwin"),                DEED_TWIN,   false, TAG_NONE},
    {SPAN_INIT("updateTwinIfMatchETag"),     DEED_TWIN,   false, TAG_TWIN},
};
/* clang-format on */
enum { MODE_DEFAULT = 1 };

/* NULL when there is no such mode. */
static const struct bulk_mode *mode_find(struct span name)
{
    if (name.len == 0)
        return &modes[MODE_DEFAULT];
    for (size_t i = 0; i < COUNT(modes); i++)
        if (span_eq_nocase(name, modes[i].name))
            return &modes[i];
    return NULL;
}

bool bulk_deletes(struct span mode)
{
    const struct bulk_mode *found = mode_find(mode);
    return found && found->exists == DEED_DELETE;
}

/* ---- the bulk call ---- */

/* {0} when the member is absent or no string. */
static struct span text_of(struct doc_node object, const char *name)
{
    struct doc_node found = doc_find_nocase(object, span_text(name));
    bool text = found.at && doc_type(found) == DOC_STRING;
    return text ? doc_string(found) : (struct span){0};
}

static bool is_given(struct doc_node n)
{
    return n.at && doc_type(n) != DOC_NULL;
}

enum status bulk_entry(struct doc_node entry, struct bulk_entry *out)
{
    *out = (struct bulk_entry){
        .device = text_of(entry, "id"),
        .module = text_of(entry, "moduleId"),
        .mode = text_of(entry, "importMode"),
    };
    struct doc_node module = doc_find_nocase(entry, SPAN("moduleId"));
    if (!auth_id_is_valid(out->device))
        return BAD_ARGUMENT;
    if (is_given(module) && doc_type(module) != DOC_STRING)
        return BAD_ARGUMENT;
    return out->module.len && !auth_id_is_valid(out->module) ? BAD_ARGUMENT : OK;
}

enum status bulk_check(struct doc_node array)
{
    if (doc_type(array) != DOC_ARRAY)
        return BAD_ARGUMENT;
    if (doc_count(array) > BULK_MAX)
        return TOO_MANY_DEVICES;
    struct bulk_entry seen[BULK_MAX];
    size_t count = 0;
    for (struct doc_node at = doc_first(array); at.at; at = doc_next(array, at)) {
        struct bulk_entry *e = &seen[count];
        if (bulk_entry(at, e) != OK)
            continue; /* the caller reports it in "errors" */
        for (size_t i = 0; i < count; i++)
            if (span_eq(seen[i].device, e->device) && span_eq(seen[i].module, e->module))
                return DUPLICATE_DEVICE;
        count++;
    }
    return OK;
}

static void put_text_or_null(struct buf *b, struct span text)
{
    if (text.len)
        text_put_json_any(b, text);
    else
        buf_text(b, "null");
}

void bulk_put_error(struct buf *b, const struct bulk_entry *entry, enum status st, struct span why)
{
    const struct status_row *row = status_get(st);
    const struct bulk_mode *mode = mode_find(entry->mode);
    buf_text(b, "{\"deviceId\":");
    put_text_or_null(b, entry->device);
    buf_text(b, ",\"moduleId\":");
    put_text_or_null(b, entry->module);
    buf_printf(b, ",\"errorCode\":\"%s\",\"errorStatus\":", row->label);
    text_put_json_any(b, why.len ? why : span_text(row->text));
    buf_text(b, ",\"operation\":");
    text_put_json_any(b, mode ? mode->name : entry->mode);
    buf_byte(b, '}');
}

/* ---- one entry ---- */

/* Does it hold tags or desired properties? Null is the same as absent, as in a PATCH. What is not
 * even an object counts, so that it is refused. */
static bool has_twin(struct doc_node entry)
{
    if (is_given(doc_find_nocase(entry, SPAN("tags"))))
        return true;
    struct doc_node properties = doc_find_nocase(entry, SPAN("properties"));
    if (!is_given(properties))
        return false;
    return doc_type(properties) != DOC_OBJECT ||
           is_given(doc_find_nocase(properties, SPAN("desired")));
}

/* None given, an empty one, matches nothing. */
static enum status check_tag(struct span given, struct span current)
{
    const struct op as_header = {.has_if_match = true, .if_match = given};
    return hub_if_match(&as_header, current) ? OK : ETAG_MISMATCH;
}

/* twinETag holds by itself wherever twin data overwrites a twin, but for updateTwin. */
static enum status check_tags(const struct bulk_mode *mode, struct doc_node entry,
                              const struct live *who, const struct turn *turn)
{
    struct entity e;
    live_entity(who, &e);
    if (mode->tag == TAG_IDENTITY)
        TRY(check_tag(text_of(entry, "eTag"), hub_identity_etag_text(turn, &e)));
    struct span twin_tag = text_of(entry, "twinETag");
    bool overwrites = mode->exists == DEED_UPDATE && twin_tag.len && has_twin(entry);
    if (mode->tag == TAG_TWIN || overwrites)
        TRY(check_tag(twin_tag, hub_twin_etag_text(turn, &e)));
    return OK;
}

static enum status create(struct hub *h, struct live *who, struct doc_node entry,
                          const struct turn *turn, struct outcome *out)
{
    struct identity_request req;
    TRY(identity_request_parse(entry, who, turn, out, &req));
    return registry_create(h, who, &req, entry, turn, out);
}

/* All that can refuse comes before the first write that cannot. */
static enum status update(struct hub *h, struct live *who, struct doc_node entry,
                          const struct turn *turn, struct outcome *out)
{
    struct identity_request req;
    TRY(identity_request_parse(entry, who, turn, out, &req));
    TRY(registry_check_update(who, &req, turn, out));
    if (has_twin(entry))
        TRY(twin_write_sections(h, who, entry, true, turn, out));
    registry_update(h, who, &req, turn, out);
    return OK;
}

/* The entry's mode; NULL when it is unknown. */
static const struct bulk_mode *mode_of(struct doc_node entry)
{
    struct doc_node mode = doc_find_nocase(entry, SPAN("importMode"));
    if (!is_given(mode))
        return &modes[MODE_DEFAULT];
    return doc_type(mode) == DOC_STRING ? mode_find(doc_string(mode)) : NULL;
}

enum status registry_bulk(struct hub *h, struct live *device, struct live *who, const struct op *op,
                          const struct turn *turn, struct outcome *out)
{
    struct span doc;
    registry_depend(h, device, out);
    registry_depend(h, who, out);
    TRY(doc_parse(op->body, &h->config.limits->syntax, turn->arena, &doc));
    struct doc_node entry = doc_root(doc);
    const struct bulk_mode *mode = mode_of(entry);
    if (!mode)
        return hub_refuse(turn, out, BAD_ARGUMENT, "The value of 'importMode' is not known");
    bool orphan = who != device && !device->record;
    if (orphan || (!who->record && !mode->creates))
        return registry_refuse_missing(device, who, turn, out);
    if (!who->record)
        return create(h, who, entry, turn, out);
    if (mode->exists == DEED_REFUSE)
        return registry_refuse_existing(h, who, turn, out);
    if (mode->exists != DEED_TWIN)
        TRY(registry_check_system(who, op, turn, out));
    TRY(check_tags(mode, entry, who, turn));
    if (mode->exists == DEED_UPDATE)
        return update(h, who, entry, turn, out);
    if (mode->exists == DEED_TWIN)
        return twin_write_sections(h, who, entry, false, turn, out);
    registry_remove(h, who, turn, out);
    return OK;
}
