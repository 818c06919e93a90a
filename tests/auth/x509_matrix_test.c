/* Sixty client certificates, each accepted or refused as a CONNECT would (trials F30). */
#include "base/test.h"

#include <openssl/evp.h>

#include "auth/credential.h"
#include "auth/test_certs.h"
#include "base/text.h"

#define PATH_ROOM 8

/* How a chain differs from: root -> `between` intermediates -> leaf, all sent but the root. */
enum twist {
    OTHER_CA = 1 << 0,        /* the hub has another root, of the same name */
    NO_CA = 1 << 1,           /* the hub has no CA */
    LEAF_ALONE = 1 << 2,      /* intermediates are not sent */
    ROOT_SENT = 1 << 3,       /* the root is sent too */
    JUNK_SENT = 1 << 4,       /* the last certificate sent is not one */
    SHUFFLED = 1 << 5,        /* intermediates are sent in reverse */
    TRUST_LOWEST = 1 << 6,    /* the hub has the lowest intermediate as its CA, not the root */
    BETWEEN_EXPIRED = 1 << 7, /* the lowest intermediate */
    BETWEEN_NO_CA = 1 << 8,   /* it may not sign */
    BETWEEN_SHORT = 1 << 9,   /* pathlen 0 on the highest */
    BETWEEN_USAGE = 1 << 10,  /* its keyUsage is without keyCertSign */
    ROOT_EXPIRED = 1 << 11,
    ROOT_NO_CA = 1 << 12,
    SIGNATURE_BROKEN = 1 << 13,
    SELF_SIGNED = 1 << 14,  /* the leaf */
    LEAF_IS_ROOT = 1 << 15, /* the hub's CA certificate itself is presented */
    ROOT_USAGE = 1 << 16,   /* its keyUsage says that it may sign */
    STRICT = 1 << 17        /* the hub refuses expired certificates by thumbprint too */
};

/* The registered thumbprint. */
enum print { NO_PRINT, BY_SHA1, BY_SHA256, UPPER, SECONDARY, WRONG, CUT, COLONS, OF_ROOT };

#define SELF    IDENTITY_THUMBPRINT
#define CA      IDENTITY_CA
#define EXPIRED .not_before_s = TEST_NOW_S - 2 * TEST_DAY_S, .not_after_s = TEST_NOW_S - 1
#define FUTURE  .not_before_s = TEST_NOW_S + 60
#define NAMED   "the common name is not the identity's"
#define PRINTED "the certificate has neither of the registered thumbprints"
#define KIND    "the identity does not sign in with certificates"
#define NAME(n) .name = SPAN_INIT(n)

