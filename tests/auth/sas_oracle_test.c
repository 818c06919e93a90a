/* Ten thousand tokens, and the verdict that sas_oracle.py reached without us (trials F28). */
#include "base/test.h"

#include "auth/credential.h"

#define CASES "tests/auth/sas_cases.inc"
#define NOW_S 1800000000LL
#define T(t)  SPAN_INIT(t)

struct registered {
    struct span device, module;
    enum identity_kind kind;
    struct span keys[2];
};

static const struct registered registered[] = {
#define IDENTITY(device, module, kind, primary, secondary) \
    {                                                      \
        device, module, IDENTITY_##kind,                   \
        {                                                  \
            primary, secondary                             \
        }                                                  \
    }
#include CASES
#undef IDENTITY
};

static const struct {
    struct span name;
    uint8_t rights;
    struct span keys[2];
} policy_rows[] = {
#define POLICY(name, rights, primary, secondary) \
    {                                            \
        name, rights,                            \
        {                                        \
            primary, secondary                   \
        }                                        \
    }
#include CASES
#undef POLICY
};

enum verdict { REFUSED, DEVICE_0, DEVICE_1, MODULE_0, MODULE_1, POLICY_0, POLICY_1, VERDICTS };

static const struct {
    const char *name;
    struct span token, device, module;
    bool parent;
    enum verdict want;
} cases[] = {
#define CASE(name, token, device, module, parent, want) \
    {                                                   \
        name, token, device, module, parent, want       \
    }
#include CASES
#undef CASE
};

static const struct span hosts[] = {SPAN_INIT("hub.example.test"), SPAN_INIT("Hub-2.local")};
static struct identity identities[COUNT(registered)];
static struct policies policies;

static void read_keys(const struct span texts[2], struct key keys[2])
{
    for (size_t k = 0; k < 2; k++)
        EXPECT(key_parse(texts[k], &keys[k]));
}

static void make_world(void)
{
    for (size_t i = 0; i < COUNT(registered); i++) {
        identities[i].kind = registered[i].kind;
        read_keys(registered[i].keys, identities[i].keys);
    }
    for (size_t i = 0; i < COUNT(policy_rows); i++) {
        struct policy p = {.name_len = (uint8_t)policy_rows[i].name.len,
                           .rights = policy_rows[i].rights};
        memcpy(p.name, policy_rows[i].name.data, p.name_len);
        read_keys(policy_rows[i].keys, p.keys);
        EXPECT_EQ(policy_set(&policies, &p), OK);
    }
}

static const struct identity *find(struct span device, struct span module)
{
    for (size_t i = 0; i < COUNT(registered); i++)
        if (span_eq(registered[i].device, device) && span_eq(registered[i].module, module))
            return &identities[i];
    return NULL;
}

static enum verdict decide(size_t i)
{
    const struct credential_rules rules = {
        .hosts = hosts, .host_count = COUNT(hosts), .policies = &policies};
    struct credential_target target = {.device = cases[i].device, .module = cases[i].module};
    target.identity = find(target.device, target.module);
    if (cases[i].parent && target.module.len)
        target.parent = find(target.device, (struct span){0});
    struct sas token;
    struct credential c;
    if (sas_parse(test_at_edge(cases[i].token), &token) != OK ||
        credential_by_token(&rules, &target, &token, NOW_S * 1000, &c) != OK)
        return REFUSED;
    switch (c.peer.kind) {
    case PEER_NOBODY:
        break;
    case PEER_DEVICE:
        return c.slot ? DEVICE_1 : DEVICE_0;
    case PEER_MODULE:
        return c.slot ? MODULE_1 : MODULE_0;
    case PEER_POLICY:
        return c.slot ? POLICY_1 : POLICY_0;
    }
    return VERDICTS;
}

TEST(every_token_gets_the_verdict_of_the_oracle)
{
    make_world();
    size_t seen[VERDICTS + 1] = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum verdict got = decide(i);
        EXPECT_EQ_IN(cases[i].name, got, cases[i].want);
        seen[got]++;
    }
    /* The generator must not dry up: each verdict is a good part of the cases. */
    EXPECT_EQ(COUNT(cases), 10000);
    for (size_t v = 0; v < VERDICTS; v++)
        EXPECT(seen[v] >= 300);
    EXPECT(seen[REFUSED] >= 5000);
}

TEST_MAIN(RUN(every_token_gets_the_verdict_of_the_oracle))
