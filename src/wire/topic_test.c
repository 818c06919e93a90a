#include "wire/topic.h"

#include "base/test.h"

#define R64  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define R256 R64 R64 R64 R64

static const struct span none = SPAN_INIT("");

/* clang-format off */
static const struct {
    const char *name, *device, *module;
    struct span text;
    struct topic want;
} topics[] = {
    /* telemetry, and what it tolerates (mqtt.md 5) */
    {"no bag",                "d", "",  SPAN_INIT("devices/d/messages/events/"),             {.kind = TOPIC_TELEMETRY}},
    {"no slash",              "d", "",  SPAN_INIT("devices/d/messages/events"),              {.kind = TOPIC_TELEMETRY}},
    {"two slashes",           "d", "",  SPAN_INIT("devices/d/messages/events//"),            {.kind = TOPIC_TELEMETRY}},
    {"a bag",                 "d", "",  SPAN_INIT("devices/d/messages/events/a=1&b"),        {.kind = TOPIC_TELEMETRY, .bag = SPAN_INIT("a=1&b")}},
    {"bag and slashes",       "d", "",  SPAN_INIT("devices/d/messages/events/a=1//"),        {.kind = TOPIC_TELEMETRY, .bag = SPAN_INIT("a=1")}},
    {"raw slash in a bag",    "d", "",  SPAN_INIT("devices/d/messages/events/p=/a/b"),       {.kind = TOPIC_TELEMETRY, .bag = SPAN_INIT("p=/a/b")}},
    {"bag with a mark",       "d", "",  SPAN_INIT("devices/d/messages/events/?a=1"),         {.kind = TOPIC_TELEMETRY, .bag = SPAN_INIT("?a=1")}},
    {"module",                "d", "m", SPAN_INIT("devices/d/modules/m/messages/events/a=1/"), {.kind = TOPIC_TELEMETRY, .bag = SPAN_INIT("a=1")}},
    {"ids like wildcards",    "a+#?$%", "", SPAN_INIT("devices/a+#?$%/messages/events/x"),   {.kind = TOPIC_TELEMETRY, .bag = SPAN_INIT("x")}},
    {"ids only wildcards",    "#", "+", SPAN_INIT("devices/#/modules/+/messages/events/"),   {.kind = TOPIC_TELEMETRY}},
    {"wildcard in the bag",   "d", "",  SPAN_INIT("devices/d/messages/events/a=+"),          {.kind = TOPIC_WILDCARD}},
    {"hash in the bag",       "d", "",  SPAN_INIT("devices/d/messages/events/#"),            {.kind = TOPIC_WILDCARD}},
    {"longer word",           "d", "",  SPAN_INIT("devices/d/messages/eventsx"),             {.kind = TOPIC_UNKNOWN}},
    {"mark for a slash",      "d", "",  SPAN_INIT("devices/d/messages/events?a=1"),          {.kind = TOPIC_UNKNOWN}},
    {"case counts",           "d", "",  SPAN_INIT("devices/d/messages/Events/"),             {.kind = TOPIC_UNKNOWN}},
    {"a downstream topic",    "d", "",  SPAN_INIT("devices/d/messages/devicebound/x"),       {.kind = TOPIC_UNKNOWN}},
    {"nothing after the id",  "d", "",  SPAN_INIT("devices/d/"),                             {.kind = TOPIC_UNKNOWN}},
    {"inputs",                "d", "m", SPAN_INIT("devices/d/modules/m/inputs/i/"),          {.kind = TOPIC_UNKNOWN}},
    /* another identity */
    {"other device",          "d", "",  SPAN_INIT("devices/e/messages/events/"),             {.kind = TOPIC_FOREIGN}},
    {"longer id",             "d", "",  SPAN_INIT("devices/dd/messages/events/"),            {.kind = TOPIC_FOREIGN}},
    {"shorter id",            "dd", "", SPAN_INIT("devices/d/messages/events/"),             {.kind = TOPIC_FOREIGN}},
    {"other case",            "d", "",  SPAN_INIT("devices/D/messages/events/"),             {.kind = TOPIC_FOREIGN}},
    {"own module",            "d", "",  SPAN_INIT("devices/d/modules/m/messages/events/"),   {.kind = TOPIC_FOREIGN}},
    {"own device",            "d", "m", SPAN_INIT("devices/d/messages/events/"),             {.kind = TOPIC_FOREIGN}},
    {"other module",          "d", "m", SPAN_INIT("devices/d/modules/n/messages/events/"),   {.kind = TOPIC_FOREIGN}},
    {"longer module",         "d", "m", SPAN_INIT("devices/d/modules/mm/messages/events/"),  {.kind = TOPIC_FOREIGN}},
    {"no id",                 "d", "",  SPAN_INIT("devices/"),                               {.kind = TOPIC_FOREIGN}},
    {"own id, cut",           "d", "",  SPAN_INIT("devices/d"),                              {.kind = TOPIC_FOREIGN}},
    {"other's wildcards",     "d", "",  SPAN_INIT("devices/+/messages/events/"),             {.kind = TOPIC_WILDCARD}},
    /* twin (7.1) */
    {"get",                   "d", "",  SPAN_INIT("$iothub/twin/GET/?$rid=7"),               {.kind = TOPIC_TWIN_GET, .rid = SPAN_INIT("7")}},
    {"get, module",           "d", "m", SPAN_INIT("$iothub/twin/GET/?$rid=7"),               {.kind = TOPIC_TWIN_GET, .rid = SPAN_INIT("7")}},
    {"get, no slash",         "d", "",  SPAN_INIT("$iothub/twin/GET?$rid=7"),                {.kind = TOPIC_TWIN_GET, .rid = SPAN_INIT("7")}},
    {"rid is raw",            "d", "",  SPAN_INIT("$iothub/twin/GET/?$rid=a%2Fb=?/c"),       {.kind = TOPIC_TWIN_GET, .rid = SPAN_INIT("a%2Fb=?/c")}},
    {"rid after others",      "d", "",  SPAN_INIT("$iothub/twin/GET/?x=1&$rid=7&y"),         {.kind = TOPIC_TWIN_GET, .rid = SPAN_INIT("7")}},
    {"first rid counts",      "d", "",  SPAN_INIT("$iothub/twin/GET/?$rid=7&$rid=8"),        {.kind = TOPIC_TWIN_GET, .rid = SPAN_INIT("7")}},
    {"get has no version",    "d", "",  SPAN_INIT("$iothub/twin/GET/?$rid=7&$version=x"),    {.kind = TOPIC_TWIN_GET, .rid = SPAN_INIT("7")}},
    {"rid at its limit",      "d", "",  SPAN_INIT("$iothub/twin/GET/?$rid=" R256),           {.kind = TOPIC_TWIN_GET, .rid = SPAN_INIT(R256)}},
    {"rid over its limit",    "d", "",  SPAN_INIT("$iothub/twin/GET/?$rid=" R256 "x"),       {.kind = TOPIC_LONG_RID}},
    {"get without rid",       "d", "",  SPAN_INIT("$iothub/twin/GET/"),                      {.kind = TOPIC_NO_RID}},
    {"get, bare",             "d", "",  SPAN_INIT("$iothub/twin/GET"),                       {.kind = TOPIC_NO_RID}},
    {"get, empty rid",        "d", "",  SPAN_INIT("$iothub/twin/GET/?$rid="),                {.kind = TOPIC_NO_RID}},
    {"get, rid without =",    "d", "",  SPAN_INIT("$iothub/twin/GET/?$rid"),                 {.kind = TOPIC_NO_RID}},
    {"get, longer name",      "d", "",  SPAN_INIT("$iothub/twin/GET/?$ridx=7"),              {.kind = TOPIC_NO_RID}},
    {"get, wildcard",         "d", "",  SPAN_INIT("$iothub/twin/GET/?$rid=+"),               {.kind = TOPIC_WILDCARD}},
    {"patch",                 "d", "",  SPAN_INIT("$iothub/twin/PATCH/properties/reported/?$rid=7"), {.kind = TOPIC_TWIN_PATCH, .rid = SPAN_INIT("7")}},
    {"patch, version",        "d", "",  SPAN_INIT("$iothub/twin/PATCH/properties/reported/?$rid=7&$version=12"), {.kind = TOPIC_TWIN_PATCH, .rid = SPAN_INIT("7"), .has_version = true, .version = 12}},
    {"patch, version first",  "d", "",  SPAN_INIT("$iothub/twin/PATCH/properties/reported/?$version=12&$rid=7"), {.kind = TOPIC_TWIN_PATCH, .rid = SPAN_INIT("7"), .has_version = true, .version = 12}},
    {"patch without rid",     "d", "",  SPAN_INIT("$iothub/twin/PATCH/properties/reported/"), {.kind = TOPIC_TWIN_PATCH}},
    {"patch, version not a number", "d", "", SPAN_INIT("$iothub/twin/PATCH/properties/reported/?$rid=7&$version=x"), {.kind = TOPIC_BAD_VERSION}},
    {"patch, empty version",  "d", "",  SPAN_INIT("$iothub/twin/PATCH/properties/reported/?$rid=7&$version="), {.kind = TOPIC_BAD_VERSION}},
    {"patch, version too big","d", "",  SPAN_INIT("$iothub/twin/PATCH/properties/reported/?$version=9223372036854775808"), {.kind = TOPIC_BAD_VERSION}},
    {"patch, long rid",       "d", "",  SPAN_INIT("$iothub/twin/PATCH/properties/reported/?$rid=" R256 "x"), {.kind = TOPIC_LONG_RID}},
    {"patch desired",         "d", "",  SPAN_INIT("$iothub/twin/PATCH/properties/desired/?$rid=7"), {.kind = TOPIC_BAD_OPERATION}},
    {"patch nothing",         "d", "",  SPAN_INIT("$iothub/twin/PATCH/?$rid=7"),             {.kind = TOPIC_BAD_OPERATION}},
    {"post",                  "d", "",  SPAN_INIT("$iothub/twin/POST/?$rid=7"),              {.kind = TOPIC_BAD_OPERATION}},
    {"get, lower case",       "d", "",  SPAN_INIT("$iothub/twin/get/?$rid=7"),               {.kind = TOPIC_BAD_OPERATION}},
    {"get of a part",         "d", "",  SPAN_INIT("$iothub/twin/GET/properties/?$rid=7"),    {.kind = TOPIC_BAD_OPERATION}},
    {"no operation",          "d", "",  SPAN_INIT("$iothub/twin/"),                          {.kind = TOPIC_BAD_OPERATION}},
    /* methods (8) */
    {"response",              "d", "",  SPAN_INIT("$iothub/methods/res/200/?$rid=1f"),       {.kind = TOPIC_METHOD_RESPONSE, .status = 200, .rid = SPAN_INIT("1f")}},
    {"response, negative",    "d", "",  SPAN_INIT("$iothub/methods/res/-1/?$rid=1"),         {.kind = TOPIC_METHOD_RESPONSE, .status = -1, .rid = SPAN_INIT("1")}},
    {"response, largest",     "d", "",  SPAN_INIT("$iothub/methods/res/2147483647/?$rid=1"), {.kind = TOPIC_METHOD_RESPONSE, .status = INT32_MAX, .rid = SPAN_INIT("1")}},
    {"response, smallest",    "d", "",  SPAN_INIT("$iothub/methods/res/-2147483648/?$rid=1"), {.kind = TOPIC_METHOD_RESPONSE, .status = INT32_MIN, .rid = SPAN_INIT("1")}},
    {"response, too large",   "d", "",  SPAN_INIT("$iothub/methods/res/2147483648/?$rid=1"), {.kind = TOPIC_BAD_STATUS}},
    {"response, too small",   "d", "",  SPAN_INIT("$iothub/methods/res/-2147483649/?$rid=1"), {.kind = TOPIC_BAD_STATUS}},
    {"response, text",        "d", "",  SPAN_INIT("$iothub/methods/res/ok/?$rid=1"),         {.kind = TOPIC_BAD_STATUS}},
    {"response, no status",   "d", "",  SPAN_INIT("$iothub/methods/res//?$rid=1"),           {.kind = TOPIC_BAD_STATUS}},
    {"response, more levels", "d", "",  SPAN_INIT("$iothub/methods/res/200/x/?$rid=1"),      {.kind = TOPIC_BAD_STATUS}},
    {"response without rid",  "d", "",  SPAN_INIT("$iothub/methods/res/200/"),               {.kind = TOPIC_NO_RID}},
    {"response, long rid",    "d", "",  SPAN_INIT("$iothub/methods/res/200/?$rid=" R256 "x"), {.kind = TOPIC_LONG_RID}},
    {"response, wildcard",    "d", "",  SPAN_INIT("$iothub/methods/res/+/?$rid=1"),          {.kind = TOPIC_WILDCARD}},
    /* nothing of ours */
    {"empty",                 "d", "",  SPAN_INIT(""),                                       {.kind = TOPIC_UNKNOWN}},
    {"anything",              "d", "",  SPAN_INIT("home/kitchen"),                           {.kind = TOPIC_UNKNOWN}},
    {"leading slash",         "d", "",  SPAN_INIT("/devices/d/messages/events/"),            {.kind = TOPIC_UNKNOWN}},
    {"devices, other case",   "d", "",  SPAN_INIT("Devices/d/messages/events/"),             {.kind = TOPIC_UNKNOWN}},
    {"method request",        "d", "",  SPAN_INIT("$iothub/methods/POST/reboot/?$rid=1"),    {.kind = TOPIC_UNKNOWN}},
    {"other $iothub",         "d", "",  SPAN_INIT("$iothub/twin"),                           {.kind = TOPIC_UNKNOWN}},
    {"bare wildcard",         "d", "",  SPAN_INIT("#"),                                      {.kind = TOPIC_WILDCARD}},
};
/* clang-format on */