/* clang-format off */
static const struct row {
    const char *name;
    enum identity_kind kind;
    const char *device, *module;
    struct test_cert_options leaf;
    int between;
    unsigned twists;
    enum print print;
    const char *why; /* the reason it is refused for; NULL: accepted */
} rows[] = {
    /* the common name is the id, byte for byte */
    {"device",                      CA,   "dev1", "",  {NAME("dev1")},                               0, 0, 0, NULL},
    {"module",                      CA,   "dev1", "m", {NAME("dev1/m")},                             0, 0, 0, NULL},
    {"printable string",            CA,   "dev1", "",  {NAME("dev1"), .name_type = V_ASN1_PRINTABLESTRING}, 0, 0, 0, NULL},
    {"id of all characters",        CA,   "a-:.+%_#*?!(),=@;$'", "", {NAME("a-:.+%_#*?!(),=@;$'")},  0, 0, 0, NULL},
    {"other name",                  CA,   "dev1", "",  {NAME("dev2")},                               0, 0, 0, NAMED},
    {"other case",                  CA,   "dev1", "",  {NAME("DEV1")},                               0, 0, 0, NAMED},
    {"name cut",                    CA,   "dev1", "",  {NAME("dev")},                                0, 0, 0, NAMED},
    {"name longer",                 CA,   "dev1", "",  {NAME("dev11")},                              0, 0, 0, NAMED},
    {"blank after",                 CA,   "dev1", "",  {NAME("dev1 ")},                              0, 0, 0, NAMED},
    {"NUL after",                   CA,   "dev1", "",  {NAME("dev1\0")},                             0, 0, 0, NAMED},
    {"NUL and more after",          CA,   "dev1", "",  {NAME("dev1\0.evil")},                        0, 0, 0, NAMED},
    {"NUL before",                  CA,   "dev1", "",  {NAME("\0dev1")},                             0, 0, 0, NAMED},
    {"star",                        CA,   "dev1", "",  {NAME("*")},                                  0, 0, 0, NAMED},
    {"pattern",                     CA,   "dev1", "",  {NAME("dev*")},                               0, 0, 0, NAMED},
    {"pattern of modules",          CA,   "dev1", "m", {NAME("dev1/*")},                             0, 0, 0, NAMED},
    {"slash on a device",           CA,   "dev1", "",  {NAME("dev1/")},                              0, 0, 0, NAMED},
    {"module's on its device",      CA,   "dev1", "",  {NAME("dev1/m")},                             0, 0, 0, NAMED},
    {"device's on a module",        CA,   "dev1", "m", {NAME("dev1")},                               0, 0, 0, NAMED},
    {"other module",                CA,   "dev1", "m", {NAME("dev1/n")},                             0, 0, 0, NAMED},
    {"module of another device",    CA,   "dev1", "m", {NAME("dev2/m")},                             0, 0, 0, NAMED},
    {"module's name alone",         CA,   "dev1", "m", {NAME("m")},                                  0, 0, 0, NAMED},
    {"host before the name",        CA,   "dev1", "",  {NAME("hub.example.test/dev1")},              0, 0, 0, NAMED},
    {"no name",                     CA,   "dev1", "",  {.usage = "digitalSignature"},                0, 0, 0, NAMED},
    {"two names, right one first",  CA,   "dev1", "",  {NAME("dev1"), .second_name = SPAN_INIT("x")}, 0, 0, 0, NAMED},
    {"two names, right one last",   CA,   "dev1", "",  {NAME("x"), .second_name = SPAN_INIT("dev1")}, 0, 0, 0, NAMED},
    {"wide characters",             CA,   "dev1", "",  {NAME("\0d\0e\0v\0001"), .name_type = V_ASN1_BMPSTRING}, 0, 0, 0, NAMED},
    /* the chain */
    {"one between",                 CA,   "dev1", "",  {NAME("dev1")},                               1, 0, 0, NULL},
    {"three between",               CA,   "dev1", "",  {NAME("dev1")},                               3, 0, 0, NULL},
    {"three between, shuffled",     CA,   "dev1", "",  {NAME("dev1")},                               3, SHUFFLED, 0, NULL},
    {"three between, root sent",    CA,   "dev1", "",  {NAME("dev1")},                               3, ROOT_SENT, 0, NULL},
    {"the CA is an intermediate",   CA,   "dev1", "",  {NAME("dev1")},                               2, TRUST_LOWEST, 0, NULL},
    {"four between: too long",      CA,   "dev1", "",  {NAME("dev1")},                               4, 0, 0, "certificate chain too long"},
    {"six between: too long",       CA,   "dev1", "",  {NAME("dev1")},                               6, 0, 0, "certificate chain too long"},
    {"intermediate not sent",       CA,   "dev1", "",  {NAME("dev1")},                               1, LEAF_ALONE, 0, "unable to get local issuer certificate"},
    {"junk sent",                   CA,   "dev1", "",  {NAME("dev1")},                               1, JUNK_SENT, 0, "a certificate that was sent cannot be read"},
    {"other CA of that name",       CA,   "dev1", "",  {NAME("dev1")},                               0, OTHER_CA, 0, "certificate signature failure"},
    {"other CA, its root sent",     CA,   "dev1", "",  {NAME("dev1")},                               1, OTHER_CA | ROOT_SENT, 0, "certificate signature failure"},
    {"no CA on the hub",            CA,   "dev1", "",  {NAME("dev1")},                               0, NO_CA, 0, "unable to get local issuer certificate"},
    {"signs itself",                CA,   "dev1", "",  {NAME("dev1")},                               0, SELF_SIGNED, 0, "self-signed certificate"},
    {"the CA's own certificate",    CA,   "root", "",  {NAME("dev1")},                               0, LEAF_IS_ROOT, 0, "the certificate is a CA of the hub itself"},
    {"signature broken",            CA,   "dev1", "",  {NAME("dev1")},                               0, SIGNATURE_BROKEN, 0, "certificate signature failure"},
    {"expired",                     CA,   "dev1", "",  {NAME("dev1"), EXPIRED},                      0, 0, 0, "certificate has expired"},
    {"not yet valid",               CA,   "dev1", "",  {NAME("dev1"), FUTURE},                       0, 0, 0, "certificate is not yet valid"},
    {"intermediate expired",        CA,   "dev1", "",  {NAME("dev1")},                               2, BETWEEN_EXPIRED, 0, "certificate has expired"},
    {"root expired",                CA,   "dev1", "",  {NAME("dev1")},                               0, ROOT_EXPIRED, 0, "certificate has expired"},
    {"signed by a leaf",            CA,   "dev1", "",  {NAME("dev1")},                               1, BETWEEN_NO_CA, 0, "invalid CA certificate"},
    {"signed by a leaf it trusts",  CA,   "dev1", "",  {NAME("dev1")},                               0, ROOT_NO_CA, 0, "unable to get local issuer certificate"},
    {"CA by key usage alone",       CA,   "dev1", "",  {NAME("dev1")},                               0, ROOT_NO_CA | ROOT_USAGE, 0, "unable to get local issuer certificate"},
    {"path longer than allowed",    CA,   "dev1", "",  {NAME("dev1")},                               2, BETWEEN_SHORT, 0, "path length constraint exceeded"},
    {"CA may not sign",             CA,   "dev1", "",  {NAME("dev1")},                               1, BETWEEN_USAGE, 0, "invalid CA certificate"},
    {"for clients",                 CA,   "dev1", "",  {NAME("dev1"), .usage = "digitalSignature", .purpose = "clientAuth"}, 0, 0, 0, NULL},
    {"for servers only",            CA,   "dev1", "",  {NAME("dev1"), .purpose = "serverAuth"},      0, 0, 0, "unsuitable certificate purpose"},
    {"key may not sign",            CA,   "dev1", "",  {NAME("dev1"), .usage = "keyEncipherment"},   0, 0, 0, "unsuitable certificate purpose"},
    {"signed over SHA-1",           CA,   "dev1", "",  {NAME("dev1"), .sha1 = true},                 0, 0, 0, "CA signature digest algorithm too weak"},
    {"RSA of 1024 bits",            CA,   "dev1", "",  {NAME("dev1"), .small_key = true},            0, 0, 0, "EE certificate key too weak"},
    /* thumbprints */
    {"SHA-1",                       SELF, "dev1", "",  {NAME("whatever")},                           0, SELF_SIGNED, BY_SHA1, NULL},
    {"SHA-256, upper case",         SELF, "dev1", "m", {NAME("whatever")},                           0, SELF_SIGNED, UPPER, NULL},
    {"secondary",                   SELF, "dev1", "",  {NAME("dev1")},                               0, SELF_SIGNED, SECONDARY, NULL},
    {"expired, with a warning",     SELF, "dev1", "",  {NAME("dev1"), EXPIRED},                      0, SELF_SIGNED, BY_SHA256, NULL},
    {"expired, where that is refused", SELF, "dev1", "", {NAME("dev1"), EXPIRED},                    0, SELF_SIGNED | STRICT, BY_SHA256, "the certificate is expired or not yet valid"},
    {"wrong",                       SELF, "dev1", "",  {NAME("dev1")},                               0, SELF_SIGNED, WRONG, PRINTED},
    {"none registered, CA known",   SELF, "dev1", "",  {NAME("dev1")},                               0, 0, NO_PRINT, PRINTED},
    {"cut",                         SELF, "dev1", "",  {NAME("dev1")},                               0, SELF_SIGNED, CUT, PRINTED},
    {"with colons",                 SELF, "dev1", "",  {NAME("dev1")},                               0, SELF_SIGNED, COLONS, PRINTED},
    {"of the CA that signed",       SELF, "dev1", "",  {NAME("dev1")},                               0, ROOT_SENT, OF_ROOT, PRINTED},
    /* identities of another kind */
    {"identity with keys",  IDENTITY_SAS, "dev1", "",  {NAME("dev1")},                               0, 0, BY_SHA256, KIND},
    {"identity of none",   IDENTITY_NONE, "dev1", "",  {NAME("dev1")},                               0, 0, BY_SHA256, KIND},
};
/* clang-format on */

