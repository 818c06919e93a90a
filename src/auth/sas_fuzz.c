/* Any token: what is read stays inside its bounds and inside the token, does not depend on who
 * reads it twice, and only a scope that names the hub covers anything. */
#include "auth/sas.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_inside(struct span part, struct span whole)
{
    return part.len == 0 ||
           (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static bool has_host(const struct sas_scope *scope, struct span host)
{
    for (size_t i = 0; i < scope->levels; i++)
        if (span_eq_nocase(scope->level[i].host, host))
            return true;
    return false;
}

/* What covers a module's device covers the module, and what covers the hub covers all. */
static void check_scope(const struct sas *t)
{
    static struct sas_scope scope;
    const struct span host = SPAN("hub.example.test"), d = SPAN("dev1"), m = SPAN("m");
    const struct span none = {0};
    sas_scope_read(t, &scope);
    CHECK(scope.levels >= 1 && scope.levels <= 3);
    enum sas_depth hub = sas_scope_covers(&scope, &host, 1, none, none);
    enum sas_depth device = sas_scope_covers(&scope, &host, 1, d, none);
    enum sas_depth module = sas_scope_covers(&scope, &host, 1, d, m);
    CHECK(!hub || (hub <= SAS_DEVICES && device == hub));
    CHECK(!device || (device <= SAS_DEVICE && module == device));
    CHECK(!module || has_host(&scope, host));
    CHECK(sas_scope_covers(&scope, &host, 0, d, m) == SAS_NOWHERE);
}

/* The same resource and expiry, signed by us, must verify; with one bit of the signature changed
 * it must not. */
static void check_signature(const struct sas *t)
{
    const struct span key = SPAN("0123456789abcdef");
    CHECK(!sas_verify(t, (struct span){0}));
    struct buf b = {0};
    struct sas ours;
    sas_make(&b, SPAN("h"), key, t->expiry_s, sas_policy(t));
    CHECK(sas_parse(buf_span(&b), &ours) == OK);
    CHECK(sas_verify(&ours, key) && ours.expiry_s == t->expiry_s);
    CHECK(span_eq(sas_policy(&ours), sas_policy(t)));
    ours.sig[t->sig[0] % sizeof(ours.sig)] ^= 1;
    CHECK(!sas_verify(&ours, key));
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span token = span_of(data, size);
    struct sas t;
    if (sas_parse(token, &t) != OK)
        return 0;
    CHECK(is_inside(t.resource, token) && is_inside(t.expiry, token));
    CHECK(t.resource.len && t.resource.len <= SAS_RESOURCE_MAX);
    CHECK(t.expiry.len && t.expiry.len <= SAS_EXPIRY_MAX);
    CHECK(t.expiry_s >= 0 && t.expiry_s <= SAS_FOREVER_S && t.policy_len <= SAS_POLICY_MAX);
    CHECK(sas_in_time(&t, t.expiry_s * 1000) && !sas_in_time(&t, INT64_MAX));
    check_scope(&t);
    check_signature(&t);
    return 0;
}
