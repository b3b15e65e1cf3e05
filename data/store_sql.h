/* store_sql.h - every statement of the store, by name.
 *
 * Purpose: all SQL that runs after migration, in one place to read.  Each is prepared at
 *          its first use and kept; every value is bound.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_DATA_STORE_SQL_H
#define TERRA_DATA_STORE_SQL_H

/* clang-format off */
#define STORE_RUN_COLUMNS                                                                     \
    "id, session_id, parent_id, pair_id, model_id, document_id, chunk_no, kind, mode, "       \
    "prompt, params, seed, build, host, n_in, n_read, status, output, error, n_out, "         \
    "load_ns, prefill_ns, decode_ns, start_ms, end_ms"

/* What a session list shows; ?1: also the deleted ones. */
#define STORE_SESSION_COLUMNS                                                                 \
    "s.id, s.uid, s.title, s.created_ms, s.updated_ms, s.deleted_ms, (SELECT count(*) "       \
    "FROM run r WHERE r.session_id = s.id), (SELECT total(n_out) FROM run r WHERE "           \
    "r.session_id = s.id) AS n_tok, (SELECT total(n_out) * 1e9 / "                            \
    "nullif(total(decode_ns), 0) FROM run r WHERE r.session_id = s.id AND "                  \
    "r.decode_ns > 0), (SELECT d.name FROM run r JOIN document d ON d.id = "                  \
    "r.document_id WHERE r.session_id = s.id ORDER BY r.id DESC LIMIT 1), EXISTS "           \
    "(SELECT 1 FROM run r WHERE r.session_id = s.id AND r.status = 'interrupted'), "          \
    "(SELECT substr(prompt, 1, 240) FROM run r WHERE r.session_id = s.id ORDER BY "          \
    "r.id LIMIT 1), "

#define STORE_LAST_OUTPUT                                                                     \
    "(SELECT substr(output, 1, 240) FROM run r WHERE r.session_id = s.id ORDER BY "          \
    "r.id DESC LIMIT 1) "

/* Above every id there is and ever was: who still holds the id of a purged row must not
 * find another one under it. */
#define STORE_NEXT_ID(table)                                                                  \
    "(SELECT max(coalesce((SELECT max(id) FROM " table "), 0), coalesce((SELECT CAST(value "  \
    "AS INTEGER) FROM setting WHERE name = 'last_" table "'), 0)) + 1)"
#define STORE_KEEP_LAST_ID(table)                                                             \
    "INSERT INTO setting(name, value) SELECT 'last_" table "', max(id) FROM " table           \
    " HAVING max(id) NOT NULL ON CONFLICT(name) DO UPDATE SET value = max(CAST(value AS "     \
    "INTEGER), CAST(excluded.value AS INTEGER))"

/* What is written to right now is neither deleted nor pruned; of session s. */
#define STORE_QUIET                                                                           \
    "NOT EXISTS (SELECT 1 FROM run w WHERE w.session_id = s.id AND w.status = 'running')"