TEST(a_topic_means_what_the_catalogue_says)
{
    for (size_t i = 0; i < COUNT(topics); i++) {
        const struct topic *want = &topics[i].want;
        const char *row = topics[i].name;
        struct topic got = topic_parse(test_at_edge(topics[i].text), span_text(topics[i].device),
                                       span_text(topics[i].module));
        EXPECT_EQ_IN(row, got.kind, want->kind);
        EXPECT_SPAN_IN(row, got.bag, want->bag);
        EXPECT_SPAN_IN(row, got.rid, want->rid);
        EXPECT_EQ_IN(row, got.has_version, want->has_version);
        EXPECT_EQ_IN(row, got.version, want->version);
        EXPECT_EQ_IN(row, got.status, want->status);
    }
}

TEST(only_the_four_served_kinds_stay_connected)
{
    for (enum topic_kind kind = TOPIC_TELEMETRY; kind <= TOPIC_BAD_STATUS; kind++) {
        EXPECT_EQ(topic_is_refused(kind), kind > TOPIC_METHOD_RESPONSE);
        EXPECT(strlen(topic_kind_name(kind)) > 0);
    }
    EXPECT_SPAN(span_text(topic_kind_name(TOPIC_TELEMETRY)), SPAN("TELEMETRY"));
    EXPECT_SPAN(span_text(topic_kind_name(TOPIC_BAD_STATUS)), SPAN("BAD_STATUS"));
}