/* certs[0] is the root, the last one the leaf. */
struct path {
    struct test_cert certs[PATH_ROOM];
    size_t count;
};

static struct path make_path(const struct row *r)
{
    struct path p = {.count = 1};
    struct test_cert_options root = {NAME("root"), .constraints = "critical,CA:TRUE"};
    if (r->twists & ROOT_NO_CA)
        root.constraints = NULL;
    if (r->twists & ROOT_USAGE)
        root.usage = "critical,keyCertSign";
    if (r->twists & ROOT_EXPIRED)
        root.not_after_s = TEST_NOW_S - 1;
    p.certs[0] = test_cert_make(&root, NULL);
    for (int i = 1; i <= r->between; i++) {
        char name[] = "between 0";
        name[8] = (char)('0' + i);
        struct test_cert_options o = {.name = span_text(name),
                                      .constraints = "critical,CA:TRUE",
                                      .usage = "critical,keyCertSign"};
        bool lowest = i == r->between;
        if (lowest && r->twists & BETWEEN_EXPIRED)
            o.not_after_s = TEST_NOW_S - 1;
        if (lowest && r->twists & BETWEEN_NO_CA)
            o.constraints = "critical,CA:FALSE";
        if (lowest && r->twists & BETWEEN_USAGE)
            o.usage = "critical,digitalSignature";
        if (i == 1 && r->twists & BETWEEN_SHORT)
            o.constraints = "critical,CA:TRUE,pathlen:0";
        p.certs[i] = test_cert_make(&o, &p.certs[i - 1]);
        p.count++;
    }
    const struct test_cert *issuer = &p.certs[p.count - 1];
    p.certs[p.count] = test_cert_make(&r->leaf, r->twists & SELF_SIGNED ? NULL : issuer);
    p.count++;
    return p;
}

