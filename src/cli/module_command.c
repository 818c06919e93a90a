#include "cli/commands.h"

#include "cli/identity_command.h"
#include "cli/say.h"
#include "cli/table.h"

int module_create(const struct args *a)
{
    struct buf body = {0};
    int code = identity_check(a, a->at[0], a->at[1]);
    if (code != EXIT_OK)
        return code;
    buf_printf(&body, "{\"deviceId\":\"%s\",\"moduleId\":\"%s\"", a->at[0], a->at[1]);
    code = identity_put_authentication(&body, a);
    buf_byte(&body, '}');
    if (code == EXIT_OK)
        code = identity_create(a, a->at[0], a->at[1], buf_span(&body));
    buf_fini(&body);
    return code;
}

int module_show(const struct args *a)
{
    return identity_show(a, a->at[0], a->at[1]);
}

int module_delete(const struct args *a)
{
    return identity_delete(a, a->at[0], a->at[1]);
}

static int show_list(struct client *c, struct doc_node modules)
{
    struct table table = {0};
    struct buf out = {0};
    if (c->args->option[OPTION_JSON])
        return client_show_reply(c, modules);
    table_add(&table, (struct span[]){SPAN("MODULE"), SPAN("CONNECTION"), SPAN("LAST ACTIVITY"),
                                      SPAN("MANAGED BY")});
    for (struct doc_node m = doc_first(modules); m.at; m = doc_next(modules, m))
        table_add(&table,
                  (struct span[]){json_text(m, "moduleId"), json_text(m, "connectionState"),
                                  identity_time(m, "lastActivityTime"), json_text(m, "managedBy")});
    table_put(&out, &table);
    return say_out(c->args, &out);
}

int module_list(const struct args *a)
{
    struct buf path = {0};
    int code = identity_check(a, a->at[0], NULL);
    client_put_path(&path, "devices", a->at[0], NULL);
    buf_text(&path, "/modules");
    if (code == EXIT_OK)
        code = client_once(a, &(struct client_call){"GET", buf_span(&path), NULL, {0}}, show_list);
    buf_fini(&path);
    return code;
}
