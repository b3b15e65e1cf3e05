/* SPDX-License-Identifier: MIT */
#include "data/store_impl.h"

#include "engine/base/buf.h"

#include <stdio.h>

/* Schema 1.  A change of the schema is a new step at the end; steps never change once
 * they are in a release. */
static const char schema_1[] =
#include "data/schema.sql.inc"
    ;

const struct migration store_migrations[] = {{1, schema_1}};
const size_t store_n_migrations = sizeof store_migrations / sizeof *store_migrations;

static bool run_step(struct store *s, const struct migration *m, struct err *e)
{
    int64_t now;
    char mark[96];
    if (!store_exec(s, "BEGIN IMMEDIATE", e))
        return false;
    bool ok = store_pragma_int(s, "PRAGMA user_version", &now, e);
    if (ok && now < m->to) { /* else another process was faster */
        snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %d",
                 STORE_APPLICATION_ID, m->to);
        ok = store_exec(s, m->sql, e) && store_exec(s, mark, e);
    }
    return store_end(s, ok, e);
}

bool store_migrate(struct store *s, struct store_report *rep, struct err *e)
{
    int64_t found;
    if (!store_pragma_int(s, "PRAGMA user_version", &found, e))
        return false;
    int latest = s->step[s->n_steps - 1].to;
    rep->schema_found = (int)found;
    if (found > 0 && found < latest && !s->in_memory) {
        snprintf(rep->backup, sizeof rep->backup, "%s.v%d.bak", s->path, (int)found);
        if (!store_copy(s, rep->backup, true, e))
            return err_prefix(e, "copy before the change of schema");
    }
    for (size_t i = 0; i < s->n_steps; i++)
        if (found < s->step[i].to && !run_step(s, &s->step[i], e))
            return false;
    return store_pragma_int(s, "PRAGMA user_version", &found, e) &&
           (rep->schema_now = (int)found, true);
}