#define STORE_STATEMENTS(X)                                                                   \
    X(SETTING_GET,                                                                            \
      "SELECT value FROM setting WHERE name = ?1")                                            \
    X(SETTING_PUT,                                                                            \
      "INSERT INTO setting(name, value) VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET "      \
      "value = excluded.value")                                                               \
    X(MODEL_PUT,                                                                              \
      "INSERT INTO model(header_sha256, bytes, path, config) VALUES(?1, ?2, ?3, ?4) ON "      \
      "CONFLICT(header_sha256, bytes) DO UPDATE SET path = excluded.path, config = "          \
      "excluded.config RETURNING id")                                                         \
    X(MODEL_FIND,                                                                             \
      "SELECT id FROM model WHERE header_sha256 = ?1 AND bytes = ?2")                         \
    X(MODEL_GET,                                                                              \
      "SELECT id, header_sha256, bytes, path, config FROM model WHERE id = ?1")               \
    X(DOCUMENT_PUT,                                                                           \
      "INSERT INTO document(sha256, name, bytes, n_tok, fixes, body) VALUES(?1, ?2, ?3, "     \
      "?4, ?5, ?6) ON CONFLICT(sha256) DO UPDATE SET name = coalesce(nullif(name, '-'), "     \
      "excluded.name, name), n_tok = coalesce(excluded.n_tok, n_tok), body = "                \
      "coalesce(excluded.body, body) RETURNING id")                                           \
    X(DOCUMENT_GET,                                                                           \
      "SELECT id, sha256, name, bytes, n_tok, fixes, iif(?2, body, NULL) FROM document "      \
      "WHERE id = ?1")                                                                        \
    X(DOCUMENT_SWEEP,                                                                         \
      "DELETE FROM document WHERE id NOT IN (SELECT document_id FROM run WHERE "              \
      "document_id IS NOT NULL) AND id NOT IN (SELECT document_id FROM summary)")             \
    X(SESSION_NEW,                                                                            \
      "INSERT INTO session(id, uid, title, created_ms, updated_ms) VALUES("                   \
      STORE_NEXT_ID("session")                                                                \
      ", ?1, ?2, ?3, ?3) RETURNING id")                                                       \
    X(SESSION_ALIVE,                                                                          \
      "SELECT count(*) FROM session WHERE id = ?1 AND deleted_ms IS NULL")                    \
    X(SESSION_RUNNING,                                                                        \
      "SELECT count(*) FROM run WHERE session_id = ?1 AND status = 'running'")                \
    X(SESSION_LAST,                                                                           \
      "SELECT id FROM session WHERE deleted_ms IS NULL ORDER BY updated_ms DESC, id "         \
      "DESC LIMIT 1")                                                                         \
    X(SESSION_RENAME,                                                                         \
      "UPDATE session SET title = ?2 WHERE id = ?1 RETURNING id")                             \
    X(SESSION_TOUCH,                                                                          \
      "UPDATE session SET updated_ms = ?2 WHERE id = (SELECT session_id FROM run WHERE "      \
      "id = ?1)")                                                                             \
    X(SESSION_DELETED,                                                                        \
      "UPDATE session SET deleted_ms = ?2, deleted_pid = ?3, deleted_start = ?4, "            \
      "deleted_boot = ?5 WHERE id = ?1 RETURNING id")                                         \
    X(SESSION_DELETERS,                                                                       \
      "SELECT id, deleted_pid, deleted_start, deleted_boot FROM session s WHERE "             \
      "deleted_ms IS NOT NULL AND "                                                           \
      STORE_QUIET)                                                                            \
    X(SESSION_DOOM,                                                                           \
      "UPDATE session SET deleted_ms = -1 WHERE id = ?1 AND deleted_ms IS NOT NULL")          \
    X(SESSION_GET,                                                                            \
      "SELECT "                                                                               \
      STORE_SESSION_COLUMNS                                                                   \
      STORE_LAST_OUTPUT                                                                       \
      "FROM session s WHERE s.id = ?1")                                                       \
    X(SESSION_LIST,                                                                           \
      "SELECT "                                                                               \
      STORE_SESSION_COLUMNS                                                                   \
      STORE_LAST_OUTPUT                                                                       \
      "FROM session s WHERE ?1 OR s.deleted_ms IS NULL ORDER BY CASE ?2 WHEN 0 THEN "         \
      "s.updated_ms WHEN 1 THEN s.created_ms WHEN 3 THEN n_tok END DESC, iif(?2 = 2, "        \
      "s.title IS NULL, 0), iif(?2 = 2, lower(s.title), 0), s.updated_ms DESC, s.id "         \
      "DESC LIMIT ?3 OFFSET ?4")                                                              \
    X(SESSION_COUNT,                                                                          \
      "SELECT count(*) FROM session WHERE ?1 OR deleted_ms IS NULL")                          \
    X(SESSION_SEARCH,                                                                         \
      "WITH hit AS MATERIALIZED (SELECT rowid AS run_id, bm25(run_fts, 5.0, 1.0) AS "         \
      "score, snippet(run_fts, -1, '[', ']', '...', 12) AS text FROM run_fts WHERE "          \
      "run_fts MATCH ?5), best AS MATERIALIZED (SELECT r.session_id AS sid, "                 \
      "min(hit.score) AS score, hit.text AS text FROM hit JOIN run r ON r.id = "              \
      "hit.run_id GROUP BY r.session_id) SELECT "                                             \
      STORE_SESSION_COLUMNS                                                                   \
      "best.text FROM best JOIN session s ON s.id = best.sid WHERE ?1 OR s.deleted_ms "       \
      "IS NULL ORDER BY best.score, s.updated_ms DESC LIMIT ?3 OFFSET ?4")                    \
    X(SESSION_SEARCH_COUNT,                                                                   \
      "SELECT count(DISTINCT s.id) FROM run_fts f JOIN run r ON r.id = f.rowid JOIN "         \
      "session s ON s.id = r.session_id WHERE run_fts MATCH ?2 AND (?1 OR s.deleted_ms "      \
      "IS NULL)")                                                                             \
    X(PURGE_FTS,                                                                              \
      "DELETE FROM run_fts WHERE rowid IN (SELECT r.id FROM run r JOIN session s ON "         \
      "s.id = r.session_id WHERE (s.deleted_ms < 0 OR s.updated_ms < ?1) AND "                \
      STORE_QUIET                                                                             \
      ")")                                                                                    \
    X(PURGE_KEEP_RUN_ID,                                                                      \
      STORE_KEEP_LAST_ID("run"))                                                              \
    X(PURGE_KEEP_SESSION_ID,                                                                  \
      STORE_KEEP_LAST_ID("session"))                                                          \
    X(PURGE_SESSIONS,                                                                         \
      "DELETE FROM session AS s WHERE (deleted_ms < 0 OR updated_ms < ?1) AND "               \
      STORE_QUIET)                                                                            \
    X(SEARCH,                                                                                 \
      "SELECT r.session_id, r.id, s.title, snippet(run_fts, 0, '[', ']', '...', 12), "        \
      "snippet(run_fts, 1, '[', ']', '...', 12), r.start_ms, highlight(run_fts, 0, '[', "     \
      "']') <> run_fts.prompt FROM run_fts JOIN run r ON r.id = run_fts.rowid JOIN "          \
      "session s ON s.id = r.session_id WHERE run_fts MATCH ?1 AND s.deleted_ms IS NULL "     \
      "ORDER BY bm25(run_fts, 5.0, 1.0), r.id DESC LIMIT ?2")                                 \
    X(RUN_NEW,                                                                                \
      "INSERT INTO run(id, session_id, parent_id, pair_id, model_id, document_id, "           \
      "chunk_no, kind, mode, prompt, params, seed, build, host, n_in, n_read, status, "       \
      "pid, pid_start, boot_id, start_ms) SELECT "                                            \
      STORE_NEXT_ID("run")                                                                    \
      ", ?1, (SELECT id FROM run WHERE id = ?2), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "      \
      "?12, ?13, ?14, ?15, 'running', ?16, ?17, ?18, ?19 WHERE EXISTS (SELECT 1 FROM "        \
      "session WHERE id = ?1 AND deleted_ms IS NULL) RETURNING id")                           \
    X(RUN_FTS_NEW,                                                                            \
      "INSERT INTO run_fts(rowid, prompt, output) VALUES(?1, ?2, '')")                        \
    X(RUN_FTS_OUTPUT,                                                                         \
      "UPDATE run_fts SET output = ?2 WHERE rowid = ?1")                                      \
    X(RUN_PREFILLED,                                                                          \
      "UPDATE run SET n_in = ?2, n_read = ?3, load_ns = ?4, prefill_ns = ?5 WHERE id = "      \
      "?1 RETURNING id")                                                                      \
    X(RUN_TOKENS,                                                                             \
      "UPDATE run SET n_out = ?2 WHERE id = ?1 RETURNING id")                                 \
    X(RUN_END,                                                                                \
      "UPDATE run SET status = ?2, output = ?3, error = ?4, decode_ns = ?5, end_ms = "        \
      "?6, n_out = (SELECT count(*) FROM token WHERE run_id = ?1), pid = NULL, "              \
      "pid_start = NULL, boot_id = NULL WHERE id = ?1 RETURNING id")                          \
    X(RUN_GET,                                                                                \
      "SELECT "                                                                               \
      STORE_RUN_COLUMNS                                                                       \
      " FROM run WHERE id = ?1")                                                              \
    X(RUN_LIST,                                                                               \
      "SELECT "                                                                               \
      STORE_RUN_COLUMNS                                                                       \
      " FROM run WHERE session_id = ?1 ORDER BY id")                                          \
    X(RUN_PAIR,                                                                               \
      "SELECT "                                                                               \
      STORE_RUN_COLUMNS                                                                       \
      " FROM run WHERE id = ?1 OR pair_id = ?1 ORDER BY id")                                  \
    X(RUN_LAST,                                                                               \
      "SELECT r.id FROM run r JOIN session s ON s.id = r.session_id WHERE s.deleted_ms "      \
      "IS NULL ORDER BY r.id DESC LIMIT 1")                                                   \
    X(RUN_RUNNING,                                                                            \
      "SELECT id, pid, pid_start, boot_id FROM run WHERE status = 'running'")                 \
    X(RUN_STILL_RUNNING,                                                                      \
      "SELECT id FROM run WHERE id = ?1 AND status = 'running'")                              \
    X(RUN_INTERRUPT,                                                                          \
      "UPDATE run SET status = 'interrupted', output = ?2, (n_out, decode_ns) = (SELECT "     \
      "count(*), coalesce(sum(ns), 0) FROM token WHERE run_id = ?1), pid = NULL, "            \
      "pid_start = NULL, boot_id = NULL WHERE id = ?1")                                       \
    X(RUN_INTERRUPT_TIME,                                                                     \
      "UPDATE run SET end_ms = start_ms + (load_ns + prefill_ns + decode_ns) / 1000000 "      \
      "WHERE id = ?1")                                                                        \
    X(TOKEN_PUT,                                                                              \
      "INSERT OR REPLACE INTO token(run_id, pos, id, text, logprob, ns, ctl_us, ff_us, "      \
      "qkv_us, att_us, head_us, sample_us, other_us, bytes, zero, top) VALUES(?1, ?2, "       \
      "?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)")                       \
    X(TOKEN_CUT,                                                                              \
      "DELETE FROM token WHERE run_id = ?1 AND pos >= ?2")                                    \
    X(TOKEN_COUNT,                                                                            \
      "SELECT count(*) FROM token WHERE run_id = ?1")                                         \
    X(TOKEN_LIST,                                                                             \
      "SELECT id, text, logprob, ns, ctl_us, ff_us, qkv_us, att_us, head_us, sample_us, "     \
      "other_us, bytes, zero, top FROM token WHERE run_id = ?1 ORDER BY pos")                 \
    X(TOKEN_TEXT,                                                                             \
      "SELECT text FROM token WHERE run_id = ?1 ORDER BY pos")                                \
    X(TRACE_LAST,                                                                             \
      "SELECT pos, n, codec, crc32, data FROM trace WHERE run_id = ?1 AND stage = ?2 "        \
      "AND plane = ?3 AND pos <= ?4 ORDER BY pos DESC LIMIT 1")                               \
    X(TRACE_CUT,                                                                              \
      "DELETE FROM trace WHERE run_id = ?1 AND stage = ?2 AND plane = ?3 AND pos >= ?4")      \
    X(TRACE_PUT,                                                                              \
      "INSERT OR REPLACE INTO trace(run_id, stage, plane, pos, n, codec, crc32, data) "       \
      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                                               \
    X(TRACE_LIST,                                                                             \
      "SELECT plane, pos, n, codec, crc32, data FROM trace WHERE run_id = ?1 AND stage "      \
      "= ?2 ORDER BY plane DESC, pos")                                                        \
    X(TOKEN_AT,                                                                               \
      "SELECT r.session_id, t.text FROM run r LEFT JOIN token t ON t.run_id = r.id AND "      \
      "t.pos = ?2 WHERE r.id = ?1")                                                           \
    X(TRACE_USE,                                                                              \
      "SELECT t.run_id, t.pos, t.n, t.codec, t.crc32, t.data FROM trace t JOIN run r ON "     \
      "r.id = t.run_id JOIN session s ON s.id = r.session_id WHERE t.stage = ?1 AND "         \
      "t.plane = ?2 AND s.deleted_ms IS NULL AND (?3 IS NULL OR r.model_id = ?3) AND "        \
      "(?4 IS NULL OR r.session_id = ?4) AND (?5 IS NULL OR r.id = ?5) ORDER BY "             \
      "t.run_id DESC, t.pos")                                                                 \
    X(SUMMARY_PUT,                                                                            \
      "INSERT INTO summary(document_id, run_id, method, target, body, tok_read, "             \
      "tok_total, rouge, created_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) "             \
      "RETURNING id")                                                                         \
    X(STEP_PUT,                                                                               \
      "INSERT INTO summary_step(summary_id, step, run_id) VALUES(?1, ?2, ?3)")                \
    X(SUMMARY_OF,                                                                             \
      "SELECT id, document_id, run_id, method, target, body, tok_read, tok_total, "           \
      "rouge, created_ms FROM summary WHERE run_id = ?1")                                     \
    X(SUMMARY_LIST,                                                                           \
      "SELECT id, document_id, run_id, method, target, body, tok_read, tok_total, "           \
      "rouge, created_ms FROM summary WHERE ?1 IS NULL OR document_id = ?1 ORDER BY id")      \
    X(STEP_LIST,                                                                              \
      "SELECT run_id FROM summary_step WHERE summary_id = ?1 ORDER BY step")                  \
    X(STAT,                                                                                   \
      "SELECT (SELECT count(*) FROM session WHERE deleted_ms IS NULL), (SELECT count(*) "     \
      "FROM session WHERE deleted_ms IS NOT NULL), (SELECT count(*) FROM run), (SELECT "      \
      "total(n_out) FROM run), (SELECT count(*) FROM document), (SELECT count(*) FROM "       \
      "summary), (SELECT count(*) FROM model), (SELECT total(n) FROM trace WHERE plane "      \
      "= 'unit'), (SELECT total(length(data)) FROM trace)")                                   \
    X(PRUNE_TRACE_COUNT,                                                                      \
      "SELECT total(CASE plane WHEN 'unit' THEN n END), total(length(data)) FROM trace "      \
      "WHERE run_id IN (SELECT id FROM run WHERE start_ms < ?1)")                             \
    X(PRUNE_TRACES,                                                                           \
      "DELETE FROM trace WHERE run_id IN (SELECT id FROM run WHERE start_ms < ?1)")           \
    X(PRUNE_COUNT,                                                                            \
      "SELECT count(DISTINCT r.session_id), count(*), total(r.n_out), (SELECT count(*) "      \
      "FROM session s WHERE updated_ms < ?1 AND "                                             \
      STORE_QUIET                                                                             \
      "), total(length(r.prompt) + coalesce(length(r.output), 0)) FROM run r JOIN "           \
      "session s ON s.id = r.session_id WHERE s.updated_ms < ?1 AND "                         \
      STORE_QUIET)                                                                            \
    X(PRUNE_SESSION_TRACES,                                                                   \
      "SELECT total(CASE plane WHEN 'unit' THEN n END), total(length(data)) FROM trace "      \
      "WHERE run_id IN (SELECT r.id FROM run r JOIN session s ON s.id = r.session_id "        \
      "WHERE s.updated_ms < ?1 AND "                                                          \
      STORE_QUIET                                                                             \
      ")")
/* clang-format on */

#define STORE_STATEMENT_NAME(name, sql) STMT_##name,
enum store_statement { STORE_STATEMENTS(STORE_STATEMENT_NAME) STORE_STATEMENT_COUNT };
#undef STORE_STATEMENT_NAME

#endif