static size_t send_path(const struct row *r, const struct path *p, struct span *sent)
{
    static uint8_t broken[X509_DER_MAX];
    const struct test_cert *leaf = &p->certs[p->count - 1];
    size_t count = 0, between = p->count - 2;
    sent[count++] = leaf->der;
    if (r->twists & SIGNATURE_BROKEN) {
        memcpy(broken, leaf->der.data, leaf->der.len);
        broken[leaf->der.len - 1] ^= 1;
        sent[0] = span_of(broken, leaf->der.len);
    }
    for (size_t i = 0; i < between && !(r->twists & LEAF_ALONE); i++)
        sent[count++] = p->certs[r->twists & SHUFFLED ? i + 1 : between - i].der;
    if (r->twists & ROOT_SENT)
        sent[count++] = p->certs[0].der;
    if (r->twists & JUNK_SENT)
        sent[count - 1] = SPAN("junk");
    if (r->twists & LEAF_IS_ROOT) {
        sent[0] = p->certs[0].der;
        count = 1;
    }
    return count;
}

/* The thumbprint to register, in `hex`. */
static struct span make_print(const struct row *r, const struct path *p, struct buf *hex)
{
    const struct test_cert *of = &p->certs[r->print == OF_ROOT ? 0 : p->count - 1];
    uint8_t hash[EVP_MAX_MD_SIZE];
    const char *digest = r->print == BY_SHA1 ? "SHA1" : "SHA256";
    EXPECT(EVP_Q_digest(NULL, digest, NULL, of->der.data, of->der.len, hash, NULL));
    text_put_hex(hex, span_of(hash, r->print == BY_SHA1 ? 20 : 32));
    for (size_t i = 0; i < hex->len && r->print == UPPER; i++)
        if (hex->data[i] >= 'a')
            hex->data[i] -= 'a' - 'A';
    if (r->print == WRONG)
        hex->data[9] ^= 1;
    if (r->print == CUT)
        hex->len -= 2;
    if (r->print == COLONS)
        hex->data[2] = ':';
    return buf_span(hex);
}

static void judge(const struct row *r)
{
    struct path p = make_path(r);
    struct test_cert other = test_cert_make(
        &(struct test_cert_options){NAME("root"), .constraints = "critical,CA:TRUE"}, NULL);
    struct buf hex = {0};
    struct span sent[PATH_ROOM + 1];
    size_t sent_count = send_path(r, &p, sent);
    struct span ca = r->twists & OTHER_CA       ? other.der
                     : r->twists & TRUST_LOWEST ? p.certs[p.count - 2].der
                                                : p.certs[0].der;
    struct identity identity = {.kind = r->kind};
    if (r->print)
        identity.thumbprints[r->print == SECONDARY] = make_print(r, &p, &hex);

    struct policies policies = {.count = 0};
    struct credential_rules rules = {.policies = &policies,
                                     .cas = &ca,
                                     .ca_count = !(r->twists & NO_CA),
                                     .refuse_expired_thumbprint = r->twists & STRICT};
    struct credential_target target = {
        .device = span_text(r->device), .module = span_text(r->module), .identity = &identity};
    struct credential c;
    enum status st =
        credential_by_certificate(&rules, &target, sent, sent_count, TEST_NOW_S * 1000 + 500, &c);
    EXPECT_SPAN_IN(r->name, span_text(c.reason), span_text(r->why));
    EXPECT_EQ_IN(r->name, st, r->why ? UNAUTHORIZED : OK);
    if (st == OK) {
        EXPECT_EQ_IN(r->name, c.method, r->print ? CREDENTIAL_THUMBPRINT : CREDENTIAL_CA);
        EXPECT_EQ_IN(r->name, c.slot, r->print == SECONDARY);
        EXPECT_EQ_IN(r->name, c.out_of_time, r->leaf.not_after_s != 0);
        EXPECT_EQ_IN(r->name, c.peer.kind, *r->module ? PEER_MODULE : PEER_DEVICE);
        EXPECT_EQ_IN(r->name, c.expiry_s, INT64_MAX);
    }
    buf_fini(&hex);
    test_cert_fini(&other);
    for (size_t i = 0; i < p.count; i++)
        test_cert_fini(&p.certs[i]);
}

TEST(certificates_are_accepted_or_refused_as_the_matrix_says)
{
    EXPECT(COUNT(rows) >= 60);
    for (size_t i = 0; i < COUNT(rows); i++)
        judge(&rows[i]);
}

TEST_MAIN(RUN(certificates_are_accepted_or_refused_as_the_matrix_says))