#define RES TOPIC_TWIN_RESPONSE
#define DES TOPIC_DESIRED
#define MET TOPIC_METHODS
#define C2D TOPIC_C2D
#define INP TOPIC_INPUTS

/* clang-format off */
static const struct {
    const char *device, *module, *filter;
    unsigned want;
} filters[] = {
    /* what SDKs subscribe to (mqtt.md 4) */
    {"d", "",  "devices/d/messages/devicebound/#",            C2D},
    {"d", "m", "devices/d/modules/m/messages/devicebound/#",  C2D},
    {"d", "m", "devices/d/modules/m/inputs/#",                INP},
    {"d", "m", "devices/d/modules/m/#",                       C2D | INP},
    {"d", "",  "$iothub/twin/res/#",                          RES},
    {"d", "",  "$iothub/twin/PATCH/properties/desired/#",     DES},
    {"d", "",  "$iothub/methods/POST/#",                      MET},
    {"d", "m", "$iothub/methods/POST/#",                      MET},
    {"d", "",  "#",                                           C2D},
    {"d", "m", "#",                                           C2D | INP},
    {"d", "",  "devices/d/messages/#",                        C2D},
    {"d", "",  "devices/d/#",                                 C2D},
    /* [MQTT-4.7.2-1]: a leading wildcard does not reach `$` topics, a later one does */
    {"d", "",  "+/twin/res/#",                                0},
    {"d", "",  "+/#",                                         C2D},
    {"d", "",  "$iothub/#",                                   RES | DES | MET},
    {"d", "",  "$iothub/+/#",                                 RES | DES | MET},
    {"d", "",  "$iothub/twin/#",                              RES | DES},
    {"d", "",  "$iothub/+/+/+/+",                             RES | MET},
    {"d", "",  "$iothub/+/+/+/+/+",                           DES},
    {"d", "",  "$SYS/#",                                      0},
    {"d", "",  "$#",                                          0},
    /* single levels, literals where topics vary, the parent rule */
    {"d", "",  "devices/d/messages/devicebound/+",            C2D},
    {"d", "",  "+/+/+/+/+",                                   C2D},
    {"d", "m", "+/+/+/+/+/+/+",                               C2D | INP},
    {"d", "",  "+/+/+/+",                                     0},
    {"d", "",  "+/+/+/+/+/+",                                 0},
    {"d", "",  "+/+/+/+/+/#",                                 C2D},
    {"d", "",  "+/+/+/+/+/+/#",                               0},
    {"d", "",  "devices/+/messages/devicebound/#",            C2D},
    {"d", "m", "devices/+/modules/+/inputs/+/+",              INP},
    {"d", "",  "devices/d/messages/devicebound",              0},
    {"d", "",  "devices/d/messages/devicebound/",             0},
    {"d", "",  "devices/d/messages/devicebound/x/#",          C2D},
    {"d", "",  "devices/d/messages/devicebound/x/y",          0},
    {"d", "",  "$iothub/methods/POST/reboot/#",               MET},
    {"d", "",  "$iothub/methods/POST/reboot/+",               MET},
    {"d", "",  "$iothub/methods/POST/+",                      0},
    {"d", "",  "$iothub/twin/res/200/#",                      RES},
    {"d", "m", "devices/d/modules/m/inputs/in/#",             INP},
    {"d", "",  "devices/#",                                   C2D},
    {"d", "",  "devices/+/#",                                 C2D},
    /* other identities */
    {"d", "",  "devices/e/messages/devicebound/#",            0},
    {"d", "",  "devices/dd/messages/devicebound/#",           0},
    {"d", "",  "devices/D/messages/devicebound/#",            0},
    {"d", "",  "devices/e/#",                                 0},
    {"d", "",  "devices/d/modules/m/#",                       0},
    {"d", "",  "devices/d/modules/m/inputs/#",                0},
    {"d", "m", "devices/d/messages/devicebound/#",            0},
    {"d", "m", "devices/d/modules/n/#",                       0},
    {"d", "m", "devices/d/#",                                 C2D | INP},
    {"d", "m", "devices/e/modules/m/#",                       0},
    /* what devices publish to, and nothing of ours */
    {"d", "",  "devices/d/messages/events/#",                 0},
    {"d", "",  "$iothub/twin/GET/#",                          0},
    {"d", "",  "$iothub/twin/PATCH/properties/reported/#",    0},
    {"d", "",  "$iothub/methods/res/#",                       0},
    {"d", "",  "$dps/registrations/res/#",                    0},
    {"d", "",  "home/kitchen",                                0},
    {"d", "",  "",                                            0},
    {"d", "",  "/#",                                          0},
    {"d", "",  "+",                                           0},
    {"d", "",  "DEVICES/d/messages/devicebound/#",            0},
    /* [MQTT-4.7.1-2], [MQTT-4.7.1-3]: misplaced wildcards */
    {"d", "",  "devices/d/#/devicebound",                     0},
    {"d", "",  "#/devices",                                   0},
    {"d", "",  "devices/d/messages#",                         0},
    {"d", "",  "devices/d/messages/devicebound/a+",           0},
    {"d", "",  "devices/d/messages/devicebound/a#",           0},
    {"d", "",  "devices/d+/messages/devicebound/#",           0},
    {"d", "",  "devices/d/messages/devicebound/##",           0},
    {"d", "",  "devices/d/messages/devicebound/#/",           0},
    {"d", "",  "$iothub/methods/POST/re+/#",                  0},
    /* ids that look like wildcards are compared literally first (2.2) */
    {"a+b", "",  "devices/a+b/messages/devicebound/#",        C2D},
    {"#",   "",  "devices/#/messages/devicebound/#",          C2D},
    {"#",   "",  "devices/#",                                 C2D},
    {"+",   "",  "devices/+/messages/devicebound/#",          C2D},
    {"a#",  "+", "devices/a#/modules/+/inputs/#",             INP},
    {"d",   "m+", "devices/d/modules/m+/#",                   C2D | INP},
    {"a+b", "",  "devices/axb/messages/devicebound/#",        0},
    {"$d?", "",  "devices/$d?/#",                             C2D},
};
/* clang-format on */

TEST(a_filter_is_granted_what_it_can_match)
{
    for (size_t i = 0; i < COUNT(filters); i++) {
        unsigned got =
            topic_filter_matches(test_at_edge(span_text(filters[i].filter)),
                                 span_text(filters[i].device), span_text(filters[i].module));
        EXPECT_EQ_IN(filters[i].filter, got, filters[i].want);
    }
}

TEST(downstream_topics_are_exact_to_the_byte)
{
    struct buf b = {0};
    topic_put_twin_response(&b, 200, SPAN("a%2Fb"), -1);
    EXPECT_SPAN(buf_span(&b), SPAN("$iothub/twin/res/200/?$rid=a%2Fb"));
    buf_clear(&b);
    topic_put_twin_response(&b, 204, SPAN("7"), 0);
    EXPECT_SPAN(buf_span(&b), SPAN("$iothub/twin/res/204/?$rid=7&$version=0"));
    buf_clear(&b);
    topic_put_desired(&b, 4);
    EXPECT_SPAN(buf_span(&b), SPAN("$iothub/twin/PATCH/properties/desired/?$version=4"));
    buf_clear(&b);
    topic_put_method(&b, SPAN("reboot"), SPAN("1f"));
    EXPECT_SPAN(buf_span(&b), SPAN("$iothub/methods/POST/reboot/?$rid=1f"));
    buf_clear(&b);
    topic_put_devicebound(&b, SPAN("d"), none);
    EXPECT_SPAN(buf_span(&b), SPAN("devices/d/messages/devicebound/"));
    buf_clear(&b);
    topic_put_devicebound(&b, SPAN("d"), SPAN("m"));
    EXPECT_SPAN(buf_span(&b), SPAN("devices/d/modules/m/messages/devicebound/"));
    buf_fini(&b);
}

TEST_MAIN(RUN(a_topic_means_what_the_catalogue_says),
          RUN(only_the_four_served_kinds_stay_connected),
          RUN(a_filter_is_granted_what_it_can_match), RUN(downstream_topics_are_exact_to_the_byte))
